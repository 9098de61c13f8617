"""SQLiteRecordStore: one transaction a call; the rows that it changed tell who won."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.rows import (
    change_row,
    history_row,
    queue_row,
    record_of,
    record_row,
)
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record, RunRef
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.slot import SLOT_COUNT
from stepgraph.model.write import COMMITTED, Conflict, Exists, InProgress, Result, Write
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.record_store import RecordStore

RECORD_COLUMNS = (
    "run_id, workflow, foreign_id, status, run_state, version, attempt, progress_version,"
    " entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited,"
    " reason, failure_type, failure_text, trace_origin, object, is_keyed, is_announced, format"
)
CREATE = """
insert into run (workflow, foreign_id, status, run_state, version, attempt, progress_version,
    entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited, reason,
    failure_type, failure_text, trace_origin, object, is_keyed, is_announced, format, is_open,
    run_id)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict do nothing
"""
CHANGE = """
update run set status = ?, run_state = ?, version = ?, attempt = ?, progress_version = ?,
    entered_version = ?, entered_at = ?, updated_at = ?, due_at = ?, next = ?, write_id = ?,
    visited = ?, reason = ?, failure_type = ?, failure_text = ?, object = ?, is_announced = ?,
    format = ?, is_open = ?
where run_id = ? and version = ?
"""
CHANGE_ATTEMPT = CHANGE + " and attempt = ?"
HISTORY = "insert into history values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ENQUEUE = "insert or replace into queue values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
FINISH = "delete from queue where consumer = ? and slot = ? and due_at = ? and id = ?"
_UNIQUE = "insert into unique_name values (?, ?, ?)"
_HAS_UNIQUE = "select 1 from unique_name where scope = ? and key = ?"
_LOOKUP = "select " + RECORD_COLUMNS + " from run where run_id = ?"
_WRITE_ID = "select write_id from history where run_id = ? and version = ? and attempt = ?"
_OPEN = "select run_id from run where workflow = ? and foreign_id = ? and is_open = 1"
_LATEST = (
    "select "
    + RECORD_COLUMNS
    + " from run where workflow = ? and foreign_id = ?"
    + " order by is_open desc, created_at desc, run_id desc limit 1"
)
_FILTER = """
where (:workflow is null or workflow = :workflow)
    and (:foreign_id is null or foreign_id = :foreign_id)
    and (:statuses = '[]' or status in (select value from json_each(:statuses)))
    and (:run_states = '[]' or run_state in (select value from json_each(:run_states)))
    and (:created_after is null or created_at > :created_after)
    and (:created_before is null or created_at < :created_before)
