"""SQLiteRecordStore: one transaction a call; the rows that it changed tell who won."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from stepgraph.adapters.sqlite.batch import LOOKUP, RECORD_COLUMNS, UNIQUE_BODY, commit_batch
from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.rows import record_of
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record, RunRef
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.slot import SLOT_COUNT
from stepgraph.model.write import Result, Write
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.record_store import RecordStore

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
        return await self._file.write(lambda connection: commit_batch(connection, writes, finished))

    async def lookup_many(self, refs: Sequence[RunRef]) -> Sequence[Record | None]:
        """Return the records now stored, in order."""

        def look_up(connection: sqlite3.Connection) -> list[Record | None]:
            execute = connection.execute
            rows = [execute(LOOKUP, (ref.run_id,)).fetchone() for ref in refs]
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

    async def find_unique(self, scope: str, key: str) -> bytes | None:
        """Return the body of a unique row."""
        row = await self._file.read(
            lambda connection: connection.execute(UNIQUE_BODY, (scope, key)).fetchone()
        )
        return row[0] if row is not None else None


def _names(wanted: RecordFilter) -> dict[str, Any]:
    return {
        "workflow": wanted.workflow,
        "foreign_id": wanted.foreign_id,
        "statuses": json.dumps(wanted.statuses),
        "run_states": json.dumps(wanted.run_states),
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }
