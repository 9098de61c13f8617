"""PostgresRetentionStore: deletes what is old in short statements, each found by an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import columns_of
from stepgraph.adapters.postgres.statement import unnest
from stepgraph.model.tombstone import Tombstone
from stepgraph.ports.retention_store import Position, Pruned, PruneQuery, RetentionStore

# The terms of the partial index "queue_about", without which it is not used.
IS_NO_STEP_WORK = "queue.id <> queue.run_id and queue.consumer <> queue.workflow || '/relay'"
# A run that moved since the page was read (its data is to be deleted) is left for the next time.
PRUNE_RUNS = (
    "with page as materialized (select run_id, version, ended_at, run_state, is_keyed,"
    " run_state <> 7 and not exists (select from queue where queue.run_id = run.run_id and "
    + IS_NO_STEP_WORK
    + ") and not exists (select from dead_letter where dead_letter.run_id = run.run_id)"
    " and not exists (select from run as parent where parent.is_open"
    " and parent.run_id = (nullif(run.parent, '')::json ->> 2)) as is_free"
    " from run where workflow = $1 and ended_at is not null and ended_at < $2"
    " and (ended_at, run_id) > ($3, $4) order by ended_at, run_id limit $5),"
    " gone as (delete from run using page where run.run_id = page.run_id and page.is_free"
    " and run.version = page.version"
    " returning run.run_id, run.run_state, run.is_keyed, run.ended_at),"
    " forgotten as (delete from history using gone where history.run_id = gone.run_id),"
    " childless as (delete from child using gone where child.parent_run_id = gone.run_id),"
    " buried as (insert into tombstone (run_id, workflow, run_state, until)"
    " select run_id, $1, run_state, ended_at + $6 from gone where is_keyed"
    " on conflict (run_id) do update set run_state = excluded.run_state, until = excluded.until)"
    " select run_id, ended_at, (run_id in (select run_id from gone)) is true from page"
    " order by ended_at, run_id"
)
_PAGE = "select run_id from run where workflow = $1 and run_id > $2 order by run_id limit $3"
_OLD_ROWS = (
    "select old.run_id, old.version, old.attempt, kept.first"
    " from unnest($1::text[]) as page (run_id)"
    " cross join lateral (select coalesce("
    "(select min(version) from history where run_id = page.run_id and attempt = 0 and at >= $2),"
    "(select max(version) from history where run_id = page.run_id and attempt = 0), 0) as first)"
    " as kept cross join lateral (select run_id, version, attempt from history"
    " where history.run_id = page.run_id and at < $2 and (version < kept.first or attempt > 0)"
    " order by version, attempt limit $3) as old order by old.run_id, old.version, old.attempt"
    " limit $3"
)
_PRUNE_ROWS = (
    "with carried as (update history set object = (select before.object from history as before"
    " where before.run_id = history.run_id and before.version < history.version"
    " and before.object is not null order by before.version desc limit 1)"
    " from " + unnest("ti") + " as kept (run_id, version) where history.run_id = kept.run_id"
    " and history.version = kept.version and history.attempt = 0 and history.object is null)"
    " delete from history using unnest($3::text[], $4::bigint[], $5::bigint[])"
    " as old (run_id, version, attempt) where history.run_id = old.run_id"
    " and history.version = old.version and history.attempt = old.attempt"
)  # fmt: skip
_PRUNE_NAMES = (
    "with old as materialized (select scope, key from unique_name where workflow = $1 and at < $2"
    " order by at limit $3), gone as (delete from unique_name using old"
    " where unique_name.scope = old.scope and unique_name.key = old.key returning 1)"
    " select count(*) from gone"
)
_PRUNE_TOMBSTONES = (
    "with old as materialized (select run_id from tombstone where workflow = $1 and until <= $2"
    " order by until limit $3), gone as (delete from tombstone using old"
    " where tombstone.run_id = old.run_id returning 1) select count(*) from gone"
)
_TOMBSTONES = (
    "select run_id, workflow, run_state, until from tombstone where run_id = any($1::text[])"
)


class PostgresRetentionStore(RetentionStore):
    """Nothing here locks what is not deleted."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def prune_runs(self, query: PruneQuery, key_retention: int) -> Pruned:
        """Delete the runs of one page that nothing needs any more."""
        page = await self._server.moves.fetch(
            PRUNE_RUNS, query.workflow, query.before, *query.after, query.limit, key_retention
        )
        deleted = sum(1 for row in page if row[2])
        is_full = len(page) == query.limit
        return Pruned(deleted, Position(page[-1][1], page[-1][0]) if is_full else None)

    async def prune_history(self, query: PruneQuery) -> Pruned:
        """Delete old rows of one page of runs; a run with more of them is looked at again."""
        lists = self._server.lists
        found = await lists.fetch(_PAGE, query.workflow, query.after.id, query.limit)
        page = [row[0] for row in found]
        rows: list[Any] = await lists.fetch(_OLD_ROWS, page, query.before, query.limit)
        after = Position(0, page[-1]) if len(page) == query.limit else None
        if rows:
            first_kept = sorted({(row[0], row[3]) for row in rows})
            values = (*columns_of(first_kept, 2), *columns_of([row[:3] for row in rows], 3))
            await self._server.moves.fetch(_PRUNE_ROWS, *values)
            if len(rows) == query.limit:
                place = page.index(rows[-1][0])
                after = Position(0, page[place - 1]) if place else query.after
        return Pruned(len(rows), after)

    async def prune_keys(self, query: PruneQuery, now: int) -> int:
        """Delete old names and tombstones."""
        moves = self._server.moves
        names = await moves.fetch(_PRUNE_NAMES, query.workflow, query.before, query.limit)
        count = int(names[0][0])
        if count < query.limit:
            rest = (query.workflow, now, query.limit - count)
            count += int((await moves.fetch(_PRUNE_TOMBSTONES, *rest))[0][0])
        return count

    async def tombstones(self, run_ids: Sequence[str]) -> Sequence[Tombstone | None]:
        """Return what stays of pruned runs."""
        rows = await self._server.reads.fetch(_TOMBSTONES, list(run_ids))
        found = {row[0]: Tombstone(*row) for row in rows}
        return [found.get(run_id) for run_id in run_ids]
