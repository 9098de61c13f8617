"""For each check of the conformance kit, memory adapters that are broken in just that way."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.adapters.memory.backlog import MemoryBacklog
from stepgraph.adapters.memory.census import MemoryCensus
from stepgraph.adapters.memory.child_store import MemoryChildStore
from stepgraph.adapters.memory.connector import MemoryConnectorReceiver
from stepgraph.adapters.memory.definition_store import MemoryDefinitionStore
from stepgraph.adapters.memory.event_streamer import (
    MemoryEventReceiver,
    MemoryEventSender,
    MemoryEventStreamer,
)
from stepgraph.adapters.memory.history_store import MemoryHistoryStore, MemoryLostRuns
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.adapters.memory.retention_store import MemoryRetentionStore
from stepgraph.adapters.memory.role_scheduler import MemoryLease
from stepgraph.adapters.memory.schedule_store import MemoryScheduleStore
from stepgraph.adapters.memory.storage import TakenName
from stepgraph.adapters.memory.timeout_store import MemoryTimeoutStore
from stepgraph.adapters.memory.work_queue import MemoryWorkQueue
from stepgraph.model.write import COMMITTED, Conflict, Exists, InProgress
from stepgraph.ports.backlog import Waiting

_PORTS = {
    MemoryRecordStore: "record_store",
    MemoryWorkQueue: "work_queue",
    MemoryBacklog: "backlog",
    MemoryHistoryStore: "history_store",
    MemoryChildStore: "child_store",
    MemoryLostRuns: "lost_runs",
    MemoryEventStreamer: "event_streamer",
    MemoryTimeoutStore: "timeout_store",
    MemoryDefinitionStore: "definition_store",
    MemoryCensus: "census",
    MemoryScheduleStore: "schedule_store",
    MemoryRetentionStore: "retention_store",
}


def broken(port: type[Any], **methods: Any) -> Any:
    """Return a Memory whose port has other methods."""
    memory = Memory()
    name = _PORTS[port]
    getattr(memory, name).__class__ = type(f"Broken{port.__name__}", (port,), methods)
    return memory


def after(port: type[Any], method: str, change: Any) -> Any:
    """Return a Memory that changes what a method answers."""
    original = getattr(port, method)

    async def changed(self, *args, **kwargs):
        return change(await original(self, *args, **kwargs))

    return broken(port, **{method: changed})


def before(port: type[Any], method: str, change: Any) -> Any:
    """Return a Memory that changes what a method is given."""
    original = getattr(port, method)

    async def changed(self, *args, **kwargs):
        return await original(self, *change(*args), **kwargs)

    return broken(port, **{method: changed})


def writes(change: Any) -> Any:
    """Return a Memory that changes every write before it applies it."""
    apply = MemoryRecordStore._apply
    return broken(MemoryRecordStore, _apply=lambda self, write: apply(self, change(write)))


def answers(kind: type[Any], answer: Any) -> Any:
    """Return a Memory that answers otherwise instead of one kind of result."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        result = apply(self, write)
        return answer if isinstance(result, kind) else result

    return broken(MemoryRecordStore, _apply=changed)


def stale(decide: Any) -> Any:
    """Return a Memory that finds staleness in another way."""
    return broken(MemoryRecordStore, _change_refusal=decide)


def loser_queues() -> Any:
    """A refused write leaves its queue rows."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        for row in write.enqueue:
            self._storage.queue(row.consumer, row.slot).put(row)
        return apply(self, write)

    return broken(MemoryRecordStore, _apply=changed)


def deletes_last() -> Any:
    """The finished row is deleted after the new one is inserted."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        result = apply(self, write)
        for key in write.finished:
            self._storage.finish(key)
        return result

    return broken(MemoryRecordStore, _apply=changed)


def folded(write: Any) -> Any:
    """Foreign ids lose their case."""
    return replace(write, record=replace(write.record, foreign_id=write.record.foreign_id.lower()))


def all_or_nothing() -> Any:
    """One loser makes losers of all."""
    commit = MemoryRecordStore.commit

    async def changed(self, given, finished=()):
        results = await commit(self, given, finished)
        is_lost = any(isinstance(result, Conflict) for result in results)
        return [Conflict(None)] * len(results) if is_lost else results

    return broken(MemoryRecordStore, commit=changed)


