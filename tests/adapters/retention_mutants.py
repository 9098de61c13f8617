"""Memory adapters that are broken in the way that a retention check is about."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepgraph.adapters.memory.event_streamer import MemoryEventStreamer
from stepgraph.adapters.memory.history_store import MemoryHistoryStore
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.adapters.memory.retention_store import MemoryRetentionStore
from stepgraph.model.write import COMMITTED
from tests.adapters.mutants import after, before, broken


def retention(**methods: Any) -> Any:
    """Return a Memory with a broken retention store."""
    return broken(MemoryRetentionStore, **methods)


def forgets_only_the_record(self, record):
    history = self._storage.history.get(record.run_id, [])
    MemoryRetentionStore._forget(self, record)
    self._storage.history[record.run_id] = history


def forgets_all_but_the_children(self, record):
    children = self._storage.children_of.pop(record.run_id, [])
    MemoryRetentionStore._forget(self, record)
    self._storage.children_of[record.run_id] = children


async def prunes_open_runs(self, query, key_retention):
    records = self._storage.records
    records.update({i: replace(record, run_state=4) for i, record in records.items()})
    return await MemoryRetentionStore.prune_runs(self, query, key_retention)


def counts_every_row(self):
    return {row.run_id for queue in self._storage.queues.values() for row in queue.rows.values()}


async def leaves_no_tombstone(self, query, key_retention):
    pruned = await MemoryRetentionStore.prune_runs(self, query, key_retention)
    self._storage.tombstones.clear()
    return pruned


def ignores_tombstones() -> Any:
    """A create looks for the record alone."""
    refusal = MemoryRecordStore._create_refusal

    def changed(self, write, stored):
        self._storage.tombstones.clear()
        return refusal(self, write, stored)

    return broken(MemoryRecordStore, _create_refusal=changed)


def writes_late_history() -> Any:
    """The history of a refused write is stored."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        result = apply(self, write)
        if result != COMMITTED:
            self._storage.history.setdefault(write.record.run_id, []).append(write.history)
        return result

    return broken(MemoryRecordStore, _apply=changed)


def keeps(is_kept: Any) -> Any:
    """Return a Memory that keeps other rows of history."""

    def changed(self, run_id, instant):
        rows = self._storage.history[run_id]
        kept = [row for row in rows if is_kept(row, rows, instant)]
        count = len(rows) - len(kept)
        rows[:] = kept
        return count

    return retention(_prune_rows=changed)


def is_young_or_newest(row, rows, instant):
    return row.at >= instant or row is rows[-1]


async def scrubs_for_open_runs(self, run):
    self._storage.open_runs.clear()
    await MemoryHistoryStore.scrub(self, run)


def one_page(method: str) -> Any:
    """A batch says that nothing is further."""
    return after(MemoryRetentionStore, method, lambda pruned: pruned._replace(after=None))


RETENTION_MUTANTS: dict[str, Any] = {
    "an_old_ended_run_goes_with_its_history": lambda: retention(_forget=forgets_only_the_record),
    "an_open_run_is_never_pruned": lambda: retention(prune_runs=prunes_open_runs),
    "a_run_with_work_left_is_kept_until_it_is_done": lambda: retention(_busy_runs=lambda self: set()),
    "step_work_of_an_ended_run_keeps_nothing": lambda: retention(_busy_runs=counts_every_row),
    "a_child_waits_for_its_parent": lambda: retention(_is_free=lambda self, record, busy: True),
    "a_pruned_run_takes_the_rows_of_its_children_along": lambda: retention(
        _forget=forgets_all_but_the_children
    ),
    "pages_pass_over_what_is_kept": lambda: one_page("prune_runs"),
    "a_keyed_run_leaves_a_tombstone": lambda: retention(prune_runs=leaves_no_tombstone),
    "a_tombstone_answers_a_create": ignores_tombstones,
    "a_late_write_does_not_bring_a_run_back": writes_late_history,
    "old_versions_go_and_the_newest_stays": lambda: keeps(lambda row, rows, instant: row.at >= instant),
    "the_first_version_that_stays_has_its_object": lambda: keeps(is_young_or_newest),
    "old_attempts_go_and_young_ones_stay": lambda: keeps(lambda row, rows, instant: row.attempt == 0),
    "history_is_pruned_in_pages": lambda: one_page("prune_history"),
    "old_names_are_free_again": lambda: before(
        MemoryRetentionStore, "prune_keys", lambda query, now: (query._replace(before=now + 999), now)
    ),
    "a_tombstone_goes_after_its_time": lambda: before(
        MemoryRetentionStore, "prune_keys", lambda query, now: (query, now + 1)
    ),
    "scrubbing_deletes_what_came_for_the_run": lambda: before(
        MemoryHistoryStore, "scrub", lambda run: (run._replace(foreign_id="nobody"),)
    ),
    "scrubbing_leaves_what_came_for_an_open_run": lambda: broken(
        MemoryHistoryStore, scrub=scrubs_for_open_runs
    ),
    "old_events_are_forgotten_though_nobody_read_them": lambda: before(
        MemoryEventStreamer, "prune", lambda query: (query._replace(before=query.before + 1),)
    ),
}
