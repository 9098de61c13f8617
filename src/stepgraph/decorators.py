"""Decorators: each registers a function, checks its shape for type checkers, and gives it back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, final, overload

from stepgraph.model.change import Change
from stepgraph.model.outcome import Outcome
from stepgraph.model.run import Run
from stepgraph.ports.connector import ConnectorEvent
from stepgraph.workflow import Workflow

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
T = TypeVar("T")
P = ParamSpec("P")

AsyncStep: TypeAlias = Callable[Concatenate[Run[O, S], P], Coroutine[Any, Any, S | Outcome]]
SyncStep: TypeAlias = Callable[Concatenate[Run[O, S], P], S | Outcome]
StepFunction: TypeAlias = (
    Callable[Concatenate[Run[O, S], ...], Coroutine[Any, Any, S | Outcome]]
    | Callable[Concatenate[Run[O, S], ...], S | Outcome]
)
AsyncCallback: TypeAlias = Callable[Concatenate[Run[O, S], T, P], Coroutine[Any, Any, S | Outcome]]
SyncCallback: TypeAlias = Callable[Concatenate[Run[O, S], T, P], S | Outcome]
CallbackFunction: TypeAlias = (
    Callable[Concatenate[Run[O, S], Any, ...], Coroutine[Any, Any, S | Outcome]]
    | Callable[Concatenate[Run[O, S], Any, ...], S | Outcome]
)
# Any stands for Child: a function that says Snapshot, which has its words, is accepted as well.
AsyncJoin: TypeAlias = Callable[
    Concatenate[Run[O, S], Sequence[Any], P], Coroutine[Any, Any, S | Outcome]
]
SyncJoin: TypeAlias = Callable[Concatenate[Run[O, S], Sequence[Any], P], S | Outcome]
JoinFunction: TypeAlias = (
    Callable[Concatenate[Run[O, S], Sequence[Any], ...], Coroutine[Any, Any, S | Outcome]]
    | Callable[Concatenate[Run[O, S], Sequence[Any], ...], S | Outcome]
)
AsyncHook: TypeAlias = Callable[Concatenate[Change[O, S], P], Coroutine[Any, Any, None]]
SyncHook: TypeAlias = Callable[Concatenate[Change[O, S], P], None]

AsyncConnector: TypeAlias = Callable[
    Concatenate[Workflow[O, S], ConnectorEvent, P], Coroutine[Any, Any, None]
]
SyncConnector: TypeAlias = Callable[Concatenate[Workflow[O, S], ConnectorEvent, P], None]
ConnectorFunction: TypeAlias = (
    Callable[Concatenate[Workflow[O, S], ConnectorEvent, ...], Coroutine[Any, Any, None]]
    | Callable[Concatenate[Workflow[O, S], ConnectorEvent, ...], None]
)

AsyncSchedule: TypeAlias = Callable[Concatenate[datetime, P], Coroutine[Any, Any, O | None]]
SyncSchedule: TypeAlias = Callable[Concatenate[datetime, P], O | None]
ScheduleFunction: TypeAlias = (
    Callable[Concatenate[datetime, ...], Coroutine[Any, Any, O | None]]
    | Callable[Concatenate[datetime, ...], O | None]
)

# Of overloads that all fail one checker shows the first and the other the last, so async stands at
# both ends: the usual mistake then reads the same in both.


@final
class StepDecorator(Generic[O, S]):
    """Registers a step or a timeout and gives the function back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

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
class CallbackDecorator(Generic[O, S]):
    """Registers a callback and gives the function back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

    @overload
    def __call__(self, function: AsyncCallback[O, S, T, P], /) -> AsyncCallback[O, S, T, P]: ...
    @overload
    def __call__(self, function: SyncCallback[O, S, T, P], /) -> SyncCallback[O, S, T, P]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: AsyncCallback[O, S, T, P], /
    ) -> AsyncCallback[O, S, T, P]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register `function`."""
        self._add(function)
        return function


@final
class JoinDecorator(Generic[O, S]):
    """Registers a join and gives the function back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

    @overload
    def __call__(self, function: AsyncJoin[O, S, P], /) -> AsyncJoin[O, S, P]: ...
    @overload
    def __call__(self, function: SyncJoin[O, S, P], /) -> SyncJoin[O, S, P]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: AsyncJoin[O, S, P], /
    ) -> AsyncJoin[O, S, P]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register `function`."""
        self._add(function)
        return function


@final
class HookDecorator(Generic[O, S]):
    """Registers a hook and gives the function back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

    @overload
    def __call__(self, function: AsyncHook[O, S, P], /) -> AsyncHook[O, S, P]: ...
    @overload
    def __call__(self, function: SyncHook[O, S, P], /) -> SyncHook[O, S, P]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: AsyncHook[O, S, P], /
    ) -> AsyncHook[O, S, P]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register `function`."""
        self._add(function)
        return function


@final
class ConnectorDecorator(Generic[O, S]):
    """Registers a connector's function and gives it back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

    @overload
    def __call__(self, function: AsyncConnector[O, S, P], /) -> AsyncConnector[O, S, P]: ...
    @overload
    def __call__(self, function: SyncConnector[O, S, P], /) -> SyncConnector[O, S, P]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: AsyncConnector[O, S, P], /
    ) -> AsyncConnector[O, S, P]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register `function`."""
        self._add(function)
        return function


@final
class ScheduleDecorator(Generic[O]):
    """Registers a schedule's function and gives it back as it was."""

    def __init__(self, add: Callable[[Callable[..., Any]], None]) -> None:
        """Register through `add`."""
        self._add = add

    @overload
    def __call__(self, function: AsyncSchedule[P, O], /) -> AsyncSchedule[P, O]: ...
    @overload
    def __call__(self, function: SyncSchedule[P, O], /) -> SyncSchedule[P, O]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: AsyncSchedule[P, O], /
    ) -> AsyncSchedule[P, O]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Register `function`."""
        self._add(function)
        return function