def roles(**methods: Any) -> Any:
    """Return a Memory with a broken lease."""
    memory = Memory()
    lease = type("BrokenLease", (MemoryLease,), methods)

    async def join(instance_id):
        return lease(memory._members, instance_id)

    memory.role_scheduler.join = join  # type: ignore[method-assign]
    return memory


async def take_all(self, names):
    return {name: 1 for name in names}


async def take_none_if_any_is_held(self, names):
    if any(self._members.holders.get(name) not in (None, self.instance_id) for name in names):
        return {}
    return await MemoryLease.take(self, names)


async def take_with_new_epochs(self, names):
    taken = await MemoryLease.take(self, names)
    for name in taken:
        self._members.epochs[name] += 1
    return {name: self._members.epochs[name] for name in taken}


async def free_of_anybody(self, names):
    for name in names:
        self._members.holders.pop(name, None)


async def no_close(self):
    return None


def streams(**changes: Any) -> Any:
    """Return a Memory whose receivers or senders have other methods."""
    memory = Memory()
    open_receiver, open_sender = MemoryEventStreamer.open_receiver, MemoryEventStreamer.open_sender

    async def receiver(self, *args, **kwargs):
        found = await open_receiver(self, *args, **kwargs)
        found.__class__ = type("Broken", (MemoryEventReceiver,), changes)
        return found

    async def sender(self):
        found = await open_sender(self)
        found.__class__ = type("Broken", (MemoryEventSender,), changes)
        return found

    broken_class = type(
        "Broken", (MemoryEventStreamer,), {"open_receiver": receiver, "open_sender": sender}
    )
    memory.event_streamer.__class__ = broken_class
    return memory


def opened_with(change: Any) -> Any:
    """Return a Memory whose receivers are opened with other arguments."""
    open_receiver = MemoryEventStreamer.open_receiver

    async def changed(self, topic, name, slots=(), *, from_latest=False):
        return await open_receiver(self, **change(topic, name, slots, from_latest))

    return broken(MemoryEventStreamer, open_receiver=changed)


def given(topic, name, slots, from_latest):
    return {"topic": topic, "name": name, "slots": slots, "from_latest": from_latest}


async def receive_and_finish(self, max_events):
    found = await MemoryEventReceiver.receive(self, max_events)
    await self.ack(found)
    return found


async def ack_everything(self, deliveries):
    self._log.finished[self._key].update(range(1000))


async def receive_reversed(self, max_events):
    return (await MemoryEventReceiver.receive(self, max_events))[::-1]


def skip_on_cancel():
    async def receive(self, max_events):
        self._next += 1
        return await MemoryEventReceiver.receive(self, max_events)

    return streams(receive=receive)


async def close_once(self):
    if getattr(self, "_is_closed", False):
        raise RuntimeError("closed twice")
    self._is_closed = True


def closing() -> Any:
    """Closing twice raises."""
    return streams(close=close_once)


def connectors(**methods: Any) -> Any:
    """Return a connector with broken receivers."""
    connector = MemoryConnector()
    open_receiver = connector.open_receiver
    only_name = methods.pop("name", None)

    async def opened(name):
        found = await open_receiver(only_name or name)
        found.__class__ = type("Broken", (MemoryConnectorReceiver,), methods)
        return found

    connector.open_receiver = opened  # type: ignore[method-assign]
    return connector


async def connector_reversed(self, max_events):
    return (await MemoryConnectorReceiver.receive(self, max_events))[::-1]


async def connector_acks_all(self, events):
    self._finished.update(range(100))


async def timeout_forgets(self, keys):
    for key in keys:
        self._timeouts.pop(key, None)


async def timeout_ends_first(self, keys):
    for _ in keys:
        self._timeouts.pop(next(iter(self._timeouts)))


async def timeout_replaces(self, timeouts):
    for timeout in timeouts:
        self._timeouts[timeout.key] = timeout


async def timeout_by_run(self, timeouts):
    for timeout in timeouts:
        if all(t.run_id != timeout.run_id for t in self._timeouts.values()):
            self._timeouts[timeout.key] = timeout


async def schedule_overwrites(self, schedule):
    self._storage.schedules[schedule.key] = schedule
    return True


async def schedule_looks_first(self, schedule):
    stored = self._storage.schedules.get(schedule.key)
    await asyncio.sleep(0)
    if (stored.version if stored is not None else 0) != schedule.version - 1:
        return False
    self._storage.schedules[schedule.key] = schedule
    return True


