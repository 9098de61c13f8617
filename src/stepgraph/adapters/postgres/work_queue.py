"""PostgresWorkQueue: one index probe for each consumer's slot, all in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import columns_of, queue_row
from stepgraph.adapters.postgres.statement import QUEUE_COLUMNS, REPLACE, unnest
from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow, Want
from stepgraph.ports.work_queue import WorkQueue

DUE = (
    "select probe.place, found.* from "
    + unnest("tiitii")
    + " as probe (consumer, slot, after, id, size, place) cross join lateral (select "
    + QUEUE_COLUMNS
    + " from queue where queue.consumer = probe.consumer and queue.slot = probe.slot"
    " and (queue.due_at, queue.id) > (probe.after, probe.id) and queue.due_at <= $7"
    " order by queue.due_at, queue.id limit probe.size) as found"
)
NEXT_DUE = (
    "select probe.consumer, min(found.due_at) from "
    + unnest("ti")
    + " as probe (consumer, slot) cross join lateral (select queue.due_at from queue"
    " where queue.consumer = probe.consumer and queue.slot = probe.slot"
    " order by queue.due_at limit 1) as found group by probe.consumer"
)
_QUEUED = " as given (number, " + QUEUE_COLUMNS + "))"
_GIVEN = "with given as materialized (select * from " + unnest("itiittttiib") + _QUEUED
# Of rows that come to one key the last stays.
_INSERT = (
    "insert into queue (" + QUEUE_COLUMNS + ") select distinct on (consumer, slot, due_at, id) "
    + QUEUE_COLUMNS + " from given"
)  # fmt: skip
_LAST = " order by consumer, slot, due_at, id, number desc"
_PUT = _GIVEN + _INSERT + _LAST + REPLACE
# The number of a row joins it with the row that it replaces; only what was there is replaced.
_MOVE = (
    _GIVEN + ", gone as (delete from queue using unnest($12::text[], $13::bigint[], $14::bigint[],"
    " $15::text[], $16::bigint[]) as old (consumer, slot, due_at, id, number)"
    " where queue.consumer = old.consumer and queue.slot = old.slot"
    " and queue.due_at = old.due_at and queue.id = old.id returning old.number) "
    + _INSERT
    + " where (number in (select number from gone)) is true"
    + _LAST
    + REPLACE
)
_KEYS = unnest("tiit") + " as key (consumer, slot, due_at, id)"
_AT_KEY = (
    " where letter.consumer = key.consumer and letter.slot = key.slot"
    " and letter.due_at = key.due_at and letter.id = key.id"
)
_PARK = (
    "with gone as (delete from queue as letter using "
    + _KEYS
    + _AT_KEY
    + " returning letter.*) insert into dead_letter ("
    + QUEUE_COLUMNS
    + ", error, parked_at) select "
    + QUEUE_COLUMNS
    + ", $5, $6 from gone on conflict do nothing"
)
_PARKED = (
    "select " + QUEUE_COLUMNS + ", error, parked_at from dead_letter"
    " where $1::text is null or consumer = $1 order by parked_at, due_at, id limit $2"
)  # fmt: skip
_DRIVE = (
    "with gone as (delete from dead_letter as letter using "
    + _KEYS
    + _AT_KEY
    + " returning letter.*), driven as (insert into queue ("
    + QUEUE_COLUMNS
    + ") select consumer, slot, $5::bigint, id, workflow, foreign_id, run_id, version, 0, body"
    " from gone" + REPLACE + " returning 1) select count(*) from driven"
)
_DISCARD = (
    "with gone as (delete from dead_letter as letter using "
    + _KEYS
    + _AT_KEY
    + " returning 1) select count(*) from gone"
)


class _Probe(NamedTuple):
    """One slot of a want: read `size` rows past (`after`, `id`); `place` is the want's."""

    consumer: str
    slot: int
    after: int
    id: str
    size: int
    place: int


