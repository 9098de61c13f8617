"""Moves: every way in which a run changes, as one Write each."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepgraph.engine.announce import Announcer, due_apart
from stepgraph.model.child_row import ChildRow
from stepgraph.model.history import Cause, Failure, HistoryRow
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.record import Meta, Next, Record
from stepgraph.model.run_state import RunState
from stepgraph.model.staging import StagedChild
from stepgraph.model.write import Write
from stepgraph.ports.clock import Clock
from stepgraph.ports.identity import Identity

_INITIATED = int(RunState.INITIATED)
_RUNNING = int(RunState.RUNNING)
_PAUSED = int(RunState.PAUSED)
_COMPLETED = int(RunState.COMPLETED)
_CANCELLED = int(RunState.CANCELLED)
_DELETED = int(RunState.DATA_DELETED)
_REQUESTED = int(RunState.REQUESTED_DATA_DELETED)
_VISITED_LIMIT = 1000


class By(Struct, frozen=True, gc=False):
    """Who moves a run: for its history. `attempt` is the failed tries before, None the record's."""

    cause: Cause
    role: str = ""
    actor: str = ""
    started_at: int = 0
    attempt: int | None = None

    def try_number(self, record: Record) -> int:
        """Return the number of this try."""
        return (record.attempt if self.attempt is None else self.attempt) + 1


class Creation(Struct, frozen=True, gc=False):
    """What a new run starts with. `due_at` is None to start at once."""

    run_id: str
    foreign_id: str
    status: int
    object: bytes
    meta: Meta
    due_at: int | None
    is_keyed: bool


