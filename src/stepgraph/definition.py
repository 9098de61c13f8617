"""Definition: what a Builder collected, frozen; and Deployment: where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_origin, is_typeddict

from stepgraph.model.cron import CronSpec
from stepgraph.model.graph import StatusGraph
from stepgraph.model.options import WorkflowSettings
from stepgraph.model.run_state import RunState
from stepgraph.model.schedule import CatchUp, Overlap, fingerprint_of
from stepgraph.ports.backend import (
    HasEventStreamer,
    HasRecordStore,
    HasRoleScheduler,
    HasTimeoutStore,
)
from stepgraph.ports.codec import Codec

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
HandlerKind: TypeAlias = Literal["step", "callback", "timeout", "join"]


@dataclass(frozen=True, kw_only=True)
class Function:
    """One of the user's functions: how it is called, and what it asks for.

    `name` is durable: it names the function's work in the store. `is_transactional` says that it
    asks for the connection of its commit.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    resource_names: tuple[str, ...]
    optional_names: frozenset[str]
    options: Mapping[str, Any]
    description: str
    is_transactional: bool


@dataclass(frozen=True, kw_only=True)
class Handler(Function, Generic[S]):
    """A function that moves a run out of a status, and where it may go."""

    kind: HandlerKind = "step"
    status: S
    destinations: tuple[S, ...]


@dataclass(frozen=True, kw_only=True)
class CallbackHandler(Handler[S], Generic[S]):
    """A function that the outside world calls with a payload.

    `buffer` is how long a payload that comes early is kept; None refuses it.
    """

    kind: HandlerKind = "callback"
    payload_type: Any
    buffer: timedelta | None


@dataclass(frozen=True, kw_only=True)
class TimeoutHandler(Handler[S], Generic[S]):
    """A function that is called when a run has been in its status for as long as `after` says.

    `after` is a duration from the entry, an instant in microseconds, or a function of the Snapshot.
    """

    kind: HandlerKind = "timeout"
    after: timedelta | int | Callable[..., Any]

    @property
    def is_static(self) -> bool:
        """Return whether the time is known without calling anything."""
        return isinstance(self.after, (timedelta, int))


@dataclass(frozen=True, kw_only=True)
class JoinHandler(Handler[S], Generic[S]):
    """A function that is called once all, or any, of the run's children have ended."""

    kind: HandlerKind = "join"
    until: Literal["all", "any"]


@dataclass(frozen=True, kw_only=True)
class Hook(Function):
    """A function that is told of changes into these run states."""

    run_states: frozenset[RunState]


@dataclass(frozen=True, kw_only=True)
class ConnectorHandler(Function):
    """A function that is handed the events of an outside stream; `name` is the connector's."""


@dataclass(frozen=True, kw_only=True)
class ScheduleHandler(Function):
    """A function from a slot to the object of the run that it triggers; None skips the slot.

    `name` is the schedule's; `status` is where its runs start, None for the workflow's start.
    """

    cron: CronSpec
    foreign_id: str | Callable[[datetime], str]
    status: Any
    catch_up: CatchUp
    overlap: Overlap
    jitter: int

    @property
    def fingerprint(self) -> str:
        """What tells this spec and zone from another release's."""
        return fingerprint_of(self.cron)


@dataclass(frozen=True, kw_only=True)
class Definition(Generic[O, S]):
    """A workflow as declared: its types, its graph, its functions. Building does not change it."""

    name: str
    object_type: type[O]
    status_type: type[S]
    codec: Codec
    handlers: tuple[Handler[S], ...]
    graph: StatusGraph
    hooks: tuple[Hook, ...] = ()
    connectors: tuple[ConnectorHandler, ...] = ()
    schedules: tuple[ScheduleHandler, ...] = ()
    custom_delete: Callable[[O], O] | None = None

    @property
    def statuses(self) -> tuple[S, ...]:
        """Every status, in the order of the enum."""
        return tuple(self.status_type)

    @property
    def edges(self) -> tuple[tuple[S, S], ...]:
        """Each (from, to) once, in the order of declaration."""
        status = self.status_type
        return tuple((status(before), status(after)) for before, after in self.graph.edges)

    @property
    def starts(self) -> tuple[S, ...]:
        """Statuses that nothing leads to, or the first one declared."""
        return tuple(self.status_type(status) for status in self.graph.starts)

    @property
    def ends(self) -> tuple[S, ...]:
        """Statuses that nothing leads out of: a run that enters one is completed."""
        return tuple(self.status_type(status) for status in self.graph.ends)

    @property
    def steps(self) -> tuple[Handler[S], ...]:
        """The functions that are called as soon as a run is in their status."""
        return tuple(handler for handler in self.handlers if handler.kind == "step")

    @cached_property
    def callbacks(self) -> tuple[CallbackHandler[S], ...]:
        """The functions that the outside world calls, in the order of declaration."""
        return tuple(h for h in self.handlers if isinstance(h, CallbackHandler))

    @property
    def timeouts(self) -> tuple[TimeoutHandler[S], ...]:
        """The functions that wait for a time, in the order of declaration."""
        return tuple(h for h in self.handlers if isinstance(h, TimeoutHandler))

    @property
    def joins(self) -> tuple[JoinHandler[S], ...]:
        """The functions that wait for children, in the order of declaration."""
        return tuple(h for h in self.handlers if isinstance(h, JoinHandler))

    @property
    def functions(self) -> tuple[Function, ...]:
        """Every function of the user's that may ask for resources."""
        return (*self.handlers, *self.hooks, *self.connectors, *self.schedules)

    @cached_property
    def object_class(self) -> type[Any]:
        """The class that the objects have when the program runs: dict for what is written so."""
        is_mapping = is_typeddict(self.object_type) or get_origin(self.object_type) is dict
        return dict if is_mapping else self.object_type

    @cached_property
    def fingerprint(self) -> str:
        """A short hash that differs whenever two releases of the code see runs differently."""
        parts = [self.name, *(f"{s.name}={s.value}" for s in self.status_type)]
        parts += [f"{before}>{after}" for before, after in self.graph.edges]
        parts += [f"{h.kind} {h.status.value} {h.name}" for h in self.handlers]
        parts += [f"join {h.status.value} until {h.until}" for h in self.joins]
        parts += [f"hook {h.name} {sorted(h.run_states)}" for h in self.hooks]
        parts += [f"{self.object_type.__name__}: {self.object_shape}"]
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    @property
    def object_shape(self) -> str:
        """The fields of the object type as text; what has none counts by its name alone."""
        annotations = getattr(self.object_type, "__annotations__", {})
        return ", ".join(f"{name} {annotation}" for name, annotation in sorted(annotations.items()))


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where a definition runs, and the options that `build()` was given."""

    record_backend: HasRecordStore
    stream_backend: HasEventStreamer | None
    role_backend: HasRoleScheduler
    timeout_backend: HasTimeoutStore | None
    settings: WorkflowSettings
    defaults: Mapping[str, Any]

    @property
    def is_relayed(self) -> bool:
        """Whether step work is announced over a stream that is not the record store's own."""
        return self.stream_backend is not None
