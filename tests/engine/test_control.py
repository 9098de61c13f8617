"""Pause, resume, retry, cancel from outside."""

import asyncio
from datetime import timedelta

import pytest

from stepgraph import (
    BulkReport,
    InvalidRunStateError,
    Repeat,
    RunNotFoundError,
    RunState,
    Skip,
    VersionConflictError,
)
from stepgraph.testing import Harness
from tests.flows import SOON, Order, Status, one_step

LONG = timedelta(days=1)


async def in_state(harness, name):
    """Return a run that was brought into a run state."""
    runs = harness.workflow.runs
    run = await harness.trigger("o-1", Order())
    if name == "paused":
        return await runs.pause(run, "p")
    if name == "cancelled":
        return await runs.cancel(run, "c")
    if name == "completed":
        harness.answers.append(Status.PAID)
        await runs.retry(run)
        await harness.settle()
        return await runs.get(run.id)
    return run


def harness_of(backend):
    """A harness whose only step skips, or answers what is put into `answers`."""
    answers = []
    orders = one_step(lambda run: answers.pop() if answers else Skip())
    harness = Harness(orders, backend=backend)
    harness.answers = answers
    return harness


LEGAL = {
    "initiated": {"pause", "cancel", "retry"},
    "paused": {"resume", "cancel"},
    "completed": {"delete_data"},
    "cancelled": {"delete_data"},
}


@pytest.mark.parametrize("state", LEGAL)
@pytest.mark.parametrize("action", ["pause", "resume", "retry", "cancel", "delete_data"])
async def test_every_action_in_every_state(backend, state, action):
    async with harness_of(backend) as harness:
        run = await in_state(harness, state)
        call = getattr(harness.workflow.runs, action)
        arguments = () if action in ("resume", "retry") else ("because",)

        if action in LEGAL[state]:
            after = await call(run.id, *arguments, actor="anna")
            assert after.version == run.version + 1
            # The deletion itself may have followed already.
            entry = (await harness.workflow.runs.history(run.id))[after.version - 1]
            expected = "because" if arguments else ""
            assert (entry.cause, entry.actor, entry.reason) == ("control", "anna", expected)
        else:
            with pytest.raises(InvalidRunStateError, match=run.run_state.name):
                await call(run.id, *arguments)
            assert (await harness.workflow.runs.get(run.id)).version == run.version


async def test_a_snapshot_means_the_run_as_it_was_seen(backend):
    async with harness_of(backend) as harness:
        runs = harness.workflow.runs
        seen = await harness.trigger("o-1", Order())
        await runs.pause(seen, "p")

        with pytest.raises(VersionConflictError, match="version 1 and is at 2") as error:
            await runs.cancel(seen, "c")

        assert error.value.run.run_state is RunState.PAUSED
        assert (await runs.cancel(seen.id, "c")).run_state is RunState.CANCELLED


async def test_an_unknown_run_is_not_found(backend):
    async with harness_of(backend) as harness:
        with pytest.raises(RunNotFoundError):
            await harness.workflow.runs.pause("nobody", "x")


async def test_a_running_step_is_told_of_a_cancel_and_its_answer_is_dropped(backend):
    began, told = asyncio.Event(), asyncio.Event()

    async def slow(run):
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert run.is_cancelled
            told.set()
            raise

    async with one_step(slow).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await began.wait()
        await workflow.runs.cancel(run_id, "fraud")
        async with asyncio.timeout(20):
            await told.wait()
        run = await workflow.runs.get(run_id)
        assert (run.run_state, run.reason) == (RunState.CANCELLED, "fraud")
        assert await workflow.runs.attempts(run_id) == []


async def test_retry_does_what_waits_now(backend):
    calls = []

    def step(run):
        calls.append(run.attempt)
        if len(calls) == 1:
            raise ValueError("x")
        if len(calls) == 2:
            return Repeat(after=LONG)
        return Status.PAID

    async with Harness(one_step(step, retry=LONG), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        for _ in range(2):
            await harness.workflow.runs.retry(run.id)
            await harness.settle()
        assert (await harness.latest("o-1")).status is Status.PAID
        assert calls == [1, 1, 1]


async def test_retry_resumes_what_errors_paused(backend):
    calls = []

    def step(run):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("x")
        return Status.PAID

    orders = one_step(step, pause_after_error_count=1)
    async with Harness(orders, backend=backend, pause_retry=None) as harness:
        run = await harness.trigger("o-1", Order())
        assert run.run_state is RunState.PAUSED
        await harness.workflow.runs.retry(run)
        await harness.settle()
        assert (await harness.latest("o-1")).run_state is RunState.COMPLETED


async def test_bulk_actions_do_what_fits_and_say_what_does_not(backend):
    async with harness_of(backend) as harness:
        workflow = harness.workflow
        ids = [await workflow.trigger(f"o-{n}", Order()) for n in range(250)]
        await workflow.runs.pause(ids[7], "before")

        report = await workflow.runs.pause_all("maintenance", actor="anna", status=Status.CREATED)

        assert report.done == 249
        assert [run_id for run_id, _ in report.refused] == [ids[7]]
        assert "PAUSED" in report.refused[0][1]
        assert await workflow.runs.count(run_state=RunState.PAUSED) == 250
        assert await workflow.runs.resume_all(run_state=RunState.PAUSED) == BulkReport(250, ())
        assert (await workflow.runs.cancel_all("stop", foreign_id="o-3")).done == 1


async def test_a_client_can_control(new_backend):
    orders = one_step(lambda run: Status.PAID)
    async with orders.build(new_backend()).client() as client:
        run_id = await client.trigger("o-1", Order())
        await client.runs.pause(run_id, "wait")
        async with orders.build(new_backend()) as workflow:
            await client.runs.resume(run_id)
            run = await workflow.await_status(run_id, Status.PAID, within=SOON)
            assert run.run_state is RunState.COMPLETED


async def test_a_run_whose_object_cannot_be_read_can_still_be_controlled(new_backend):
    from dataclasses import dataclass

    from stepgraph import Builder

    @dataclass
    class Other:
        name: str

    async with one_step(lambda run: Skip()).build(new_backend()).client() as client:
        run_id = await client.trigger("o-1", Order())
    other = Builder("orders", Other, Status)
    other.add_step(Status.CREATED, lambda run: Skip(), to=[Status.PAID])
    async with other.build(new_backend()).client() as client:
        assert (await client.runs.cancel(run_id, "unreadable")).run_state is RunState.CANCELLED
