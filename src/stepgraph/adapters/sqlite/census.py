"""SQLiteCensus: counts runs by status in one bounded walk over an index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.model.record import RunRef
from stepgraph.model.status_count import StatusCount
from stepgraph.ports.census import Census

# The indexes are named because without statistics SQLite would walk over all ended runs to find
# the few that are open.
_OPEN = (
    "select status, run_id, foreign_id from run indexed by run_open"
    " where workflow = ? and is_open = 1"
)
_ENDED = (
    "select status, run_id, foreign_id from run indexed by run_list"
    " where workflow = ? and is_open = 0 order by run_id desc"
)
_SAMPLED = """
select status, total, foreign_id, run_id from (
    select status, foreign_id, run_id, count(*) over (partition by status) as total,
        row_number() over (partition by status order by run_id) as place
    from ("""
_BOUNDED = """ limit ?)
) where place <= ? or place > total - ? order by status, place
"""
_COUNT_OPEN = _SAMPLED + _OPEN + _BOUNDED
_COUNT_ENDED = _SAMPLED + _ENDED + _BOUNDED


class SQLiteCensus(Census):
    """Reads no more rows than it is allowed to."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def count_by_status(
        self, workflow: str, *, is_open: bool, limit: int, sample: int
    ) -> Sequence[StatusCount]:
        """Return the statuses that runs are in."""
        query = _COUNT_OPEN if is_open else _COUNT_ENDED
        names = (workflow, limit, sample, sample)
        rows = await self._file.read(lambda c: c.execute(query, names).fetchall())
        return [
            StatusCount(status, total, tuple(RunRef(workflow, *row[2:]) for row in group))
            for (status, total), group in groupby(rows, key=lambda row: (row[0], row[1]))
        ]
