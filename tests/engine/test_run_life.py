"""A run from its trigger to the deletion of its data, as it is shown from outside."""

import asyncio
from datetime import timedelta
from itertools import groupby
from typing import Literal

import pytest

from stepgraph import (
    Builder,
    Cancel,
    DeadlineError,
    NotOpenError,
    Pause,
    Run,
    RunEndedError,
    RunNotFoundError,
    RunState,
    Skip,
)
from stepgraph.testing import Harness
from tests.flows import SOON, Order, Status, one_step, three_steps

HOUR = timedelta(hours=1)


def states(versions):
    return [version.run_state.name for version in versions]


async def test_the_states_of_a_run_that_completes(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        versions = await harness.versions(run.id)
    assert states(versions) == ["INITIATED", "RUNNING", "RUNNING", "COMPLETED"]


@pytest.mark.parametrize(("answer", "state"), [(Pause("why"), "PAUSED"), (Cancel("why"), "CANCELLED")])
async def test_pause_and_cancel_keep_what_the_step_changed(backend, answer, state):
    def step(run: Run[Order, Status]) -> Pause | Cancel:
        run.object.seen.append("changed")
        return answer

    async with Harness(one_step(step), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        assert (run.run_state.name, run.reason, run.object.seen) == (state, "why", ["changed"])
        assert states(await harness.versions(run.id)) == ["INITIATED", state]


async def test_a_run_is_controlled_from_its_start_to_its_deletion_and_again(backend):
    async with Harness(one_step(lambda run: Skip()), backend=backend) as harness:
        runs = harness.workflow.runs
        run = await harness.trigger("o-1", Order())
        for action in (runs.pause, runs.resume, runs.cancel, runs.delete_data):
            arguments = () if action == runs.resume else ("because",)
            await harness.advance(HOUR)
            run = await action(run, *arguments, actor="anna")
            # Control touches the run state, never what the run is about; and the time is now.
            assert run.status is Status.CREATED
            assert run.updated_at == harness.clock.now()
        await harness.advance(HOUR)
        await runs.delete_data(run.id, "again")
        await harness.advance(HOUR)
        history = await runs.history(run.id)
    names = [name for name, _ in groupby(entry.run_state.name for entry in history)]
    assert names == [
        "INITIATED", "PAUSED", "RUNNING", "CANCELLED", "REQUESTED_DATA_DELETED", "DATA_DELETED",
        "REQUESTED_DATA_DELETED", "DATA_DELETED",
    ]  # fmt: skip


async def test_a_run_that_fails_in_its_first_step_can_be_cancelled(backend):
    def fail(run: Run[Order, Status]) -> Literal[Status.PAID]:
        raise ValueError("boom")

    async with Harness(one_step(fail), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        assert run.run_state is RunState.INITIATED
        assert (await harness.workflow.runs.cancel(run, "no use")).run_state is RunState.CANCELLED


async def test_a_run_knows_where_it_was_triggered(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        run_id = await harness.workflow.trigger("o-1", Order())
        record = await harness.workflow.runs.record(run_id)
    file, _, function = record.meta.trace_origin.partition(":")
    assert file.endswith("test_run_life.py")
    assert function.endswith("test_a_run_knows_where_it_was_triggered")


async def test_run_ids_are_unique_and_in_the_order_of_their_triggering(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        ids = [await harness.workflow.trigger(f"o-{n}", Order()) for n in range(50)]
        newest_first = [run.id async for run in harness.workflow.runs.find()]
        oldest_first = [run.id async for run in harness.workflow.runs.find(order="asc", limit=10)]
    assert sorted(set(ids)) == ids
    assert newest_first == ids[::-1]
    assert oldest_first == ids[:10]


async def test_runs_are_found_by_what_is_known_of_them(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        find = harness.workflow.runs.find
        await harness.trigger("a,b", Order())
        await harness.advance(HOUR)
        noon = harness.clock.now()
        await harness.advance(HOUR)
        paused = await harness.trigger("a", Order())
        for wanted, count in [
            ({"foreign_id": "a,b"}, 1),
            ({"foreign_id": "A,B"}, 0),
            ({"status": Status.SENT}, 2),
            ({"status": [Status.CREATED, Status.SENT], "foreign_id": "a"}, 1),
            ({"run_state": [RunState.PAUSED, RunState.CANCELLED]}, 0),
            ({"created_after": noon}, 1),
            ({"created_before": noon, "run_state": RunState.COMPLETED}, 1),
            ({"created_after": paused.created_at}, 0),
        ]:
            assert len([run async for run in find(**wanted)]) == count, wanted
            assert await harness.workflow.runs.count(**wanted) == count


async def test_the_latest_run_is_the_one_triggered_last_whatever_is_stored_later(backend):
    async with Harness(one_step(lambda run: Status.PAID), backend=backend) as harness:
        first = await harness.trigger("o-1", Order(1))
        second = await harness.trigger("o-1", Order(2))
        await harness.workflow.runs.delete_data(first.id, "asked")
        await harness.settle()
        assert (await harness.latest("o-1")).id == second.id


async def test_await_status_tells_another_end_and_the_end_of_patience(backend):
    async with Harness(one_step(lambda run: Skip()), backend=backend) as harness:
        workflow = harness.workflow
        run = await harness.trigger("o-1", Order())
        with pytest.raises(DeadlineError) as late:
            await workflow.await_status(run.id, Status.PAID, within=timedelta(milliseconds=10))
        assert late.value.run.id == run.id
        # A pause is no end: whoever waits goes on waiting.
        waiting = asyncio.ensure_future(workflow.await_status(run.id, Status.PAID, within=SOON))
        await workflow.runs.pause(run.id, "wait")
        await asyncio.sleep(0)
        assert not waiting.done()
        await workflow.runs.cancel(run.id, "no")
        with pytest.raises(RunEndedError) as ended:
            await waiting
        assert ended.value.run.run_state is RunState.CANCELLED
        with pytest.raises(RunNotFoundError):
            await workflow.await_status("nothing", within=SOON)


async def test_many_wait_for_one_run_and_leave_nothing_behind(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        workflow = harness.workflow
        run_id = await workflow.trigger("o-1", Order())
        runs = await asyncio.gather(
            *(workflow.await_status(run_id, status, within=SOON) for status in [*Status] * 5)
        )
        again = await workflow.trigger("o-1", Order())
        await workflow.await_status(again, Status.SENT, within=SOON)
    assert {run.id for run in runs} == {run_id}


async def test_a_workflow_can_be_stopped_and_started_again(backend):
    workflow = three_steps().build(backend)
    for number in range(3):
        await workflow.start()
        with pytest.raises(NotOpenError, match="started already"):
            await workflow.start()
        run_id = await workflow.trigger(f"o-{number}", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)
        await workflow.stop()
        await workflow.stop()
    assert workflow.processes() == {}


async def test_a_function_cannot_stop_the_workflow_that_waits_for_it(backend):
    async def stop(run: Run[Order, Status]) -> Literal[Status.PAID]:
        await harness.workflow.stop()
        return Status.PAID

    async with Harness(one_step(stop, retry=HOUR), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        (attempt,) = await harness.workflow.runs.attempts(run.id)
        assert (attempt.error_type, "wait for itself" in attempt.message) == ("WorkflowError", True)
        assert (await harness.trigger("o-2", Order())).status is Status.CREATED


async def test_a_failure_within_one_try_leaves_the_object_as_it_was(backend):
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED, retry=HOUR)
    async def charge(run: Run[Order, Status]) -> Literal[Status.PAID]:
        run.object.seen.append("charge")
        if run.attempt == 1:
            raise ConnectionError("away")
        return Status.PAID

    async with Harness(orders, backend=backend) as harness:
        assert (await harness.trigger("o-1", Order())).object.seen == []
        await harness.advance(HOUR)
        assert (await harness.latest("o-1")).object.seen == ["charge"]
