"""MemoryRetentionStore: forgets what is old; it looks through all runs, and takes the oldest."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest

from msgspec.structs import replace

from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.model.history import HistoryRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Record
from stepgraph.model.run_state import RunState
from stepgraph.model.tombstone import Tombstone
from stepgraph.model.topic import relay_consumer
from stepgraph.ports.retention_store import Position, Pruned, PruneQuery, RetentionStore

_KEPT_STATES = (RunState.REQUESTED_DATA_DELETED,)


class MemoryRetentionStore(RetentionStore):
    """Deletes from the dictionaries; nothing suspends in between."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`."""
        self._storage = storage

    async def prune_runs(self, query: PruneQuery, key_retention: int) -> Pruned:
        """Delete the runs of one page that nothing needs any more."""
        storage = self._storage
        old = (
            (record.updated_at, record.run_id)
            for record in storage.records.values()
            if record.workflow == query.workflow
            and not record.is_open
            and record.updated_at < query.before
            and (record.updated_at, record.run_id) > query.after
        )
        page = nsmallest(query.limit, old)
        busy = self._busy_runs() if page else set[str]()
        gone = [record for _, i in page if self._is_free(record := storage.records[i], busy)]
        for record in gone:
            self._forget(record)
            if record.is_keyed:
                until = record.updated_at + key_retention
                tombstone = Tombstone(record.run_id, record.workflow, record.run_state, until)
                storage.tombstones[record.run_id] = tombstone
        return Pruned(len(gone), Position(*page[-1]) if len(page) == query.limit else None)

    def _busy_runs(self) -> set[str]:
        """Return the runs that a queue row or a dead letter is about."""
        storage = self._storage
        busy = {letter.row.run_id for letter in storage.parked.values()}
        for queue in storage.queues.values():
            busy.update(row.run_id for row in queue.rows.values() if not _is_step_work(row))
        return busy

    def _is_free(self, record: Record, busy: set[str]) -> bool:
        if record.run_id in busy or record.run_state in _KEPT_STATES:
            return False
        parent = record.meta.parent
        found = self._storage.records.get(parent.run_id) if parent is not None else None
        return found is None or not found.is_open

    def _forget(self, record: Record) -> None:
        storage = self._storage
        del storage.records[record.run_id]
        storage.history.pop(record.run_id, None)
        storage.waiting_children.pop(record.run_id, None)
        storage.waiting_open.pop(record.run_id, None)
        for child in storage.children_of.pop(record.run_id, ()):
            del storage.children[child]
        owner = (record.workflow, record.foreign_id)
        runs = storage.runs_of[owner]
        runs.remove(record.run_id)
        if not runs:
            del storage.runs_of[owner]

    async def prune_history(self, query: PruneQuery) -> Pruned:
        """Delete old rows of one page of runs."""
        storage = self._storage
        later = (
            record.run_id
            for record in storage.records.values()
            if record.workflow == query.workflow and record.run_id > query.after.id
        )
        page = nsmallest(query.limit, later)
        count = sum(self._prune_rows(run_id, query.before) for run_id in page)
        return Pruned(count, Position(0, page[-1]) if len(page) == query.limit else None)

    def _prune_rows(self, run_id: str, before: int) -> int:
        rows = self._storage.history.get(run_id, [])
        versions = sorted((r for r in rows if r.attempt == 0), key=lambda row: row.version)
        if not versions:
            return 0
        first = next((row for row in versions if row.at >= before), versions[-1])
        kept = [
            row
            for row in rows
            if row.at >= before or (row.attempt == 0 and row.version >= first.version)
        ]
        kept = [_with_object(versions, row) if row is first else row for row in kept]
        count = len(rows) - len(kept)
        rows[:] = kept
        return count

    async def prune_keys(self, query: PruneQuery, now: int) -> int:
        """Delete old names and tombstones."""
        storage = self._storage
        names = [
            key
            for key, name in storage.unique.items()
            if name.workflow == query.workflow and name.at < query.before
        ][: query.limit]
        for key in names:
            del storage.unique[key]
        tombstones = [
            t.run_id
            for t in storage.tombstones.values()
            if t.workflow == query.workflow and t.until <= now
        ][: query.limit - len(names)]
        for run_id in tombstones:
            del storage.tombstones[run_id]
        return len(names) + len(tombstones)

    async def tombstones(self, run_ids: Sequence[str]) -> Sequence[Tombstone | None]:
        """Return what stays of pruned runs."""
        return [self._storage.tombstones.get(run_id) for run_id in run_ids]


def _is_step_work(row: QueueRow) -> bool:
    """Return whether a row announces a step, which an ended run has no use for."""
    return row.id == row.run_id or row.consumer == relay_consumer(row.workflow)


def _with_object(versions: Sequence[HistoryRow], first: HistoryRow) -> HistoryRow:
    """Return the first version that stays, with the object that it had."""
    if first.object is not None:
        return first
    objects = [row.object for row in versions if row.version < first.version and row.object]
    return replace(first, object=objects[-1] if objects else None)
