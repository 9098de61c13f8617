"""SQLiteScheduleStore: schedules in one table, decisions among the unique names."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from stepgraph.adapters.sqlite.batch import UNIQUE_BODY
from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.model.schedule import Schedule, SlotDecision, decision_of
from stepgraph.ports.schedule_store import ScheduleStore

_COLUMNS = (
    "workflow, name, fingerprint, spec, zone, foreign_id, catch_up, overlap, jitter, object,"
    " started_at, next_slot, last_slot, last_decision, is_paused, is_retired, version"
)
_KEY = " where workflow = ? and name = ? and fingerprint = ?"
_GET = (
    "select " + _COLUMNS + " from schedule where workflow = ? and name = ? order by fingerprint"
)  # fmt: skip
_LIST = (
    "select " + _COLUMNS + " from schedule where workflow = ? and (name, fingerprint) > (?, ?)"
    " order by name, fingerprint limit ?"
)  # fmt: skip
_CREATE = (
    "insert or ignore into schedule (" + _COLUMNS + ")"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)  # fmt: skip
_CHANGE = (
    "update schedule set (" + _COLUMNS + ")"
    " = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" + _KEY + " and version = ?"
)  # fmt: skip
_DELETE = "delete from schedule" + _KEY + " and version = ?"
_DECIDE = (
    "insert or ignore into unique_name (scope, key, body, workflow, at) values (?, ?, ?, ?, ?)"
)


class SQLiteScheduleStore(ScheduleStore):
    """Schedules beside the runs."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def get(self, workflow: str, name: str) -> Sequence[Schedule]:
        """Return every generation of a schedule."""
        rows = await self._file.read(lambda c: c.execute(_GET, (workflow, name)).fetchall())
        return [_schedule_of(row) for row in rows]

    async def list_schedules(
        self, workflow: str, after: tuple[str, str], limit: int
    ) -> Sequence[Schedule]:
        """Return a page of a workflow's schedules."""
        names = (workflow, *after, limit)
        rows = await self._file.read(lambda c: c.execute(_LIST, names).fetchall())
        return [_schedule_of(row) for row in rows]

    async def put(self, schedule: Schedule) -> bool:
        """Store a schedule if the stored version is the one before."""
        row = _row_of(schedule)
        before = schedule.version - 1

        def store(connection: sqlite3.Connection) -> bool:
            if not before:
                return connection.execute(_CREATE, row).rowcount > 0
            return connection.execute(_CHANGE, (*row, *schedule.key, before)).rowcount > 0

        return await self._file.write(store)

    async def delete(self, schedule: Schedule) -> bool:
        """Delete a schedule at this version."""
        names = (*schedule.key, schedule.version)
        return await self._file.write(lambda c: c.execute(_DELETE, names).rowcount > 0)

    async def decide(self, decision: SlotDecision) -> SlotDecision:
        """Take the name of the slot, unless it is taken."""
        wanted = decision.row

        def take(connection: sqlite3.Connection) -> bytes:
            name = (wanted.scope, wanted.key, wanted.body, decision.workflow, decision.at)
            connection.execute(_DECIDE, name)
            row = connection.execute(UNIQUE_BODY, (wanted.scope, wanted.key)).fetchone()
            return bytes(row[0])

        body = await self._file.write(take)
        return decision_of(decision.workflow, decision.name, decision.slot, body)


def _row_of(s: Schedule) -> tuple[Any, ...]:
    return (
        s.workflow, s.name, s.fingerprint, s.spec, s.zone, s.foreign_id, s.catch_up, s.overlap,
        s.jitter, s.object, s.started_at, s.next_slot, s.last_slot, s.last_decision, s.is_paused,
        s.is_retired, s.version,
    )  # fmt: skip


def _schedule_of(row: tuple[Any, ...]) -> Schedule:
    columns: Any = (*row[:14], row[14] == 1, row[15] == 1, row[16])
    return Schedule(*columns)
