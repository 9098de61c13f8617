"""Builder: collects the functions of a workflow, and joins them to a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import IntEnum
from typing import Any, Generic, Literal, TypeVar, Unpack, final

from stepgraph.declarations import Declarations
from stepgraph.decorators import (
    CallbackDecorator,
    CallbackFunction,
    ConnectorDecorator,
    ConnectorFunction,
    HookDecorator,
    JoinDecorator,
    JoinFunction,
    ScheduleDecorator,
    ScheduleFunction,
    StepDecorator,
    StepFunction,
)
from stepgraph.definition import Definition, Deployment
from stepgraph.engine.entrance import Entrance
from stepgraph.engine.trigger import origin_of_caller
from stepgraph.errors import DefinitionError
from stepgraph.model.graph import StatusGraph
from stepgraph.model.identifier import check_name, check_statuses
from stepgraph.model.options import (
    BuildOptions,
    ConnectorOptions,
    HookOptions,
    OptionKind,
    StepOptions,
    TimeoutOptions,
    resolve_step_settings,
    resolve_workflow_settings,
)
from stepgraph.model.run_state import RunState
from stepgraph.model.schedule import ScheduleOptions
from stepgraph.model.start import Start
from stepgraph.model.timer import Timer
from stepgraph.ports.backend import (
    HasEventStreamer,
    HasRecordStore,
    HasRoleScheduler,
    HasTimeoutStore,
)
from stepgraph.ports.codec import Codec, JSONCodec
from stepgraph.workflow import Workflow

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)


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
        self._declared: Declarations[S] = Declarations(status_type, self._codec)
        self._custom_delete: Callable[[O], O] | None = None
        self._entrance: tuple[int, Entrance] | None = None

    def step(
        self, status: S, *, to: S | Iterable[S] | None = None, **options: Unpack[StepOptions]
    ) -> StepDecorator[O, S]:
        """Declare the function that moves a run out of `status`; one a status."""
        return StepDecorator(
            lambda function: self._declared.add_step(status, function, to, options)
        )

    def add_step(
        self,
        status: S,
        function: StepFunction[O, S],
        *,
        to: S | Iterable[S] | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        """Declare a step as a plain call, for bound methods and loops."""
        self._declared.add_step(status, function, to, options)

    def callback(
        self,
        status: S,
        *,
        to: S | Iterable[S] | None = None,
        name: str | None = None,
        buffer: timedelta | None = None,
    ) -> CallbackDecorator[O, S]:
        """Declare what the outside world may tell a run in `status`; any number a status.

        `buffer` is how long a payload that comes before its run does is kept, and then applied
        once; without it what comes early is refused with `NotWaitingError`.
        """
        return CallbackDecorator(
            lambda function: self._declared.add_callback(status, function, to, name, buffer)
        )

    def add_callback(
        self,
        status: S,
        function: CallbackFunction[O, S],
        *,
        to: S | Iterable[S] | None = None,
        name: str | None = None,
        buffer: timedelta | None = None,
    ) -> None:
        """Declare a callback as a plain call, for bound methods and loops."""
        self._declared.add_callback(status, function, to, name, buffer)

    def timeout(
        self,
        status: S,
        *,
        after: Timer[O, S],
        to: S | Iterable[S] | None = None,
        name: str | None = None,
        **options: Unpack[TimeoutOptions],
    ) -> StepDecorator[O, S]:
        """Declare what happens to a run that is still in `status` when the time has come.

        `after` is a duration from the run's entry into the status, an aware datetime, or a
        function of the Snapshot that returns either, or None for no timer. It is never called
        early. Any number a status; `name` is the timer's durable name (the function's own if None).
        """
        return StepDecorator(
            lambda function: self._declared.add_timeout(
                status, function, after, (to, name), options
            )
        )

    def add_timeout(
        self,
        status: S,
        function: StepFunction[O, S],
        *,
        after: Timer[O, S],
        to: S | Iterable[S] | None = None,
        name: str | None = None,
        **options: Unpack[TimeoutOptions],
    ) -> None:
        """Declare a timeout as a plain call, for bound methods and loops."""
        self._declared.add_timeout(status, function, after, (to, name), options)

    def join(
        self,
        status: S,
        *,
        until: Literal["all", "any"] = "all",
        to: S | Iterable[S] | None = None,
        **options: Unpack[StepOptions],
    ) -> JoinDecorator[O, S]:
        """Declare the function that is called, once, when the run's children have ended.

        It takes the place of the status's step, and also gets `children: Sequence[Child]`: all that
        the run has started and that no join was given before. With `until="any"` the first end is
        enough, and some of them may be open. A run without such children goes on at once.
        """
        return JoinDecorator(
            lambda function: self._declared.add_join(status, function, until, to, options)
        )

    def add_join(
        self,
        status: S,
        function: JoinFunction[O, S],
        *,
        until: Literal["all", "any"] = "all",
        to: S | Iterable[S] | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        """Declare a join as a plain call, for bound methods and loops."""
        self._declared.add_join(status, function, until, to, options)

    @property
    def on_pause(self) -> HookDecorator[O, S]:
        """Call the function after each pause, at least once: `@orders.on_pause`."""
        return self.on(RunState.PAUSED)

    @property
    def on_cancel(self) -> HookDecorator[O, S]:
        """Call the function after each cancel, at least once."""
        return self.on(RunState.CANCELLED)

    @property
    def on_complete(self) -> HookDecorator[O, S]:
        """Call the function after a run is completed, at least once."""
        return self.on(RunState.COMPLETED)

    def on(
        self, *run_states: RunState, name: str | None = None, **options: Unpack[HookOptions]
    ) -> HookDecorator[O, S]:
        """Call the function after a change into any of these run states, at least once.

        With none named: after every change. Several hooks may listen to one run state. A hook that
        fails is repeated by `retry=`, and parked in `workflow.dead_letters` after `max_attempts`.
        """
        states = frozenset(run_states) or frozenset(RunState) - {RunState.UNKNOWN}
        return HookDecorator(
            lambda function: self._declared.add_hook(function, states, name, options)
        )

    def connector(self, name: str, **options: Unpack[ConnectorOptions]) -> ConnectorDecorator[O, S]:
        """Declare what an event of an outside stream does; `build(connectors=)` says which stream.

        The function is called with the workflow and the event, at least once for each event, in
        the order of the source for each foreign id; the source is told only after it returned.
        What it triggers or calls back has the event's id as its key, so that a redelivered event
        starts nothing twice. An event that fails is retried apart, and parked after `max_attempts`.
        """
        return ConnectorDecorator(
            lambda function: self._declared.add_connector(name, function, options)
        )

    def add_connector(
        self, name: str, function: ConnectorFunction[O, S], **options: Unpack[ConnectorOptions]
    ) -> None:
        """Declare a connector as a plain call, for bound methods and loops."""
        self._declared.add_connector(name, function, options)

    def schedule(self, spec: str, **options: Unpack[ScheduleOptions[S]]) -> ScheduleDecorator[O]:
        """Declare a function from a slot's time to the object to trigger; None skips the slot.

        `spec` is a cron spec, `@hourly` and its like, or `@every 90s`, read in the time zone
        `zone`; the slot is an aware datetime in it. The function is called at least once a slot,
        and each slot starts one run at most, under `foreign_id` (the schedule's name if None, or
        a function of the slot), whoever runs and whatever dies. While the run before is open, a
        slot is skipped, or waits with `overlap="wait"`. After downtime `catch_up` says which of
        the missed slots are triggered: the "latest", "all", or "none". `jitter` delays each slot
        by its own part of it. `name` (the function's if None) is the schedule's durable name.
        """
        return ScheduleDecorator(
            lambda function: self._declared.add_schedule(function, spec, options)
        )

    def add_schedule(
        self, spec: str, function: ScheduleFunction[O], **options: Unpack[ScheduleOptions[S]]
    ) -> None:
        """Declare a schedule as a plain call, for bound methods and loops."""
        self._declared.add_schedule(function, spec, options)

    def custom_delete(self, function: Callable[[O], O], /) -> Callable[[O], O]:
        """Declare how personal data is blanked out of an object, in place of deleting it whole.

        It must give the same for the same object, and may be called more than once.
        """
        if self._custom_delete is not None:
            raise DefinitionError(f"{self.name!r} has a custom_delete already")
        self._custom_delete = function
        return function

    def definition(self) -> Definition[O, S]:
        """Return what was declared so far, frozen and checked."""
        handlers = self._declared.handlers
        if not handlers:
            raise DefinitionError(f"{self.name!r} has no step: declare one with @{self.name}.step")
        return Definition(
            name=self.name,
            object_type=self._object_type,
            status_type=self._status_type,
            codec=self._codec,
            handlers=tuple(handlers),
            graph=StatusGraph.of(
                (handler.status.value, destination.value)
                for handler in handlers
                for destination in handler.destinations
            ),
            hooks=tuple(self._declared.hooks),
            connectors=tuple(self._declared.connectors),
            schedules=tuple(self._declared.schedules),
            custom_delete=self._custom_delete,
        )

    def start_of(self, foreign_id: str, initial: O, status: S | None = None) -> Start:
        """Return what a run would start with: what `Run.trigger_child` stages.

        Raises `InputError` for what `Workflow.trigger` would refuse; nothing is written.
        """
        count = len(self._declared.handlers)
        if self._entrance is None or self._entrance[0] != count:
            self._entrance = (count, Entrance(self.definition()))
        return self._entrance[1].check(foreign_id, initial, status, origin_of_caller())

    def build(
        self,
        backend: HasRecordStore,
        *,
        event_streamer: HasEventStreamer | None = None,
        role_scheduler: HasRoleScheduler | None = None,
        timeout_store: HasTimeoutStore | None = None,
        **options: Unpack[BuildOptions],
    ) -> Workflow[O, S]:
        """Join the definition to where runs are kept, and to other technologies for what is named.

        What is not named is taken from `backend`. Connects to nothing yet. Raises
        `DefinitionError` for what cannot work and `TypeError` for an unknown option.
        """
        definition = self.definition()
        if not definition.graph.edges:
            raise DefinitionError(
                f"nothing in {self.name!r} leads to another status: name a destination in a"
                " function's return annotation, or in to="
            )
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
        if timeout_store is not None and getattr(timeout_store, "timeout_store", None) is None:
            raise DefinitionError(f"{type(timeout_store).__name__} has no timeout_store")
        settings = resolve_workflow_settings(options)
        if isinstance(settings.resources, Mapping):
            check_resources(definition, settings.resources)
        check_connectors(definition, settings.connectors)
        check_schedules(definition, backend)
        for handler in definition.handlers:
            option_kind: OptionKind = "timeout" if handler.kind == "timeout" else "step"
            resolve_step_settings(options, handler.options, option_kind)
        # Two objects with one address are two backends: only the same object is co-located.
        shared: Any = backend
        is_foreign = event_streamer is not None and event_streamer is not shared
        return Workflow(
            definition,
            Deployment(
                record_backend=backend,
                stream_backend=event_streamer if is_foreign else None,
                role_backend=roles,
                timeout_backend=timeout_store if timeout_store is not shared else None,
                settings=settings,
                defaults=dict(options),
            ),
        )


def check_resources(definition: Definition[Any, Any], resources: Mapping[str, object]) -> None:
    """Raise `DefinitionError` if a function asks for a resource that is not there."""
    for function in definition.functions:
        for name in function.resource_names:
            if name not in resources and name not in function.optional_names:
                raise DefinitionError(
                    f"{function.name}() wants {name!r}: build(..., resources={{{name!r}: ...}})"
                )


def check_connectors(definition: Definition[Any, Any], sources: Mapping[str, object]) -> None:
    """Raise `DefinitionError` if a connector has no source, or a source no connector."""
    declared = {connector.name for connector in definition.connectors}
    for name in sorted(declared - set(sources)):
        raise DefinitionError(
            f"the connector {name!r} has no source: build(..., connectors={{{name!r}: ...}})"
        )
    for name in sorted(set(sources) - declared):
        raise DefinitionError(f"there is no connector {name!r}: declare it with @...connector")


def check_schedules(definition: Definition[Any, Any], backend: object) -> None:
    """Raise `DefinitionError` if a schedule can be kept nowhere, or starts where no run can."""
    if definition.schedules and getattr(backend, "schedule_store", None) is None:
        raise DefinitionError(f"{type(backend).__name__} has no schedule_store for the schedules")
    possible = frozenset(definition.graph.statuses) - frozenset(definition.graph.ends)
    for schedule in definition.schedules:
        if schedule.status is not None and schedule.status.value not in possible:
            raise DefinitionError(
                f"the schedule {schedule.name!r} starts in {schedule.status.name}:"
                " nothing leads out of it"
            )
