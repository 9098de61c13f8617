"""PostgresHistoryStore and PostgresLostRuns: what happened to runs, and which of them got lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.retention_store import IS_NO_STEP_WORK
from stepgraph.adapters.postgres.rows import columns_of, history_of, queue_row, record_of
from stepgraph.adapters.postgres.statement import (
    HISTORY_COLUMNS,
    QUEUE_COLUMNS,
    RECORD_COLUMNS,
    REPLACE,
    unnest,
)
from stepgraph.model.history import HistoryRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostQuery, LostRuns

_VERSIONS = (
    "select " + HISTORY_COLUMNS + " from history where run_id = $1 and attempt = 0"
    " order by version"
)  # fmt: skip
_FAILURES = (
    "select " + HISTORY_COLUMNS + " from history where run_id = $1 and error_type is not null"
    " order by at, version, attempt"
)  # fmt: skip
_SCRUB = (
    "with blanked as (update history set object = null, reason = '',"
    " message = case when message is null then null else '' end,"
    " traceback = case when traceback is null then null else '' end where run_id = $1),"
    " owner as materialized (select 1 where not exists"
    " (select from run where workflow = $2 and foreign_id = $3 and is_open)),"
    " dropped as (delete from queue where run_id = '' and workflow = $2 and foreign_id = $3 and "
    + IS_NO_STEP_WORK
    + " and exists (select from owner)),"
    " unparked as (delete from dead_letter where run_id = '' and workflow = $2 and foreign_id = $3"
    " and exists (select from owner))"
    " update dead_letter set error = '' where run_id = $1"
)
# An index by status and due_at would have to be touched by every transition of every run, so the
# few that are lost are looked for among the open ones.
_LOST = (
    "select " + RECORD_COLUMNS + " from run where workflow = $1 and is_open and is_announced"
    " and status = $2 and run_state in (1, 2) and next in ('step', 'delay', 'retry')"
    " and due_at < $3 order by due_at, run_id"
)  # fmt: skip
_WITHOUT_STEP = (
    "select run_id, foreign_id, status, version, attempt from run where workflow = $1 and is_open"
    " and next = 'no_step' and run_state in (1, 2) and status = any($2::integer[]) limit 1000"
)
# What has moved meanwhile has been announced by whoever moved it.
_ADOPT = (
    "with given as materialized (select * from "
    + unnest("itiittttiib")
    + " as given (expected, "
    + QUEUE_COLUMNS
    + ")), adopted as (update run set next = 'step', due_at = given.due_at from given"
    " where run.run_id = given.run_id and run.version = given.expected and run.next = 'no_step'"
    " returning run.run_id), queued as (insert into queue ("
    + QUEUE_COLUMNS
    + ") select "
    + QUEUE_COLUMNS
    + " from given where (run_id in (select run_id from adopted)) is true"
    + REPLACE
    + ") select count(*) from adopted"
)


class PostgresHistoryStore(HistoryStore):
    """Reads the history table."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def history(self, run_id: str) -> Sequence[HistoryRow]:
        """Return the versions of a run."""
        return [history_of(row) for row in await self._server.lists.fetch(_VERSIONS, run_id)]

    async def attempts(self, run_id: str) -> Sequence[HistoryRow]:
        """Return the failures of a run."""
        return [history_of(row) for row in await self._server.lists.fetch(_FAILURES, run_id)]

    async def scrub(self, run: RunRef) -> None:
        """Blank objects and texts, and delete what came for the run, in one statement.

        What was there stays in the pages of the tables until they are vacuumed, and in the
        server's log of writes until that is gone.
        """
        await self._server.moves.fetch(_SCRUB, run.run_id, run.workflow, run.foreign_id)


class PostgresLostRuns(LostRuns):
    """Walks over the open runs of a workflow."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def list_lost(self, query: LostQuery, limit: int) -> Sequence[Record]:
        """Return the lost runs, the one that waits longest first."""
        rows = await self._server.lists.fetch(_LOST, query.workflow, query.status, query.due_before)
        found = [row for row in rows if slot_of(row[0], query.slot_count) in query.slots]
        return [record_of(row) for row in found[:limit]]

    async def adopt(self, workflow: str, rows: Mapping[int, str], now: int) -> int:
        """Queue runs whose status has a step only now."""
        found = await self._server.lists.fetch(_WITHOUT_STEP, workflow, list(rows))
        given = [
            (version, *queue_row(QueueRow(
                rows[status], slot_of(run_id, SLOT_COUNT), now, run_id, workflow, foreign_id,
                run_id, version, attempt,
            )))
            for run_id, foreign_id, status, version, attempt in found
        ]  # fmt: skip
        if not given:
            return 0
        adopted = await self._server.moves.fetch(_ADOPT, *columns_of(given, 11))
        return int(adopted[0][0])
