"""The harness settles exactly, moves time in order, and tells what it saw where it fails."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Literal

import pytest

from stepgraph import Backoff, Builder, Cancel, ConnectorEvent, Pause, Repeat, Run, RunState, Skip
from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.testing import FakeClock, Harness, make_run
from tests.flows import Order, Status, one_step, three_steps

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def test_trigger_settles_and_returns_where_the_run_is(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        run = await harness.trigger("o-1", Order(5))
        assert (run.status, run.object.seen) == (Status.SENT, ["charge", "pack", "send"])
        assert (await harness.trigger("o-2", Order(), status=Status.PACKED)).object.seen == ["send"]


async def test_settle_waits_for_functions_that_wait_for_something_real(backend):
    async def slow(run: Run[Order, Status]) -> Literal[Status.PAID]:
        await asyncio.sleep(0.05)
        return Status.PAID

    def slow_thread(run: Run[Order, Status]) -> Literal[Status.SENT]:
        time.sleep(0.05)
        return Status.SENT

    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, slow)
    orders.add_step(Status.PAID, slow_thread)
    async with Harness(orders, backend=backend) as harness:
        assert (await harness.trigger("o-1", Order())).status is Status.SENT


async def test_settle_says_what_is_still_busy_and_does_not_hang(backend):
    never = asyncio.Event()

    async def hang(run: Run[Order, Status]) -> Literal[Status.PAID]:
        await never.wait()
        return Status.PAID

    async with Harness(one_step(hang), backend=backend, stop_within=timedelta(0)) as harness:
        run_id = await harness.workflow.trigger("o-1", Order())
        with pytest.raises(AssertionError, match="not settled after 0.05 s") as caught:
            await harness.settle(within=timedelta(seconds=0.05))
        assert f"orders/step/1: 'o-1' ({run_id}, version 1) is in hand" in str(caught.value)
        never.set()
        await harness.settle()


async def test_a_run_that_repeats_itself_for_ever_is_reported(backend):
    async with Harness(one_step(lambda run: Repeat()), backend=backend) as harness:
        await harness.workflow.trigger("o-1", Order())
        with pytest.raises(AssertionError, match=r"Repeat\(after=\.\.\.\)"):
            await harness.settle(within=timedelta(seconds=0.1))


async def test_settle_covers_hooks_callbacks_and_rows_that_move(backend):
    told = []
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Skip(), to=[Status.PAID])

    @orders.callback(Status.CREATED, buffer=DAY)
    async def paid(run: Run[Order, Status], payload: int) -> Literal[Status.PAID]:
        run.object.total = payload
        return Status.PAID

    @orders.on_complete
    async def tell(change) -> None:
        await asyncio.sleep(0.001)
        told.append(change.run.foreign_id)

    async with Harness(orders, backend=backend) as harness:
        assert (await harness.callback("o-1", paid, 7)).effect == "buffered"
        run = await harness.trigger("o-1", Order())
        assert (run.status, run.object.total, told) == (Status.PAID, 7, ["o-1"])


async def test_settle_covers_connectors(backend):
    source = MemoryConnector()
    orders = three_steps()

    @orders.connector("shop")
    async def order(workflow, event, *, log) -> None:
        log.append(event.id)
        await workflow.trigger(event.foreign_id, Order(int(event.payload)))

    log: list[str] = []
    options = {"connectors": {"shop": source}, "resources": {"log": log}}
    async with Harness(orders, backend=backend, **options) as harness:
        await source.publish(*(ConnectorEvent(f"e-{n}", f"o-{n}", payload=b"3") for n in range(40)))
        await harness.settle()
        assert len(log) == 40
        assert await harness.workflow.runs.count(run_state=RunState.COMPLETED) == 40
        assert source.unfinished("orders/connector/shop") == 0


async def test_advance_stops_where_an_event_of_a_source_is_old_enough(backend):
    source, seen = MemoryConnector(), []
    orders = three_steps()

    @orders.connector("shop", consume_lag=HOUR)
    async def order(workflow, event) -> None:
        seen.append((event.id, harness.clock.now()))

    async with Harness(orders, backend=backend, connectors={"shop": source}) as harness:
        begin = harness.clock.now()
        await source.publish(ConnectorEvent("late", "o-1", created_at=begin))
        await harness.settle()
        assert seen == []
        await harness.advance(DAY)
        assert seen == [("late", begin + HOUR)]


async def test_two_workflows_settle_together():
    orders, shipping = three_steps(), three_steps("shipping")

    @orders.on_complete
    async def ship(change) -> None:
        await ships.workflow.trigger(change.run.foreign_id, Order(1))

    async with Harness(orders) as harness, harness.beside(shipping) as ships:
        await harness.trigger("o-1", Order())
        assert (await ships.latest("o-1")).status is Status.SENT
        assert ships.clock is harness.clock


async def test_versions_tell_every_stored_version(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        run = await harness.trigger("o-1", Order())
        versions = await harness.versions(run.id)
        assert [v.version for v in versions] == [1, 2, 3, 4]
        assert [v.status for v in versions] == list(Status)
        assert [len(v.object.seen) for v in versions] == [0, 1, 2, 3]
        assert [v.run_state for v in versions][-1] is RunState.COMPLETED


async def test_versions_tell_reasons_and_entries():
    async def hold(run: Run[Order, Status]) -> Pause | Literal[Status.PAID]:
        return Pause("look at it") if run.version == 1 else Status.PAID

    async with Harness(one_step(hold)) as harness:
        begin = harness.clock.now()
        run = await harness.trigger("o-1", Order())
        await harness.advance(HOUR)
        await harness.workflow.runs.resume(run.id)
        await harness.settle()
        created, paused, resumed, paid = await harness.versions(run.id)
        assert (paused.reason, resumed.reason) == ("look at it", "")
        assert [created.entered_at, resumed.entered_at] == [begin, begin]
        assert paid.entered_at == begin + HOUR


async def test_without_history_versions_is_the_last_one():
    async with Harness(three_steps(), history="off") as harness:
        run = await harness.trigger("o-1", Order())
        assert [v.version for v in await harness.versions(run.id)] == [4]


async def test_require_and_wait_for_find_what_was(backend):
    async with Harness(three_steps(), backend=backend) as harness:
        await harness.trigger("o-1", Order(3))
        await harness.require("o-1", Status.PAID, Order(3, ["charge"]))
        found = await harness.wait_for("o-1", lambda run: "pack" in run.object.seen)
        assert found.status is Status.PACKED


async def test_a_failed_require_tells_the_path_the_versions_and_the_failures():
    async def flaky(run: Run[Order, Status]) -> Literal[Status.PAID]:
        raise ConnectionError("the bank is away")

    orders = one_step(flaky, retry=HOUR, pause_after_error_count=2)
    async with Harness(orders, pause_retry=None) as harness:
        await harness.trigger("o-1", Order(5))
        await harness.advance(HOUR)
        with pytest.raises(AssertionError) as caught:
            await harness.require("o-1", Status.PAID, Order(5))

    told = str(caught.value).splitlines()
    assert told[0] == "expected PAID with Order(total=5, seen=[]), but it was never there"
    assert told[1].startswith("'o-1': CREATED; now PAUSED in CREATED (")
    assert "version 1, 2030-01-01 00:00:00 by trigger: INITIATED in CREATED" in told[2]
    assert "version 2, 2030-01-01 01:00:00 by step: PAUSED in CREATED" in told[3]
    assert told[4:] == [
        "  failed: attempt 1, 2030-01-01 00:00:00: ConnectionError: the bank is away;"
        " next at 2030-01-01 01:00:00",
        "  failed: attempt 2, 2030-01-01 01:00:00: ConnectionError: the bank is away; no further",
    ]


async def test_require_fails_for_another_object_and_an_unknown_status():
    async with Harness(one_step(lambda run: Status.PAID)) as harness:
        await harness.trigger("o-1", Order(5))
        with pytest.raises(AssertionError, match=r"expected PAID with Order\(total=6.*another object"):
            await harness.require("o-1", Status.PAID, Order(6))
        with pytest.raises(AssertionError, match="SENT is no status of 'orders'"):
            await harness.require("o-1", Status.SENT, Order(5))


async def test_require_compares_what_is_stored():
    """A value that the codec writes otherwise is equal to itself as it is read again."""

    @dataclass
    class Price:
        cents: tuple[int, ...]

    class One(IntEnum):
        A = 1
        B = 2

    prices = Builder("prices", Price, One)
    prices.add_step(One.A, lambda run: One.B, to=One.B)
    async with Harness(prices) as harness:
        await harness.trigger("p-1", Price([1, 2]))
        await harness.require("p-1", One.B, Price([1, 2]))


async def test_wait_for_fails_with_what_was_seen():
    async with Harness(three_steps()) as harness:
        await harness.trigger("o-1", Order())
        with pytest.raises(AssertionError, match="CREATED -> PAID -> PACKED -> SENT; now COMPLETED"):
            await harness.wait_for("o-1", lambda run: run.run_state is RunState.PAUSED)


async def test_latest_names_the_runs_that_there_are():
    async with Harness(three_steps()) as harness:
        with pytest.raises(AssertionError, match="'o-2' has no run; .*: none at all"):
            await harness.latest("o-2")
        await harness.trigger("o-1", Order())
        with pytest.raises(AssertionError, match="'o-2' has no run; .*: 'o-1'"):
            await harness.latest("o-2")


def test_a_harness_needs_a_clock_that_jumps():
    from stepgraph.ports.clock import SystemClock

    with pytest.raises(TypeError, match="FakeClock"):
        Harness(three_steps(), clock=SystemClock())


def test_the_clock_stands_and_goes_forward_only():
    clock = FakeClock(datetime(2031, 5, 1, tzinfo=UTC))
    clock.advance(HOUR)
    assert clock.now() == datetime(2031, 5, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-HOUR)
    with pytest.raises(ValueError, match="time zone"):
        FakeClock(datetime(2031, 5, 1))  # noqa: DTZ001


async def test_sleepers_of_the_clock_wake_in_time(fake_clock):
    async def sleep():
        await fake_clock.sleep_until(fake_clock.now() + HOUR)
        return fake_clock.now()

    sleeper = asyncio.ensure_future(sleep())
    await asyncio.sleep(0)
    fake_clock.advance(HOUR / 2)
    await asyncio.sleep(0)
    assert not sleeper.done()
    fake_clock.advance(HOUR / 2)
    assert await sleeper == datetime(2030, 1, 1, 1, tzinfo=UTC)


async def test_make_run_calls_a_step_alone(fake_clock):
    async def charge(run: Run[Order, Status], *, bank: list[str]) -> Literal[Status.PAID] | Cancel:
        if run.attempt > 3:
            return Cancel("enough")
        bank.append(run.idempotency_key)
        run.object.total += run.version
        return Status.PAID

    bank: list[str] = []
    run = make_run(Order(5), Status.CREATED, foreign_id="o-9", clock=fake_clock)
    assert await charge(run, bank=bank) is Status.PAID
    assert (run.object.total, run.foreign_id, run.now()) == (6, "o-9", fake_clock.now())
    again = make_run(Order(5), Status.CREATED, foreign_id="o-9", attempt=4)
    assert await charge(again, bank=bank) == Cancel("enough")
    assert again.idempotency_key == bank[0]
    assert not again.is_cancelled


async def test_make_run_calls_a_callback_alone():
    async def paid(run: Run[Order, Status], payload: int) -> Literal[Status.PAID]:
        run.object.total = payload
        return Status.PAID

    run = make_run(Order(), Status.CREATED, version=3)
    assert await paid(run, 12) is Status.PAID
    assert (run.object.total, run.version, run.run_state) == (12, 3, RunState.RUNNING)


def test_make_run_refuses_what_no_run_can_be():
    for wrong in ({"attempt": 0}, {"version": 0}):
        with pytest.raises(ValueError, match="from 1"):
            make_run(Order(), Status.CREATED, **wrong)


async def test_thirty_days_of_timeouts_retries_and_delays_pass_in_order():
    """A delayed start, weekly reminders, a bank that is away, a deadline, and a monthly schedule."""
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    orders = Builder("orders", Order, Status)
    log: list[tuple[str, timedelta]] = []

    def note(text: str, run: Run[Order, Status]) -> None:
        log.append((text, run.now() - begin))

    @orders.step(Status.CREATED, retry=Backoff(first=HOUR, cap=HOUR, jitter="none"))
    async def charge(run: Run[Order, Status]) -> Literal[Status.PAID]:
        note(f"charge, attempt {run.attempt}", run)
        if run.attempt < 3:
            raise ConnectionError("bank")
        return Status.PAID

    @orders.timeout(Status.PAID, after=7 * DAY)
    async def remind(run: Run[Order, Status]) -> Literal[Status.SENT] | Repeat:
        note("remind", run)
        return Repeat(after=7 * DAY)

    @orders.timeout(Status.PAID, after=lambda run: run.entered_at + 28 * DAY - HOUR)
    async def give_up(run: Run[Order, Status]) -> Literal[Status.PACKED]:
        note("give up", run)
        return Status.PACKED

    @orders.step(Status.PACKED)
    async def refund(run: Run[Order, Status]) -> Literal[Status.SENT] | Repeat:
        note("refund", run)
        if run.now() < begin + 30 * DAY:
            return Repeat(after=DAY)
        return Status.SENT

    async with Harness(orders) as harness:
        await harness.workflow.schedules.put("monthly", "0 0 1 * *", Order(7))
        await harness.workflow.trigger("o-1", Order(), after=HOUR)
        await harness.advance(31 * DAY)
        run = await harness.latest("o-1")
        monthly = await harness.latest("monthly")
        assert monthly.created_at == begin + 31 * DAY
        assert log.pop() == ("charge, attempt 1", 31 * DAY)

    assert log == [
        ("charge, attempt 1", HOUR),
        ("charge, attempt 2", 2 * HOUR),
        ("charge, attempt 3", 3 * HOUR),
        ("remind", 7 * DAY + 3 * HOUR),
        ("remind", 14 * DAY + 3 * HOUR),
        ("remind", 21 * DAY + 3 * HOUR),
        ("give up", 28 * DAY + 2 * HOUR),
        ("refund", 28 * DAY + 2 * HOUR),
        ("refund", 29 * DAY + 2 * HOUR),
        ("refund", 30 * DAY + 2 * HOUR),
    ]
    assert run.run_state is RunState.COMPLETED


async def test_a_backend_outlives_its_harness():
    keep = Memory()
    async with Harness(three_steps(), backend=keep) as harness:
        run = await harness.trigger("o-1", Order())
    async with Harness(three_steps(), backend=keep) as harness:
        assert (await harness.latest("o-1")).id == run.id
