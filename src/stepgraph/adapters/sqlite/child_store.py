"""SQLiteChildStore: one table; what waits is found by an index, however many children there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.rows import child_of
from stepgraph.model.child_row import ChildEnd, ChildPlace, ChildProgress, ChildRow
from stepgraph.ports.child_store import ChildStore

_COLUMNS = (
    "run_id, parent_run_id, progress_version, number, workflow, foreign_id, status,"
    " is_cancelled_with_parent, run_state, is_open, in_use_by, taken_version"
)
_END = (
    "update child set status = ?, run_state = ?, in_use_by = ?, is_open = 0"
    " where run_id = ? and is_open = 1"
)
_HAS = (
    "select exists (select 1 from child"
    " where parent_run_id = ? and taken_version = 0 and is_open = ?)"
)
_FIND = "select " + _COLUMNS + " from child where run_id = ?"
_LIST = (
    "select " + _COLUMNS + " from child indexed by child_order where parent_run_id = ?"
    " and (progress_version, number, run_id) > (?, ?, ?) and (taken_version = 0 or ?)"
    " order by progress_version, number, run_id limit ?"
)  # fmt: skip
_SCRUB_QUEUE = "update queue set body = x'' where consumer = ? and slot = ? and run_id = ?"
_SCRUB_LETTERS = "update dead_letter set body = x'' where consumer = ? and run_id = ?"
_BEGINNING = ChildPlace(-1, 0, "")


class SQLiteChildStore(ChildStore):
    """Children in one file."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def end(self, ends: Sequence[ChildEnd]) -> None:
        """Remember ends; the first stays."""
        rows = [(e.status, e.run_state, e.in_use_by, e.run_id) for e in ends]
        await self._file.write(lambda connection: connection.executemany(_END, rows))

    async def progress(self, parent_run_ids: Sequence[str]) -> Sequence[ChildProgress]:
        """Say who still waits for children, in a transaction of its own."""

        def ask(connection: sqlite3.Connection) -> list[ChildProgress]:
            return [
                ChildProgress(_has(connection, run_id, 1), _has(connection, run_id, 0))
                for run_id in parent_run_ids
            ]

        return await self._file.read(ask)

    async def find_children(self, run_ids: Sequence[str]) -> Sequence[ChildRow | None]:
        """Return children by their own ids."""

        def find(connection: sqlite3.Connection) -> list[ChildRow | None]:
            rows = [connection.execute(_FIND, (run_id,)).fetchone() for run_id in run_ids]
            return [child_of(row) if row is not None else None for row in rows]

        return await self._file.read(find)

    async def list_children(
        self, parent_run_id: str, after: ChildPlace | None, limit: int, *, only_waiting: bool
    ) -> Sequence[ChildRow]:
        """Return a page of a run's children."""
        place = after if after is not None else _BEGINNING
        names = (parent_run_id, *place, not only_waiting, limit)
        rows = await self._file.read(lambda c: c.execute(_LIST, names).fetchall())
        return [child_of(row) for row in rows]

    async def scrub_staged(self, consumer: str, slot: int, run_id: str) -> None:
        """Empty the bodies of a run's rows."""

        def blank(connection: sqlite3.Connection) -> None:
            connection.execute(_SCRUB_QUEUE, (consumer, slot, run_id))
            connection.execute(_SCRUB_LETTERS, (consumer, run_id))

        await self._file.write(blank)


def _has(connection: sqlite3.Connection, run_id: str, is_open: int) -> bool:
    row = connection.execute(_HAS, (run_id, is_open)).fetchone()
    return row is not None and row[0] == 1
