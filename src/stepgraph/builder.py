"""Builder: collects the functions of a workflow, and joins them to a backend."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from enum import IntEnum
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, Unpack, final, overload

from stepgraph.definition import Definition, Deployment, Handler
from stepgraph.destinations import read_destinations, unwrapped
from stepgraph.errors import DefinitionError
from stepgraph.model.graph import StatusGraph
from stepgraph.model.identifier import check_name, check_statuses
from stepgraph.model.options import (
    BuildOptions,
    StepOptions,
    resolve_step_settings,
    resolve_workflow_settings,
)
from stepgraph.model.outcome import Outcome
from stepgraph.model.run import Run
from stepgraph.ports.backend import HasEventStreamer, HasRecordStore, HasRoleScheduler
from stepgraph.ports.codec import Codec, JSONCodec
from stepgraph.workflow import Workflow

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
P = ParamSpec("P")

AsyncStep: TypeAlias = Callable[Concatenate[Run[O, S], P], Coroutine[Any, Any, S | Outcome]]
SyncStep: TypeAlias = Callable[Concatenate[Run[O, S], P], S | Outcome]
StepFunction: TypeAlias = (
    Callable[Concatenate[Run[O, S], ...], Coroutine[Any, Any, S | Outcome]]
    | Callable[Concatenate[Run[O, S], ...], S | Outcome]
)


@final
class StepDecorator(Generic[O, S]):
    """Registers a step and gives the function back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

    # Of overloads that all fail one checker shows the first and the other the last, so async
    # stands at both ends: the usual mistake then reads the same in both.
    @overload
    def __call__(self, function: AsyncStep[O, S, P], /) -> AsyncStep[O, S, P]: ...
    @overload
    def __call__(self, function: SyncStep[O, S, P], /) -> SyncStep[O, S, P]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: AsyncStep[O, S, P], /
    ) -> AsyncStep[O, S, P]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register `function`."""
        self._add(function)
        return function


@final
class Builder(Generic[O, S]):
    """Collects the functions of a workflow. Makes no connection, starts nothing."""

    def __init__(
        self, name: str, object_type: type[O], status_type: type[S], *, codec: Codec | None = None
    ) -> None:
        """Begin a workflow of runs with this object and these statuses.

        Raises `DefinitionError` for a name that cannot be stored, an enum with two names for one
        number, or an object type that the codec cannot store.
        """
        self.name = check_name("workflow name", name)
        check_statuses(status_type)
        self._object_type = object_type
        self._status_type = status_type
        self._codec = codec if codec is not None else JSONCodec()
        self._codec.check_type(object_type)
        self._handlers: list[Handler[S]] = []

    def step(
        self, status: S, *, to: S | Iterable[S] | None = None, **options: Unpack[StepOptions]
    ) -> StepDecorator[O, S]:
        """Declare the function that moves a run out of `status`; one a status."""
        return StepDecorator(lambda function: self._add_step(status, function, to, options))

    def add_step(
        self,
        status: S,
        function: StepFunction[O, S],
        *,
        to: S | Iterable[S] | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        """Declare a step as a plain call, for bound methods and loops."""
        self._add_step(status, function, to, options)

    def _add_step(
        self,
        status: S,
        function: Callable[..., Any],
        to: S | Iterable[S] | None,
        options: Mapping[str, Any],
    ) -> None:
        plain = unwrapped(function)
        name = getattr(plain, "__name__", type(function).__name__)
        if type(status) is not self._status_type:
            raise DefinitionError(
                f"{name}() is a step of {status!r}, which is not a {self._status_type.__name__}"
            )
        taken = next((h for h in self._handlers if h.status is status), None)
        if taken is not None:
            raise DefinitionError(
                f"{status.name} already has the step {taken.name}(): a status has one"
            )
        resolve_step_settings({}, options)
        names, optional = _resource_names(name, function)
        documentation = inspect.getdoc(plain) or ""
        self._handlers.append(
            Handler(
                kind="step",
                status=status,
                name=name,
                function=function,
                is_async=_is_async(function),
                destinations=read_destinations(function, self._status_type, to),
                resource_names=names,
                optional_names=optional,
                options=dict(options),
                description=documentation.partition("\n")[0],
            )
        )

    def definition(self) -> Definition[O, S]:
        """Return what was declared so far, frozen and checked."""
        graph = StatusGraph.of(
            (handler.status.value, destination.value)
            for handler in self._handlers
            for destination in handler.destinations
        )
        if not self._handlers:
            raise DefinitionError(f"{self.name!r} has no step: declare one with @{self.name}.step")
        return Definition(
            name=self.name,
            object_type=self._object_type,
            status_type=self._status_type,
            codec=self._codec,
            handlers=tuple(self._handlers),
            graph=graph,
        )

    def build(
        self,
        backend: HasRecordStore,
        *,
        event_streamer: HasEventStreamer | None = None,
        role_scheduler: HasRoleScheduler | None = None,
        **options: Unpack[BuildOptions],
    ) -> Workflow[O, S]:
        """Join the definition to where runs are kept, and to other technologies for what is named.

        What is not named is taken from `backend`. Connects to nothing yet. Raises
        `DefinitionError` for what cannot work and `TypeError` for an unknown option.
        """
        definition = self.definition()
        kind = type(backend).__name__
        if getattr(backend, "record_store", None) is None:
            raise DefinitionError(
                f"{kind} has no record_store: build() with one that can hold runs"
            )
        roles: Any = role_scheduler if role_scheduler is not None else backend
        if getattr(roles, "role_scheduler", None) is None:
            raise DefinitionError(
                f"{type(roles).__name__} has no role_scheduler:"
                f" build({kind}(...), role_scheduler=...) with a technology that has one"
            )
        if event_streamer is not None and getattr(event_streamer, "event_streamer", None) is None:
            raise DefinitionError(f"{type(event_streamer).__name__} has no event_streamer")
        settings = resolve_workflow_settings(options)
        if isinstance(settings.resources, Mapping):
            check_resources(definition, settings.resources)
        for handler in definition.handlers:
            resolve_step_settings(options, handler.options)
        # Two objects with one address are two backends: only the same object is co-located.
        shared: Any = backend
        is_foreign = event_streamer is not None and event_streamer is not shared
        return Workflow(
            definition,
            Deployment(
                record_backend=backend,
                stream_backend=event_streamer if is_foreign else None,
                role_backend=roles,
                settings=settings,
                defaults=dict(options),
            ),
        )


def check_resources(definition: Definition[Any, Any], resources: Mapping[str, object]) -> None:
    """Raise `DefinitionError` if a function asks for a resource that is not there."""
    for handler in definition.handlers:
        for name in handler.resource_names:
            if name not in resources and name not in handler.optional_names:
                raise DefinitionError(
                    f"{handler.name}() wants {name!r}: build(..., resources={{{name!r}: ...}})"
                )


def _resource_names(
    name: str, function: Callable[..., Any]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the keyword-only parameters, which are the user's, and those with a default."""
    parameters = inspect.signature(function).parameters.values()
    required = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    if len(required) > 1:
        raise DefinitionError(
            f"{name}() has the positional parameters {', '.join(required)}: a step takes the run;"
            " put a bare * before what your resources fill"
        )
    own = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if any(parameter.name == "connection" for parameter in own):
        raise DefinitionError(
            f"{name}() wants 'connection', the transaction of its commit:"
            " no backend of this release shares one"
        )
    optional = frozenset(p.name for p in own if p.default is not p.empty)
    return tuple(parameter.name for parameter in own), optional


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)
    return inspect.iscoroutinefunction(unwrapped(function)) or inspect.iscoroutinefunction(call)