async def schedule_deletes(self, schedule):
    return self._storage.schedules.pop(schedule.key, None) is not None


async def decision_is_replaced(self, decision):
    self._storage.unique[(decision.row.scope, decision.row.key)] = TakenName(decision.row.body, "", 0)
    return decision


def decides_apart() -> Any:
    """Decisions are kept where the record store does not see them."""
    apart = {}

    async def decide(self, decision):
        return apart.setdefault((decision.row.scope, decision.row.key), decision)

    return broken(MemoryScheduleStore, decide=decide)


async def nothing(self, *args):
    return None


async def drive_as_it_was(self, keys, now):
    letters = [self._storage.parked.pop(key, None) for key in keys]
    for letter in letters:
        if letter is not None:
            self._storage.queue(letter.row.consumer, letter.row.slot).put(letter.row)
    return len([letter for letter in letters if letter is not None])


async def put_always(self, rows):
    for key, row in rows:
        self._storage.finish(key)
        self._storage.queue(row.consumer, row.slot).put(row)


def rows(change: Any) -> Any:
    """Return a Memory that changes the due rows."""
    return after(MemoryWorkQueue, "due", change)


def wants(change: Any) -> Any:
    """Return a Memory that reads for other wants."""
    return before(MemoryWorkQueue, "due", lambda found, now: ([change(w) for w in found], now))


def loser_leaves_children() -> Any:
    """A refused write leaves its children."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        self._storage.add_children(write.children)
        return apply(self, write)

    return broken(MemoryRecordStore, _apply=changed)


def children_replaced() -> Any:
    """A child that is staged again is open again."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        for child in write.children:
            self._storage.children.pop(child.run_id, None)
        return apply(self, write)

    return broken(MemoryRecordStore, _apply=changed)


def takes_its_own() -> Any:
    """A join also takes the children that it starts."""
    apply = MemoryRecordStore._apply

    def changed(self, write):
        result = apply(self, write)
        if write.takes_children:
            self._storage.take_children(write.record)
        return result

    return broken(MemoryRecordStore, _apply=changed)


async def end_again(self, ends):
    for end in ends:
        child = self._storage.children.get(end.run_id)
        if child is not None:
            self._storage.children[end.run_id] = replace(child, is_open=True)
    await MemoryChildStore.end(self, ends)


async def refused_stays_open(self, ends):
    await MemoryChildStore.end(self, [end for end in ends if end.run_state])


def asked_inside() -> Any:
    """Who stores an end asks what was there when its transaction began: two lose the join."""

    async def end(self, ends):
        ids = {self._storage.children[e.run_id].parent_run_id for e in ends}
        self.before = {run_id: self._progress(run_id) for run_id in ids}
        await asyncio.sleep(0)
        await MemoryChildStore.end(self, ends)

    async def progress(self, parent_run_ids):
        return [self.before[run_id] for run_id in parent_run_ids]

    return broken(MemoryChildStore, end=end, progress=progress)


async def first_page(self, parent_run_id, after, limit, *, only_waiting):
    found = await MemoryChildStore.list_children(self, parent_run_id, None, 99, only_waiting=only_waiting)
    skipped = [] if after is None else [child for child in found if child.number > after.number]
    return skipped[:limit] if after is not None else found[:limit]


