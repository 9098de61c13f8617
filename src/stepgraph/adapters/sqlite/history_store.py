"""SQLiteHistoryStore and SQLiteLostRuns: what happened to runs, and which of them got lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from stepgraph.adapters.sqlite.batch import ENQUEUE, RECORD_COLUMNS
from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.retention_store import IS_NO_STEP_WORK
from stepgraph.adapters.sqlite.rows import history_of, record_of
from stepgraph.model.history import HistoryRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostQuery, LostRuns

_COLUMNS = (
    "run_id, version, attempt, write_id, status, run_state, previous_run_state, cause, at,"
    " started_at, try_number, actor, reason, role, instance, object, error_type, message,"
    " traceback, next_at"
)
_VERSIONS = "select " + _COLUMNS + " from history where run_id = ? and attempt = 0 order by version"
_FAILURES = (
    "select " + _COLUMNS + " from history where run_id = ? and error_type is not null"
    " order by at, version, attempt"
)  # fmt: skip
_LOST = (
    "select " + RECORD_COLUMNS + " from run where workflow = ? and status = ?"
    " and is_announced = 1 and run_state in (1, 2) and next in ('step', 'delay', 'retry')"
    " and due_at < ? order by due_at, run_id"
)  # fmt: skip

_WITHOUT_STEP = """
select run_id, foreign_id, status, version, attempt from run
where workflow = ? and next = 'no_step' and run_state in (1, 2)
    and status in (select value from json_each(?)) limit 1000
"""
_ADOPT = "update run set next = 'step', due_at = ? where run_id = ?"
_SCRUB_HISTORY = (
    "update history set object = null, reason = '', message = iif(message is null, null, ''),"
    " traceback = iif(traceback is null, null, '') where run_id = ?"
)
_SCRUB_LETTERS = "update dead_letter set error = '' where run_id = ?"
_HAS_OPEN_RUN = "select 1 from run where workflow = ? and foreign_id = ? and is_open = 1"
_DROP_ROWS = (
    "delete from queue where run_id = '' and workflow = ? and foreign_id = ? and " + IS_NO_STEP_WORK
)
_DROP_LETTERS = "delete from dead_letter where run_id = '' and workflow = ? and foreign_id = ?"


class SQLiteHistoryStore(HistoryStore):
    """Reads the history table."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def history(self, run_id: str) -> Sequence[HistoryRow]:
        """Return the versions of a run."""
        rows = await self._file.read(lambda c: c.execute(_VERSIONS, (run_id,)).fetchall())
        return [history_of(row) for row in rows]

    async def attempts(self, run_id: str) -> Sequence[HistoryRow]:
        """Return the failures of a run."""
        rows = await self._file.read(lambda c: c.execute(_FAILURES, (run_id,)).fetchall())
        return [history_of(row) for row in rows]

    async def scrub(self, run: RunRef) -> None:
        """Blank objects and texts, and delete what came for the run; the log forgets them too."""
        owner = (run.workflow, run.foreign_id)

        def blank(connection: sqlite3.Connection) -> None:
            connection.execute(_SCRUB_HISTORY, (run.run_id,))
            connection.execute(_SCRUB_LETTERS, (run.run_id,))
            if connection.execute(_HAS_OPEN_RUN, owner).fetchone() is None:
                connection.execute(_DROP_ROWS, owner)
                connection.execute(_DROP_LETTERS, owner)

        await self._file.write(blank)
        await self._file.empty_log()


class SQLiteLostRuns(LostRuns):
    """Reads a partial index that only runs of mixed pairs are in."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def list_lost(self, query: LostQuery, limit: int) -> Sequence[Record]:
        """Return the lost runs, the one that waits longest first."""
        names = (query.workflow, query.status, query.due_before)

        def look(connection: sqlite3.Connection) -> list[Record]:
            found: list[Record] = []
            for row in connection.execute(_LOST, names):
                if len(found) == limit:
                    break
                if slot_of(row[0], query.slot_count) in query.slots:
                    found.append(record_of(row))
            return found

        return await self._file.read(look)

    async def adopt(self, workflow: str, rows: Mapping[int, str], now: int) -> int:
        """Queue runs whose status has a step only now."""
        statuses = json.dumps(list(rows))

        def adopt(connection: sqlite3.Connection) -> int:
            found = connection.execute(_WITHOUT_STEP, (workflow, statuses)).fetchall()
            for run_id, foreign_id, status, version, attempt in found:
                connection.execute(_ADOPT, (now, run_id))
                slot = slot_of(run_id, SLOT_COUNT)
                row = (rows[status], slot, now, run_id, workflow, foreign_id, run_id, version)
                ENQUEUE.execute(connection, [(*row, attempt, b"")])
            return len(found)

        return await self._file.write(adopt)