class PostgresWorkQueue(WorkQueue):
    """Reads on a connection that nothing slow is read on."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def due(self, wants: Sequence[Want], now: int) -> Sequence[QueueRow]:
        """Return due rows, each want's limit shared among its slots.

        Each slot is probed for its fair share first; then what is left of a want's limit is filled
        up from the slots that have more.
        """
        probes = [
            _Probe(want.consumer, slot, want.after, "", _share(want), place)
            for place, want in enumerate(wants)
            for slot in want.slots
        ]
        found = await self._probe(probes, len(wants), now)
        more: list[_Probe] = []
        for place, (want, rows) in enumerate(zip(wants, found, strict=True)):
            left = want.limit - len(rows)
            if left > 0:
                more += _refills(want, rows, left, place)
        if more:
            rest = await self._probe(more, len(wants), now)
            for rows, further in zip(found, rest, strict=True):
                rows.extend(further)
        return [row for want, rows in zip(wants, found, strict=True) for row in rows[: want.limit]]

    async def _probe(self, probes: list[_Probe], count: int, now: int) -> list[list[QueueRow]]:
        found: list[list[QueueRow]] = [[] for _ in range(count)]
        if probes:
            for place, *row in await self._server.reads.fetch(DUE, *columns_of(probes, 6), now):
                found[place].append(QueueRow(*row))
        return found

    async def next_due(self, consumers: Mapping[str, Sequence[int]]) -> Mapping[str, int]:
        """Return the earliest due instant of each consumer that has rows."""
        pairs = [(name, slot) for name, slots in consumers.items() for slot in slots]
        rows = await self._server.reads.fetch(NEXT_DUE, *columns_of(pairs, 2))
        return dict(rows)

    async def put(self, rows: Sequence[tuple[QueueKey | None, QueueRow]]) -> None:
        """Insert rows, and replace those that are still there."""
        new = [(number, *queue_row(row)) for number, (key, row) in enumerate(rows) if key is None]
        moved = [(number, *queue_row(row)) for number, (key, row) in enumerate(rows) if key]
        keys = [(*key, number) for number, (key, _) in enumerate(rows) if key]
        if new:
            await self._server.moves.fetch(_PUT, *columns_of(new, 11))
        if moved:
            values = (*columns_of(moved, 11), *columns_of(keys, 5))
            await self._server.moves.fetch(_MOVE, *values)

    async def park(self, rows: Sequence[QueueRow], error: str, now: int) -> None:
        """Move rows to the dead letters."""
        keys = columns_of([row.key for row in rows], 4)
        await self._server.moves.fetch(_PARK, *keys, error, now)

    async def list_parked(self, consumer: str | None, limit: int) -> Sequence[ParkedRow]:
        """Return dead letters, oldest first."""
        rows = await self._server.lists.fetch(_PARKED, consumer, limit)
        return [ParkedRow(QueueRow(*row[:10]), row[10], row[11]) for row in rows]

    async def drive(self, keys: Sequence[QueueKey], now: int) -> int:
        """Queue dead letters again."""
        return _counted(await self._server.moves.fetch(_DRIVE, *columns_of(keys, 4), now))

    async def discard(self, keys: Sequence[QueueKey]) -> int:
        """Delete dead letters."""
        return _counted(await self._server.moves.fetch(_DISCARD, *columns_of(keys, 4)))


def _counted(rows: list[Any]) -> int:
    return int(rows[0][0])


def _share(want: Want) -> int:
    return max(1, want.limit // max(1, len(want.slots)))


def _refills(want: Want, rows: list[QueueRow], left: int, place: int) -> list[_Probe]:
    """Return probes for `left` more rows, past the last row of each slot that gave its share."""
    last: dict[int, QueueRow] = {}
    counts: dict[int, int] = {}
    for row in rows:
        last[row.slot] = row
        counts[row.slot] = counts.get(row.slot, 0) + 1
    share = _share(want)
    return [
        _Probe(want.consumer, slot, row.due_at, row.id, left, place)
        for slot, row in last.items()
        if counts[slot] == share
    ]
