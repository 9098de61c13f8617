"""Events of outside streams that trigger runs and call them back."""

import asyncio
from datetime import timedelta

import pytest

from stepgraph import Builder, ConnectorEvent, DefinitionError, RunInProgressError, Skip, UnavailableError
from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.adapters.memory.connector import MemoryConnectorReceiver
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.testing import Harness
from tests.engine.test_steps import until
from tests.flows import Order, Status


def events(*names):
    """Events of one foreign id each, or of the one before the colon."""
    return [ConnectorEvent(name, name.partition(":")[0], payload=name.encode()) for name in names]


def listening(handle, **options):
    """A workflow that handles a stream by `handle`, and whose runs wait in CREATED."""
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Skip(), to=[Status.PAID])
    orders.add_callback(Status.CREATED, paid, to=[Status.PAID])
    orders.add_connector("payments", handle, **options)
    return orders


def paid(run, payload):
    run.object.total += 1
    return Status.PAID


async def settled(harness, source, count):
    """Wait until the connector has acknowledged so many events."""

    async def read():
        await harness.settle()
        return sum(len(finished) for finished in source.finished.values())

    await until(read, lambda found: found >= count)
    await harness.settle()


async def test_an_event_triggers_and_is_acknowledged_after_it(backend):
    source, seen = MemoryConnector(), []

    async def handle(workflow, event, *, log):
        log.append(event.id)
        await workflow.trigger(event.foreign_id, Order(len(event.payload)))

    async with Harness(
        listening(handle), backend=backend, connectors={"payments": source}, resources={"log": seen}
    ) as harness:
        await source.publish(*events("a", "b", "c"))
        await settled(harness, source, 3)

        assert sorted(seen) == ["a", "b", "c"]
        assert await harness.workflow.runs.count() == 3


async def test_a_redelivered_event_starts_no_second_run_and_applies_no_callback_twice(backend):
    source = MemoryConnector()

    async def handle(workflow, event):
        if event.id.startswith("start"):
            await workflow.trigger("o-1", Order())
        else:
            await workflow.callback("o-1", paid, b"")

    async with Harness(listening(handle), backend=backend, connectors={"payments": source}) as harness:
        first, second = ConnectorEvent("start", "o-1"), ConnectorEvent("pay", "o-1")
        await source.publish(first, second, first, second, ConnectorEvent("start", "o-1"))
        await settled(harness, source, 5)

        (run,) = [run async for run in harness.workflow.runs.find()]
        assert (run.status, run.object.total) == (Status.PAID, 1)


async def test_events_of_one_foreign_id_come_in_order(backend):
    source, seen = MemoryConnector(), []

    async def handle(workflow, event):
        await asyncio.sleep(0.001 * (len(seen) % 3))
        seen.append(event.id)

    names = [f"{name}:{n}" for n in range(20) for name in "abc"]
    async with Harness(listening(handle), backend=backend, connectors={"payments": source}) as harness:
        await source.publish(*events(*names))
        await settled(harness, source, 60)

    for name in "abc":
        own = [seen_name for seen_name in seen if seen_name.startswith(name)]
        assert own == [f"{name}:{n}" for n in range(20)]


@pytest.mark.parametrize("parallel_count", [1, 4])
async def test_a_failing_event_is_retried_apart_and_parked(backend, parallel_count):
    source, seen = MemoryConnector(), []

    def handle(workflow, event):
        seen.append(event.id)
        if event.id == "bad":
            raise ValueError("boom")

    orders = listening(
        handle, max_attempts=3, retry=timedelta(minutes=1), parallel_count=parallel_count
    )
    async with Harness(orders, backend=backend, connectors={"payments": source}) as harness:
        await source.publish(*events("bad", "good"))
        await settled(harness, source, 2)
        assert sorted(seen) == ["bad", "good"]
        await harness.advance(timedelta(minutes=5))

        assert seen.count("bad") == 3
        (letter,) = [found async for found in harness.workflow.dead_letters.find(kind="connector")]
        assert (letter.name, letter.subject, letter.attempts) == ("payments", "bad", 3)


async def test_what_was_not_acknowledged_comes_again_to_the_next_process(new_backend):
    source, seen = MemoryConnector(), []
    stuck = asyncio.Event()

    async def hang(workflow, event):
        stuck.set()
        await asyncio.sleep(60)

    def handle(workflow, event):
        seen.append(event.id)

    options = {"connectors": {"payments": source}}
    async with Harness(
        listening(hang), backend=new_backend(), stop_within=timedelta(0), **options
    ):
        await source.publish(*events("a"))
        await stuck.wait()
    async with Harness(listening(handle), backend=new_backend(), **options) as harness:
        await settled(harness, source, 1)
    assert seen == ["a"]


