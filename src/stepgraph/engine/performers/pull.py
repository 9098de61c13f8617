"""PullPerformer: makes rows due that were put off until something happened."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from stepgraph.engine.announce import PullBody, is_put_off
from stepgraph.engine.handlers.row import Done, Performer
from stepgraph.model.instant import SECOND
from stepgraph.model.queue import QueueKey, QueueRow, Want
from stepgraph.model.record import Record
from stepgraph.ports.clock import Clock
from stepgraph.ports.work_queue import WorkQueue

_WINDOW = 660 * SECOND
_PAGE = 1000
_decode = msgspec.json.Decoder(PullBody).decode


class PullPerformer(Performer):
    """Looks through the rows of one slot that are due in the next minutes.

    Nothing is put off for longer than ten minutes, so none that waits is further away; what was put
    off at this very moment looks at its run once more by itself.
    """

    def __init__(self, queue: WorkQueue, clock: Clock) -> None:
        """Read and move rows of `queue`."""
        self.max_attempts = 0
        self._queue = queue
        self._clock = clock

    async def perform(self, row: QueueRow, record: Record | None) -> Done:
        """Make the rows of a run, or of a foreign id, due now."""
        del record  # whatever became of it: what it pulls looks by itself
        body = _decode(row.body)
        now = self._clock.microseconds()
        after = now
        moves: list[tuple[QueueKey | None, QueueRow]] = []
        while True:
            want = Want(body.consumer, (body.slot,), after, _PAGE)
            rows = await self._queue.due([want], now + _WINDOW)
            moves += [
                (found.key, replace(found, due_at=now, attempt=0))
                for found in rows
                if _is_meant(found, row, body)
            ]
            if len(rows) < _PAGE or rows[-1].due_at == after:
                break
            after = rows[-1].due_at
        if moves:
            await self._queue.put(list(dict(moves).items()))
        return None


def _is_meant(found: QueueRow, row: QueueRow, body: PullBody) -> bool:
    if body.is_by_foreign_id:
        return found.foreign_id == row.foreign_id
    # A timer whose time has not come yet keeps it.
    return found.run_id == row.run_id and is_put_off(found)
