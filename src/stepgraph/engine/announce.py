"""Announcer: which queue rows a stored record causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from stepgraph.model.child_row import ChildPlace
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.record import Next, Record
from stepgraph.model.slot import slot_of
from stepgraph.model.staging import StagedChild
from stepgraph.model.topic import (
    delete_consumer,
    inbox_consumer,
    join_consumer,
    pull_consumer,
    relay_consumer,
    resume_consumer,
    spawn_consumer,
    step_topic,
)


class TimerPlan(msgspec.Struct, frozen=True):
    """One timer that a visit of a status starts.

    Its row goes to `consumer`, due `after` microseconds from the entry or at the instant `at`; if
    both are None it is due at once, for a consumer that finds out when the timer is.
    """

    consumer: str
    name: str
    after: int | None
    at: int | None

    def due_at(self, entered_at: int) -> int:
        """Return when the row of a visit is due."""
        if self.after is not None:
            return entered_at + self.after
        return self.at if self.at is not None else entered_at


class Place(msgspec.Struct, frozen=True):
    """What a status means for a run that comes into it; durations in microseconds.

    `consumer` is told of a run that comes: the step's, or the one that looks after children where
    `call_consumer` calls a join.
    """

    status: int
    name: str
    is_terminal: bool
    consumer: str
    consume_lag: int
    timers: tuple[TimerPlan, ...] = ()
    timeout_consumer: str = ""
    has_inbox: bool = False
    call_consumer: str = ""

    @property
    def next(self) -> Next:
        """Say what a run that comes into this status waits for."""
        if self.is_terminal:
            return ""
        if self.call_consumer:
            return "join"
        return "step" if self.consumer else "no_step"


class ChangeBody(msgspec.Struct, frozen=True, array_like=True):
    """What a hook's row says beside the run's id and version; texts stay in the history."""

    run_state: int
    previous: int
    at: int


class EndBody(msgspec.Struct, frozen=True, array_like=True):
    """How a child ended, for the row that its parent's workflow looks at."""

    status: int
    run_state: int


class SpawnBody(msgspec.Struct, frozen=True, array_like=True):
    """Children to start; with none of them: the parent was cancelled, those after a place are next.

    MessagePack, since objects are bytes of any codec.
    """

    children: tuple[StagedChild, ...] = ()
    after: ChildPlace | None = None


class PullBody(msgspec.Struct, frozen=True, array_like=True):
    """Whose rows to make due: a consumer's in one slot, of a run or of a foreign id."""

    consumer: str
    slot: int
    is_by_foreign_id: bool


_SPAWN_COUNT = 100
_encode = msgspec.json.encode
_PUT_OFF = b"\n"  # in no name: it marks a timer's row that waits for the resume, not for its time


def put_off(row: QueueRow, due_at: int) -> QueueRow:
    """Return the row of a timer whose time has come while its run is held."""
    return replace(row, due_at=due_at, attempt=0, body=timer_name(row).encode() + _PUT_OFF)


def is_put_off(row: QueueRow) -> bool:
    """Return whether a timer's row waits for its run to be resumed."""
    return row.body.endswith(_PUT_OFF)


def timer_name(row: QueueRow) -> str:
    """Return the durable name of the timer that a row is for."""
    return row.body.removesuffix(_PUT_OFF).decode()


encode_spawn = msgspec.msgpack.encode


