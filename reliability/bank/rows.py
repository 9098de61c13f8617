"""Mistakes of timers, hooks, early callbacks and deletions."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reliability.bank.planted import Planting, bug
from stepgraph.engine.performers import delete, pull, timeout, timer
from stepgraph.engine.performers.delete import DeletePerformer
from stepgraph.engine.performers.hook import HookPerformer
from stepgraph.engine.performers.pull import PullPerformer
from stepgraph.engine.performers.timeout import TimeoutPerformer
from stepgraph.engine.performers.timer import TimersPerformer
from stepgraph.engine.receivers.queue import QueueReceiver
from stepgraph.model.change import Change
from stepgraph.model.run_state import RunState


def _visit(planting: Planting, is_visit: Any) -> None:
    planting.put(timeout, "is_visit", is_visit)
    planting.put(timer, "is_visit", is_visit)


@bug("A7: a timer of an earlier visit acts on a later one", "I22", "I28", "I26")
def timers_stray(planting: Planting) -> None:
    _visit(planting, lambda record, row: 1 <= record.run_state <= 3)
    _keep_timers(planting)


def _keep_timers(planting: Planting) -> None:
    from stepgraph.engine.announce import Announcer

    planting.put(Announcer, "timer_keys", lambda self, record: ())


@bug("a cancel is ignored on the timer's path", "I22", "I4", "I5")
def timers_act_on_ended_runs(planting: Planting) -> None:
    _visit(planting, lambda record, row: record.entered_version == row.version)
    _keep_timers(planting)


@bug("A8: for one timer every timeout function of the status is called", "I26", "I28")
def all_timeouts_are_called(planting: Planting) -> None:
    perform = TimeoutPerformer.perform

    async def all_of_them(self: Any, row: Any, record: Any) -> Any:
        for name in self._transitions:
            if name != row.body.decode().strip() and record is not None:
                await perform(self, replace(row, body=name.encode()), record)
        return await perform(self, row, record)

    planting.put(TimeoutPerformer, "perform", all_of_them)


@bug("decisions 5: the timer of a paused run is completed", "I39")
def paused_timers_are_dropped(planting: Planting) -> None:
    perform = TimeoutPerformer.perform

    async def drop(self: Any, row: Any, record: Any) -> Any:
        if record is not None and record.run_state == RunState.PAUSED:
            return None
        return await perform(self, row, record)

    planting.put(TimeoutPerformer, "perform", drop)


@bug("a timer fires although its run is paused", "I22", "I4")
def timers_ignore_a_pause(planting: Planting) -> None:
    perform = TimeoutPerformer.perform

    async def anyway(self: Any, row: Any, record: Any) -> Any:
        if record is not None and record.run_state == RunState.PAUSED:
            return (
                await self._transitions[row.body.decode().strip()][1].answer(
                    record, finished=(row.key,)
                )
            )[0]
        return await perform(self, row, record)

    planting.put(TimeoutPerformer, "perform", anyway)


@bug("A10: a timeout that answered Skip is called at every look", "I29", "I40", "I23")
def skipped_timers_stay(planting: Planting) -> None:
    perform = TimeoutPerformer.perform

    async def stay(self: Any, row: Any, record: Any) -> Any:
        from stepgraph.engine.handlers.row import Move

        done = await perform(self, row, record)
        if done is None and record is not None and timer.is_visit(record, row):
            return Move(replace(row, due_at=self._clock.microseconds() + 300_000))
        return done

    planting.put(TimeoutPerformer, "perform", stay)


@bug("A11: a timer's instant is rounded down", "I26")
def timers_are_rounded(planting: Planting) -> None:
    due_at = TimersPerformer._due_at

    async def rounded(self: Any, handler: Any, record: Any) -> Any:
        found = await due_at(self, handler, record)
        return None if found is None else found // 1_000_000 * 1_000_000

    planting.put(TimersPerformer, "_due_at", rounded)


@bug("found: a resume makes timers due that are not", "I26")
def resume_brings_timers_forward(planting: Planting) -> None:
    planting.put(pull, "is_put_off", lambda row: True)


@bug("found: a timeout that pauses its run is gone", "I39")
def pausing_timeouts_are_gone(planting: Planting) -> None:
    perform = TimeoutPerformer.perform

    async def gone(self: Any, row: Any, record: Any) -> Any:
        done: Any = await perform(self, row, record)
        if getattr(done, "enqueue", None) and done.record.run_state == 3:
            return replace(
                done, enqueue=tuple(r for r in done.enqueue if r.consumer != row.consumer)
            )
        return done

    planting.put(TimeoutPerformer, "perform", gone)


@bug("found: timers are handed over by the worker's clock alone", "I26")
def timers_skip_the_stores_clock(planting: Planting) -> None:
    from stepgraph.engine import instance

    def committed(self: Any, writes: Any, sent_at: float) -> None:
        now = self.clock.microseconds()
        for write in writes:
            for row in write.enqueue:
                receiver = self.reader.receiver(row.consumer)
                if receiver is not None and row.slot in receiver.inbox.slots:
                    if row.due_at <= now:
                        receiver.takes_handed = True
                        receiver.hand_over(row, write.record, sent_at)
                    else:
                        self.reader.expect(row.due_at)
        self.awaiting.committed(writes)
        self._hint_soon()

    planting.put(instance.Instance, "_committed", committed)


@bug("a hook's row is deleted before the call", "I24")
def hook_rows_go_first(planting: Planting) -> None:
    perform = HookPerformer.perform

    async def once(self: Any, row: Any, record: Any) -> Any:
        try:
            return await perform(self, row, record)
        except Exception:
            return None

    planting.put(HookPerformer, "perform", once)


@bug("A19: a hook is told the run's present state as the change", "I25")
def hooks_are_told_the_present(planting: Planting) -> None:
    from stepgraph.engine.performers import hook

    def change(**fields: Any) -> Any:
        return Change(**{**fields, "run_state": fields["run"].run_state})

    planting.put(hook, "Change", change)


@bug("found: two hook rows of one run are in hand at once", "I25", profile="calm")
def hooks_of_a_run_overlap(planting: Planting) -> None:
    fetched, hand_over = QueueReceiver.fetched, QueueReceiver.hand_over

    def loosely(self: Any, want: Any, rows: Any) -> None:
        self.is_in_order = False
        fetched(self, want, rows)

    def handed(self: Any, row: Any, record: Any, loaded_at: float) -> None:
        self.is_in_order = False
        hand_over(self, row, record, loaded_at)

    planting.put(QueueReceiver, "fetched", loosely)
    planting.put(QueueReceiver, "hand_over", handed)


@bug("delete leaves the record's object", "I35")
def delete_keeps_the_object(planting: Planting) -> None:
    planting.put(DeletePerformer, "_blank", lambda self, record: record.object)


@bug("DataDeleted is said before anything is blanked but the record", "I35")
def deletion_ends_too_soon(planting: Planting) -> None:
    async def perform(self: Any, row: Any, record: Any) -> Any:
        if record is None or record.run_state != RunState.REQUESTED_DATA_DELETED:
            return None
        data = self._blank(record)
        return self._moves.scrubbed(record, data, delete._BY, is_last=True, finished=(row.key,))

    planting.put(DeletePerformer, "perform", perform)


@bug("a deletion is asked for and its row is lost", "I16", "I39")
def deletion_has_no_row(planting: Planting) -> None:
    from stepgraph.engine.announce import Announcer

    planting.put(Announcer, "delete_row", lambda self, record: ())


@bug("what was put off is not pulled back by the resume", "I27", "I32", profile="calm")
def pull_does_nothing(planting: Planting) -> None:
    async def perform(self: Any, row: Any, record: Any) -> Any:
        return None

    planting.put(PullPerformer, "perform", perform)
