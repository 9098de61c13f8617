"""SQLiteRetentionStore: deletes what is old in short transactions, each found by an index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.model.tombstone import Tombstone
from stepgraph.ports.retention_store import Position, Pruned, PruneQuery, RetentionStore

# The terms of the partial index "queue_about", without which it is not used.
IS_NO_STEP_WORK = "queue.id <> queue.run_id and queue.consumer <> queue.workflow || '/relay'"
ENDED = (
    "select run_id, updated_at, run_state, is_keyed,"
    " run_state <> 7"
    " and not exists (select 1 from queue where queue.run_id = run.run_id and "
    + IS_NO_STEP_WORK
    + ") and not exists (select 1 from dead_letter where dead_letter.run_id = run.run_id)"
    " and not exists (select 1 from run as other"
    " where other.run_id = nullif(run.parent, '') ->> 2 and other.is_open = 1)"
    " from run where workflow = ? and is_open = 0 and updated_at < ?"
    " and (updated_at, run_id) > (?, ?) order by updated_at, run_id limit ?"
)
_BURY = "insert or replace into tombstone (run_id, workflow, run_state, until) values (?, ?, ?, ?)"
_DELETE_RUN = "delete from run where run_id = ?"
_DELETE_CHILDREN = "delete from child where parent_run_id = ?"
_DELETE_HISTORY = "delete from history where run_id = ?"
_PAGE = "select run_id from run where workflow = ? and run_id > ? order by run_id limit ?"
_FIRST_KEPT = (
    "select coalesce(min(version), (select max(version) from history where run_id = ?1"
    " and attempt = 0)) from history where run_id = ?1 and attempt = 0 and at >= ?2"
)
_OLD_ROWS = (
    "select run_id, version, attempt from history where run_id = ? and at < ?"
    " and (version < ? or attempt > 0) order by version, attempt limit ?"
)
_CARRY = (
    "update history set object = (select object from history where run_id = ?1 and version < ?2"
    " and object is not null order by version desc limit 1)"
    " where run_id = ?1 and version = ?2 and attempt = 0 and object is null"
)
_DELETE_ROW = "delete from history where run_id = ? and version = ? and attempt = ?"
_DELETE_NAMES = (
    "delete from unique_name where (scope, key) in (select scope, key from unique_name"
    " where workflow = ? and at < ? order by at limit ?)"
)
_DELETE_TOMBSTONES = (
    "delete from tombstone where run_id in (select run_id from tombstone"
    " where workflow = ? and until <= ? order by until limit ?)"
)
_TOMBSTONES = (
    "select run_id, workflow, run_state, until from tombstone"
    " where run_id in (select value from json_each(?))"
)


class _OldRows(NamedTuple):
    """History rows to delete, the first version that stays of each run, and where to go on."""

    rows: list[tuple[str, int, int]]
    first_kept: list[tuple[str, int]]
    after: Position | None


class SQLiteRetentionStore(RetentionStore):
    """Looks in the writer's transaction where that is short, else beside it."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def prune_runs(self, query: PruneQuery, key_retention: int) -> Pruned:
        """Delete the runs of one page that nothing needs any more."""
        names = (query.workflow, query.before, *query.after, query.limit)

        def prune(connection: sqlite3.Connection) -> Pruned:
            page = connection.execute(ENDED, names).fetchall()
            gone = [(row[0],) for row in page if row[4]]
            tombstones = [
                (run_id, query.workflow, run_state, ended_at + key_retention)
                for run_id, ended_at, run_state, is_keyed, is_free in page
                if is_free and is_keyed
            ]
            connection.executemany(_BURY, tombstones)
            connection.executemany(_DELETE_HISTORY, gone)
            connection.executemany(_DELETE_CHILDREN, gone)
            connection.executemany(_DELETE_RUN, gone)
            is_full = len(page) == query.limit
            return Pruned(len(gone), Position(page[-1][1], page[-1][0]) if is_full else None)

        return await self._file.write(prune)

    async def prune_history(self, query: PruneQuery) -> Pruned:
        """Delete old rows of one page of runs."""
        found = await self._file.read(lambda connection: _old_rows(connection, query))
        if found.rows:

            def prune(connection: sqlite3.Connection) -> None:
                connection.executemany(_CARRY, found.first_kept)
                connection.executemany(_DELETE_ROW, found.rows)

            await self._file.write(prune)
        return Pruned(len(found.rows), found.after)

    async def prune_keys(self, query: PruneQuery, now: int) -> int:
        """Delete old names and tombstones."""

        def prune(connection: sqlite3.Connection) -> int:
            names = (query.workflow, query.before, query.limit)
            count = connection.execute(_DELETE_NAMES, names).rowcount
            if count < query.limit:
                rest = (query.workflow, now, query.limit - count)
                count += connection.execute(_DELETE_TOMBSTONES, rest).rowcount
            return count

        return await self._file.write(prune)

    async def tombstones(self, run_ids: Sequence[str]) -> Sequence[Tombstone | None]:
        """Return what stays of pruned runs."""
        wanted = json.dumps(list(run_ids))
        rows: list[Any] = await self._file.read(
            lambda connection: connection.execute(_TOMBSTONES, (wanted,)).fetchall()
        )
        found = {row[0]: Tombstone(*row) for row in rows}
        return [found.get(run_id) for run_id in run_ids]


def _old_rows(connection: sqlite3.Connection, query: PruneQuery) -> _OldRows:
    """Find what to delete, at most `limit` rows: a run with more is looked at again."""
    names = (query.workflow, query.after.id, query.limit)
    page = connection.execute(_PAGE, names).fetchall()
    rows: list[tuple[str, int, int]] = []
    first_kept: list[tuple[str, int]] = []
    last = query.after.id
    for (run_id,) in page:
        first = connection.execute(_FIRST_KEPT, (run_id, query.before)).fetchone()[0]
        room = query.limit - len(rows)
        found = connection.execute(_OLD_ROWS, (run_id, query.before, first or 0, room)).fetchall()
        if found:
            rows += found
            first_kept.append((run_id, first))
        if len(rows) == query.limit:
            return _OldRows(rows, first_kept, Position(0, last))
        last = run_id
    after = Position(0, last) if len(page) == query.limit else None
    return _OldRows(rows, first_kept, after)
