"""PostgresCensus: counts runs by status in one bounded walk over an index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.model.record import RunRef
from stepgraph.model.status_count import StatusCount
from stepgraph.ports.census import Census

_OPEN = "select status, run_id, foreign_id from run where workflow = $1 and is_open limit $2"
_ENDED = (
    "select status, run_id, foreign_id from run where workflow = $1 and not is_open"
    " order by run_id desc limit $2"
)
_SAMPLED = (
    "select status, total, foreign_id, run_id from ("
    " select status, foreign_id, run_id, count(*) over (partition by status) as total,"
    " row_number() over (partition by status order by run_id) as place from ("
)
_BOUNDED = (
    ") as looked_at) as counted where place <= $3 or place > total - $3 order by status, place"
)
COUNT_OPEN = _SAMPLED + _OPEN + _BOUNDED
COUNT_ENDED = _SAMPLED + _ENDED + _BOUNDED


class PostgresCensus(Census):
    """Reads no more rows than it is allowed to."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def count_by_status(
        self, workflow: str, *, is_open: bool, limit: int, sample: int
    ) -> Sequence[StatusCount]:
        """Return the statuses that runs are in."""
        query = COUNT_OPEN if is_open else COUNT_ENDED
        rows = await self._server.lists.fetch(query, workflow, limit, sample)
        return [
            StatusCount(status, total, tuple(RunRef(workflow, row[2], row[3]) for row in group))
            for (status, total), group in groupby(rows, key=lambda row: (row[0], row[1]))
        ]
