"""Backend: an object that owns connections; which ports it has is what it can do."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from stepgraph.ports.census import Census
from stepgraph.ports.child_store import ChildStore
from stepgraph.ports.definition_store import DefinitionStore
from stepgraph.ports.event_streamer import EventStreamer
from stepgraph.ports.hints import Hints
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostRuns
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.retention_store import RetentionStore
from stepgraph.ports.role_scheduler import RoleScheduler
from stepgraph.ports.schedule_store import ScheduleStore
from stepgraph.ports.timeout_store import TimeoutStore
from stepgraph.ports.work_queue import WorkQueue


class Backend(Protocol):
    """Shared by workflows, it is opened once and closed with the last of them."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, and bring the schema up to date where that is the backend's own business.

        In a child of a process that had it open, it opens anew and leaves alone what is the
        parent's: connections, locks, leases. Called again while open it does nothing.
        """
        ...

    @abstractmethod
    async def close(self) -> None:
        """Let go of every connection. May be called twice."""
        ...


class HasRecordStore(Backend, Protocol):
    """A technology that can hold runs: the ports over one store."""

    @property
    def record_store(self) -> RecordStore:
        """The runs."""
        ...

    @property
    def work_queue(self) -> WorkQueue:
        """Their queue rows."""
        ...

    @property
    def history_store(self) -> HistoryStore:
        """Their history."""
        ...

    @property
    def retention_store(self) -> RetentionStore:
        """What forgets the old ones."""
        ...

    @property
    def lost_runs(self) -> LostRuns:
        """The reconciler's question."""
        ...

    @property
    def census(self) -> Census:
        """How many runs are in which status."""
        ...

    @property
    def child_store(self) -> ChildStore:
        """Whose children ended."""
        ...

    @property
    def definition_store(self) -> DefinitionStore:
        """What the workflows look like."""
        ...

    @property
    def hints(self) -> Hints | None:
        """Wake-ups between processes, if there are any."""
        ...


class HasScheduleStore(Backend, Protocol):
    """A technology that can hold schedules beside the runs."""

    @property
    def schedule_store(self) -> ScheduleStore:
        """The schedules."""
        ...


class HasEventStreamer(Backend, Protocol):
    """A technology that can announce events."""

    @property
    def event_streamer(self) -> EventStreamer:
        """The stream."""
        ...


class HasRoleScheduler(Backend, Protocol):
    """A technology that can hand out roles."""

    @property
    def role_scheduler(self) -> RoleScheduler:
        """The roles."""
        ...


class HasTimeoutStore(Backend, Protocol):
    """A technology that can hold timers."""

    @property
    def timeout_store(self) -> TimeoutStore:
        """The timers."""
        ...
