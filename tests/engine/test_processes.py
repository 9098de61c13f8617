"""The background processes: their names, what they report, and that no error ends one."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import Builder, ConnectorEvent, ProcessState, Repeat, Run, RunState, Skip
from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.model.fact import LagAlert, RunsMoved
from stepgraph.testing import Harness
from tests.flows import SOON, Order, Status, one_step, three_steps

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ERRORS = [TimeoutError("deadline"), asyncio.CancelledError(), SystemExit(1), RecursionError("deep")]


class Facts:
    """An observer that keeps everything."""

    def __init__(self):
        self.facts = []

    def observe(self, fact):
        self.facts.append(fact)

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]


def everything():
    """A workflow with one of each kind of process."""
    orders = three_steps()
    orders.add_timeout(Status.PAID, lambda run: Skip(), after=HOUR, to=Status.SENT, name="expire")
    orders.add_callback(Status.PAID, lambda run, payload: Skip(), to=Status.SENT, name="tell", buffer=HOUR)
    orders.on(RunState.COMPLETED, name="tell")(lambda change: None)
    orders.add_connector("shop", lambda workflow, event: None, parallel_count=2)
    return orders


async def test_each_process_has_a_name_that_people_read(backend):
    async with Harness(everything(), backend=backend, connectors={"shop": MemoryConnector()}) as harness:
        processes = harness.workflow.processes()
    assert set(processes.values()) == {ProcessState.RUNNING}
    expected = {
        "CREATED-consumer-1-of-1", "PAID-consumer-1-of-1", "PACKED-consumer-1-of-1",
        "PAID-timeout-consumer", "PAID-timeout-auto-inserter-consumer",
        "shop-connector-to-orders-consumer-1-of-2", "shop-connector-to-orders-consumer-2-of-2",
        "inbox-consumer", "delete-consumer", "paused-records-retry-consumer",
    }  # fmt: skip
    assert expected <= set(processes)
    # Work is announced by the record store's own queue: there is no outbox to drain.
    assert not any("outbox" in name for name in processes)
    assert harness.workflow.processes() == {}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_no_error_of_a_function_ends_its_process(backend, error):
    """Of a step, a timeout, a hook or a connector: it is one failed attempt, and others go on."""
    failing = {"step", "hook", "event", "timer"}
    source = MemoryConnector()
    orders = Builder("orders", Order, Status)

    def fail_once(kind):
        if kind in failing:
            failing.remove(kind)
            raise error

    @orders.step(Status.CREATED, retry=MINUTE)
    async def step(run: Run[Order, Status]) -> Literal[Status.PAID]:
        fail_once("step")
        return Status.PAID

    @orders.timeout(Status.PAID, after=HOUR, retry=MINUTE)
    async def expire(run: Run[Order, Status]) -> Literal[Status.SENT]:
        fail_once("timer")
        return Status.SENT

    told = []

    @orders.on_complete
    async def tell(change) -> None:
        fail_once("hook")
        told.append(change.run.foreign_id)

    @orders.connector("shop", retry=MINUTE)
    async def order(workflow, event) -> None:
        fail_once("event")
        await workflow.trigger(event.foreign_id, Order())

    async with Harness(orders, backend=backend, connectors={"shop": source}) as harness:
        for number in range(3):
            await source.publish(ConnectorEvent(f"e-{number}", f"o-{number}"))
        await harness.advance(3 * HOUR)
        assert failing == set()
        assert sorted(told) == ["o-0", "o-1", "o-2"]
        assert set(harness.workflow.processes().values()) == {ProcessState.RUNNING}


async def test_a_step_waits_for_the_minimum_age(backend):
    orders = one_step(lambda run: Status.PAID, consume_lag=HOUR)
    async with Harness(orders, backend=backend) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(HOUR - timedelta(microseconds=1))
        assert (await harness.latest("o-1")).status is Status.CREATED
        await harness.advance(timedelta(microseconds=1))
        assert (await harness.latest("o-1")).status is Status.PAID


async def test_late_work_raises_the_alert_and_work_in_time_ends_it(new_backend):
    facts = Facts()
    orders = one_step(lambda run: Status.PAID, lag_alert=HOUR)
    backend = new_backend()
    async with Harness(orders, backend=backend) as harness:
        clock = harness.clock
    async with orders.build(backend, clock=clock).client() as client:
        await client.trigger("late", Order())
    clock.advance(2 * HOUR)
    async with Harness(orders, backend=backend, clock=clock, observers=[facts]) as harness:
        await harness.settle()
        await harness.trigger("in-time", Order())
        told = [f for f in facts.of(LagAlert) if f.process == "CREATED-consumer-1-of-1"]
    assert [(f.is_raised, f.lag_seconds) for f in told] == [(True, 7200.0), (False, 0.0)]


async def test_a_change_is_counted_once_it_is_stored_and_not_before(backend):
    facts = Facts()
    async with Harness(three_steps(), backend=backend, observers=[facts]) as harness:
        run = await harness.trigger("o-1", Order())
    moves = [(f.version, f.previous_run_state, f.run_state) for told in facts.of(RunsMoved) for f in told.moves]
    assert moves == [(1, 0, 1), (2, 1, 2), (3, 2, 2), (4, 2, 4)]
    assert {f.run_id for told in facts.of(RunsMoved) for f in told.moves} == {run.id}


async def test_a_read_that_is_behind_is_repeated_for_this_run_alone():
    """A replica may not have the run yet; that is no error, and no failed attempt."""
    behind: set[str] = set()

    class Replica(MemoryRecordStore):
        async def lookup_many(self, refs):
            found = await super().lookup_many(refs)
            late = [ref.run_id for ref in refs if ref.run_id not in behind]
            behind.update(late)
            return [None if ref.run_id in late else record for ref, record in zip(refs, found, strict=True)]

    facts, records = Facts(), Memory()
    records.record_store = Replica(records._storage)
    flow = one_step(lambda run: Status.PAID)
    async with flow.build(records, event_streamer=Memory(), observers=[facts]) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        behind.add(run_id)  # for await_status, whose look is not what this is about
        await workflow.await_status(run_id, Status.PAID, within=SOON)
        assert await workflow.runs.attempts(run_id) == []


async def test_an_object_that_cannot_be_read_is_a_failed_attempt_of_its_run_alone(backend):
    old = Builder("orders", dict[str, str], Status)
    old.add_step(Status.CREATED, lambda run: Skip(), to=Status.PAID)
    new = one_step(lambda run: Status.PAID, pause_after_error_count=2, retry=MINUTE)
    async with old.build(backend).client() as client:
        broken = await client.trigger("broken", {"total": "many"})
    async with Harness(new, backend=backend, pause_retry=None) as harness:
        assert (await harness.trigger("good", Order())).status is Status.PAID
        await harness.advance(2 * MINUTE)
        attempts = await harness.workflow.runs.attempts(broken)
    assert [attempt.error_type for attempt in attempts] == ["CodecError", "CodecError"]


async def test_a_hundred_repeats_are_a_hundred_versions(backend):
    def count(run: Run[Order, Status]) -> Repeat | Literal[Status.PAID]:
        run.object.total += 1
        return Repeat() if run.object.total < 100 else Status.PAID

    async with Harness(one_step(count), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        assert (run.object.total, run.version) == (100, 101)
        assert len(await harness.versions(run.id)) == 101


async def test_five_workflows_run_side_by_side(backend):
    names = [f"flow-{number}" for number in range(5)]
    async with Harness(three_steps(), backend=backend) as harness:
        others = [harness.beside(three_steps(name)) for name in names]
        for other in others:
            await other.__aenter__()
        await asyncio.gather(*(other.workflow.trigger("o-1", Order()) for other in others))
        await harness.settle()
        for other in others:
            assert (await other.latest("o-1")).status is Status.SENT
        for other in others:
            await other.__aexit__(None, None, None)


async def test_logs_name_runs_and_never_what_is_in_them(backend, caplog):
    secret = "4929-1234-canary"

    def fail(run: Run[Order, Status]) -> Literal[Status.PAID]:
        raise ValueError(f"card {run.object.seen}")

    with caplog.at_level("DEBUG", logger="stepgraph"):
        async with Harness(one_step(fail, pause_after_error_count=1), backend=backend) as harness:
            run = await harness.trigger(f"person {secret}", Order(1, [secret]))
    assert run.id in caplog.text
    assert secret not in caplog.text
