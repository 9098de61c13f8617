"""What a caller is told of a write whose first call was not answered."""

import asyncio
from datetime import timedelta

import pytest

from stepgraph import InputError, OutcomeUnknownError, Repeat, RunInProgressError, Skip
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.errors import RefusedError
from tests.flows import SOON, Order, Status, one_step


async def wait(run):
    return Skip()


def troubled(monkeypatch, *troubles):
    """Let the next commits of creates meet these: ("lost" | "unanswered" | an error)."""
    commit = MemoryRecordStore.commit
    left = list(troubles)

    async def meet(self, writes, finished=()):
        if not writes or writes[0].expected_version or not left:
            return await commit(self, writes, finished)
        trouble = left.pop(0)
        if trouble == "unanswered":
            await commit(self, writes, finished)
        if isinstance(trouble, str):
            raise OutcomeUnknownError(f"the call was {trouble}")
        raise trouble

    monkeypatch.setattr(MemoryRecordStore, "commit", meet)


async def test_a_lost_create_that_then_meets_an_open_run_is_left_open(monkeypatch):
    async with one_step(wait).build(Memory()) as workflow:
        await workflow.trigger("o-1", Order())
        troubled(monkeypatch, "lost")

        # The lost call may still arrive once the other run has ended.
        with pytest.raises(OutcomeUnknownError, match="may yet happen"):
            await workflow.trigger("o-1", Order())
        with pytest.raises(RunInProgressError):
            await workflow.trigger("o-1", Order())


async def test_a_deadlock_after_an_unanswered_call_is_tried_once_more(monkeypatch):
    async with one_step(wait).build(Memory()) as workflow:
        troubled(monkeypatch, "unanswered", RefusedError("deadlock"))

        run_id = await workflow.trigger("o-1", Order())

        assert (await workflow.runs.get(run_id)).status is Status.CREATED


async def test_a_refusal_after_an_unanswered_call_is_left_open(monkeypatch):
    async with one_step(wait).build(Memory()) as workflow:
        troubled(monkeypatch, "unanswered", RefusedError("no"), RefusedError("no"))

        with pytest.raises(OutcomeUnknownError, match="refuses it now"):
            await workflow.trigger("o-1", Order())


async def test_a_refusal_from_the_beginning_is_definite(monkeypatch):
    async with one_step(wait).build(Memory()) as workflow:
        troubled(monkeypatch, RefusedError("no"), RefusedError("no"))

        with pytest.raises(InputError, match="the store refuses the run"):
            await workflow.trigger("o-1", Order())


async def test_a_step_goes_on_whose_run_was_saved_while_it_was_at_work(backend):
    begun, go = asyncio.Event(), asyncio.Event()

    async def work(run):
        begun.set()
        await go.wait()
        return Status.PAID

    async def remark(run, payload):
        run.object.seen.append("remark")
        return Repeat()

    orders = one_step(work)
    orders.add_callback(Status.CREATED, remark, to=[Status.PAID])
    async with orders.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await begun.wait()
        await workflow.callback("o-1", remark)
        go.set()

        # The first call is dropped, but not the row of the version after it.
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert (run.version, run.object.seen) == (3, ["remark"])


async def test_a_refused_resume_of_what_errors_paused_is_made_again(monkeypatch):
    commit, refused = MemoryRecordStore.commit, []

    async def refuse_twice(self, writes, finished=()):
        if len(refused) < 2 and any(w.history and w.history.role == "resume" for w in writes):
            refused.append(writes)
            raise RefusedError("deadlock")
        return await commit(self, writes, finished)

    async def fail_once(run):
        if run.version == 1:
            raise ValueError("boom")
        return Status.PAID

    monkeypatch.setattr(MemoryRecordStore, "commit", refuse_twice)
    orders = one_step(fail_once, pause_after_error_count=1)
    async with orders.build(Memory(), pause_retry=timedelta(0)) as workflow:
        run_id = await workflow.trigger("o-1", Order())

        await workflow.await_status(run_id, Status.PAID, within=SOON)

    assert len(refused) == 2
