"""SQLiteTimeoutStore: timers in one table; what ended stays as a mark, so that it stays ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.model.timeout import Timeout, TimeoutKey
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.timeout_store import TimeoutStore

_COLUMNS = "workflow, foreign_id, run_id, entered_version, name, status, slot, due_at, attempt"
_CREATE = (
    "insert or ignore into timeout (" + _COLUMNS + ", is_done)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
)  # fmt: skip
_DUE = (
    "select " + _COLUMNS + " from timeout where workflow = ? and slot = ? and is_done = 0"
    " and due_at <= ? order by due_at, run_id, name limit ?"
)  # fmt: skip
_NEXT = "select min(due_at) from timeout where workflow = ? and slot = ? and is_done = 0"
_END = "update timeout set is_done = 1 where run_id = ? and entered_version = ? and name = ?"
_POSTPONE = (
    "update timeout set due_at = ?, attempt = ?"
    " where run_id = ? and entered_version = ? and name = ? and is_done = 0"
)
_OF_RUN = (
    "select " + _COLUMNS + " from timeout where run_id = ? and is_done = 0 order by due_at, name"
)


class SQLiteTimeoutStore(TimeoutStore):
    """Timers beside the runs."""

    def __init__(self, file: SQLiteFile, capabilities: Capabilities) -> None:
        """Work on `file`."""
        self._file = file
        self.capabilities = capabilities

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Keep these; the first of a key wins."""
        rows = [
            (t.workflow, t.foreign_id, t.run_id, t.entered_version, t.name, t.status, t.slot,
             t.due_at, t.attempt)
            for t in timeouts
        ]  # fmt: skip
        await self._file.write(lambda connection: connection.executemany(_CREATE, rows))

    async def list_due(
        self, workflow: str, slots: Sequence[int], now: int, limit: int
    ) -> Sequence[Timeout]:
        """Return pending timeouts that are due, oldest first."""

        def fetch(connection: sqlite3.Connection) -> list[Timeout]:
            found = [
                Timeout(*row)
                for slot in slots
                for row in connection.execute(_DUE, (workflow, slot, now, limit))
            ]
            return sorted(found, key=lambda t: (t.due_at, t.run_id, t.name))[:limit]

        return await self._file.read(fetch)

    async def next_due(self, workflow: str, slots: Sequence[int]) -> int | None:
        """Return the earliest pending due instant."""

        def fetch(connection: sqlite3.Connection) -> int | None:
            rows = [connection.execute(_NEXT, (workflow, slot)).fetchone() for slot in slots]
            return min((row[0] for row in rows if row[0] is not None), default=None)

        return await self._file.read(fetch)

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """End these for good."""
        await self._file.write(lambda connection: connection.executemany(_END, keys))

    async def postpone(self, timeouts: Sequence[Timeout]) -> None:
        """Give pending timeouts the due instant that they now carry."""
        rows = [(t.due_at, t.attempt, t.run_id, t.entered_version, t.name) for t in timeouts]
        await self._file.write(lambda connection: connection.executemany(_POSTPONE, rows))

    async def list_timeouts(self, run_id: str) -> Sequence[Timeout]:
        """Return the pending timeouts of a run."""
        rows = await self._file.read(lambda c: c.execute(_OF_RUN, (run_id,)).fetchall())
        return [Timeout(*row) for row in rows]
