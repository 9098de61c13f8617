"""PostgresBacklog: counts the queue in one statement of bounded index probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import columns_of
from stepgraph.adapters.postgres.statement import unnest
from stepgraph.ports.backlog import Backlog, Waiting, Waits

_COUNT = (
    "select probe.consumer, probe.slot, waiting.due, letters.parked from "
    + unnest("ti")
    + " as probe (consumer, slot)"
    " cross join lateral (select count(*) as due from (select from queue"
    " where queue.consumer = probe.consumer and queue.slot = probe.slot and due_at <= $3"
    " limit $4) as found) as waiting"
    " cross join lateral (select count(*) as parked from (select from dead_letter as letter"
    " where letter.consumer = probe.consumer and letter.slot = probe.slot"
    " limit $4) as found) as letters"
    " where waiting.due > 0 or letters.parked > 0"
)


class PostgresBacklog(Backlog):
    """Counts beside the queue's readers."""

    def __init__(self, server: PostgresServer) -> None:
        """Count on `server`."""
        self._server = server

    async def count(self, consumers: Mapping[str, Sequence[int]], now: int, limit: int) -> Waits:
        """Return what waits, at most `limit` of each kind in each slot."""
        pairs = [(name, slot) for name, slots in consumers.items() for slot in slots]
        rows = await self._server.lists.fetch(_COUNT, *columns_of(pairs, 2), now, limit)
        return {(consumer, slot): Waiting(due, parked) for consumer, slot, due, parked in rows}
