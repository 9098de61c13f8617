"""PostgresRecordStore: one statement a call; what it returns are the losers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepgraph.adapters.postgres.batch import commit_batch
from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import record_of
from stepgraph.adapters.postgres.statement import RECORD_COLUMNS
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record, RunRef
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.slot import SLOT_COUNT
from stepgraph.model.write import Result, Write
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.record_store import RecordStore

LOOKUP = "select " + RECORD_COLUMNS + " from run where run_id = any($1::text[])"
_FIND = "select workflow, foreign_id, run_id from run where run_id = $1"
_LATEST = (
    "select " + RECORD_COLUMNS + " from run where workflow = $1 and foreign_id = $2"
    " order by is_open desc, created_at desc, run_id desc limit 1"
)  # fmt: skip
UNIQUE_BODY = "select body from unique_name where scope = $1 and key = $2"

# A plan is made once for all values, so what can use an index is a statement of its own.
_BY = {
    (False, False): " where $1::text is null and $2::text is null",
    (True, False): " where workflow = $1 and $2::text is null",
    (False, True): " where $1::text is null and foreign_id = $2",
    (True, True): " where workflow = $1 and foreign_id = $2",
}
_FILTER = (
    " and (cardinality($3::integer[]) = 0 or status = any($3))"
    " and (cardinality($4::integer[]) = 0 or run_state = any($4))"
    " and created_at > $5 and created_at < $6"
)
_LIST_UP = {
    by: "select " + RECORD_COLUMNS + " from run" + text + _FILTER
    + " and run_id > $7 order by run_id limit $8"
    for by, text in _BY.items()
}  # fmt: skip
_LIST_DOWN = {
    by: "select " + RECORD_COLUMNS + " from run" + text + _FILTER
    + " and run_id < $7 order by run_id desc limit $8"
    for by, text in _BY.items()
}  # fmt: skip
_COUNT = {
    by: "select count(*) from (select 1 from run" + text + _FILTER + " limit $7) as found"
    for by, text in _BY.items()
}
_EARLIEST, _LATEST_OF_ALL = -(2**63), 2**63 - 1
_LAST_TEXT = "\U0010ffff"


class PostgresRecordStore(RecordStore):
    """Runs in one table."""

    slot_count = SLOT_COUNT

    def __init__(self, server: PostgresServer, capabilities: Capabilities) -> None:
        """Work on `server`."""
        self._server = server
        self.capabilities = capabilities

    async def commit(
        self, writes: Sequence[Write], finished: Sequence[QueueKey] = ()
    ) -> Sequence[Result]:
        """Write all in one statement; creates and changes have a connection each."""
        is_creating = bool(writes) and writes[0].expected_version == 0
        seat = self._server.creates if is_creating else self._server.changes
        return await commit_batch(seat.fetch, writes, finished)

    async def lookup_many(self, refs: Sequence[RunRef]) -> Sequence[Record | None]:
        """Return the records now stored, in order."""
        rows = await self._server.reads.fetch(LOOKUP, [ref.run_id for ref in refs])
        found = {row[0]: record_of(row) for row in rows}
        return [found.get(ref.run_id) for ref in refs]

    async def find(self, run_id: str) -> RunRef | None:
        """Return where a run is."""
        rows = await self._server.reads.fetch(_FIND, run_id)
        return RunRef(*rows[0]) if rows else None

    async def latest(self, workflow: str, foreign_id: str) -> Record | None:
        """Return the open run of a foreign id, else the newest."""
        rows = await self._server.reads.fetch(_LATEST, workflow, foreign_id)
        return record_of(rows[0]) if rows else None

    async def list_records(self, record_filter: RecordFilter, page: Page) -> Sequence[Record]:
        """Return one page in the order of run ids."""
        queries = _LIST_DOWN if page.is_descending else _LIST_UP
        start = page.after
        if start is None:
            start = _LAST_TEXT if page.is_descending else ""
        values = (*_values(record_filter), start, page.limit)
        rows = await self._server.lists.fetch(queries[_by(record_filter)], *values)
        return [record_of(row) for row in rows]

    async def count(self, record_filter: RecordFilter, limit: int) -> int:
        """Return how many records fit, at most `limit`."""
        query = _COUNT[_by(record_filter)]
        rows = await self._server.lists.fetch(query, *_values(record_filter), limit)
        return int(rows[0][0])

    async def find_unique(self, scope: str, key: str) -> bytes | None:
        """Return the body of a unique row."""
        rows = await self._server.reads.fetch(UNIQUE_BODY, scope, key)
        return rows[0][0] if rows else None


def _by(wanted: RecordFilter) -> tuple[bool, bool]:
    return wanted.workflow is not None, wanted.foreign_id is not None


def _values(wanted: RecordFilter) -> tuple[Any, ...]:
    after, before = wanted.created_after, wanted.created_before
    return (
        wanted.workflow,
        wanted.foreign_id,
        list(wanted.statuses),
        list(wanted.run_states),
        _EARLIEST if after is None else after,
        _LATEST_OF_ALL if before is None else before,
    )
