"""EndedHandler: remembers how children ended, and calls the join of the runs that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from stepgraph.engine.announce import Announcer, EndBody
from stepgraph.engine.commit import Committer
from stepgraph.engine.inbox import Inbox
from stepgraph.engine.row_mover import RowMover
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.child_row import ChildEnd, ChildProgress
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record, RunRef
from stepgraph.ports.child_store import ChildStore
from stepgraph.ports.record_store import RecordStore

_decode = msgspec.json.Decoder(EndBody).decode
_WAITING = ("join", "step", "no_step")  # the last two: the status had no join when the run came


class EndedTools(NamedTuple):
    """What the handler works with."""

    store: RecordStore
    children: ChildStore
    committer: Committer
    mover: RowMover
    inbox: Inbox
    now: Callable[[], int]


class EndedHandler:
    """A row tells of the end of a child, or of a run that came where a join waits for children.

    The ends of a batch are stored first, and only then it is asked whose children have all ended:
    of two who store the last two ends, at least one then sees both. A run that is ready gets a row
    for its join; the join's write is the one compare-and-swap on the parent. Everything before it
    may be repeated.
    """

    def __init__(
        self, announcer: Announcer, joins_any: Mapping[int, bool], tools: EndedTools
    ) -> None:
        """Serve one workflow; `joins_any` says for each status with a join if one end is enough."""
        self._announcer = announcer
        self._joins_any = joins_any
        self._tools = tools

    async def handle(self, batch: list[Work]) -> None:
        """Store the ends of a batch, then look who is ready."""
        try:
            ends = [end for work in batch if (end := _end_of(work)) is not None]
            if ends:
                await self._tools.children.end(ends)
            works: dict[RunRef, list[Work]] = {}
            for work in batch:
                works.setdefault(work.ref, []).append(work)
            ready = await self._ready(works)
        except UnavailableError:
            for work in batch:
                self._tools.inbox.release(work)
            raise
        done: list[Work] = []
        for ref, found in works.items():
            row = ready.get(ref)
            if row is None:
                done += found
            else:
                self._tools.mover.move(None, row, partial(self._finish, found))
        self._finish(done)

    async def _ready(self, runs: Mapping[RunRef, list[Work]]) -> dict[RunRef, QueueRow]:
        """Return the row that calls the join, for each run that waits for nothing more.

        The run is read before its children: what it starts after that makes the join lose.
        """
        refs = list(runs)
        records = await self._tools.store.lookup_many(refs)
        progress = await self._tools.children.progress([ref.run_id for ref in refs])
        return {
            ref: self._call_row(record)
            for ref, record, found in zip(refs, records, progress, strict=True)
            if record is not None and self._is_ready(runs[ref], record, found)
        }

    def _is_ready(self, works: list[Work], record: Record, progress: ChildProgress) -> bool:
        """Return whether a join is to be called; a run that comes later has a row of its own."""
        joins_any = self._joins_any.get(record.status)
        if joins_any is None or record.run_state not in (1, 2):
            return False
        if record.next == "delay":
            # A wait that was asked for ends with its own row, not with a child.
            if not any(work.version == record.version and _is_look(work) for work in works):
                return False
        elif record.next not in _WAITING:
            return False
        return not progress.has_open or (joins_any and progress.has_ended)

    def _call_row(self, record: Record) -> QueueRow:
        lag = self._announcer.places[record.status].consume_lag
        due_at = max(self._tools.now(), record.due_at + lag)
        name = (record.foreign_id, record.run_id, record.status, record.version)
        (row,) = self._announcer.retry_row(name, record.attempt, due_at)
        return row

    def _finish(self, works: Sequence[Work]) -> None:
        if not works:
            return

        def gone() -> None:
            for work in works:
                self._tools.inbox.finish(work)

        self._tools.committer.finish([key for work in works for key in work.finished], gone)

    def stop(self, reason: str, slots: frozenset[int] | None = None) -> None:
        """Do nothing: a batch that is on its way ends by itself."""


def _is_look(work: Work) -> bool:
    return work.row is not None and not work.row.body


def _end_of(work: Work) -> ChildEnd | None:
    """Return the end that a row tells of; None for a row that only asks."""
    if work.row is None or not work.row.body:
        return None
    body = _decode(work.row.body)
    return ChildEnd(work.id, body.status, body.run_state)
