"""SQLiteBacklog: counts the queue in one statement of bounded index probes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.ports.backlog import Backlog, Waiting, Waits

_COUNT = """
select consumer, slot, due, parked from (
    select wanted.value ->> 0 as consumer, slots.value as slot, (
        select count(*) from (
            select 1 from queue
            where queue.consumer = wanted.value ->> 0 and queue.slot = slots.value
                and due_at <= ?2
            limit ?3
        )
    ) as due, (
        select count(*) from (
            select 1 from dead_letter
            where dead_letter.consumer = wanted.value ->> 0 and dead_letter.slot = slots.value
            limit ?3
        )
    ) as parked
    from json_each(?1) as wanted, json_each(wanted.value, '$[1]') as slots
) where due > 0 or parked > 0
"""


class SQLiteBacklog(Backlog):
    """Counts in the reader's thread."""

    def __init__(self, file: SQLiteFile) -> None:
        """Count in `file`."""
        self._file = file

    async def count(self, consumers: Mapping[str, Sequence[int]], now: int, limit: int) -> Waits:
        """Return what waits, at most `limit` of each kind in each slot."""
        wanted = json.dumps([[name, list(slots)] for name, slots in consumers.items()])
        rows = await self._file.read(
            lambda connection: connection.execute(_COUNT, (wanted, now, limit)).fetchall()
        )
        return {(consumer, slot): Waiting(due, parked) for consumer, slot, due, parked in rows}