class Announcer:
    """Turns "this run reached this version" into the rows that make its work happen.

    On a co-located store the row is the step's own work; where events travel over a foreign
    stream it is the outbox row that the relay publishes.
    """

    def __init__(
        self,
        workflow: str,
        places: dict[int, Place],
        *,
        slot_count: int,
        is_relayed: bool,
        hooks: Mapping[int, tuple[str, ...]],
    ) -> None:
        """Announce for `workflow`; `places` says for each status what comes next.

        `hooks` names the hooks' consumers by the run state that they listen to.
        """
        self.workflow = workflow
        self.places = places
        self.following: dict[int, Next] = {status: p.next for status, p in places.items()}
        self.is_relayed = is_relayed
        self.hooks = hooks
        self._slot_count = slot_count
        self._relay = relay_consumer(workflow)
        self._resume = resume_consumer(workflow)
        self._inbox = inbox_consumer(workflow)
        self._pull = pull_consumer(workflow)
        self._delete = delete_consumer(workflow)
        self._spawn = spawn_consumer(workflow)

    def work_row(
        self, foreign_id: str, run_id: str, status: int, version: int, due_at: int
    ) -> tuple[QueueRow, ...]:
        """Return the row that announces a version of a run, if its status has a step or a join.

        A join's row is never relayed: it asks whether the children have ended before the run came.
        """
        place = self.places[status]
        consumer = place.consumer
        if not consumer:
            return ()
        row_id, body = run_id, b""
        if place.call_consumer:
            row_id = f"{run_id}/{version}"
        elif self.is_relayed:
            consumer = self._relay
            row_id, body = f"{run_id}/{version}", step_topic(self.workflow, status).encode()
        slot = slot_of(run_id, self._slot_count)
        due_at += place.consume_lag
        return (
            QueueRow(
                consumer, slot, due_at, row_id, self.workflow, foreign_id, run_id, version, 0, body
            ),
        )

    def retry_row(
        self, row: tuple[str, str, int, int], attempt: int, due_at: int
    ) -> tuple[QueueRow, ...]:
        """Return the row of the next try of a step or join: never over a stream that can lose it.

        `row` is (foreign id, run id, status, version).
        """
        foreign_id, run_id, status, version = row
        slot = slot_of(run_id, self._slot_count)
        place = self.places[status]
        consumer = place.call_consumer or place.consumer
        return (
            QueueRow(
                consumer, slot, due_at, run_id, self.workflow, foreign_id, run_id, version, attempt
            ),
        )

    def entry_rows(self, record: Record, due_at: int) -> tuple[QueueRow, ...]:
        """Return the rows of a run that has just come into its status, beside its step's.

        Its timers count from `due_at`; callbacks that came early are pulled out of their wait.
        """
        place = self.places[record.status]
        rows = tuple(
            self._row(
                timer.consumer,
                record,
                f"{record.run_id}/{record.entered_version}/{timer.name}",
                timer.due_at(due_at),
                timer.name.encode(),
            )
            for timer in place.timers
        )
        return (*rows, *self._pull_inbox(record, due_at)) if place.has_inbox else rows

    def resume_rows(self, record: Record, now: int) -> tuple[QueueRow, ...]:
        """Return the rows that bring back what waited while a run was paused."""
        place = self.places[record.status]
        rows: tuple[QueueRow, ...] = ()
        if place.timers:
            slot = slot_of(record.run_id, self._slot_count)
            body = _encode(PullBody(place.timeout_consumer, slot, is_by_foreign_id=False))
            rows = (self._row(self._pull, record, f"{record.run_id}/timeout", now, body),)
        return (*rows, *self._pull_inbox(record, now)) if place.has_inbox else rows

    def _pull_inbox(self, record: Record, now: int) -> tuple[QueueRow, ...]:
        slot = slot_of(record.foreign_id, self._slot_count)
        body = _encode(PullBody(self._inbox, slot, is_by_foreign_id=True))
        return (self._row(self._pull, record, f"{record.run_id}/inbox", now, body),)

    def timer_keys(self, record: Record) -> tuple[QueueKey, ...]:
        """Return where the timers of the present visit are if they were not put off meanwhile.

        What is not there any more, or was put off, is dropped when it is due.
        """
        slot = slot_of(record.run_id, self._slot_count)
        return tuple(
            QueueKey(
                timer.consumer,
                slot,
                timer.due_at(record.entered_at),
                f"{record.run_id}/{record.entered_version}/{timer.name}",
            )
            for timer in self.places[record.status].timers
        )

    def hook_rows(self, record: Record, previous: int) -> tuple[QueueRow, ...]:
        """Return one row for each hook that listens to the run state that the run is in now."""
        body = _encode(ChangeBody(record.run_state, previous, record.updated_at))
        row_id = f"{record.run_id}/{record.version}"
        return tuple(
            self._row(consumer, record, row_id, record.updated_at, body)
            for consumer in self.hooks.get(record.run_state, ())
        )

    def delete_row(self, record: Record) -> tuple[QueueRow, ...]:
        """Return the row that has a run's data deleted."""
        return (self._row(self._delete, record, record.run_id, record.updated_at, b""),)

    def end_row(self, record: Record) -> tuple[QueueRow, ...]:
        """Return the row that tells a parent's workflow of the end of its child."""
        parent = record.meta.parent
        if parent is None:
            return ()
        slot = slot_of(parent.run_id, self._slot_count)
        body = _encode(EndBody(record.status, record.run_state))
        return (
            QueueRow(
                join_consumer(parent.workflow), slot, record.updated_at, record.run_id,
                parent.workflow, parent.foreign_id, parent.run_id, parent.progress_version, 0, body,
            ),
        )  # fmt: skip

    def spawn_rows(self, record: Record, staged: Sequence[StagedChild]) -> tuple[QueueRow, ...]:
        """Return the rows that start a run's children, a hundred each."""
        return tuple(
            self._row(
                self._spawn,
                record,
                f"{record.run_id}/{record.version}/{first}",
                record.updated_at,
                encode_spawn(SpawnBody(tuple(staged[first : first + _SPAWN_COUNT]))),
            )
            for first in range(0, len(staged), _SPAWN_COUNT)
        )

    def cancel_row(self, record: Record, now: int) -> tuple[QueueRow, ...]:
        """Return the row that cancels the children of a cancelled run that are to go with it."""
        row_id = f"{record.run_id}/{record.version}/cancel"
        return (self._row(self._spawn, record, row_id, now, encode_spawn(SpawnBody())),)

    def _row(
        self, consumer: str, record: Record, row_id: str, due_at: int, body: bytes
    ) -> QueueRow:
        slot = slot_of(record.run_id, self._slot_count)
        return QueueRow(
            consumer, slot, due_at, row_id, self.workflow, record.foreign_id, record.run_id,
            record.version, 0, body,
        )  # fmt: skip

    def resume_row(
        self, foreign_id: str, run_id: str, version: int, due_at: int
    ) -> tuple[QueueRow, ...]:
        """Return the row that resumes a run paused by errors."""
        slot = slot_of(run_id, self._slot_count)
        row_id = f"{run_id}/{version}"
        return (
            QueueRow(
                self._resume, slot, due_at, row_id, self.workflow, foreign_id, run_id, version
            ),
        )


def due_apart(record: Record, due_at: int, now: int) -> int:
    """Return `due_at`, or another instant if the row before has that: two rows, two keys.

    Whoever still holds the row of the version before would else delete the new one with it. What
    is due stays due, and what is not, or waits for a time that somebody asked for, stays so.
    """
    if due_at != record.due_at:
        return due_at
    if due_at > now or record.next == "delay":
        return due_at + 1
    return now if due_at < now else due_at - 1
