"""PostgresScheduleStore: schedules in one table, decisions among the unique names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.record_store import UNIQUE_BODY
from stepgraph.model.schedule import Schedule, SlotDecision, decision_of
from stepgraph.ports.schedule_store import ScheduleStore

_COLUMNS = (
    "workflow, name, fingerprint, spec, zone, foreign_id, catch_up, overlap, jitter, object,"
    " started_at, next_slot, last_slot, last_decision, is_paused, is_retired, version"
)
_VALUES = "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
_GET = (
    "select " + _COLUMNS + " from schedule where workflow = $1 and name = $2 order by fingerprint"
)
_LIST = (
    "select " + _COLUMNS + " from schedule where workflow = $1 and (name, fingerprint) > ($2, $3)"
    " order by name, fingerprint limit $4"
)  # fmt: skip
_CREATE = (
    "insert into schedule (" + _COLUMNS + ") values " + _VALUES
    + " on conflict do nothing returning 1"
)  # fmt: skip
_CHANGE = (
    "update schedule set (" + _COLUMNS + ") = " + _VALUES
    + " where workflow = $1 and name = $2 and fingerprint = $3 and version = $17 - 1 returning 1"
)  # fmt: skip
_DELETE = (
    "delete from schedule where workflow = $1 and name = $2 and fingerprint = $3 and version = $4"
    " returning 1"
)
_DECIDE = (
    "insert into unique_name (scope, key, body, workflow, at) values ($1, $2, $3, $4, $5)"
    " on conflict do nothing returning body"
)


class PostgresScheduleStore(ScheduleStore):
    """Schedules beside the runs."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def get(self, workflow: str, name: str) -> Sequence[Schedule]:
        """Return every generation of a schedule."""
        return [Schedule(*row) for row in await self._server.lists.fetch(_GET, workflow, name)]

    async def list_schedules(
        self, workflow: str, after: tuple[str, str], limit: int
    ) -> Sequence[Schedule]:
        """Return a page of a workflow's schedules."""
        rows = await self._server.lists.fetch(_LIST, workflow, *after, limit)
        return [Schedule(*row) for row in rows]

    async def put(self, schedule: Schedule) -> bool:
        """Store a schedule if the stored version is the one before."""
        query = _CHANGE if schedule.version > 1 else _CREATE
        return bool(await self._server.moves.fetch(query, *_row_of(schedule)))

    async def delete(self, schedule: Schedule) -> bool:
        """Delete a schedule at this version."""
        return bool(await self._server.moves.fetch(_DELETE, *schedule.key, schedule.version))

    async def decide(self, decision: SlotDecision) -> SlotDecision:
        """Take the name of the slot, unless it is taken."""
        wanted = decision.row
        moves = self._server.moves
        name = (wanted.scope, wanted.key, wanted.body, decision.workflow, decision.at)
        rows = await moves.fetch(_DECIDE, *name)
        if not rows:
            # Whoever took it has committed, or the insert would have waited; a name stays.
            rows = await moves.fetch(UNIQUE_BODY, wanted.scope, wanted.key)
        return decision_of(decision.workflow, decision.name, decision.slot, rows[0][0])


def _row_of(s: Schedule) -> tuple[Any, ...]:
    return (
        s.workflow, s.name, s.fingerprint, s.spec, s.zone, s.foreign_id, s.catch_up, s.overlap,
        s.jitter, s.object, s.started_at, s.next_slot, s.last_slot, s.last_decision, s.is_paused,
        s.is_retired, s.version,
    )  # fmt: skip
