"""SQLiteDefinitionStore: what workflows look like, in one small table."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.ports.definition_store import DefinitionStore, StoredBody

_KEEP = """
insert into definition (workflow, fingerprint, body, started_by, started_at, first_started_at)
select ?1, ?2, ?3, ?4, at, at from (
    select max(?5, coalesce(max(started_at) + 1, 0)) as at from definition where workflow = ?1
) where true
on conflict (workflow, fingerprint) do update set
    body = excluded.body, started_by = excluded.started_by, started_at = excluded.started_at
"""
_LIST = """
select fingerprint, body, started_by, started_at, first_started_at from definition
where workflow = ? order by started_at desc limit ?
"""
_WORKFLOWS = "select distinct workflow from definition order by workflow"


class SQLiteDefinitionStore(DefinitionStore):
    """Definitions beside the runs; a workflow has as many as it had different releases."""

    def __init__(self, file: SQLiteFile) -> None:
        """Work on `file`."""
        self._file = file

    async def keep(self, workflow: str, stored: StoredBody, now: int) -> None:
        """Make this the newest."""
        row = (workflow, stored.fingerprint, stored.body, stored.started_by, now)
        await self._file.write(lambda connection: connection.execute(_KEEP, row))

    async def newest(self, workflow: str) -> StoredBody | None:
        """Return the definition that was kept last."""
        return next(iter(await self.list_definitions(workflow, 1)), None)

    async def list_definitions(self, workflow: str, limit: int) -> Sequence[StoredBody]:
        """Return definitions, the newest first."""
        rows = await self._file.read(lambda c: c.execute(_LIST, (workflow, limit)).fetchall())
        return [StoredBody(*row) for row in rows]

    async def list_workflows(self) -> Sequence[str]:
        """Return the names of all workflows."""
        rows = await self._file.read(lambda c: c.execute(_WORKFLOWS).fetchall())
        return [row[0] for row in rows]
