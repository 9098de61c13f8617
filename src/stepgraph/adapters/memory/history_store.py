"""MemoryHistoryStore and MemoryLostRuns: what happened to runs, and which of them got lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.model.history import Failure, HistoryRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record, RunRef
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostQuery, LostRuns

_ADOPT_LIMIT = 1000


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

    async def scrub(self, run: RunRef) -> None:
        """Blank objects and texts, and delete what came for the run."""
        storage = self._storage
        rows = storage.history.get(run.run_id, [])
        rows[:] = [replace(row, object=None, reason="", failure=_blank(row)) for row in rows]
        for key, letter in list(storage.parked.items()):
            if letter.row.run_id == run.run_id:
                storage.parked[key] = letter._replace(error="")
        if storage.open_runs.get((run.workflow, run.foreign_id), run.run_id) != run.run_id:
            return
        owner = ("", run.workflow, run.foreign_id)
        for key in [key for key, letter in storage.parked.items() if _owner(letter.row) == owner]:
            del storage.parked[key]
        came = [r for q in storage.queues.values() for r in q.rows.values() if _owner(r) == owner]
        for row in came:
            storage.finish(row.key)


def _owner(row: QueueRow) -> tuple[str, str, str]:
    return (row.run_id, row.workflow, row.foreign_id)


def _blank(row: HistoryRow) -> Failure | None:
    return row.failure and Failure(row.failure.error_type, "", "", row.failure.next_at)


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

    async def adopt(self, workflow: str, rows: Mapping[int, str], now: int) -> int:
        """Queue runs whose status has a step only now."""
        waiting = [
            record
            for record in self._storage.records.values()
            if record.workflow == workflow
            and record.next == "no_step"
            and record.run_state in (1, 2)
            and record.status in rows
        ][:_ADOPT_LIMIT]
        for record in waiting:
            self._storage.records[record.run_id] = replace(record, next="step", due_at=now)
            slot = slot_of(record.run_id, SLOT_COUNT)
            self._storage.queue(rows[record.status], slot).put(
                QueueRow(
                    rows[record.status],
                    slot,
                    now,
                    record.run_id,
                    record.workflow,
                    record.foreign_id,
                    record.run_id,
                    record.version,
                    record.attempt,
                )
            )
        return len(waiting)
