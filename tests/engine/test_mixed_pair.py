"""Records in one place, the stream in another: the relay, and what the stream loses."""

import asyncio
from datetime import timedelta
from typing import Literal

from stepgraph import Backoff, Run, RunState, Trigger, UnavailableError
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.memory.event_streamer import MemoryEventReceiver, MemoryEventSender
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.adapters.sqlite import SQLite
from tests.engine.test_steps import until
from tests.flows import SOON, Order, Status, one_step, three_steps


async def test_runs_flow_over_a_foreign_stream(tmp_path):
    flow = three_steps()
    async with flow.build(SQLite(tmp_path / "runs.db"), event_streamer=Memory()) as workflow:
        results = await workflow.trigger_many(Trigger(f"o-{i}", Order(i)) for i in range(200))
        for result in results:
            run = await workflow.await_status(result.run_id, Status.SENT, within=SOON)
            assert run.object.seen == ["charge", "pack", "send"]
            assert run.version == 4
        assert "outbox-consumer" in workflow.processes()


async def test_the_stream_can_be_a_second_file(tmp_path):
    flow = three_steps()
    stream = SQLite(tmp_path / "events.db")
    async with flow.build(Memory(), event_streamer=stream) as workflow:
        run_id = await workflow.trigger("o-1", Order())

        await workflow.await_status(run_id, Status.SENT, within=SOON)


async def test_a_retry_does_not_travel_over_the_stream(tmp_path):
    async def flaky(run: Run[Order, Status]) -> Literal[Status.PAID]:
        if run.attempt < 3:
            raise RuntimeError("away")
        return Status.PAID

    flow = one_step(flaky, retry=Backoff(first=timedelta(milliseconds=5)))
    async with flow.build(SQLite(tmp_path / "runs.db"), event_streamer=Memory()) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert run.version == 2
        assert [a.number for a in await workflow.runs.attempts(run_id)] == [1, 2]


async def test_a_stream_that_loses_everything_loses_no_run(tmp_path, monkeypatch):
    async def lose(self, events):
        await asyncio.sleep(0)

    monkeypatch.setattr(MemoryEventSender, "send", lose)
    flow = three_steps()
    options = {"stuck_after": timedelta(milliseconds=100)}
    backend = SQLite(tmp_path / "runs.db")
    async with flow.build(backend, event_streamer=Memory(), **options) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, Status.SENT, within=SOON)

    assert run.run_state is RunState.COMPLETED
    assert run.object.seen == ["charge", "pack", "send"]


async def test_events_that_come_twice_and_late_change_nothing(tmp_path, monkeypatch):
    send = MemoryEventSender.send

    async def double(self, events):
        await send(self, [*events, *reversed(events)])
        await send(self, events)

    monkeypatch.setattr(MemoryEventSender, "send", double)
    flow = three_steps()
    async with flow.build(SQLite(tmp_path / "runs.db"), event_streamer=Memory()) as workflow:
        results = await workflow.trigger_many(Trigger(f"o-{i}", Order(i)) for i in range(50))
        for result in results:
            run = await workflow.await_status(result.run_id, Status.SENT, within=SOON)
            assert run.object.seen == ["charge", "pack", "send"]
            assert len(await workflow.runs.history(result.run_id)) == 4


async def test_work_that_was_released_comes_again_without_the_stream_being_opened_anew(monkeypatch):
    lookup_many, refused = MemoryRecordStore.lookup_many, asyncio.Event()

    async def fail_once(self, refs):
        if not refused.is_set():
            refused.set()
            raise UnavailableError("away")
        return await lookup_many(self, refs)

    monkeypatch.setattr(MemoryRecordStore, "lookup_many", fail_once)
    async with three_steps().build(Memory(), event_streamer=Memory()) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await refused.wait()

        # Long before it would count as lost.
        await workflow.await_status(run_id, Status.SENT, within=SOON)


async def test_an_acknowledgement_that_fails_is_made_again(monkeypatch):
    ack, failures, stream = MemoryEventReceiver.ack, [], Memory()

    async def fail_once(self, deliveries):
        if not failures:
            failures.append(deliveries)
            raise UnavailableError("away")
        await ack(self, deliveries)

    monkeypatch.setattr(MemoryEventReceiver, "ack", fail_once)
    async with three_steps().build(Memory(), event_streamer=stream) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)

        async def read():
            return [name for name, done in stream.event_streamer.log.finished.items() if not done]

        await until(read, lambda unfinished: not unfinished)

    assert failures


async def test_what_was_dropped_with_a_slot_comes_again_when_the_slot_is_back_at_once():
    begun = []

    async def step(run: Run[Order, Status]) -> Literal[Status.PAID]:
        begun.append(run.id)
        if len(begun) == 1:
            await asyncio.Event().wait()
        return Status.PAID

    async with one_step(step).build(Memory(), event_streamer=Memory()) as workflow:
        run_id = await workflow.trigger("o-1", Order())

        async def read():
            return begun

        await until(read, bool)
        consumer = next(c for c in workflow.opened()._consumers if "/step/" in c.name)
        slots = frozenset(consumer.inbox.slots)
        consumer.hold(frozenset())
        consumer.lose(slots, "role lost")
        consumer.hold(slots)

        await workflow.await_status(run_id, Status.PAID, within=SOON)