"""
_LIST_UP = (
    "select " + RECORD_COLUMNS + " from run" + _FILTER
    + " and (:after is null or run_id > :after) order by run_id limit :limit"
)  # fmt: skip
_LIST_DOWN = (
    "select " + RECORD_COLUMNS + " from run" + _FILTER
    + " and (:after is null or run_id < :after) order by run_id desc limit :limit"
)  # fmt: skip
_COUNT = "select count(*) from (select 1 from run" + _FILTER + " limit :limit)"


class SQLiteRecordStore(RecordStore):
    """Runs in one file."""

    slot_count = SLOT_COUNT

    def __init__(self, file: SQLiteFile, capabilities: Capabilities) -> None:
        """Work on `file`."""
        self._file = file
        self.capabilities = capabilities

    async def commit(
        self, writes: Sequence[Write], finished: Sequence[QueueKey] = ()
    ) -> Sequence[Result]:
        """Write all in one transaction, each as if it were alone."""
        return await self._file.write(lambda connection: _commit(connection, writes, finished))

    async def lookup_many(self, refs: Sequence[RunRef]) -> Sequence[Record | None]:
        """Return the records now stored, in order."""

        def look_up(connection: sqlite3.Connection) -> list[Record | None]:
            execute = connection.execute
            rows = [execute(_LOOKUP, (ref.run_id,)).fetchone() for ref in refs]
            return [record_of(row) if row is not None else None for row in rows]

        return await self._file.read(look_up)

    async def find(self, run_id: str) -> RunRef | None:
        """Return where a run is."""

        def look(connection: sqlite3.Connection) -> Any:
            query = "select workflow, foreign_id, run_id from run where run_id = ?"
            return connection.execute(query, (run_id,)).fetchone()

        row = await self._file.read(look)
        return RunRef(*row) if row is not None else None

    async def latest(self, workflow: str, foreign_id: str) -> Record | None:
        """Return the open run of a foreign id, else the newest."""
        row = await self._file.read(
            lambda connection: connection.execute(_LATEST, (workflow, foreign_id)).fetchone()
        )
        return record_of(row) if row is not None else None

    async def list_records(self, record_filter: RecordFilter, page: Page) -> Sequence[Record]:
        """Return one page in the order of run ids."""
        query = _LIST_DOWN if page.is_descending else _LIST_UP
        names = _names(record_filter) | {"after": page.after, "limit": page.limit}
        rows = await self._file.read(lambda connection: connection.execute(query, names).fetchall())
        return [record_of(row) for row in rows]

    async def count(self, record_filter: RecordFilter, limit: int) -> int:
        """Return how many records fit, at most `limit`."""
        names = _names(record_filter) | {"limit": limit}
        row = await self._file.read(lambda connection: connection.execute(_COUNT, names).fetchone())
        return int(row[0])


def _names(wanted: RecordFilter) -> dict[str, Any]:
    return {
        "workflow": wanted.workflow,
        "foreign_id": wanted.foreign_id,
        "statuses": json.dumps(wanted.statuses),
        "run_states": json.dumps(wanted.run_states),
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }


def _commit(
    connection: sqlite3.Connection, writes: Sequence[Write], finished: Sequence[QueueKey]
) -> list[Result]:
    """Apply the runs one by one, then the rows of the winners all together."""
    results: list[Result] = []
    won: list[Write] = []
    for write in writes:
        result = _create(connection, write) if write.expected_version == 0 else None
        if write.expected_version:
            result = _change(connection, write)
        if result is None:
            won.append(write)
        results.append(COMMITTED if result is None else result)
    execute_many = connection.executemany
    history = [history_row(w.history) for w in won if w.history is not None]
    if history:
        execute_many(HISTORY, history)
    gone = [key for w in won for key in w.finished]
    gone += finished
    if gone:
        execute_many(FINISH, gone)
    queued = [queue_row(row) for w in won for row in w.enqueue]
    if queued:
        execute_many(ENQUEUE, queued)
    return results


def _create(connection: sqlite3.Connection, write: Write) -> Result | None:
    """Return None if the write won."""
    if write.unique and _is_taken(connection, write):
        return Conflict(_look_up(connection, write.record.run_id))
    if connection.execute(CREATE, record_row(write.record)).rowcount:
        _take_names(connection, write)
        return None
    record = write.record
    if _has_won(connection, write):
        return COMMITTED
    if connection.execute("select 1 from run where run_id = ?", (record.run_id,)).fetchone():
        return Exists(record.run_id)
    row = connection.execute(_OPEN, (record.workflow, record.foreign_id)).fetchone()
    return InProgress(row[0])


def _change(connection: sqlite3.Connection, write: Write) -> Result | None:
    """Return None if the write won."""
    if write.unique and _is_taken(connection, write):
        return Conflict(_look_up(connection, write.record.run_id))
    row = change_row(write.record)
    if write.expected_attempt is None:
        changed = connection.execute(CHANGE, (*row, write.expected_version)).rowcount
    else:
        names = (*row, write.expected_version, write.expected_attempt)
        changed = connection.execute(CHANGE_ATTEMPT, names).rowcount
    if changed:
        _take_names(connection, write)
        return None
    if _has_won(connection, write):
        return COMMITTED
    return Conflict(_look_up(connection, write.record.run_id))


def _has_won(connection: sqlite3.Connection, write: Write) -> bool:
    """Return whether history shows that this very write won before."""
    history = write.history
    if history is None:
        return False
    key = (history.run_id, history.version, history.attempt)
    row = connection.execute(_WRITE_ID, key).fetchone()
    return row is not None and row[0] == write.write_id


def _is_taken(connection: sqlite3.Connection, write: Write) -> bool:
    if _has_won(connection, write):
        return False
    return any(
        connection.execute(_HAS_UNIQUE, (row.scope, row.key)).fetchone() for row in write.unique
    )


def _take_names(connection: sqlite3.Connection, write: Write) -> None:
    if write.unique:
        connection.executemany(_UNIQUE, [(r.scope, r.key, r.body) for r in write.unique])


def _look_up(connection: sqlite3.Connection, run_id: str) -> Record | None:
    row = connection.execute(_LOOKUP, (run_id,)).fetchone()
    return record_of(row) if row is not None else None
