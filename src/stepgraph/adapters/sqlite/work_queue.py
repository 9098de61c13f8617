"""SQLiteWorkQueue: one index probe for each consumer's slot."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from stepgraph.adapters.sqlite.batch import ENQUEUE, FINISH
from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.rows import queue_row
from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow, Want
from stepgraph.ports.work_queue import WorkQueue

_DUE = """
select consumer, slot, due_at, id, workflow, foreign_id, run_id, version, attempt, body from queue
where consumer = ? and slot = ? and due_at >= ? and due_at <= ? order by due_at, id limit ?
"""
_NEXT_DUE = """
select consumer, min(due_at) from (
    select wanted.value ->> 0 as consumer, (
        select min(due_at) from queue
        where queue.consumer = wanted.value ->> 0 and queue.slot = slots.value
    ) as due_at
    from json_each(?) as wanted, json_each(wanted.value, '$[1]') as slots
) where due_at is not null group by consumer
"""
_PARK = "insert or ignore into dead_letter values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PARKED = """
select consumer, slot, due_at, id, workflow, foreign_id, run_id, version, attempt, body, error,
    parked_at
from dead_letter where ?1 is null or consumer = ?1 order by parked_at, due_at, id limit ?2
"""
_DISCARD = "delete from dead_letter where consumer = ? and slot = ? and due_at = ? and id = ?"
_UNPARK = """
delete from dead_letter where consumer = ? and slot = ? and due_at = ? and id = ?
returning consumer, slot, due_at, id, workflow, foreign_id, run_id, version, attempt, body
"""


class SQLiteWorkQueue(WorkQueue):
    """Reads in the reader thread, moves rows in the writer's."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def due(self, wants: Sequence[Want], now: int) -> Sequence[QueueRow]:
        """Return due rows, each want's limit shared among its slots."""

        def fetch(connection: sqlite3.Connection) -> list[QueueRow]:
            return [row for want in wants for row in _due(connection, want, now)]

        return await self._file.read(fetch)

    async def next_due(self, consumers: Mapping[str, Sequence[int]]) -> Mapping[str, int]:
        """Return the earliest due instant of each consumer that has rows."""
        wanted = json.dumps([[name, list(slots)] for name, slots in consumers.items()])
        rows = await self._file.read(
            lambda connection: connection.execute(_NEXT_DUE, (wanted,)).fetchall()
        )
        return dict(rows)

    async def put(self, rows: Sequence[tuple[QueueKey | None, QueueRow]]) -> None:
        """Insert rows, and replace those that are still there."""

        def move(connection: sqlite3.Connection) -> None:
            for key, row in rows:
                if key is None or FINISH.execute(connection, [key]):
                    ENQUEUE.execute(connection, [queue_row(row)])

        await self._file.write(move)

    async def park(self, rows: Sequence[QueueRow], error: str, now: int) -> None:
        """Move rows to the dead letters."""

        def move(connection: sqlite3.Connection) -> None:
            for row in rows:
                if FINISH.execute(connection, [row.key]):
                    connection.execute(_PARK, (*queue_row(row), error, now))

        await self._file.write(move)

    async def list_parked(self, consumer: str | None, limit: int) -> Sequence[ParkedRow]:
        """Return dead letters, oldest first."""
        rows = await self._file.read(
            lambda connection: connection.execute(_PARKED, (consumer, limit)).fetchall()
        )
        return [ParkedRow(QueueRow(*row[:10]), row[10], row[11]) for row in rows]

    async def drive(self, keys: Sequence[QueueKey], now: int) -> int:
        """Queue dead letters again."""

        def move(connection: sqlite3.Connection) -> int:
            count = 0
            for key in keys:
                found: Any = connection.execute(_UNPARK, key).fetchone()
                if found is not None:
                    consumer, slot, _, row_id, *names = found
                    workflow, foreign_id, run_id, version, _, body = names
                    row = (consumer, slot, now, row_id, workflow, foreign_id, run_id, version, 0)
                    ENQUEUE.execute(connection, [(*row, body)])
                    count += 1
            return count

        return await self._file.write(move)

    async def discard(self, keys: Sequence[QueueKey]) -> int:
        """Delete dead letters."""

        def delete(connection: sqlite3.Connection) -> int:
            return connection.executemany(_DISCARD, keys).rowcount

        return await self._file.write(delete) if keys else 0


def _due(connection: sqlite3.Connection, want: Want, now: int) -> list[QueueRow]:
    """Probe each slot for its fair share first; then fill up from those that have more."""
    share = max(1, want.limit // max(1, len(want.slots)))
    found: list[QueueRow] = []
    full: list[tuple[int, QueueRow]] = []
    for slot in want.slots:
        probe = (want.consumer, slot, want.after, now, share)
        rows = [QueueRow(*row) for row in connection.execute(_DUE, probe)]
        found += rows
        if len(rows) == share:
            full.append((slot, rows[-1]))
    for slot, last in full:
        left = want.limit - len(found)
        if left <= 0:
            break
        probe = (want.consumer, slot, last.due_at, now, left + share)
        more = [QueueRow(*row) for row in connection.execute(_DUE, probe)]
        found += [row for row in more if (row.due_at, row.id) > (last.due_at, last.id)][:left]
    return found[: want.limit]
