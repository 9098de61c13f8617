"""PostgresDefinitionStore: what workflows look like, in one small table."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.ports.definition_store import DefinitionStore, StoredBody

_KEEP = """
insert into definition (workflow, fingerprint, body, started_by, started_at, first_started_at)
select $1, $2, $3, $4, newest.at, newest.at from (
    select greatest($5::bigint, coalesce(max(started_at) + 1, 0)) as at
    from definition where workflow = $1
) as newest
on conflict (workflow, fingerprint) do update set
    body = excluded.body, started_by = excluded.started_by, started_at = excluded.started_at
"""
_LIST = """
select fingerprint, body, started_by, started_at, first_started_at from definition
where workflow = $1 order by started_at desc limit $2
"""
_WORKFLOWS = "select distinct workflow from definition order by workflow"


class PostgresDefinitionStore(DefinitionStore):
    """Definitions beside the runs; a workflow has as many as it had different releases."""

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server

    async def keep(self, workflow: str, stored: StoredBody, now: int) -> None:
        """Make this the newest."""
        values = (stored.fingerprint, stored.body, stored.started_by, now)
        await self._server.moves.fetch(_KEEP, workflow, *values)

    async def newest(self, workflow: str) -> StoredBody | None:
        """Return the definition that was kept last."""
        return next(iter(await self.list_definitions(workflow, 1)), None)

    async def list_definitions(self, workflow: str, limit: int) -> Sequence[StoredBody]:
        """Return definitions, the newest first."""
        rows = await self._server.lists.fetch(_LIST, workflow, limit)
        return [StoredBody(*row) for row in rows]

    async def list_workflows(self) -> Sequence[str]:
        """Return the names of all workflows."""
        return [row[0] for row in await self._server.lists.fetch(_WORKFLOWS)]
