"""RowMover: puts queue rows off, or elsewhere, many with one call of the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from stepgraph.engine.tasks import Tasks
from stepgraph.errors import UnavailableError
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.ports.clock import pause_seconds
from stepgraph.ports.log import Log
from stepgraph.ports.work_queue import WorkQueue

_LIMIT = 500
_AWAY_SECONDS = 0.2
Moved: TypeAlias = Callable[[], None]


class RowMover:
    """One call in flight; what comes meanwhile goes into the next one."""

    def __init__(
        self, queue: WorkQueue, tasks: Tasks, expect: Callable[[QueueRow], None], log: Log
    ) -> None:
        """Move rows of `queue`; `expect` is told of every row that was put."""
        self._log = log
        self._queue = queue
        self._tasks = tasks
        self._expect = expect
        self._moves: list[tuple[QueueKey | None, QueueRow, Moved]] = []
        self.is_moving = False

    def move(self, key: QueueKey | None, row: QueueRow, moved: Moved) -> None:
        """Put `row` in place of the row of `key` if that is there still, then call `moved`."""
        self._moves.append((key, row, moved))
        if not self.is_moving:
            self.is_moving = True
            self._tasks.start(self._run(), "move queue rows")

    async def _run(self) -> None:
        try:
            while self._moves:
                moves, self._moves = self._moves[:_LIMIT], self._moves[_LIMIT:]
                try:
                    await self._queue.put([(key, row) for key, row, _ in moves])
                except UnavailableError as error:
                    self._log.warning("queue rows cannot be put off, trying again", error=error)
                    self._moves[:0] = moves
                    await pause_seconds(_AWAY_SECONDS)
                    continue
                for _, row, moved in moves:
                    self._expect(row)
                    moved()
        finally:
            self.is_moving = False
