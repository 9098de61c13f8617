"""MemoryDefinitionStore: what workflows look like, in a dictionary."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.ports.definition_store import DefinitionStore, StoredBody


class MemoryDefinitionStore(DefinitionStore):
    """Definitions by workflow and fingerprint."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def keep(self, workflow: str, stored: StoredBody, now: int) -> None:
        """Make this the newest."""
        newest = await self.newest(workflow)
        at = now if newest is None else max(now, newest.started_at + 1)
        found = self._storage.definitions.setdefault(workflow, {})
        before = found.get(stored.fingerprint)
        first = at if before is None else before.first_started_at
        found[stored.fingerprint] = stored._replace(started_at=at, first_started_at=first)

    async def newest(self, workflow: str) -> StoredBody | None:
        """Return the definition that was kept last."""
        return next(iter(await self.list_definitions(workflow, 1)), None)

    async def list_definitions(self, workflow: str, limit: int) -> Sequence[StoredBody]:
        """Return definitions, the newest first."""
        found = self._storage.definitions.get(workflow, {}).values()
        return sorted(found, key=lambda stored: stored.started_at, reverse=True)[:limit]

    async def list_workflows(self) -> Sequence[str]:
        """Return the names of all workflows."""
        return sorted(self._storage.definitions)