class Moves:
    """Builds writes; the only place that knows how a record follows from the one before."""

    def __init__(
        self,
        announcer: Announcer,
        clock: Clock,
        identity: Identity,
        *,
        instance: str,
        history: bool,
    ) -> None:
        """Move runs of the announcer's workflow; without `history` objects are not kept twice."""
        self._announcer = announcer
        self._clock = clock
        self._identity = identity
        self._instance = instance
        self._keeps_objects = history
        self._visits: dict[tuple[tuple[int, ...], int], tuple[int, ...]] = {}

    def created(self, creation: Creation) -> Write:
        """Return the write that makes a run, with its first event."""
        now = self._clock.microseconds()
        run_id, foreign_id, status = creation.run_id, creation.foreign_id, creation.status
        write_id = self._identity.write_id()
        due_at = now if creation.due_at is None else max(now, creation.due_at)
        following = self._announcer.following[status]
        if due_at > now and following in ("step", "join"):
            following = "delay"
        record = Record(
            run_id, self._announcer.workflow, foreign_id, status, _INITIATED, 1, 0, 1, 1, now, now,
            now, due_at, following, write_id, (status,), creation.meta,
            creation.object, creation.is_keyed, self._announcer.is_relayed,
        )  # fmt: skip
        history = HistoryRow(
            run_id, 1, 0, write_id, status, _INITIATED, 0, "trigger", now, now,
            instance=self._instance, object=self._kept(creation.object, None),
        )  # fmt: skip
        announcer = self._announcer
        rows = announcer.work_row(foreign_id, run_id, status, 1, due_at)
        place = announcer.places[status]
        if place.timers or place.has_inbox:
            rows += announcer.entry_rows(record, due_at)
        if announcer.hooks:
            rows += announcer.hook_rows(record, 0)
        return Write(write_id, record, 0, None, history, rows)

    def advanced(
        self, record: Record, status: int, data: bytes, by: By, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return the write of a run that goes on to another status, or completes there."""
        now = self._clock.microseconds()
        announcer = self._announcer
        place = announcer.places[status]
        before, version, run_id = record.run_state, record.version + 1, record.run_id
        run_state = _COMPLETED if place.is_terminal else _RUNNING
        write_id = self._identity.write_id()
        meta = record.meta
        if meta.reason or meta.failure_type:
            meta = meta.saying("")
        visited = self._visits.get((record.visited, status))
        if visited is None:
            visited = self._visited(record.visited, status)
        moved = Record(
            run_id, record.workflow, record.foreign_id, status, run_state, version, 0, version,
            version, now, record.created_at, now, now, announcer.following[status], write_id,
            visited, meta, data, record.is_keyed, announcer.is_relayed,
        )  # fmt: skip
        kept = data if self._keeps_objects and data != record.object else None
        history = HistoryRow(
            run_id, version, 0, write_id, status, run_state, before, by.cause, now, by.started_at,
            1 + (record.attempt if by.attempt is None else by.attempt), by.actor, "", by.role,
            self._instance, kept,
        )  # fmt: skip
        rows = announcer.work_row(record.foreign_id, run_id, status, version, now)
        if place.timers or place.has_inbox:
            rows += announcer.entry_rows(moved, now)
        if announcer.hooks and run_state != before:
            rows += announcer.hook_rows(moved, before)
        if place.is_terminal and meta.parent is not None:
            rows += announcer.end_row(moved)
        left = announcer.places.get(record.status)
        if left is not None and left.timers:
            finished += announcer.timer_keys(record)
        return Write(write_id, moved, version - 1, None, history, rows, finished)

    def repeated(
        self, record: Record, after: int, data: bytes, by: By, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return the write of a run that stays and is worked on again `after` microseconds."""
        now = self._clock.microseconds()
        due_at = due_apart(record, now + after, now)
        version = record.version + 1
        following: Next = "delay" if after else self._announcer.following[record.status]
        rows = self._announcer.work_row(
            record.foreign_id, record.run_id, record.status, version, due_at
        )
        change = _Change(version, _RUNNING, due_at, following, version, data, "", None)
        return self._stayed(record, change, by, rows, finished)

    def saved(
        self,
        record: Record,
        data: bytes,
        by: By,
        finished: tuple[QueueKey, ...],
        rows: tuple[QueueRow, ...] = (),
    ) -> Write:
        """Return the write that keeps the object of a run that stays and waits as it did."""
        version = record.version + 1
        following = self._following(record)
        due_at = due_apart(record, record.due_at, self._clock.microseconds())
        if following in ("step", "delay", "join"):
            rows += self._announcer.work_row(
                record.foreign_id, record.run_id, record.status, version, due_at
            )
        change = _Change(version, _RUNNING, due_at, following, version, data, "", None)
        return self._stayed(record, change, by, rows, finished)

    def hurried(self, record: Record, by: By) -> Write:
        """Return the write that makes the next try of a run's step due now."""
        now = self._clock.microseconds()
        due_at = due_apart(record, now, now)
        version = record.version + 1
        rows = self._announcer.work_row(
            record.foreign_id, record.run_id, record.status, version, due_at
        )
        following = self._announcer.following[record.status]
        change = _Change(
            version, record.run_state, due_at, following, record.progress_version, record.object,
            "",
            None,
        )  # fmt: skip
        return self._stayed(record, change, by, rows, ())

    def deletion_requested(self, record: Record, reason: str, by: By) -> Write:
        """Return the write that asks for a finished run's data to be deleted."""
        change = _Change(
            record.version + 1, _REQUESTED, record.due_at, "", record.progress_version,
            record.object, reason, None,
        )  # fmt: skip
        write = self._stayed(record, change, by, (), ())
        rows = (*write.enqueue, *self._announcer.delete_row(write.record))
        return replace(write, enqueue=rows)

    def scrubbed(
        self, record: Record, data: bytes, by: By, *, is_last: bool, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return a write of the deletion: it blanks the run, and at the end says that it is done.

        The history of it keeps no object: there is nothing left to show.
        """
        run_state = _DELETED if is_last else _REQUESTED
        change = _Change(
            record.version + 1, run_state, record.due_at, "", record.progress_version, data, "",
            None,
        )  # fmt: skip
        write = self._stayed(record, change, by, (), finished)
        history = write.history and replace(write.history, object=None)
        return replace(write, history=history)

    def paused(
        self, record: Record, reason: str, data: bytes, by: By, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return the write of a run that is held on purpose."""
        change = _Change(
            record.version + 1, _PAUSED, record.due_at, record.next, record.progress_version, data,
            reason, None,
        )  # fmt: skip
        return self._stayed(record, change, by, (), finished)

    def cancelled(
        self, record: Record, reason: str, data: bytes, by: By, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return the write of a run that ends here."""
        change = _Change(
            record.version + 1, _CANCELLED, record.due_at, "", record.progress_version, data,
            reason, None,
        )  # fmt: skip
        return self._stayed(record, change, by, (), finished)

    def paused_by_errors(
        self, record: Record, failure: Failure, by: By, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return the write that records the last failure and holds the run, in one.

        `failure.next_at` is when the run is resumed by itself, None for never.
        """
        reason = f"attempt {by.try_number(record)} failed: {failure.error_type}: {failure.message}"
        version = record.version + 1
        rows: tuple[QueueRow, ...] = ()
        if failure.next_at is not None:
            rows = self._announcer.resume_row(
                record.foreign_id, record.run_id, version, failure.next_at
            )
        change = _Change(
            version, _PAUSED, record.due_at, record.next, record.progress_version, record.object,
            reason, failure,
        )  # fmt: skip
        return self._stayed(record, change, by, rows, finished)

    def resumed(self, record: Record, by: By, finished: tuple[QueueKey, ...]) -> Write:
        """Return the write that lets a paused run go on; a wait that was asked for goes on too."""
        now = self._clock.microseconds()
        version = record.version + 1
        asked = max(now, record.due_at) if record.next == "delay" else now
        due_at = due_apart(record, asked, now)
        following = self._following(record)
        rows: tuple[QueueRow, ...] = ()
        if following in ("step", "delay", "join"):
            rows = self._announcer.work_row(
                record.foreign_id, record.run_id, record.status, version, due_at
            )
        place = self._announcer.places.get(record.status)
        if place is not None and (place.timers or place.has_inbox):
            rows += self._announcer.resume_rows(record, now)
        change = _Change(
            version, _RUNNING, due_at, following, record.progress_version, record.object, "", None
        )
        return self._stayed(record, change, by, rows, finished)

    def failed(
        self, record: Record, failure: Failure, by: By, finished: tuple[QueueKey, ...]
    ) -> Write:
        """Return the write that counts a failed attempt and queues the next one."""
        now = self._clock.microseconds()
        attempt = record.attempt + 1
        write_id = self._identity.write_id()
        due_at = due_apart(record, now if failure.next_at is None else failure.next_at, now)
        meta = record.meta.saying(record.meta.reason, failure.error_type, failure.message)
        tried = Record(
            record.run_id, record.workflow, record.foreign_id, record.status, record.run_state,
            record.version, attempt, record.progress_version, record.entered_version,
            record.entered_at, record.created_at, now, due_at, "retry", write_id, record.visited,
            meta, record.object, record.is_keyed, record.is_announced,
        )  # fmt: skip
        history = HistoryRow(
            record.run_id, record.version, attempt, write_id, record.status, record.run_state,
            record.run_state, by.cause, now, by.started_at, attempt, by.actor, "", by.role,
            self._instance, None, failure,
        )  # fmt: skip
        rows = self._announcer.retry_row(
            (record.foreign_id, record.run_id, record.status, record.version), attempt, due_at
        )
        return Write(write_id, tried, record.version, record.attempt, history, rows, finished)

    def skipped(self, record: Record, finished: tuple[QueueKey, ...]) -> Write:
        """Return the write that remembers a Skip: nobody asks this step again at this version."""
        write_id = self._identity.write_id()
        waiting = Record(
            record.run_id, record.workflow, record.foreign_id, record.status, record.run_state,
            record.version, record.attempt, record.progress_version, record.entered_version,
            record.entered_at, record.created_at, record.updated_at, record.due_at, "skipped",
            write_id, record.visited, record.meta, record.object, record.is_keyed,
            record.is_announced,
        )  # fmt: skip
        return Write(write_id, waiting, record.version, record.attempt, None, (), finished)

    def _stayed(
        self,
        record: Record,
        change: _Change,
        by: By,
        rows: tuple[QueueRow, ...],
        finished: tuple[QueueKey, ...],
    ) -> Write:
        """Return the write of a run that gets a new version without leaving its status."""
        now = self._clock.microseconds()
        write_id = self._identity.write_id()
        failure = change.failure
        if failure is None:
            meta = record.meta.saying(change.reason)
        else:
            meta = record.meta.saying(change.reason, failure.error_type, failure.message)
        stayed = Record(
            record.run_id, record.workflow, record.foreign_id, record.status, change.run_state,
            change.version, 0, change.progress_version, record.entered_version, record.entered_at,
            record.created_at, now, change.due_at, change.next, write_id, record.visited, meta,
            change.object, record.is_keyed, record.is_announced,
        )  # fmt: skip
        history = HistoryRow(
            record.run_id, change.version, 0, write_id, record.status, change.run_state,
            record.run_state, by.cause, now, by.started_at, by.try_number(record), by.actor,
            change.reason, by.role, self._instance, self._kept(change.object, record.object),
            failure,
        )  # fmt: skip
        announcer = self._announcer
        if announcer.hooks and change.run_state != record.run_state:
            rows += announcer.hook_rows(stayed, record.run_state)
        if change.run_state == _CANCELLED:
            rows += announcer.end_row(stayed) + announcer.cancel_row(stayed, now)
            if record.status in announcer.places:
                finished += announcer.timer_keys(record)
        return Write(write_id, stayed, record.version, None, history, rows, finished)

    def with_children(self, write: Write, staged: Sequence[StagedChild], visit: int) -> Write:
        """Return a write that also starts children, staged in the `visit` that it answers."""
        record = write.record
        children = tuple(
            ChildRow(
                child.run_id, record.run_id, visit, child.number, child.workflow,
                child.foreign_id, child.status, child.is_cancelled_with_parent,
            )
            for child in staged
        )  # fmt: skip
        rows = (*write.enqueue, *self._announcer.spawn_rows(record, staged))
        return replace(write, enqueue=rows, children=children)

    def knows(self, status: int) -> bool:
        """Return whether the workflow has this status."""
        return status in self._announcer.places

    def _following(self, record: Record) -> Next:
        """Return what a run that stays waits for: as before, but a retry starts afresh."""
        return self._announcer.following[record.status] if record.next == "retry" else record.next

    def _kept(self, data: bytes, before: bytes | None) -> bytes | None:
        """Return what history keeps of an object: nothing if it is as before."""
        return data if self._keeps_objects and data != before else None

    def _visited(self, visited: tuple[int, ...], status: int) -> tuple[int, ...]:
        """Return the visited statuses with one more; the few that occur are remembered."""
        if len(self._visits) > _VISITED_LIMIT:
            self._visits.clear()
        found = tuple(sorted({*visited, status}))
        self._visits[(visited, status)] = found
        return found


class _Change(Struct, frozen=True, gc=False):
    """What differs in a new version of a run that stays where it is."""

    version: int
    run_state: int
    due_at: int
    next: Next
    progress_version: int
    object: bytes
    reason: str
    failure: Failure | None
