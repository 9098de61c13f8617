"""MemoryRecordStore: runs in dictionaries; the reference model for every other store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepgraph.adapters.memory.storage import MemoryStorage, TakenName
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record, RunRef
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.slot import SLOT_COUNT
from stepgraph.model.write import (
    COMMITTED,
    Conflict,
    Exists,
    InProgress,
    Result,
    Write,
)
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.record_store import RecordStore


class MemoryRecordStore(RecordStore):
    """Values are immutable, so nothing that a caller keeps can change what is stored."""

    capabilities = Capabilities()
    slot_count = SLOT_COUNT

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`, which twins may share."""
        self._storage = storage

    async def commit(
        self, writes: Sequence[Write], finished: Sequence[QueueKey] = ()
    ) -> Sequence[Result]:
        """Apply each write whole or not at all; nothing suspends in between."""
        results = [self._apply(write) for write in writes]
        for key in finished:
            self._storage.finish(key)
        return results

    def _apply(self, write: Write) -> Result:
        storage = self._storage
        record = write.record
        run_id = record.run_id
        stored = storage.records.get(run_id)
        if write.expected_version == 0:
            refusal = self._create_refusal(write, stored)
        else:
            refusal = self._change_refusal(write, stored)
        if refusal is None and write.unique:
            refusal = self._take_names(write, stored)
        if refusal is not None:
            return refusal
        if write.expected_version == 0:
            owner = (record.workflow, record.foreign_id)
            storage.runs_of.setdefault(owner, []).append(run_id)
            storage.history[run_id] = []
            if record.is_open:
                storage.open_runs[owner] = run_id
        elif record.run_state > 3:
            self._free_foreign_id(record)
        storage.records[run_id] = record
        if write.history is not None:
            storage.history[run_id].append(write.history)
        for key in write.finished:
            storage.finish(key)
        for row in write.enqueue:
            storage.queue(row.consumer, row.slot).put(row)
        if write.takes_children:
            storage.take_children(record)
        if write.children:
            storage.add_children(write.children)
        return COMMITTED

    def _free_foreign_id(self, record: Record) -> None:
        """Let another run of the foreign id begin, if this one kept it."""
        owner = (record.workflow, record.foreign_id)
        if self._storage.open_runs.get(owner) == record.run_id:
            del self._storage.open_runs[owner]

    def _take_names(self, write: Write, stored: Record | None) -> Result | None:
        """Take the write's unique names, or say that one of them is taken."""
        unique = self._storage.unique
        if any((row.scope, row.key) in unique for row in write.unique):
            return Conflict(stored)
        workflow, at = write.record.workflow, write.record.updated_at
        for row in write.unique:
            unique[(row.scope, row.key)] = TakenName(row.body, workflow, at)
        return None

    def _create_refusal(self, write: Write, stored: Record | None) -> Result | None:
        record = write.record
        if stored is not None:
            return COMMITTED if self._has_won(write) else Exists(record.run_id)
        if record.run_id in self._storage.tombstones:
            return Exists(record.run_id)
        open_run = self._storage.open_runs.get((record.workflow, record.foreign_id))
        return InProgress(open_run) if open_run is not None and record.is_open else None

    def _change_refusal(self, write: Write, stored: Record | None) -> Result | None:
        if (
            stored is not None
            and stored.version == write.expected_version
            and (write.expected_attempt is None or write.expected_attempt == stored.attempt)
        ):
            return None
        return COMMITTED if self._has_won(write) else Conflict(stored)

    def _has_won(self, write: Write) -> bool:
        """Return whether history shows that this very write won before."""
        if write.history is None:
            return False
        key = (write.history.version, write.history.attempt)
        rows = self._storage.history.get(write.record.run_id, ())
        return any((r.version, r.attempt) == key and r.write_id == write.write_id for r in rows)

    async def lookup_many(self, refs: Sequence[RunRef]) -> Sequence[Record | None]:
        """Return the records now stored, in order."""
        records = self._storage.records
        return [records.get(ref.run_id) for ref in refs]

    async def find(self, run_id: str) -> RunRef | None:
        """Return where a run is."""
        record = self._storage.records.get(run_id)
        return record.ref if record is not None else None

    async def latest(self, workflow: str, foreign_id: str) -> Record | None:
        """Return the open run of a foreign id, else the one with the highest id."""
        storage = self._storage
        open_run = storage.open_runs.get((workflow, foreign_id))
        if open_run is not None:
            return storage.records[open_run]
        records = [storage.records[i] for i in storage.runs_of.get((workflow, foreign_id), ())]
        return max(records, key=lambda found: (found.created_at, found.run_id), default=None)

    async def list_records(self, record_filter: RecordFilter, page: Page) -> Sequence[Record]:
        """Return one page in the order of run ids."""
        found = sorted(self._matching(record_filter), key=lambda record: record.run_id)
        if page.is_descending:
            found.reverse()
        if page.after is not None:
            last = page.after
            found = [
                r for r in found if (r.run_id < last) is page.is_descending and r.run_id != last
            ]
        return found[: page.limit]

    async def count(self, record_filter: RecordFilter, limit: int) -> int:
        """Return how many records fit, at most `limit`."""
        return min(limit, sum(1 for _ in self._matching(record_filter)))

    async def find_unique(self, scope: str, key: str) -> bytes | None:
        """Return the body of a unique row."""
        name = self._storage.unique.get((scope, key))
        return name.body if name is not None else None

    def _matching(self, wanted: RecordFilter) -> Iterable[Record]:
        for record in self._storage.records.values():
            if (
                wanted.workflow in (None, record.workflow)
                and wanted.foreign_id in (None, record.foreign_id)
                and (not wanted.statuses or record.status in wanted.statuses)
                and (not wanted.run_states or record.run_state in wanted.run_states)
                and (wanted.created_after is None or record.created_at > wanted.created_after)
                and (wanted.created_before is None or record.created_at < wanted.created_before)
            ):
                yield record