ALL = tuple(range(16))
MUTANTS: dict[str, Any] = {
    "a_created_run_is_read_back_whole": lambda: writes(
        lambda w: replace(w, record=replace(w.record, due_at=w.record.due_at // 1000 * 1000))
    ),
    "an_unknown_run_is_none": lambda: broken(
        MemoryRecordStore, lookup_many=lambda self, refs: first_record(self)
    ),
    "a_run_is_found_by_its_id": lambda: after(MemoryRecordStore, "find", lambda ref: None),
    "a_stale_version_is_refused_and_leaves_nothing": loser_queues,
    "a_winner_deletes_its_row_and_adds_the_next": deletes_last,
    "of_twenty_writers_one_wins": lambda: stale(lambda self, write, stored: None),
    "each_write_of_a_call_is_answered_by_itself": all_or_nothing,
    "a_change_of_an_unknown_run_is_a_conflict": lambda: stale(
        lambda self, write, stored: None if stored is not None else COMMITTED
    ),
    "a_repeated_write_is_answered_as_the_first_time": lambda: broken(
        MemoryRecordStore, _has_won=lambda self, write: False
    ),
    "a_run_id_that_is_there_exists": lambda: answers(Exists, COMMITTED),
    "a_second_open_run_is_refused": lambda: broken(
        MemoryRecordStore, _create_refusal=lambda self, write, stored: None
    ),
    "an_ended_run_frees_its_foreign_id": lambda: writes(
        lambda w: replace(w, record=replace(w.record, run_state=min(3, w.record.run_state)))
    ),
    "of_fifty_creates_of_a_foreign_id_one_wins": lambda: answers(InProgress, COMMITTED),
    "odd_foreign_ids_stay_distinct": lambda: writes(folded),
    "a_large_object_is_kept": lambda: writes(
        lambda w: replace(w, record=replace(w.record, object=w.record.object[:65535]))
    ),
    "an_attempt_compares_the_attempt_and_progress_does_not": lambda: writes(
        lambda w: replace(w, expected_attempt=None)
    ),
    "a_taken_unique_name_makes_the_whole_write_a_conflict": lambda: writes(
        lambda w: replace(w, unique=())
    ),
    "latest_prefers_the_open_run": lambda: broken(MemoryRecordStore, latest=last_stored),
    "pages_neither_overlap_nor_skip": lambda: before(
        MemoryRecordStore, "list_records", lambda f, page: (f, replace(page, is_descending=True))
    ),
    "every_filter_filters": lambda: before(
        MemoryRecordStore, "count", lambda f, limit: (replace(f, created_after=None), limit)
    ),
    "counting_stops_at_the_limit": lambda: before(
        MemoryRecordStore, "count", lambda f, limit: (f, 10**9)
    ),
    "a_unique_name_is_found_with_its_body": lambda: broken(MemoryRecordStore, find_unique=nothing),
    "scrubbed_history_keeps_what_happened_and_no_text": lambda: broken(
        MemoryHistoryStore, scrub=nothing
    ),
    "lost_runs_are_announced_open_and_old": lambda: after(
        MemoryLostRuns, "list_lost", lambda found: found[::-1]
    ),
    "a_row_is_read_back_whole": lambda: rows(lambda found: [replace(r, body=b"") for r in found]),
    "rows_come_oldest_first_and_again_until_finished": lambda: rows(lambda found: found[::-1]),
    "a_row_is_due_at_its_instant_and_not_before": lambda: before(
        MemoryWorkQueue, "due", lambda w, now: (w, now + 1)
    ),
    "only_the_slots_and_the_consumer_asked_for": lambda: wants(lambda w: w._replace(slots=ALL)),
    "a_limit_is_shared_among_the_slots": lambda: broken(MemoryWorkQueue, _due=unfair),
    "several_wants_are_served_in_one_call": lambda: before(
        MemoryWorkQueue, "due", lambda w, now: (w[:1], now)
    ),
    "a_position_skips_what_is_before_it": lambda: wants(lambda w: w._replace(after=0)),
    "next_due_is_the_earliest_of_the_slots": lambda: before(
        MemoryWorkQueue, "next_due", lambda found: (dict.fromkeys(found, ALL),)
    ),
    "finished_keys_of_a_call_are_deleted": lambda: before(
        MemoryRecordStore, "commit", lambda given, finished=(): (given,)
    ),
    "a_postponed_row_moves_once": lambda: broken(MemoryWorkQueue, put=put_always),
    "a_parked_row_waits_until_it_is_driven": lambda: broken(MemoryWorkQueue, drive=drive_as_it_was),
    "a_row_can_be_put_without_a_run": lambda: broken(MemoryWorkQueue, put=nothing),
    "a_discarded_letter_is_gone": lambda: broken(MemoryWorkQueue, discard=nothing),
    "runs_without_a_step_are_adopted_once": lambda: before(
        MemoryLostRuns, "adopt", lambda workflow, found, now: ("other", found, now)
    ),
    "an_event_is_received_whole_and_in_order": lambda: streams(receive=receive_reversed),
    "what_is_not_acknowledged_comes_again": lambda: streams(receive=receive_and_finish),
    "two_names_have_two_positions": lambda: opened_with(
        lambda topic, name, slots, latest: given(topic, "one", slots, latest)
    ),
    "topics_do_not_mix": lambda: streams(send=one_topic),
    "from_latest_begins_when_it_is_opened": lambda: opened_with(
        lambda topic, name, slots, latest: given(topic, name, slots, False)
    ),
    "a_new_name_starts_where_the_capabilities_say": lambda: opened_with(
        lambda topic, name, slots, latest: given(topic, name, slots, True)
    ),
    "slots_split_a_topic": lambda: opened_with(
        lambda topic, name, slots, latest: given(topic, name, (), latest)
    ),
    "a_cancelled_receive_loses_nothing": skip_on_cancel,
    "low_water_is_the_oldest_unfinished": lambda: streams(low_water=nothing),
    "closing_twice_is_closing_once": closing,
    "creating_twice_is_creating_once": lambda: broken(MemoryTimeoutStore, create=timeout_replaces),
    "visits_and_names_are_timers_of_their_own": lambda: broken(
        MemoryTimeoutStore, create=timeout_by_run
    ),
    "a_timer_is_due_at_its_instant_and_not_before": lambda: before(
        MemoryTimeoutStore, "list_due", lambda w, slots, now, limit: (w, slots, now - 1, limit)
    ),
    "only_the_slots_asked_for": lambda: before(
        MemoryTimeoutStore, "next_due", lambda w, slots: (w, ALL)
    ),
    "a_completed_timer_stays_ended": lambda: broken(MemoryTimeoutStore, complete=timeout_forgets),
    "an_unknown_timer_is_ignored": lambda: broken(MemoryTimeoutStore, complete=timeout_ends_first),
    "a_postponed_timer_waits": lambda: broken(MemoryTimeoutStore, postpone=nothing),
    "a_definition_is_read_back_whole": lambda: after(
        MemoryDefinitionStore, "newest", lambda stored: stored and stored._replace(started_by="")
    ),
    "an_unknown_workflow_has_no_definition": lambda: before(
        MemoryDefinitionStore, "list_definitions", lambda workflow, limit: ("orders", limit)
    ),
    "the_newest_is_what_was_kept_last": lambda: broken(
        MemoryDefinitionStore, keep=keep_by_the_clock
    ),
    "keeping_again_replaces_all_but_the_first_start": lambda: broken(
        MemoryDefinitionStore, keep=keep_by_the_clock
    ),
    "definitions_are_listed_newest_first": lambda: after(
        MemoryDefinitionStore, "list_definitions", lambda found: found[::-1]
    ),
    "every_workflow_is_named_once": lambda: after(
        MemoryDefinitionStore, "list_workflows", lambda found: found[::-1]
    ),
    "runs_are_counted_by_status": lambda: census(lambda found: found[::-1]),
    "open_runs_and_ended_ones_are_counted_apart": lambda: census(lambda found: found[:1]),
    "only_runs_of_the_workflow_are_counted": lambda: broken(
        MemoryCensus, count_by_status=count_all_workflows
    ),
    "a_count_names_its_oldest_and_newest_runs": lambda: census(
        lambda found: [replace(c, runs=c.runs[:2] * 2) for c in found]
    ),
    "no_more_runs_are_looked_at_than_allowed": lambda: broken(
        MemoryCensus, count_by_status=count_without_limit
    ),
    "a_schedule_is_read_back_whole": lambda: after(
        MemoryScheduleStore, "get", lambda found: [replace(s, jitter=0) for s in found]
    ),
    "a_change_compares_the_version": lambda: broken(MemoryScheduleStore, put=schedule_overwrites),
    "of_twenty_changes_of_a_version_one_is_stored": lambda: broken(
        MemoryScheduleStore, put=schedule_looks_first
    ),
    "generations_of_a_name_stand_side_by_side": lambda: before(
        MemoryScheduleStore, "put", lambda schedule: (replace(schedule, fingerprint=""),)
    ),
    "pages_of_schedules_neither_overlap_nor_skip": lambda: before(
        MemoryScheduleStore, "list_schedules", lambda w, past, limit: (w, (past[0], "~"), limit)
    ),
    "deleting_compares_the_version": lambda: broken(MemoryScheduleStore, delete=schedule_deletes),
    "the_first_decision_of_a_slot_stands": lambda: broken(
        MemoryScheduleStore, decide=decision_is_replaced
    ),
    "of_a_decision_and_a_write_that_takes_its_name_one_wins": decides_apart,
    "a_role_has_one_holder": lambda: roles(take=take_all),
    "roles_do_not_block_each_other": lambda: roles(take=take_none_if_any_is_held),
    "a_role_that_is_held_is_taken": lambda: roles(take=take_with_new_epochs),
    "a_freed_role_passes_on_with_a_higher_epoch": lambda: roles(free=free_of_anybody),
    "a_closed_lease_frees_everything": lambda: roles(close=no_close),
    "a_standing_shows_members_and_holders": lambda: roles(describe=nothing),
    "events_come_whole_and_in_order": lambda: connectors(receive=connector_reversed),
    "connector: what_is_not_acknowledged_comes_again": lambda: connectors(ack=connector_acks_all),
    "names_have_positions_of_their_own": lambda: connectors(name="one"),
    "a_child_is_read_back_whole": lambda: writes(
        lambda w: replace(
            w, children=tuple(replace(c, is_cancelled_with_parent=False) for c in w.children)
        )
    ),
    "a_losing_write_leaves_no_children": loser_leaves_children,
    "every_child_of_every_winner_is_there": lambda: writes(
        lambda w: replace(w, children=w.children[:100])
    ),
    "a_child_that_is_staged_again_stays_as_it_is": children_replaced,
    "the_first_end_of_a_child_stays": lambda: broken(MemoryChildStore, end=end_again),
    "progress_tells_open_and_ended_children": lambda: after(
        MemoryChildStore, "progress", lambda found: [p._replace(has_ended=False) for p in found]
    ),
    "a_child_that_never_began_counts_as_ended": lambda: broken(
        MemoryChildStore, end=refused_stays_open
    ),
    "who_ends_the_last_two_children_at_once_sees_it": asked_inside,
    "a_join_takes_the_children_there_are": takes_its_own,
    "children_are_listed_page_by_page_in_their_order": lambda: broken(
        MemoryChildStore, list_children=first_page
    ),
    "staged_objects_are_scrubbed_wherever_they_wait": lambda: broken(
        MemoryChildStore, scrub_staged=nothing
    ),
    "connector: closing_twice_is_closing_once": lambda: connectors(close=close_once),
    "due_rows_are_counted_by_slot": lambda: after(
        MemoryBacklog, "count", lambda found: {("c", 0): next(iter(found.values()))}
    ),
    "what_is_due_later_is_not_counted": lambda: before(
        MemoryBacklog, "count", lambda wanted, now, limit: (wanted, now + 1, limit)
    ),
    "dead_letters_are_counted_apart": lambda: after(
        MemoryBacklog,
        "count",
        lambda found: {place: Waiting(sum(waiting), 0) for place, waiting in found.items()},
    ),
    "only_what_was_asked_for_is_counted": lambda: before(
        MemoryBacklog, "count", lambda wanted, now, limit: ({"c": ALL}, now, limit)
    ),
    "counting_stops_at_the_limit_of_each_slot": lambda: before(
        MemoryBacklog, "count", lambda wanted, now, limit: (wanted, now, 99)
    ),
}


def census(change: Any) -> Any:
    """Return a Memory that changes its counts."""
    return after(MemoryCensus, "count_by_status", change)


async def count_all_workflows(self, workflow, **options):
    found = [
        await MemoryCensus.count_by_status(self, name, **options)
        for name in {record.workflow for record in self._storage.records.values()}
    ]
    return sum(found, [])


async def count_without_limit(self, workflow, *, is_open, limit, sample):
    return await MemoryCensus.count_by_status(
        self, workflow, is_open=is_open, limit=limit + 1, sample=sample
    )


async def keep_by_the_clock(self, workflow, stored, now):
    found = self._storage.definitions.setdefault(workflow, {})
    found[stored.fingerprint] = stored._replace(started_at=now, first_started_at=now)


async def first_record(self):
    return [next(iter(self._storage.records.values()))]


async def last_stored(self, workflow, foreign_id):
    found = [r for r in self._storage.records.values() if r.foreign_id == foreign_id]
    return found[0] if found else None


def unfair(self, want, now):
    found = [
        row
        for slot in want.slots
        for row in self._storage.queue(want.consumer, slot).due(0, now, 99)
    ]
    return found[: want.limit]


async def one_topic(self, events):
    await MemoryEventSender.send(self, [replace(event, topic="orders/step/1") for event in events])
