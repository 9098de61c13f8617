"""Times: aware, and a hundred years ahead at most; what is past is due now."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import pytest

from stepgraph import Backoff, Builder, DefinitionError, InputError, Repeat, Run, Trigger
from stepgraph.testing import FakeClock, Harness
from tests.flows import Order, Status, one_step
from tests.limits.corpus import nothing_is_written

CENTURY = timedelta(days=36_525)
TICK = timedelta(microseconds=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def client(backend):
    workflow = one_step(lambda run: Status.PAID).build(backend, clock=FakeClock(NOW))
    async with workflow.client() as client:
        yield client


@pytest.mark.parametrize(
    "after",
    [
        CENTURY, CENTURY - TICK, timedelta(0), -CENTURY, timedelta.min,
        NOW + CENTURY, NOW + CENTURY - TICK, NOW, datetime.min.replace(tzinfo=UTC),
        (NOW + CENTURY).astimezone(timezone(timedelta(hours=23, minutes=59))),
    ],
)  # fmt: skip
async def test_a_time_of_the_limit_is_taken(client, after):
    run_id = await client.trigger("order-1", Order(), after=after)

    assert (await client.runs.get(run_id)).version == 1


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (CENTURY + TICK, "more than a hundred years"),
        (timedelta.max, "more than a hundred years"),
        (NOW + CENTURY + TICK, "more than a hundred years"),
        (datetime.max.replace(tzinfo=UTC), "more than a hundred years"),
        (datetime(2026, 1, 1), "no time zone"),
        (5, "neither a timedelta nor an aware datetime"),
        ("tomorrow", "neither a timedelta nor an aware datetime"),
        (float("nan"), "neither a timedelta nor an aware datetime"),
    ],
)
async def test_a_time_beyond_it_is_refused(client, after, words):
    with pytest.raises(InputError, match=f"after=.*{words}"):
        await client.trigger("order-1", Order(), after=after)
    (result,) = await client.trigger_many([Trigger("order-1", Order(), after=after)])

    assert words in str(result.error)
    assert await nothing_is_written(client)


def declare_timeout(after):
    Builder("orders", Order, Status).add_timeout(
        Status.CREATED, lambda run: Status.PAID, after=after, to=Status.PAID, name="late"
    )


def declare_buffer(after):
    Builder("orders", Order, Status).add_callback(
        Status.CREATED, lambda run, payload: Status.PAID, to=Status.PAID, buffer=after, name="told"
    )


def declare_limit(after):
    one_step(lambda run: Status.PAID, time_limit=after)


def declare_alert(after):
    one_step(lambda run: Status.PAID, lag_alert=after)


DECLARING = [declare_timeout, declare_buffer, declare_limit, declare_alert]


@pytest.mark.parametrize("declare", DECLARING)
@pytest.mark.parametrize("after", [TICK, CENTURY - TICK, CENTURY])
def test_a_declared_duration_of_the_limit_is_taken(declare, after):
    declare(after)


@pytest.mark.parametrize("declare", DECLARING)
@pytest.mark.parametrize("after", [CENTURY + TICK, timedelta.max, -TICK, timedelta.min])
def test_a_declared_duration_beyond_it_is_refused(declare, after):
    with pytest.raises(DefinitionError, match="hundred years|positive|looks ahead"):
        declare(after)


@pytest.mark.parametrize("cap", [CENTURY + TICK, timedelta.max])
def test_a_back_off_beyond_it_is_refused(cap):
    with pytest.raises(DefinitionError, match="hundred years"):
        one_step(lambda run: Status.PAID, retry=Backoff(first=timedelta(seconds=1), cap=cap))
    with pytest.raises(DefinitionError, match="hundred years"):
        one_step(lambda run: Status.PAID, retry=cap)


@pytest.mark.parametrize("factor", [0.99, math.nan, math.inf])
def test_a_back_off_grows_by_a_number_of_one_or_more(factor):
    Backoff(factor=1.0)
    with pytest.raises(DefinitionError, match="factor"):
        Backoff(factor=factor)


@pytest.mark.parametrize(
    ("after", "is_taken"), [(CENTURY, True), (CENTURY + TICK, False), (timedelta.max, False)]
)
async def test_an_answer_of_repeat_beyond_it_is_a_failed_attempt(backend, after, is_taken):
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED, pause_after_error_count=1)
    def step(run: Run[Order, Status]) -> Literal[Status.PAID] | Repeat:
        return Repeat(after=after)

    async with Harness(orders, backend=backend, pause_retry=None) as harness:
        run_id = await harness.workflow.trigger("order-1", Order())
        await harness.settle()
        attempts = await harness.workflow.runs.attempts(run_id)

    assert ["hundred years" in a.message for a in attempts] == ([] if is_taken else [True])


@pytest.mark.parametrize(
    ("after", "is_taken"),
    [
        (CENTURY, True), (CENTURY + TICK, False), (timedelta.max, False),
        (datetime.max.replace(tzinfo=UTC), False), (datetime(2026, 1, 1), False), (7.5, False),
    ],
)  # fmt: skip
async def test_a_timer_function_beyond_it_is_a_failure_that_pauses(backend, after, is_taken):
    orders = Builder("orders", Order, Status)

    @orders.timeout(Status.CREATED, after=lambda run: after, pause_after_error_count=1)
    def expire(run: Run[Order, Status]) -> Literal[Status.PAID]:
        return Status.PAID

    async with Harness(orders, backend=backend, pause_retry=None) as harness:
        await harness.workflow.trigger("order-1", Order())
        await harness.settle()
        run = await harness.latest("order-1")

    assert run.run_state.name == ("INITIATED" if is_taken else "PAUSED")


@pytest.mark.parametrize("name", ["created_after", "created_before"])
async def test_a_bound_of_a_search_without_a_zone_is_refused(client, name):
    with pytest.raises(InputError, match=f"{name}: .* has no time zone"):
        await client.runs.count(**{name: datetime(2026, 1, 1)})
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert await client.runs.count(**{name: moment}) == 0


@pytest.mark.parametrize("limit", [-1, 0, 1, 99, 100, 101, 10**9])
async def test_a_search_gives_as_many_as_are_asked_for(client, limit):
    await client.trigger_many([Trigger(f"order-{n}", Order()) for n in range(150)])

    found = [run.id async for run in client.runs.find(limit=limit)]

    assert len(found) == min(max(limit, 0), 150)
