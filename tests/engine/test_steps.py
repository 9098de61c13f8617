"""What steps may answer, and what becomes of runs."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from stepgraph import (
    Backoff,
    Builder,
    Cancel,
    DeadlineError,
    InputError,
    NotOpenError,
    Pause,
    Repeat,
    Run,
    RunEndedError,
    RunInProgressError,
    RunNotFoundError,
    RunState,
    Skip,
    Trigger,
)
from stepgraph.adapters.memory import Memory
from tests.flows import SOON, Order, Status, one_step, three_steps

AT_ONCE = Backoff(first=timedelta(milliseconds=1), cap=timedelta(milliseconds=5))


async def until(read, condition):
    """Wait for a fact about what is stored."""
    async with asyncio.timeout(20):
        while not condition(value := await read()):
            await asyncio.sleep(0.01)
    return value


async def test_a_run_goes_through_all_steps(backend):
    async with three_steps().build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order(5))
        run = await workflow.await_status(run_id, Status.SENT, within=SOON)

        assert run.object == Order(5, ["charge", "pack", "send"])
        assert (run.run_state, run.version) == (RunState.COMPLETED, 4)
        history = await workflow.runs.history(run_id)
        assert [entry.version for entry in history] == [1, 2, 3, 4]
        assert [entry.status for entry in history] == list(Status)
        assert [entry.cause for entry in history] == ["trigger", "step", "step", "step"]


async def test_a_second_open_run_of_a_foreign_id_is_refused(backend):
    async with one_step(lambda run: Skip()).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())

        with pytest.raises(RunInProgressError) as error:
            await workflow.trigger("o-1", Order())

        assert error.value.run_id == run_id


async def test_an_ended_run_frees_its_foreign_id(backend):
    async with three_steps().build(backend) as workflow:
        first = await workflow.trigger("o-1", Order())
        await workflow.await_status(first, within=SOON)

        second = await workflow.trigger("o-1", Order())

        assert second > first
        latest = await workflow.runs.latest("o-1")
        assert latest is not None and latest.id == second


async def test_a_key_starts_one_run_for_ever(backend):
    async with three_steps().build(backend) as workflow:
        first = await workflow.trigger("o-1", Order(), idempotency_key="k")
        await workflow.await_status(first, within=SOON)

        assert await workflow.trigger("o-1", Order(), idempotency_key="k") == first
        assert await workflow.runs.count(foreign_id="o-1") == 1


async def test_trigger_many_reports_each(backend):
    async with three_steps().build(backend) as workflow:
        wishes = [Trigger(f"o-{i}", Order(i)) for i in range(700)]
        results = await workflow.trigger_many([*wishes, Trigger("", Order()), Trigger("o-1", Order())])

        assert [r.error is None for r in results[:700]] == [True] * 700
        assert isinstance(results[700].error, InputError)
        assert [r.foreign_id for r in results] == [w.foreign_id for w in wishes] + ["", "o-1"]


async def test_fifty_triggers_of_one_foreign_id_make_one_run(new_backend):
    flow = one_step(lambda run: Skip())
    async with flow.build(new_backend()) as one, flow.build(new_backend()) as other:
        calls = [w.trigger("o-1", Order()) for w in (one, other) for _ in range(25)]
        answers = await asyncio.gather(*calls, return_exceptions=True)

        assert sum(isinstance(a, str) for a in answers) == 1
        assert sum(isinstance(a, RunInProgressError) for a in answers) == 49
        assert await one.runs.count() == 1


async def test_a_failing_step_is_tried_again_and_its_attempts_are_kept(backend):
    keys = []

    async def flaky(run: Run[Order, Status]) -> Literal[Status.PAID]:
        keys.append((run.attempt, run.idempotency_key))
        if run.attempt < 3:
            raise RuntimeError("away")
        return Status.PAID

    async with one_step(flaky, retry=AT_ONCE).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert run.version == 2
        assert [attempt for attempt, _ in keys] == [1, 2, 3]
        assert len({key for _, key in keys}) == 1
        attempts = await workflow.runs.attempts(run_id)
        assert [(a.number, a.error_type, a.message) for a in attempts] == [
            (1, "RuntimeError", "away"),
            (2, "RuntimeError", "away"),
        ]
        assert "flaky" in attempts[0].traceback
        assert (await workflow.runs.history(run_id))[-1].attempt == 3


async def test_errors_pause_a_run_and_pause_retry_resumes_it(backend):
    is_healed = False

    async def flaky(run: Run[Order, Status]) -> Literal[Status.PAID]:
        if not is_healed:
            raise RuntimeError("away")
        return Status.PAID

    flow = one_step(flaky, retry=AT_ONCE, pause_after_error_count=2)
    async with flow.build(backend, pause_retry=timedelta(milliseconds=300)) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        paused = await until(
            lambda: workflow.runs.get(run_id), lambda run: run.run_state is RunState.PAUSED
        )
        assert "attempt 2 failed: RuntimeError: away" in paused.reason
        assert [a.number for a in await workflow.runs.attempts(run_id)] == [1, 2]
        is_healed = True

        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert run.reason == ""
        assert run.run_state is RunState.COMPLETED


async def test_a_run_that_was_paused_on_purpose_is_not_resumed(backend):
    async def ask(run: Run[Order, Status]) -> Pause:
        run.object.total = 7
        return Pause("a person looks")

    async with one_step(ask).build(backend, pause_retry=timedelta(0)) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await until(
            lambda: workflow.runs.get(run_id), lambda run: run.run_state is RunState.PAUSED
        )
        assert (run.reason, run.object.total, run.version) == ("a person looks", 7, 2)
        with pytest.raises(DeadlineError):
            await workflow.await_status(run_id, within=timedelta(seconds=1.5))
        assert (await workflow.runs.get(run_id)).version == 2


async def test_cancel_ends_the_run_and_keeps_the_object(backend):
    async def stop(run: Run[Order, Status]) -> Cancel:
        run.object.total = 9
        return Cancel("nothing to do")

    async with one_step(stop).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, within=SOON)

        assert (run.run_state, run.reason, run.object.total) == (
            RunState.CANCELLED,
            "nothing to do",
            9,
        )
        with pytest.raises(RunEndedError):
            await workflow.await_status(run_id, Status.PAID, within=SOON)


async def test_skip_is_durable_and_saves_nothing(new_backend):
    calls = []

    async def wait(run: Run[Order, Status]) -> Skip:
        calls.append(run.id)
        run.object.total = 9
        return Skip()

    flow = one_step(wait)
    async with flow.build(new_backend()) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await until(lambda: asyncio.sleep(0, len(calls)), lambda count: count == 1)
    async with flow.build(new_backend()) as workflow:
        with pytest.raises(DeadlineError):
            await workflow.await_status(run_id, within=timedelta(seconds=1.2))
        run = await workflow.runs.get(run_id)

    assert calls == [run_id]
    assert (run.version, run.object.total) == (1, 0)


async def test_repeat_saves_and_comes_again(backend):
    async def count(run: Run[Order, Status]) -> Literal[Status.PAID] | Repeat:
        run.object.total += 1
        return Status.PAID if run.object.total == 100 else Repeat()

    async with one_step(count).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert (run.object.total, run.version) == (100, 101)


async def test_repeat_after_waits(backend):
    instants = []

    async def twice(run: Run[Order, Status]) -> Literal[Status.PAID] | Repeat:
        instants.append(run.now())
        return Status.PAID if len(instants) == 2 else Repeat(after=timedelta(milliseconds=400))

    async with one_step(twice).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)

    assert instants[1] - instants[0] >= timedelta(milliseconds=400)


async def test_an_undeclared_status_is_a_failed_attempt(backend):
    async def wrong(run: Run[Order, Status]) -> Status:
        return Status.SENT

    async with one_step(wrong, pause_after_error_count=1).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await until(lambda: workflow.runs.get(run_id), lambda r: r.run_state is RunState.PAUSED)
        (attempt,) = await workflow.runs.attempts(run_id)

    assert attempt.error_type == "InvalidTransitionError"
    assert "answered SENT, and declares PAID" in attempt.message


async def test_an_object_that_cannot_be_stored_is_a_failed_attempt(backend):
    async def wrong(run: Run[Order, Status]) -> Literal[Status.PAID]:
        run.object.seen = [object()]  # type: ignore[list-item]
        return Status.PAID

    async with one_step(wrong, pause_after_error_count=1).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order(3))
        run = await until(lambda: workflow.runs.get(run_id), lambda r: r.run_state is RunState.PAUSED)
        (attempt,) = await workflow.runs.attempts(run_id)

    assert (attempt.error_type, run.object) == ("InputError", Order(3))


async def test_the_time_limit_fails_the_attempt_and_frees_the_runner(backend):
    async def slow(run: Run[Order, Status]) -> Literal[Status.PAID]:
        if run.attempt == 1:
            await asyncio.Event().wait()
        return Status.PAID

    flow = one_step(slow, time_limit=timedelta(milliseconds=200), retry=AT_ONCE, concurrency=1)
    async with flow.build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)
        (attempt,) = await workflow.runs.attempts(run_id)

    assert attempt.error_type == "FunctionTimeLimitError"


async def test_cancellation_and_exit_in_a_step_are_failed_attempts(backend):
    async def rude(run: Run[Order, Status]) -> Literal[Status.PAID]:
        if run.attempt == 1:
            raise asyncio.CancelledError
        if run.attempt == 2:
            raise SystemExit(3)
        return Status.PAID

    async with one_step(rude, retry=AT_ONCE).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)
        attempts = await workflow.runs.attempts(run_id)

    assert [a.error_type for a in attempts] == ["CancelledError", "SystemExit"]


async def test_concurrency_bounds_the_calls_at_once(backend):
    at_once, most = 0, 0

    async def slow(run: Run[Order, Status]) -> Literal[Status.PAID]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        return Status.PAID

    async with one_step(slow, concurrency=4).build(backend) as workflow:
        results = await workflow.trigger_many(Trigger(f"o-{i}", Order()) for i in range(40))
        for result in results:
            await workflow.await_status(result.run_id, Status.PAID, within=SOON)

    assert most == 4


async def test_sync_steps_run_in_threads_beside_the_loop(backend):
    threads = set()

    def work(run: Run[Order, Status]) -> Literal[Status.PAID]:
        threads.add(threading.current_thread())
        return Status.PAID

    async with one_step(work).build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)

    assert threading.main_thread() not in threads
    assert all(thread.daemon for thread in threads)


async def test_a_delayed_trigger_starts_when_it_is_due(backend):
    starts = []

    async def note(run: Run[Order, Status]) -> Literal[Status.PAID]:
        starts.append(run.now())
        return Status.PAID

    async with one_step(note).build(backend) as workflow:
        due = datetime.now(UTC) + timedelta(milliseconds=500)
        run_id = await workflow.trigger("o-1", Order(), after=due)
        assert (await workflow.runs.get(run_id)).run_state is RunState.INITIATED
        await workflow.await_status(run_id, Status.PAID, within=SOON)

    assert starts[0] >= due


async def test_resources_fill_keyword_only_parameters(backend):
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED)
    async def charge(run: Run[Order, Status], *, price: int) -> Literal[Status.PAID]:
        run.object.total = price
        return Status.PAID

    async with orders.build(backend, resources={"price": 42}) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        run = await workflow.await_status(run_id, Status.PAID, within=SOON)

    assert run.object.total == 42


async def test_two_workflows_share_a_backend(backend):
    one, other = three_steps("one"), three_steps("other")
    async with one.build(backend) as first, other.build(backend) as second:
        runs = [(w, await w.trigger("o-1", Order())) for w in (first, second)]
        for workflow, run_id in runs:
            await workflow.await_status(run_id, Status.SENT, within=SOON)

        with pytest.raises(RunNotFoundError):
            await first.runs.get(runs[1][1])


async def test_a_client_runs_no_steps(new_backend):
    flow = three_steps()
    workflow = flow.build(new_backend())
    async with workflow.client():
        run_id = await workflow.trigger("o-1", Order())
        assert workflow.processes() == {}
        assert (await workflow.runs.get(run_id)).status is Status.CREATED
        async with flow.build(new_backend()):
            run = await workflow.await_status(run_id, Status.SENT, within=SOON)

    assert run.run_state is RunState.COMPLETED


async def test_outside_every_call_says_so():
    workflow = three_steps().build(Memory())

    with pytest.raises(NotOpenError, match="async with"):
        await workflow.trigger("o-1", Order())


async def test_await_status_sees_the_past(backend):
    async with three_steps().build(backend) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, within=SOON)

        run = await workflow.await_status(run_id, Status.PAID, within=timedelta(0))

        assert run.status is Status.SENT


async def test_a_step_that_a_later_release_adds_gets_the_runs_that_wait(new_backend):
    before = Builder("orders", Order, Status)
    before.add_step(Status.CREATED, lambda run: Status.PAID, to=Status.PAID)
    before.add_step(Status.PACKED, lambda run: Status.SENT, to=[Status.SENT, Status.PACKED])
    before.add_step(Status.SENT, lambda run: Skip(), to=Status.CREATED)
    before_2 = Builder("orders", Order, Status)
    before_2.add_step(Status.CREATED, lambda run: Skip(), to=[Status.PAID])
    async with three_steps().build(new_backend()).client() as client:
        run_id = await client.trigger("o-1", Order(), status=Status.PAID)
    async with three_steps().build(new_backend()) as workflow:
        run = await workflow.await_status(run_id, Status.SENT, within=SOON)

    assert run.object.seen == ["pack", "send"]


async def test_bad_input_is_refused_before_anything_is_written(backend):
    async with three_steps().build(backend) as workflow:
        for foreign_id in ("", "a\x00", "a\n", "\ud800", "x" * 256, 7):
            with pytest.raises(InputError):
                await workflow.trigger(foreign_id, Order())  # type: ignore[arg-type]
        with pytest.raises(InputError):
            await workflow.trigger("o-1", Order(), status=Status.SENT)
        with pytest.raises(InputError):
            await workflow.trigger("o-1", {"total": "x"})  # type: ignore[arg-type]
        with pytest.raises(InputError):
            await workflow.trigger("o-1", Order(seen=["x" * (2 * 1024 * 1024)]))
        with pytest.raises(InputError):
            await workflow.trigger("o-1", Order(), after=datetime(2030, 1, 1))  # noqa: DTZ001

        assert await workflow.runs.count() == 0


async def test_stop_waits_for_what_is_in_hand(new_backend):
    has_begun = asyncio.Event()

    async def slow(run: Run[Order, Status]) -> Literal[Status.PAID]:
        has_begun.set()
        await asyncio.sleep(0.3)
        return Status.PAID

    flow = one_step(slow)
    async with flow.build(new_backend()) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await has_begun.wait()
    async with flow.build(new_backend()).client() as client:
        assert (await client.runs.get(run_id)).status is Status.PAID


async def test_stop_cancels_what_takes_too_long_and_counts_no_attempt(new_backend):
    has_begun = asyncio.Event()

    async def endless(run: Run[Order, Status]) -> Literal[Status.PAID]:
        has_begun.set()
        await asyncio.Event().wait()
        return Status.PAID

    flow = one_step(endless)
    async with flow.build(new_backend(), stop_within=timedelta(seconds=3.2)) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await has_begun.wait()
    async with flow.build(new_backend()).client() as client:
        assert (await client.runs.get(run_id)).version == 1
        assert await client.runs.attempts(run_id) == []
