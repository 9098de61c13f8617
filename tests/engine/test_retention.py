"""What is older than it is kept is forgotten, and nothing else."""

from datetime import timedelta

import pytest

from stepgraph import (
    DefinitionError,
    Retention,
    RunEndedError,
    RunNotFoundError,
    RunState,
    Skip,
    Trigger,
)
from stepgraph.adapters.memory import Memory
from stepgraph.engine.performers.retention import LIMIT
from stepgraph.model.queue import Want
from stepgraph.testing import Harness
from tests.flows import SOON, Order, Status, one_step, three_steps

DAY = timedelta(days=1)


def short(**changes):
    """Options that keep ended runs for ten days and keys for thirty."""
    options = {"retention": Retention(runs=10 * DAY), "key_retention": 30 * DAY}
    return options | changes


async def is_stored(harness, run_id):
    """Whether anything finds the run."""
    found = [run async for run in harness.workflow.runs.find() if run.id == run_id]
    try:
        await harness.workflow.runs.get(run_id)
    except RunNotFoundError:
        assert found == []
        return False
    return True


async def test_nothing_is_pruned_unless_asked(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(300 * DAY)

        assert await is_stored(harness, run.id)
        assert len(await harness.workflow.runs.history(run.id)) == 4


async def test_an_ended_run_goes_when_it_is_old_enough(backend):
    async with Harness(three_steps(), backend=backend, **short()) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(9 * DAY)
        younger = await harness.trigger("o-1", Order())
        assert await is_stored(harness, run.id)
        await harness.advance(3 * DAY)

        assert not await is_stored(harness, run.id)
        assert await is_stored(harness, younger.id)
        with pytest.raises(RunNotFoundError, match="was pruned"):
            await harness.workflow.await_status(run.id, within=SOON)
        assert (await harness.workflow.runs.latest("o-1")).id == younger.id


async def test_an_open_run_is_kept_however_old_it_is(backend):
    async def wait(run) -> Skip:
        return Skip()

    async with Harness(one_step(wait), backend=backend, **short()) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(100 * DAY)

        assert await is_stored(harness, run.id)


async def test_a_key_starts_nothing_twice_after_the_run_was_pruned(backend):
    async with Harness(three_steps(), backend=backend, **short()) as harness:
        workflow = harness.workflow
        run_id = await workflow.trigger("o-1", Order(), idempotency_key="webhook-7")
        await harness.advance(20 * DAY)
        assert not await is_stored(harness, run_id)

        assert await workflow.trigger("o-1", Order(), idempotency_key="webhook-7") == run_id
        await harness.settle()
        assert await workflow.runs.count() == 0
        for statuses in ((), (Status.SENT,)):
            with pytest.raises(RunEndedError, match="COMPLETED and was pruned") as raised:
                await workflow.await_status(run_id, *statuses, within=SOON)
            ended = raised.value
            assert (ended.run_id, ended.run_state, ended.run) == (run_id, RunState.COMPLETED, None)


async def test_a_key_is_free_again_after_its_retention(backend):
    async with Harness(three_steps(), backend=backend, **short()) as harness:
        run_id = await harness.workflow.trigger("o-1", Order(), idempotency_key="webhook-7")
        await harness.advance(32 * DAY)
        with pytest.raises(RunNotFoundError):
            await harness.workflow.await_status(run_id, within=SOON)

        assert await harness.workflow.trigger("o-1", Order(), idempotency_key="webhook-7") == run_id
        await harness.settle()
        assert (await harness.workflow.runs.get(run_id)).run_state is RunState.COMPLETED


async def test_many_keys_of_one_call_are_answered_each_by_itself(backend):
    async with Harness(three_steps(), backend=backend, **short()) as harness:
        wishes = [Trigger(f"o-{n}", Order(), idempotency_key="k") for n in range(100)]
        first = await harness.workflow.trigger_many(wishes[:50])
        await harness.advance(20 * DAY)

        again = await harness.workflow.trigger_many(wishes)

        assert [r.run_id for r in again[:50]] == [r.run_id for r in first]
        assert all(result.error is None for result in again)
        assert await harness.workflow.runs.count() == 50


async def test_a_run_is_kept_while_a_hook_of_it_still_fails(backend):
    orders, calls = three_steps(), []

    @orders.on(RunState.COMPLETED, retry=4 * DAY)
    def tell(change):
        calls.append(change.run.id)
        if len(calls) < 5:
            raise ValueError("away")

    async with Harness(orders, backend=backend, **short()) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(15 * DAY)
        assert await is_stored(harness, run.id)
        await harness.advance(5 * DAY)

        assert calls == [run.id] * 5
        assert not await is_stored(harness, run.id)


async def test_a_callback_key_is_forgotten_with_the_key_retention(backend):
    waiting = one_step(lambda run: Skip())

    @waiting.callback(Status.CREATED, to=[Status.PAID])
    async def paid(run, payload: bytes):
        return Status.PAID

    async with Harness(waiting, backend=backend, **short()) as harness:

        async def tell():
            receipt = await harness.workflow.callback("o-1", paid, b"x", idempotency_key="k")
            return receipt.effect

        await harness.trigger("o-1", Order())
        await tell()
        await harness.advance(29 * DAY)
        assert await tell() == "repeated"
        await harness.advance(3 * DAY)
        await harness.trigger("o-1", Order())

        assert await tell() == "applied"


async def test_old_history_goes_and_the_newest_version_stays(backend):
    async def wait(run) -> Skip:
        return Skip()

    options = short(retention=Retention(history=5 * DAY))
    async with Harness(one_step(wait), backend=backend, **options) as harness:
        run = await harness.trigger("o-1", Order(total=7))
        for _ in range(2):
            await harness.workflow.runs.pause(run.id, "for a while")
            await harness.workflow.runs.resume(run.id)
        await harness.advance(4 * DAY)
        assert len(await harness.workflow.runs.history(run.id)) == 5
        await harness.advance(3 * DAY)

        (entry,) = await harness.workflow.runs.history(run.id)
        assert entry.version == 5
        assert [found.object for found in await harness.versions(run.id)] == [Order(total=7)]


async def test_a_pass_of_many_batches_ends(backend):
    count = 2 * LIMIT + 7
    async with Harness(three_steps(), backend=backend, **short()) as harness:
        await harness.workflow.trigger_many(Trigger(f"o-{n}", Order()) for n in range(count))
        await harness.settle()
        await harness.advance(12 * DAY)

        assert await harness.workflow.runs.count() == 0


async def test_each_workflow_prunes_its_own_once(new_backend):
    """Two processes of one workflow, and another workflow that keeps everything."""
    first, second = new_backend(), new_backend()
    async with (
        Harness(three_steps(), backend=first, **short()) as harness,
        Harness(three_steps("others"), backend=second, clock=harness.clock) as others,
        three_steps().build(new_backend(), clock=harness.clock, **short()),
    ):
        run = await harness.trigger("o-1", Order())
        kept = await others.trigger("o-1", Order())
        await harness.advance(13 * DAY)

        assert not await is_stored(harness, run.id)
        assert await is_stored(others, kept.id)
        queue = harness.workflow.opened().instance.backend.work_queue
        wants = [Want("orders/retention", tuple(range(16)), 0, 100)]
        rows = await queue.due(wants, 10**18)
        assert len(rows) == 1


async def test_unread_events_of_a_mixed_pair_are_forgotten(new_backend):
    """A topic that nobody reads any more must not grow for ever."""
    stream = new_backend()
    options = short(retention=Retention(events=2 * DAY), event_streamer=stream)
    async with Harness(three_steps(), backend=Memory(), **options) as harness:
        old = await stream.event_streamer.open_receiver("orders/step/1", "an old release")
        await harness.trigger("o-1", Order())
        assert await old.low_water() is not None
        await harness.advance(4 * DAY)

        assert await old.low_water() is None


def test_what_would_be_pruned_too_early_is_refused():
    for wrong in ({"runs": timedelta(hours=23)}, {"history": timedelta(0)}, {"events": 7}):
        with pytest.raises(DefinitionError, match="must be None or a timedelta of at least"):
            Retention(**wrong)
    with pytest.raises(DefinitionError, match="key_retention"):
        three_steps().build(Memory(), key_retention=timedelta(hours=1))
    with pytest.raises(DefinitionError, match="must be a Retention"):
        three_steps().build(Memory(), retention=90 * DAY)
