"""Snapshot: a run as somebody saw it; Run: a run in the hands of a user's function."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Generic, TypeVar, final

from stepgraph.errors import InputError
from stepgraph.model.instant import to_datetime
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.model.staging import StagedChild, Staging
from stepgraph.model.work_name import WorkName

if TYPE_CHECKING:
    from stepgraph.builder import Builder

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
ReadO = TypeVar("ReadO", covariant=True)
ReadS = TypeVar("ReadS", bound=IntEnum, covariant=True)
ChildO = TypeVar("ChildO")
ChildS = TypeVar("ChildS", bound=IntEnum)


class Absent:
    """Stands in for an object that cannot be shown, and says why to whoever asks for it."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        """Raise `error` where the object is asked for."""
        self.error = error


class Snapshot(Generic[ReadO, ReadS]):
    """A run as it was when somebody looked. Changing its object changes nothing stored."""

    __slots__ = ("_object", "_record", "_status")

    def __init__(self, record: Record, status: ReadS, value: ReadO) -> None:
        """Show `record`, with its status and object in the user's types."""
        self._record = record
        self._status = status
        self._object = value

    @property
    def id(self) -> str:
        """Our name for the run: time-ordered, unique for ever."""
        return self._record.run_id

    @property
    def foreign_id(self) -> str:
        """The user's name for what the run is about."""
        return self._record.foreign_id

    @property
    def workflow_name(self) -> str:
        """The workflow that the run belongs to."""
        return self._record.workflow

    @property
    def status(self) -> ReadS:
        """Where in the business process the run is."""
        return self._status

    @property
    def run_state(self) -> RunState:
        """Where in its life the run is."""
        return RunState(self._record.run_state)

    @property
    def reason(self) -> str:
        """Why the run is paused or cancelled; empty otherwise."""
        return self._record.meta.reason

    @property
    def object(self) -> ReadO:
        """The user's object as of this version; raises `DataDeletedError` if it was deleted."""
        value = self._object
        if isinstance(value, Absent):
            raise value.error
        return value

    @property
    def version(self) -> int:
        """How many times the run was stored."""
        return self._record.version

    @property
    def created_at(self) -> datetime:
        """When the run was triggered."""
        return to_datetime(self._record.created_at)

    @property
    def updated_at(self) -> datetime:
        """When this version was stored."""
        return to_datetime(self._record.updated_at)

    @property
    def entered_at(self) -> datetime:
        """When the run came into its status; pause, resume and Repeat do not move it."""
        return to_datetime(self._record.entered_at)

    def __repr__(self) -> str:
        """Name the run and its version; never show the object, which may be personal."""
        return (
            f"<{type(self).__name__} {self.id} of {self.foreign_id!r}: {self._status.name},"
            f" {self.run_state.name}, version {self.version}>"
        )


@final
class Run(Snapshot[O, S]):
    """A run in a function's hands: what it changes is stored with the answer, or not at all."""

    __slots__ = ("_name", "_staging", "_stop_reason")

    def __init__(self, record: Record, status: S, value: O, name: WorkName) -> None:
        """Hand out `record`; `name` names the piece of work and carries its clock."""
        # Set here, not by the parent: a second call would cost as much as the rest.
        self._record = record
        self._status = status
        self._object = value
        self._name = name
        self._stop_reason = ""
        self._staging: Staging | None = None

    @property
    def object(self) -> O:
        """The user's object. Change it in place, or assign a new one."""
        return self._object

    @object.setter
    def object(self, value: O) -> None:
        self._object = value

    @property
    def attempt(self) -> int:
        """1 at the first try, 2 at the first retry; counted in the store."""
        return self._record.attempt + 1

    @property
    def idempotency_key(self) -> str:
        """Names this piece of work, not the try: the same at every attempt, in every process."""
        return self._name.key(self._record)

    @property
    def is_cancelled(self) -> bool:
        """Whether the answer will be dropped: the run was stopped, or this instance is told to."""
        return self._stop_reason != ""

    def now(self) -> datetime:
        """Return the workflow's clock, aware UTC. Tests move it."""
        return self._name.clock.now()

    def trigger_child(
        self,
        workflow: Builder[ChildO, ChildS],
        foreign_id: str,
        initial: ChildO,
        *,
        status: ChildS | None = None,
        cancel_with_parent: bool = False,
    ) -> str:
        """Start a run of another workflow in the same write as this function's answer.

        Or not at all: an attempt that fails, or answers Skip, starts nothing. Returns the child's
        id now; every attempt of this visit that stages the same children gives the same ids, and
        starts them once. `workflow` is the other's Builder, built on the same record store.
        With `cancel_with_parent` the child is cancelled when this run is.

        A join of this run is told how its children ended. A child whose foreign id has an open run
        by then does not begin; it counts as ended.

        Raises `InputError` for a foreign id, object or status that cannot be started, for the same
        workflow and foreign id twice, and past 8 MiB of objects in one answer.
        """
        if getattr(workflow, "start_of", None) is None:
            kind = type(workflow).__name__
            raise InputError(f"trigger_child() takes the other workflow's Builder, not a {kind}")
        start = workflow.start_of(foreign_id, initial, status)
        if self._staging is None:
            self._staging = Staging()
        name, record = self._name, self._record
        return self._staging.add(
            start,
            lambda number: name.child_id(record, number, start.workflow, foreign_id),
            is_cancelled_with_parent=cancel_with_parent,
        )

    @property
    def staged(self) -> tuple[StagedChild, ...]:
        """What `trigger_child` has staged so far; for tests of a function."""
        return self._staging.children if self._staging is not None else ()

    def tell_stop(self, reason: str) -> None:
        """Make `is_cancelled` true; the engine's side of it."""
        self._stop_reason = reason
