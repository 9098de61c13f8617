"""Mistakes of stores and of the writer before them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reliability.bank.planted import Planting, bug
from stepgraph.adapters.memory.history_store import MemoryHistoryStore
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.engine.commit import Committer, Lane
from stepgraph.errors import UnavailableError
from stepgraph.ports.clock import pause_seconds
from stepgraph.model.write import BUSY, COMMITTED, Conflict, Refused


@bug("A1: the version is not compared in the write", "I1", "I9", "I6")
def blind_write(planting: Planting) -> None:
    def never(self: Any, write: Any, stored: Any) -> Any:
        return None if stored is not None else Conflict(None)

    planting.put(MemoryRecordStore, "_change_refusal", never)


@bug("decisions 5: a zombie's failure is counted twice", "I23")
def attempt_is_not_compared(planting: Planting) -> None:
    refusal = MemoryRecordStore._change_refusal

    def only_version(self: Any, write: Any, stored: Any) -> Any:
        if stored is not None and stored.version == write.expected_version:
            return COMMITTED if self._has_won(write) else None
        return refusal(self, write, stored)

    planting.put(MemoryRecordStore, "_change_refusal", only_version)


@bug("A3: checked, then inserted, without a unique index", "I12")
def two_open_runs(planting: Planting) -> None:
    def refusal(self: Any, write: Any, stored: Any) -> Any:
        if stored is None:
            return None
        return COMMITTED if self._has_won(write) else commit_exists(write)

    planting.put(MemoryRecordStore, "_create_refusal", refusal)


def commit_exists(write: Any) -> Any:
    """Return what a create of a known id is answered."""
    from stepgraph.model.write import Exists

    return Exists(write.record.run_id)


@bug("D3: a repeated write is not known again", "I8", "I32", "I38")
def repeated_write_is_a_conflict(planting: Planting) -> None:
    planting.put(MemoryRecordStore, "_has_won", lambda self, write: False)


@bug("decisions 5: read-back by record.write_id only", "I8", "I32", "I38")
def read_back_by_the_record(planting: Planting) -> None:
    def has_won(self: Any, write: Any) -> bool:
        stored = self._storage.records.get(write.record.run_id)
        return stored is not None and bool(stored.write_id == write.write_id)

    planting.put(MemoryRecordStore, "_has_won", has_won)


def _after_a_loss(planting: Planting, do: Any) -> None:
    apply = MemoryRecordStore._apply

    def applied(self: Any, write: Any) -> Any:
        result = apply(self, write)
        if isinstance(result, Conflict):
            do(self._storage, write)
        return result

    planting.put(MemoryRecordStore, "_apply", applied)


@bug("decisions 5: a finished row is deleted though the write lost", "I16", "I24", "I39")
def loser_deletes_its_rows(planting: Planting) -> None:
    def delete(storage: Any, write: Any) -> None:
        for queued in write.enqueue:
            storage.finish(queued.key)
        for queue in storage.queues.values():
            for row in list(queue.rows.values()):
                if row.run_id == write.record.run_id:
                    storage.finish(row.key)

    _after_a_loss(planting, delete)


@bug("decisions 5: a loser's history row is written", "I16")
def loser_writes_history(planting: Planting) -> None:
    def add(storage: Any, write: Any) -> None:
        if write.history is not None:
            storage.history.setdefault(write.record.run_id, []).append(write.history)

    _after_a_loss(planting, add)


@bug("a dedupe key is stored outside of the transaction", "I32")
def callback_keys_are_not_unique(planting: Planting) -> None:
    apply = MemoryRecordStore._apply

    def applied(self: Any, write: Any) -> Any:
        return apply(self, replace(write, unique=()))

    planting.put(MemoryRecordStore, "_apply", applied)


@bug("A26: foreign ids are compared in lower case", "I13", "I15", "I8", "I39")
def foreign_ids_are_folded(planting: Planting) -> None:
    refusal = MemoryRecordStore._create_refusal

    def folded(self: Any, write: Any, stored: Any) -> Any:
        from stepgraph.model.write import InProgress

        record = write.record
        for (workflow, foreign_id), run_id in self._storage.open_runs.items():
            same = foreign_id.lower().strip() == record.foreign_id.lower().strip()
            if workflow == record.workflow and same and run_id != record.run_id:
                return InProgress(run_id)
        return refusal(self, write, stored)

    planting.put(MemoryRecordStore, "_create_refusal", folded)


@bug("A4: the newest run is looked for by its time alone", "I32")
def latest_ignores_the_open_run(planting: Planting) -> None:
    async def latest(self: Any, workflow: str, foreign_id: str) -> Any:
        storage = self._storage
        records = [storage.records[i] for i in storage.runs_of.get((workflow, foreign_id), ())]
        return min(records, key=lambda found: found.created_at, default=None)

    planting.put(MemoryRecordStore, "latest", latest)


@bug("an ended run goes on blocking its foreign id", "I13")
def ended_runs_stay_open(planting: Planting) -> None:
    apply = MemoryRecordStore._apply

    def applied(self: Any, write: Any) -> Any:
        owner = (write.record.workflow, write.record.foreign_id)
        before = self._storage.open_runs.get(owner)
        result = apply(self, write)
        if before is not None and write.record.run_state == 5:
            self._storage.open_runs[owner] = before
        return result

    planting.put(MemoryRecordStore, "_apply", applied)


@bug("delete misses the history", "I35")
def scrub_does_nothing(planting: Planting) -> None:
    async def scrub(self: Any, run: Any) -> None:
        return None

    planting.put(MemoryHistoryStore, "scrub", scrub)


@bug("decisions 5: a late write is retried with a fresh write_id", "I8", "I32", "I38")
def fresh_write_id_at_each_try(planting: Planting) -> None:
    wait = Lane._wait_for_store

    async def again(self: Any, batch: Any, finished: Any, error: Any) -> None:
        for pending in batch:
            write = pending.write
            write_id = bytes(reversed(write.write_id))
            history = write.history and replace(write.history, write_id=write_id)
            record = replace(write.record, write_id=write_id)
            pending.write = replace(write, write_id=write_id, history=history, record=record)
        await wait(self, batch, finished, error)

    planting.put(Lane, "_wait_for_store", again)


@bug("an ambiguous error is reported as definite", "I8")
def doubt_is_forgotten(planting: Planting) -> None:
    wait = Lane._wait_for_store

    async def certain(self: Any, batch: Any, finished: Any, error: Any) -> None:
        await wait(self, batch, finished, UnavailableError(str(error)))

    planting.put(Lane, "_wait_for_store", certain)


@bug("decisions 5: two writes of a run in one call", "I6", "I12")
def a_call_carries_a_run_twice(planting: Planting) -> None:
    def take(self: Any) -> Any:
        batch = list(self._pending)
        self._pending.clear()
        return [entry for entry in batch if not entry.is_withdrawn]

    planting.put(Lane, "_take", take)


@bug("a locked row counts as a conflict", "I16", "I8", "I39")
def busy_is_a_conflict(planting: Planting) -> None:
    answer = Lane._answer

    def answered(self: Any, batch: Any, results: Any, sent_at: float) -> None:
        answer(self, batch, [Conflict(None) if r is BUSY else r for r in results], sent_at)

    planting.put(Lane, "_answer", answered)


@bug("decisions 1.5e: a refused write takes its batch with it", "I23")
def a_refusal_fails_the_batch(planting: Planting) -> None:
    async def halve(self: Any, batch: Any, finished: Any, error: Any) -> None:
        self._answer(batch, [Refused(error)] * len(batch), 0.0)

    planting.put(Lane, "_halve", halve)


@bug("a write that met an outage is dropped without an answer", "I42", "I39", "I41")
def writes_vanish_in_an_outage(planting: Planting) -> None:
    async def drop(self: Any, batch: Any, finished: Any, error: Any) -> None:
        await pause_seconds(0.02)

    planting.put(Lane, "_wait_for_store", drop)


@bug("found: a lost create that meets another run is reported as not done", "I8")
def an_unanswered_create_is_settled_by_another_run(planting: Planting) -> None:
    answer = Lane._answer

    def answered(self: Any, batch: Any, results: Any, sent_at: float) -> None:
        for pending in batch:
            pending.is_doubtful = False
        answer(self, batch, results, sent_at)

    planting.put(Lane, "_answer", answered)


@bug("a trigger returns before its run is stored", "I7")
def trigger_does_not_wait(planting: Planting) -> None:
    async def commit_later(self: Any, write: Any) -> Any:
        if write.expected_version:
            return await original(self, write)
        self.submit(write, lambda *_: None, None)
        return COMMITTED

    original = Committer.commit
    planting.put(Committer, "commit", commit_later)
