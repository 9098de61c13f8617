"""PostgresTimeoutStore: timers in one table; what ended stays as a mark, so that it stays ended."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import columns_of
from stepgraph.adapters.postgres.statement import unnest
from stepgraph.model.timeout import Timeout, TimeoutKey
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.timeout_store import TimeoutStore

_COLUMNS = "workflow, foreign_id, run_id, entered_version, name, status, slot, due_at, attempt"
_CREATE = (
    "insert into timeout (" + _COLUMNS + ", is_done) select given.*, false from "
    + unnest("tttitiiii") + " as given (" + _COLUMNS + ")"
    " order by run_id, entered_version, name on conflict do nothing"
)  # fmt: skip
LIST_DUE = (
    "select found.* from unnest($2::bigint[]) as probe (slot) cross join lateral (select "
    + _COLUMNS
    + " from timeout where workflow = $1 and timeout.slot = probe.slot and not is_done"
    " and due_at <= $3 order by due_at, run_id, name limit $4) as found"
    " order by due_at, run_id, name limit $4"
)
NEXT_DUE = (
    "select min(found.due_at) from unnest($2::bigint[]) as probe (slot) cross join lateral"
    " (select due_at from timeout where workflow = $1 and timeout.slot = probe.slot"
    " and not is_done order by due_at limit 1) as found"
)
_AT_KEY = (
    " where timeout.run_id = given.run_id and timeout.entered_version = given.entered_version"
    " and timeout.name = given.name"
)
_END = (
    "update timeout set is_done = true from "
    + unnest("tit")
    + " as given (run_id, entered_version, name)"
    + _AT_KEY
)
_POSTPONE = (
    "update timeout set due_at = given.due_at, attempt = given.attempt from "
    + unnest("titii")
    + " as given (run_id, entered_version, name, due_at, attempt)"
    + _AT_KEY
    + " and not timeout.is_done"
)
_OF_RUN = (
    "select " + _COLUMNS + " from timeout where run_id = $1 and not is_done order by due_at, name"
)


class PostgresTimeoutStore(TimeoutStore):
    """Timers beside the runs."""

    def __init__(self, server: PostgresServer, capabilities: Capabilities) -> None:
        """Work on `server`."""
        self._server = server
        self.capabilities = capabilities

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        """Keep these; the first of a key wins."""
        rows = [
            (t.workflow, t.foreign_id, t.run_id, t.entered_version, t.name, t.status, t.slot,
             t.due_at, t.attempt)
            for t in timeouts
        ]  # fmt: skip
        await self._server.moves.fetch(_CREATE, *columns_of(rows, 9))

    async def list_due(
        self, workflow: str, slots: Sequence[int], now: int, limit: int
    ) -> Sequence[Timeout]:
        """Return pending timeouts that are due, oldest first."""
        rows = await self._server.reads.fetch(LIST_DUE, workflow, list(slots), now, limit)
        return [Timeout(*row) for row in rows]

    async def next_due(self, workflow: str, slots: Sequence[int]) -> int | None:
        """Return the earliest pending due instant."""
        rows = await self._server.reads.fetch(NEXT_DUE, workflow, list(slots))
        due_at: int | None = rows[0][0]
        return due_at

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        """End these for good."""
        await self._server.moves.fetch(_END, *columns_of(sorted(keys), 3))

    async def postpone(self, timeouts: Sequence[Timeout]) -> None:
        """Give pending timeouts the due instant that they now carry."""
        rows = sorted((*t.key, t.due_at, t.attempt) for t in timeouts)
        await self._server.moves.fetch(_POSTPONE, *columns_of(rows, 5))

    async def list_timeouts(self, run_id: str) -> Sequence[Timeout]:
        """Return the pending timeouts of a run."""
        return [Timeout(*row) for row in await self._server.lists.fetch(_OF_RUN, run_id)]
