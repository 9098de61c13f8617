"""RetentionPerformer: prunes what is older than it is kept, one batch for each time it is due."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from stepgraph.engine.handlers.row import Done, Move, Performer
from stepgraph.model.instant import to_microseconds
from stepgraph.model.options import WorkflowSettings
from stepgraph.model.queue import QueueRow, Want
from stepgraph.model.record import Record
from stepgraph.model.slot import slot_of
from stepgraph.model.topic import retention_consumer
from stepgraph.ports.clock import Clock
from stepgraph.ports.event_streamer import EventStreamer
from stepgraph.ports.retention_store import START, Position, Pruned, PruneQuery, RetentionStore
from stepgraph.ports.work_queue import WorkQueue

LIMIT = 100  # of keyed runs, some 15 ms of a busy machine
_PERIOD = to_microseconds(timedelta(days=1))
_BREATH = to_microseconds(timedelta(milliseconds=100))
_ROW_ID = "retention"
_Prune: TypeAlias = Callable[[PruneQuery], Coroutine[Any, Any, Pruned]]


class RetentionBody(msgspec.Struct, frozen=True, array_like=True):
    """How far the present pass has come: in which part, and after which position."""

    part: int = 0
    at: int = 0
    id: str = ""


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(RetentionBody).decode


class RetentionPerformer(Performer):
    """One row a workflow, which comes again after each batch, and a day after the last one.

    A pass goes through runs, history, keys and events. Between two batches writers have their
    turn; a pass that is interrupted goes on where it was.
    """

    max_attempts = 0

    def __init__(
        self,
        workflow: str,
        settings: WorkflowSettings,
        *,
        store: RetentionStore,
        queue: WorkQueue,
        streamer: EventStreamer | None,
        clock: Clock,
    ) -> None:
        """Prune for one workflow; `streamer` is the foreign stream of a mixed pair."""
        self._workflow = workflow
        self._store = store
        self._queue = queue
        self._clock = clock
        self._key_retention = to_microseconds(settings.key_retention)
        retention = settings.retention
        parts: list[tuple[timedelta | None, _Prune]] = [
            (retention.runs, self._runs),
            (retention.history, store.prune_history),
            (settings.key_retention, self._keys),
        ]
        if streamer is not None:
            parts.append((retention.events, streamer.prune))
        self._parts = [(to_microseconds(a), prune) for a, prune in parts if a is not None]

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Prune one batch; what has nothing to prune is passed over."""
        del record  # the row is about no run
        if row.body == b"" and await self._is_doubled(row):
            return None
        now = self._clock.microseconds()
        body = _decode(row.body) if row.body else RetentionBody()
        after = Position(body.at, body.id)
        for part in range(body.part, len(self._parts)):
            age, prune = self._parts[part]
            pruned = await prune(PruneQuery(self._workflow, now - age, after, LIMIT))
            if pruned.after is not None:
                # Always another key than the present one, also if the clock stands still.
                due_at = max(now, row.due_at) + _BREATH
                data = _encode(RetentionBody(part, *pruned.after))
                return Move(replace(row, due_at=due_at, body=data, attempt=0))
            after = START
        return Move(replace(row, due_at=now + _PERIOD, body=b"", attempt=0))

    async def _is_doubled(self, row: QueueRow) -> bool:
        """Return whether there is a later row: two processes that start at once both put one."""
        horizon = self._clock.microseconds() + 2 * _PERIOD
        rows = await self._queue.due([Want(row.consumer, (row.slot,), 0, LIMIT)], horizon)
        return any(found.due_at > row.due_at for found in rows)

    async def _runs(self, query: PruneQuery) -> Pruned:
        return await self._store.prune_runs(query, self._key_retention)

    async def _keys(self, query: PruneQuery) -> Pruned:
        count = await self._store.prune_keys(query, query.before + self._key_retention)
        return Pruned(count, START if count == query.limit else None)


async def plant(workflow: str, queue: WorkQueue, slot_count: int, now: int) -> None:
    """Put the row that starts the first pass, if there is none."""
    consumer = retention_consumer(workflow)
    slot = slot_of(workflow, slot_count)
    if not await queue.next_due({consumer: (slot,)}):
        row = QueueRow(consumer, slot, now, _ROW_ID, workflow, "", "", 0)
        await queue.put([(None, row)])