async def test_two_instances_share_a_source_and_each_event_is_handled_by_one(new_backend):
    source, seen = MemoryConnector(), []

    def handle(workflow, event):
        seen.append(event.id)

    options = {"connectors": {"payments": source}}
    async with (
        listening(handle, parallel_count=4).build(new_backend(), **options),
        listening(handle, parallel_count=4).build(new_backend(), **options),
    ):
        names = [f"e-{n}" for n in range(100)]
        await source.publish(*events(*names))

        async def read():
            return sorted(seen)

        assert await until(read, lambda found: len(found) >= 100) == sorted(names)


async def test_a_connector_s_own_key_wins(backend):
    source, errors = MemoryConnector(), []

    async def handle(workflow, event):
        try:
            await workflow.trigger("o-1", Order(), idempotency_key=event.id)
        except RunInProgressError as error:
            errors.append(error)

    async with Harness(listening(handle), backend=backend, connectors={"payments": source}) as harness:
        await source.publish(*events("a", "b"))
        await settled(harness, source, 2)
        assert len(errors) == 1


async def test_an_event_younger_than_the_minimum_age_waits(backend):
    source, seen = MemoryConnector(), []

    def handle(workflow, event):
        seen.append(event.id)

    orders = listening(handle, consume_lag=timedelta(hours=1))
    async with Harness(orders, backend=backend, connectors={"payments": source}) as harness:
        now = harness.clock.now()
        young = ConnectorEvent("young", "a", created_at=now)
        old = ConnectorEvent("old", "b", created_at=now - timedelta(hours=2))
        await source.publish(young, old)
        await settled(harness, source, 1)
        assert seen == ["old"]
        harness.clock.advance(timedelta(hours=1))
        harness.workflow.opened().wake()
        await settled(harness, source, 2)
        assert seen == ["old", "young"]


def test_sources_and_connectors_must_match(backend):
    def handle(workflow, event):
        return None

    with pytest.raises(DefinitionError, match="no source"):
        listening(handle).build(backend)
    with pytest.raises(DefinitionError, match="no connector 'other'"):
        listening(handle).build(
            backend, connectors={"payments": MemoryConnector(), "other": MemoryConnector()}
        )
    with pytest.raises(DefinitionError, match="payments"):
        orders = listening(handle)
        orders.add_connector("payments", handle)


async def test_an_acknowledgement_that_fails_is_made_again(backend, monkeypatch):
    source, failures = MemoryConnector(), []
    ack = MemoryConnectorReceiver.ack

    async def fail_once(self, events):
        if not failures:
            failures.append(events)
            raise ConnectionError("away")
        await ack(self, events)

    async def handle(workflow, event):
        await workflow.trigger(event.foreign_id, Order())

    monkeypatch.setattr(MemoryConnectorReceiver, "ack", fail_once)
    orders = listening(handle)
    async with Harness(orders, backend=backend, connectors={"payments": source}) as harness:
        await source.publish(*events("e-1"))
        await settled(harness, source, 1)

    assert failures


async def test_an_event_that_was_dropped_with_its_slot_comes_again(backend):
    source, calls = MemoryConnector(), []

    async def handle(workflow, event):
        calls.append(event.id)
        if len(calls) == 1:
            await asyncio.Event().wait()

    orders = listening(handle)
    async with orders.build(backend, connectors={"payments": source}) as workflow:
        await source.publish(*events("e-1"))

        async def read():
            return list(calls)

        await until(read, bool)
        consumer = next(c for c in workflow.opened()._consumers if "/connector/" in c.name)
        slots = frozenset(consumer.inbox.slots)
        consumer.hold(frozenset())
        consumer.lose(slots, "role lost")
        consumer.hold(slots)

        await until(read, lambda found: len(found) == 2)


async def test_an_event_that_was_released_does_not_wait_for_the_next_one(monkeypatch):
    source, calls, away = MemoryConnector(), [], []
    lookup_many = MemoryRecordStore.lookup_many

    async def fail_once(self, refs):
        if not refs and not away:
            away.append(refs)
            raise UnavailableError("away")
        return await lookup_many(self, refs)

    async def handle(workflow, event):
        calls.append(event.id)

    monkeypatch.setattr(MemoryRecordStore, "lookup_many", fail_once)
    orders = listening(handle)
    async with orders.build(Memory(), connectors={"payments": source}):
        await source.publish(*events("e-1"))

        async def read():
            return list(calls)

        assert await until(read, bool) == ["e-1"]
    assert away
