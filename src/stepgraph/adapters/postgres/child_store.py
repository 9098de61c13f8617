"""PostgresChildStore: one table; what waits is found by an index, however much it is."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import columns_of
from stepgraph.adapters.postgres.statement import CHILD_COLUMNS, unnest
from stepgraph.model.child_row import ChildEnd, ChildPlace, ChildProgress, ChildRow
from stepgraph.ports.child_store import ChildStore

_END = (
    "update child set status = given.status, run_state = given.run_state,"
    " in_use_by = given.in_use_by, is_open = false from "
    + unnest("tiit")
    + " as given (run_id, status, run_state, in_use_by)"
    " where child.run_id = given.run_id and child.is_open"
)
_PROGRESS = (
    "select asked.run_id,"
    " exists (select from child where parent_run_id = asked.run_id and taken_version = 0"
    " and is_open),"
    " exists (select from child where parent_run_id = asked.run_id and taken_version = 0"
    " and not is_open) from unnest($1::text[]) as asked (run_id)"
)
_FIND = "select " + CHILD_COLUMNS + " from child where run_id = any($1::text[])"
_LIST = (
    "select " + CHILD_COLUMNS + " from child where parent_run_id = $1"
    " and (progress_version, number, run_id) > ($2, $3, $4) and (taken_version = 0 or $5)"
    " order by progress_version, number, run_id limit $6"
)  # fmt: skip
_SCRUB = (
    "with scrubbed as (update queue set body = ''"
    " where consumer = $1 and slot = $2 and run_id = $3)"
    " update dead_letter set body = '' where consumer = $1 and run_id = $3"
)
_BEGINNING = ChildPlace(-1, 0, "")


class PostgresChildStore(ChildStore):
    """Ends are committed before the call returns, and asked for in a statement of its own."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def end(self, ends: Sequence[ChildEnd]) -> None:
        """Remember ends; the first stays."""
        first: dict[str, ChildEnd] = {}
        for end in ends:
            first.setdefault(end.run_id, end)
        await self._server.moves.fetch(_END, *columns_of(sorted(first.values()), 4))

    async def progress(self, parent_run_ids: Sequence[str]) -> Sequence[ChildProgress]:
        """Say who still waits for children."""
        rows = await self._server.reads.fetch(_PROGRESS, list(parent_run_ids))
        found = {row[0]: ChildProgress(row[1], row[2]) for row in rows}
        return [found[run_id] for run_id in parent_run_ids]

    async def find_children(self, run_ids: Sequence[str]) -> Sequence[ChildRow | None]:
        """Return children by their own ids."""
        rows = await self._server.reads.fetch(_FIND, list(run_ids))
        found = {row[0]: ChildRow(*row) for row in rows}
        return [found.get(run_id) for run_id in run_ids]

    async def list_children(
        self, parent_run_id: str, after: ChildPlace | None, limit: int, *, only_waiting: bool
    ) -> Sequence[ChildRow]:
        """Return a page of a run's children."""
        place = after if after is not None else _BEGINNING
        values = (parent_run_id, *place, not only_waiting, limit)
        return [ChildRow(*row) for row in await self._server.lists.fetch(_LIST, *values)]

    async def scrub_staged(self, consumer: str, slot: int, run_id: str) -> None:
        """Empty the bodies of a run's rows."""
        await self._server.moves.fetch(_SCRUB, consumer, slot, run_id)
