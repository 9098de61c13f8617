"""MemoryHistoryStore and MemoryLostRuns: what happened to runs, and which of them got lost."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.model.history import HistoryRow
from stepgraph.model.record import Record
from stepgraph.model.slot import slot_of
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostQuery, LostRuns


class MemoryHistoryStore(HistoryStore):
    """Reads the history lists."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def history(self, run_id: str) -> Sequence[HistoryRow]:
        """Return the versions of a run."""
        rows = [row for row in self._storage.history.get(run_id, ()) if row.attempt == 0]
        return sorted(rows, key=lambda row: row.version)

    async def attempts(self, run_id: str) -> Sequence[HistoryRow]:
        """Return the failures of a run."""
        rows = [row for row in self._storage.history.get(run_id, ()) if row.failure is not None]
        return sorted(rows, key=lambda row: (row.at, row.version, row.attempt))


class MemoryLostRuns(LostRuns):
    """Looks through all records; the other stores have an index for it."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def list_lost(self, query: LostQuery, limit: int) -> Sequence[Record]:
        """Return the lost runs, the one that waits longest first."""
        found = [
            record
            for record in self._storage.records.values()
            if record.workflow == query.workflow
            and record.status == query.status
            and record.is_announced
            and record.run_state in (1, 2)
            and record.next in ("step", "delay", "retry")
            and record.due_at < query.due_before
            and slot_of(record.run_id, query.slot_count) in query.slots
        ]
        return sorted(found, key=lambda record: (record.due_at, record.run_id))[:limit]
