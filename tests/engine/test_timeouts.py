"""What happens to a run that is still in a status when a time has come."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from stepgraph import Backoff, Builder, Cancel, DefinitionError, Pause, Repeat, Run, RunState, Skip
from stepgraph.testing import FakeClock, Harness
from tests.flows import Order, Status

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def clock():
    return FakeClock()


def waiting(after, function=None, **options):
    """A workflow whose runs wait in CREATED until `after`."""
    orders = Builder("orders", Order, Status)
    fired = []

    async def expire(run: Run[Order, Status]) -> Status:
        fired.append((run.foreign_id, run.now()))
        run.object.seen.append("expired")
        return Status.SENT

    async def go_on(run: Run[Order, Status], payload: bytes) -> Status:
        return Status.PAID

    async def come_back(run: Run[Order, Status], payload: bytes) -> Status:
        return Status.CREATED

    orders.add_timeout(Status.CREATED, function or expire, after=after, to=[Status.SENT], **options)
    orders.add_callback(Status.CREATED, go_on, to=[Status.PAID])
    orders.add_callback(Status.PAID, come_back, to=[Status.CREATED])
    return orders, fired


async def never(run: Run[Order, Status]) -> None:
    return None


@pytest.mark.parametrize("kind", ["duration", "instant", "function", "async function", "sync instant"])
async def test_a_timeout_fires_at_its_time_and_not_before(backend, clock, kind):
    async def later(run):
        return DAY

    moment = clock.now() + DAY
    after = {
        "duration": DAY,
        "instant": moment,
        "function": lambda run: run.entered_at + DAY,
        "async function": later,
        "sync instant": lambda run: moment,
    }[kind]
    orders, fired = waiting(after)
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(DAY - MOMENT)
        assert fired == []

        await harness.advance(MOMENT)

        assert fired == [("o-1", moment)]
        run = await harness.latest("o-1")
        assert (run.status, run.run_state, run.object.seen) == (Status.SENT, RunState.COMPLETED, ["expired"])
        assert (await harness.workflow.runs.history(run.id))[-1].cause == "timeout"
        await harness.advance(10 * DAY)
        assert len(fired) == 1


async def test_a_run_that_left_is_left_alone_and_a_new_visit_has_its_own_time(backend, clock):
    orders, fired = waiting(DAY)
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(DAY / 2)
        await harness.callback("o-1", Status.CREATED)
        await harness.callback("o-1", Status.PAID)
        await harness.advance(DAY * 3 / 4)
        assert fired == []

        await harness.advance(DAY / 4)

        assert len(fired) == 1


async def test_an_earlier_run_s_timer_does_not_act_on_a_later_run(backend, clock):
    orders, fired = waiting(lambda run: DAY)
    async with Harness(orders, backend=backend, clock=clock) as harness:
        first = await harness.trigger("o-1", Order())
        await harness.advance(DAY / 2)
        await harness.workflow.runs.cancel(first.id, "again")
        second = await harness.trigger("o-1", Order())
        await harness.advance(DAY / 2)

        assert fired == []
        await harness.advance(DAY / 2)
        assert (await harness.workflow.runs.get(second.id)).status is Status.SENT


async def test_none_means_no_timer(backend, clock):
    orders, fired = waiting(lambda run: None)
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(1000 * DAY)
        assert fired == []


async def test_a_paused_run_s_timer_waits_for_the_resume(backend, clock):
    orders, fired = waiting(DAY)
    async with Harness(orders, backend=backend, clock=clock) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.workflow.runs.pause(run.id, "wait")
        await harness.advance(3 * DAY)
        assert fired == []

        await harness.workflow.runs.resume(run.id)
        await harness.settle()

        assert fired == [("o-1", clock.now())]


async def test_several_timeouts_of_a_status_have_their_own_times(backend, clock):
    orders = Builder("orders", Order, Status)

    @orders.timeout(Status.CREATED, after=DAY)
    def remind(run: Run[Order, Status]) -> Literal[Status.SENT] | Skip:
        seen.append("remind")
        return Skip()

    @orders.timeout(Status.CREATED, after=3 * DAY - MOMENT, name="give-up")
    async def give_up(run: Run[Order, Status]) -> Literal[Status.SENT]:
        seen.append("give up")
        return Status.SENT

    @orders.timeout(Status.CREATED, after=2 * DAY)
    def ask_again(run: Run[Order, Status]) -> Repeat | Literal[Status.SENT]:
        run.object.total += 1
        seen.append("ask")
        return Repeat(after=timedelta(hours=6))

    seen = []
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(4 * DAY)

        assert seen == ["remind", "ask", "ask", "ask", "ask", "give up"]
        assert (await harness.latest("o-1")).object.total == 4


@pytest.mark.parametrize(("answer", "state"), [(Pause("p"), RunState.PAUSED), (Cancel("c"), RunState.CANCELLED)])
async def test_a_timeout_may_pause_or_cancel(backend, clock, answer, state):
    orders, _ = waiting(DAY, lambda run: answer, name="answer")
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(2 * DAY)
        assert (await harness.latest("o-1")).run_state is state


async def test_a_failing_timeout_is_retried_and_then_pauses_its_run(backend, clock):
    calls = []

    def fail(run: Run[Order, Status]) -> Status:
        calls.append(run.now())
        if len(calls) < 4:
            raise ValueError("boom")
        return Status.SENT

    orders, _ = waiting(DAY, fail, pause_after_error_count=3, retry=timedelta(seconds=10))
    options = {"pause_retry": timedelta(hours=1)}
    async with Harness(orders, backend=backend, clock=clock, **options) as harness:
        start = clock.now()
        await harness.trigger("o-1", Order())
        await harness.advance(DAY + timedelta(minutes=1))

        assert [at - start - DAY for at in calls] == [timedelta(seconds=s) for s in (0, 10, 20)]
        paused = await harness.latest("o-1")
        assert (paused.run_state, paused.reason) == (RunState.PAUSED, "attempt 3 failed: ValueError: boom")
        await harness.advance(timedelta(hours=1))
        assert (await harness.latest("o-1")).status is Status.SENT
        assert len(calls) == 4


async def test_a_failing_after_function_is_retried_and_then_pauses_its_run(backend, clock):
    calls = []

    def when(run):
        calls.append(1)
        if len(calls) < 4:
            raise ValueError("boom")
        return DAY

    orders, fired = waiting(when, pause_after_error_count=3, retry=timedelta(seconds=1))
    async with Harness(orders, backend=backend, clock=clock) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(timedelta(minutes=1))
        assert (await harness.latest("o-1")).run_state is RunState.PAUSED

        await harness.workflow.runs.resume(run.id)
        await harness.advance(2 * DAY)

        assert len(fired) == 1


async def test_a_step_beside_a_timeout_keeps_its_own_count(backend, clock):
    orders, fired = waiting(timedelta(seconds=30))

    @orders.step(Status.CREATED, retry=timedelta(seconds=10), pause_after_error_count=5)
    def fail(run: Run[Order, Status]) -> Literal[Status.PAID]:
        raise ValueError(run.attempt)

    async with Harness(orders, backend=backend, clock=clock) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(timedelta(minutes=5))

        assert (await harness.latest("o-1")).status is Status.SENT
        attempts = await harness.workflow.runs.attempts(run.id)
        assert [a.number for a in attempts] in ([1, 2, 3], [1, 2, 3, 4])


async def test_a_timeout_and_a_step_of_one_visit_have_different_keys(backend, clock):
    keys = []

    def expire(run: Run[Order, Status]) -> Status:
        keys.append(run.idempotency_key)
        return Status.SENT

    orders, _ = waiting(DAY, expire)

    @orders.step(Status.CREATED)
    def step(run: Run[Order, Status]) -> Literal[Status.PAID] | Skip:
        keys.append(run.idempotency_key)
        return Skip()

    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(DAY)
        assert len(set(keys)) == 2


async def test_a_delayed_start_delays_its_timers(backend, clock):
    orders, fired = waiting(DAY)
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.workflow.trigger("o-1", Order(), after=5 * DAY)
        await harness.advance(6 * DAY - MOMENT)
        assert fired == []
        await harness.advance(MOMENT)
        assert len(fired) == 1


async def test_timers_survive_the_process(new_backend, clock):
    orders, fired = waiting(DAY)
    keep = new_backend()
    async with Harness(orders, backend=keep, clock=clock) as harness:
        await harness.trigger("o-1", Order())
    clock.advance(2 * DAY)
    async with Harness(orders, backend=new_backend(), clock=clock) as harness:
        await harness.settle()
        assert len(fired) == 1


@pytest.mark.parametrize("after", [timedelta(-1), 5, datetime(2030, 1, 1), "soon", None])
def test_a_time_that_cannot_be_is_refused(after):
    with pytest.raises(DefinitionError):
        waiting(after)


def test_two_timeouts_of_a_status_need_two_names():
    orders, _ = waiting(DAY, lambda run: Skip(), name="one")
    with pytest.raises(DefinitionError, match="one"):
        orders.add_timeout(Status.CREATED, lambda run: Skip(), after=DAY, to=[Status.SENT], name="one")


async def test_a_thirty_day_flow_takes_no_time(clock):
    """A reminder each week, a payment that fails twice, and a last deadline."""
    orders = Builder("orders", Order, Status)

    @orders.timeout(Status.CREATED, after=timedelta(days=7))
    async def remind(run: Run[Order, Status]) -> Literal[Status.SENT] | Repeat:
        run.object.seen.append(f"remind on {run.now():%d}")
        return Repeat(after=timedelta(days=7))

    @orders.timeout(Status.CREATED, after=timedelta(days=30))
    async def close(run: Run[Order, Status]) -> Literal[Status.PAID]:
        return Status.PAID

    @orders.step(Status.PAID, retry=Backoff(first=timedelta(hours=1), cap=timedelta(hours=1), jitter="none"))
    async def refund(run: Run[Order, Status]) -> Literal[Status.SENT]:
        if run.attempt < 3:
            raise ConnectionError("bank")
        run.object.seen.append(f"refund at {run.now():%d %H:%M}")
        return Status.SENT

    async with Harness(orders, clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(timedelta(days=30))
        assert (await harness.latest("o-1")).status is Status.PAID
        await harness.advance(timedelta(hours=3))
        run = await harness.latest("o-1")

    assert run.object.seen == [
        "remind on 08", "remind on 15", "remind on 22", "remind on 29", "refund at 31 02:00",
    ]  # fmt: skip
    assert run.updated_at == datetime(2030, 1, 31, 2, tzinfo=UTC)


async def test_a_resume_does_not_bring_a_timer_forward_that_is_not_due_yet(backend, clock):
    orders, fired = waiting(timedelta(minutes=8))
    async with Harness(orders, backend=backend, clock=clock) as harness:
        start = clock.now()
        run = await harness.trigger("o-1", Order())
        await harness.workflow.runs.pause(run.id, "hold")
        await harness.advance(timedelta(minutes=2))
        await harness.workflow.runs.resume(run.id)
        await harness.advance(timedelta(minutes=20))

        assert fired == [("o-1", start + timedelta(minutes=8))]


async def test_a_timeout_that_paused_its_run_is_asked_again_after_the_resume(backend, clock):
    answers = iter([Pause("a person looks at it"), Status.SENT])
    orders, _ = waiting(DAY, lambda run: next(answers), name="ask")
    async with Harness(orders, backend=backend, clock=clock) as harness:
        run = await harness.trigger("o-1", Order())
        await harness.advance(3 * DAY)
        assert (await harness.latest("o-1")).run_state is RunState.PAUSED
        await harness.workflow.runs.resume(run.id)

        assert (await harness.latest("o-1")).status is Status.SENT
