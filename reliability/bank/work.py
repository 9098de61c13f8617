"""Mistakes of what consumes: gates, acknowledgements, the relay, the reconciler, the roles."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from reliability.bank.planted import Planting, bug
from stepgraph.adapters.memory.history_store import MemoryLostRuns
from stepgraph.engine.handlers.relay import RelayHandler
from stepgraph.engine.handlers.resume import ResumeHandler
from stepgraph.engine.handlers.step import StepHandler
from stepgraph.engine.inbox import Inbox
from stepgraph.engine.membership import Membership
from stepgraph.engine.queue_reader import QueueReader
from stepgraph.engine.receivers.lost import LostReceiver
from stepgraph.engine.receivers.queue import QueueReceiver
from stepgraph.engine.receivers.stream import StreamReceiver
from stepgraph.engine.transition import Transition
from stepgraph.errors import UnavailableError


@bug("a step's row is finished before its work", "I16")
def ack_before_effect(planting: Planting) -> None:
    handle = StepHandler.handle

    async def finish_first(self: Any, batch: Any) -> None:
        self._tools.committer.finish([work.key for work in batch if work.key is not None])
        await handle(self, batch)

    planting.put(StepHandler, "handle", finish_first)


async def _current(self: Any, work: Any) -> Any:
    return work.record if work.record is not None else await self._reload(work)


@bug("no gate: an event is worked on whatever became of its run", "I22", "I23", "I4")
def no_gate(planting: Planting) -> None:
    planting.put(StepHandler, "_gate", _current)


@bug("A3, prototype: a step ignores that its run was stopped", "I22", "I4")
def gate_ignores_the_run_state(planting: Planting) -> None:
    async def gate(self: Any, work: Any) -> Any:
        record = await self._reload(work)
        if record is None or record.attempt > work.attempt or record.next == "skipped":
            self._drop(work, "over")
            return None
        return record

    planting.put(StepHandler, "_gate", gate)


@bug("decisions 5: a redelivered event ignores the back-off", "I26", "I23", profile="mixed")
def gate_ignores_the_attempt(planting: Planting) -> None:
    gate = StepHandler._gate

    async def any_attempt(self: Any, work: Any) -> Any:
        work.attempt = 99
        return await gate(self, work)

    planting.put(StepHandler, "_gate", any_attempt)


@bug("decisions 23: a step is begun from what was read long ago", "I22")
def stale_records_are_worked_on(planting: Planting) -> None:
    async def gate(self: Any, work: Any) -> Any:
        await asyncio.sleep(4.0)
        return await _current(self, work)

    planting.put(StepHandler, "_gate", gate)


@bug("decisions 9: an interruption counts as an attempt", "I23")
def interruption_is_an_attempt(planting: Planting) -> None:
    stopped = Transition._stopped

    def counted(self: Any, work: Any, record: Any, started_at: int) -> Any:
        work.stop_reason = "time limit"
        return stopped(self, work, record, started_at)

    planting.put(Transition, "_stopped", counted)


@bug("two pieces of work of one run are in hand at once", "I23")
def inbox_takes_a_run_twice(planting: Planting) -> None:
    offer = Inbox.offer

    def twice(self: Any, work: Any) -> bool:
        known = self.in_hand.pop(work.id, None)
        taken = offer(self, work)
        if known is not None and not taken:
            self.in_hand[known.id] = known
        return bool(taken)

    planting.put(Inbox, "offer", twice)


@bug("the outbox row is deleted before it is published", "I16", profile="mixed")
def relay_deletes_first(planting: Planting) -> None:
    handle = RelayHandler.handle

    async def delete_first(self: Any, batch: Any) -> None:
        self._committer.finish([key for work in batch for key in work.finished])
        await asyncio.sleep(0.05)
        await handle(self, batch)

    planting.put(RelayHandler, "handle", delete_first)


@bug("the relay takes an error of the broker for success", "I16", profile="mixed")
def relay_ignores_errors(planting: Planting) -> None:
    class Deaf:
        def __init__(self, sender: Any) -> None:
            self._sender = sender

        async def send(self, events: Any) -> None:
            with suppress(UnavailableError):
                await self._sender.send(events)

    original = RelayHandler.handle

    async def handle(self: Any, batch: Any) -> None:
        if not isinstance(self._sender, Deaf):
            self._sender = Deaf(self._sender)
        await original(self, batch)

    planting.put(RelayHandler, "handle", handle)


@bug("A32, D7: nothing looks for runs whose event was lost", "I39", profile="mixed")
def no_reconciler(planting: Planting) -> None:
    async def look(self: Any) -> None:
        return None

    planting.put(LostReceiver, "_look", look)


@bug("decisions 5: the reconciler takes runs that wait for a delay", "I26", "I23", profile="mixed")
def reconciler_sees_delays(planting: Planting) -> None:
    list_lost = MemoryLostRuns.list_lost

    async def everything(self: Any, query: Any, limit: int) -> Any:
        return await list_lost(self, query._replace(due_before=10**18), limit)

    planting.put(MemoryLostRuns, "list_lost", everything)


@bug("found: released events are never offered again", "I39", profile="mixed")
def released_events_stay(planting: Planting) -> None:
    planting.put(StreamReceiver, "_offer_later", lambda self, delivery: None)


@bug("a failed fetch is never made again", "I39")
def a_failed_fetch_is_the_last(planting: Planting) -> None:
    planting.put(QueueReceiver, "failed", lambda self: None)


@bug("nothing but hints wakes a consumer", "I39")
def no_pulse(planting: Planting) -> None:
    async def beat(self: Any) -> None:
        return None

    planting.put(QueueReader, "_beat", beat)


@bug("an instance that lost its lease never joins again", "I39")
def a_lost_lease_is_for_ever(planting: Planting) -> None:
    async def look(self: Any) -> None:
        return None

    planting.put(Membership, "_look_at_deadline", look)


@bug("A33: an expired holder's roles are never taken over", "I39")
def roles_are_not_taken_over(planting: Planting) -> None:
    may_take = Membership._may_take

    def only_new(self: Any, name: str, slot: int, holder: Any, is_mine: bool) -> bool:
        seen = self.__dict__.setdefault("_ever_held", set())
        if holder is not None:
            seen.add((name, slot))
        return (name, slot) not in seen and may_take(self, name, slot, holder, is_mine)

    planting.put(Membership, "_may_take", only_new)


@bug("a run paused by errors is resumed at whatever version", "I4", "I22", "I26")
def resumer_ignores_the_version(planting: Planting) -> None:
    planting.put(ResumeHandler, "_waits", lambda self, work, record: True)


@bug("found: what a slow answer hands over is worked on twice", "I23", profile="calm")
def slow_answers_repeat_work(planting: Planting) -> None:
    hand_over = QueueReceiver.hand_over

    def trust(self: Any, row: Any, record: Any, loaded_at: float) -> None:
        self._is_fetching, saved = False, self._is_fetching
        self._answered_at = -1.0
        hand_over(self, row, record, loaded_at)
        self._is_fetching = saved

    planting.put(QueueReceiver, "hand_over", trust)
