"""What hooks are told, and what becomes of those that fail."""

import asyncio
from datetime import timedelta

import pytest

from stepgraph import Builder, Cancel, DefinitionError, Pause, RunState
from stepgraph.testing import FakeClock, Harness
from tests.engine.test_steps import until
from tests.flows import SOON, Order, Status, three_steps


def told_of(orders, told, *run_states, **options):
    """Add a hook that notes what it is told."""

    @orders.on(*run_states, **options)
    async def note(change):
        told.append((change.run.foreign_id, change.version, change.previous, change.run_state, change.reason))

    return note


async def test_a_completed_run_is_told_once_with_its_change(backend):
    orders, told = three_steps(), []
    told_of(orders, told, RunState.COMPLETED)
    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, within=SOON)

        async def read():
            return told

        await until(read, bool)

        assert told == [("o-1", 4, RunState.RUNNING, RunState.COMPLETED, "")]


async def test_a_hook_for_any_change_is_told_in_order(backend):
    orders, told = Builder("orders", Order, Status), []
    answers = iter([Pause("p"), Cancel("c")])
    orders.add_step(Status.CREATED, lambda run: next(answers), to=[Status.PAID])
    told_of(orders, told)
    async with Harness(orders, backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.workflow.runs.resume(run.id, actor="anna")
        await harness.settle()

    assert [(version, state, reason) for _, version, _, state, reason in told] == [
        (1, RunState.INITIATED, ""),
        (2, RunState.PAUSED, "p"),
        (3, RunState.RUNNING, ""),
        (4, RunState.CANCELLED, "c"),
    ]


async def test_the_three_short_decorators_and_resources(backend):
    orders, told = Builder("orders", Order, Status), []
    orders.add_step(Status.CREATED, lambda run: Pause("p"), to=[Status.PAID])

    @orders.on_pause
    def paused(change, *, pager):
        pager.append(("paused", change.actor))

    @orders.on_cancel
    @orders.on_complete
    async def ended(change, *, pager):
        pager.append((change.run_state.name, change.reason, change.actor))

    async with Harness(orders, backend=backend, resources={"pager": told}) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.workflow.runs.cancel(run.id, "fraud", actor="ben")
        await harness.settle()

    assert told == [("paused", ""), ("CANCELLED", "fraud", "ben")]


async def test_a_failing_hook_is_retried_apart_and_then_parked(backend):
    orders, calls = three_steps(), []

    @orders.on(RunState.COMPLETED, max_attempts=3, retry=timedelta(minutes=1))
    def fail(change):
        calls.append(change.run.foreign_id)
        if change.run.foreign_id == "bad" and len(calls) < 100:
            raise ValueError("pager is away")

    async with Harness(orders, backend=backend) as harness:
        await harness.trigger("bad", Order())
        await harness.trigger("good", Order())
        assert sorted(calls) == ["bad", "good"]
        await harness.advance(timedelta(minutes=10))
        assert calls.count("bad") == 3

        (letter,) = [found async for found in harness.workflow.dead_letters.find(kind="hook")]
        assert (letter.name, letter.attempts, letter.error) == ("fail", 3, "ValueError: pager is away")

        calls += ["x"] * 100
        await harness.workflow.dead_letters.retry(letter.id)
        await harness.settle()
        assert calls[-1] == "bad"
        assert [found async for found in harness.workflow.dead_letters.find()] == []


async def test_a_letter_can_be_discarded(backend, caplog):
    orders = three_steps()

    @orders.on(RunState.COMPLETED, max_attempts=1)
    def fail(change):
        raise ValueError("boom")

    async with Harness(orders, backend=backend) as harness:
        await harness.trigger("o-1", Order())
        (letter,) = [found async for found in harness.workflow.dead_letters.find()]
        await harness.workflow.dead_letters.discard(letter.id, "known", actor="anna")

        assert "anna" in caplog.text
        assert [found async for found in harness.workflow.dead_letters.find()] == []
        with pytest.raises(ValueError, match="no dead letter"):
            await harness.workflow.dead_letters.retry(letter.id)
        with pytest.raises(ValueError, match="no id"):
            await harness.workflow.dead_letters.retry("x")


async def test_a_change_that_a_client_made_is_told_by_whoever_runs_next(new_backend):
    clock, told = FakeClock(), []
    orders = three_steps()
    told_of(orders, told, RunState.CANCELLED)
    async with orders.build(new_backend(), clock=clock).client() as client:
        run_id = await client.trigger("o-1", Order())
        await client.runs.cancel(run_id, "x")
    assert told == []

    async with Harness(orders, backend=new_backend(), clock=clock) as harness:
        await harness.settle()

    assert told == [("o-1", 2, RunState.INITIATED, RunState.CANCELLED, "x")]


def test_two_functions_of_one_name_need_two_names():
    orders = three_steps()
    told_of(orders, [], RunState.PAUSED)
    with pytest.raises(DefinitionError, match="note"):
        told_of(orders, [], RunState.PAUSED)
    told_of(orders, [], RunState.PAUSED, name="other")


async def test_the_first_calls_for_one_run_start_in_the_order_of_its_versions(backend):
    orders, told, go_on = three_steps(), [], asyncio.Event()

    @orders.on(RunState.INITIATED, RunState.RUNNING, RunState.COMPLETED)
    async def note(change):
        told.append(change.version)
        if change.version == 1:
            await go_on.wait()

    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, within=SOON)

        async def read():
            return list(told)

        await until(read, bool)
        assert told == [1]
        go_on.set()
        await until(read, lambda found: len(found) == 3)

    assert told == [1, 2, 4]
