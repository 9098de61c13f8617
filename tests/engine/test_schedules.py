"""Runs that are triggered by the time."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stepgraph import (
    Backoff,
    Builder,
    DefinitionError,
    InputError,
    RunInProgressError,
    RunState,
    ScheduleInfo,
    Skip,
)
from stepgraph.model.instant import to_datetime, to_instant
from stepgraph.model.schedule import decision_of, decision_scope
from stepgraph.testing import FakeClock, Harness
from tests.flows import Order, Status

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(microseconds=1)
START = datetime(2030, 1, 1, tzinfo=UTC)


def scheduled(spec="@hourly", function=None, *, name="orders", step=None, **options):
    """A workflow with one schedule, whose runs complete at once unless `step` says otherwise."""
    orders = Builder(name, Order, Status)
    orders.add_step(Status.CREATED, step or (lambda run: Status.SENT), to=[Status.SENT])
    slots = []

    def tick(slot):
        slots.append(slot)
        return Order(total=slot.hour)

    orders.add_schedule(spec, function or tick, **({"name": "tick"} | options))
    return orders, slots


async def runs_of(workflow):
    """Every run, oldest first."""
    return sorted([run async for run in workflow.runs.find()], key=lambda run: run.created_at)


async def info_of(workflow, name="tick"):
    """What is stored of a schedule."""
    (found,) = [info async for info in workflow.schedules.find() if info.name == name]
    return found


async def decisions(backend, slots, *, workflow="orders", name="tick"):
    """The decision about each slot; what was missed in a row is decided with the first of it."""
    found, last = [], None
    for slot in slots:
        instant = to_instant(slot)
        body = await backend.record_store.find_unique(decision_scope(workflow, name), str(instant))
        if body is not None:
            last = decision_of(workflow, name, instant, body)
        is_covered = last is not None and last.slot <= instant <= last.last
        found.append(last.decision if is_covered else None)
    return found


def hours(count, first=1, start=START):
    return [start + HOUR * n for n in range(first, first + count)]


async def test_each_slot_triggers_one_run_at_its_time_and_not_before(backend):
    orders, slots = scheduled()
    async with Harness(orders, backend=backend) as harness:
        await harness.advance(HOUR - MOMENT)
        assert slots == []
        await harness.advance(MOMENT)
        assert slots == hours(1)
        await harness.advance(3 * HOUR)

        runs = await runs_of(harness.workflow)
        assert [(r.foreign_id, r.object.total, r.created_at) for r in runs] == [
            ("tick", hour.hour, hour) for hour in hours(4)
        ]
        assert slots == hours(4)
        assert await decisions(backend, hours(5)) == ["triggered"] * 4 + [None]
        assert await info_of(harness.workflow) == ScheduleInfo(
            name="tick", spec="@hourly", zone="UTC", is_paused=False, next_slot=hours(1, 5)[0],
            last_slot=hours(1, 4)[0], last_decision="triggered",
        )  # fmt: skip


async def test_the_slot_is_in_the_zone_and_the_foreign_id_and_status_are_the_schedule_s(backend):
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Status.SENT, to=[Status.SENT])
    orders.add_step(Status.PACKED, lambda run: Status.SENT, to=[Status.SENT])
    seen = []

    @orders.schedule(
        "0 9 * * *", zone="Europe/Amsterdam", foreign_id=lambda slot: f"day-{slot:%d}",
        status=Status.PACKED,
    )  # fmt: skip
    async def nightly(slot, *, log):
        log.append(slot)
        return Order()

    async with Harness(orders, backend=backend, resources={"log": seen}) as harness:
        await harness.advance(2 * DAY)

        assert [slot.isoformat() for slot in seen] == ["2030-01-01T09:00:00+01:00", "2030-01-02T09:00:00+01:00"]
        assert seen[0].tzinfo == ZoneInfo("Europe/Amsterdam")
        runs = await runs_of(harness.workflow)
        assert [run.foreign_id for run in runs] == ["day-01", "day-02"]
        history = await harness.workflow.runs.history(runs[0].id)
        assert history[0].status is Status.PACKED


async def test_none_skips_the_slot(backend):
    orders, _ = scheduled(function=lambda slot: Order() if slot.hour % 2 else None)
    async with Harness(orders, backend=backend) as harness:
        await harness.advance(4 * HOUR)

        assert len(await runs_of(harness.workflow)) == 2
        assert await decisions(backend, hours(4)) == ["triggered", "skipped: filter"] * 2
        assert (await info_of(harness.workflow)).last_decision == "skipped: filter"


async def test_a_slot_is_skipped_while_the_run_before_is_open(backend):
    orders, _ = scheduled(step=lambda run: Skip())
    async with Harness(orders, backend=backend) as harness:
        await harness.advance(3 * HOUR)
        (run,) = await runs_of(harness.workflow)
        await harness.workflow.runs.cancel(run.id, "long enough")
        await harness.advance(HOUR)

        assert len(await runs_of(harness.workflow)) == 2
        assert await decisions(backend, hours(4)) == [
            "triggered", "skipped: running", "skipped: running", "triggered",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [("all", ["triggered"] * 4), ("latest", ["triggered", "skipped: missed", "triggered", "triggered"])],
)
async def test_a_slot_can_wait_for_the_run_before(backend, catch_up, expected):
    orders, _ = scheduled(step=lambda run: Skip(), overlap="wait", catch_up=catch_up)
    async with Harness(orders, backend=backend) as harness:
        for wait in (3.5 * HOUR, HOUR, HOUR, HOUR):
            await harness.advance(wait)
            run = await harness.latest("tick")
            await harness.workflow.runs.cancel(run.id, "next")
        await harness.advance(timedelta(minutes=1))

        assert (await decisions(backend, hours(4)))[: len(expected)] == expected


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("latest", ["skipped: missed"] * 4 + ["triggered"]),
        ("all", ["triggered"] * 5),
        ("none", ["skipped: missed"] * 5),
    ],
)
async def test_after_downtime_the_policy_says_which_missed_slots_trigger(new_backend, catch_up, expected):
    clock = FakeClock()
    orders, slots = scheduled(catch_up=catch_up, foreign_id=lambda slot: f"{slot:%H}")
    async with Harness(orders, backend=new_backend(), clock=clock) as harness:
        await harness.advance(HOUR)
    clock.advance(5.5 * HOUR)
    backend = new_backend()
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.settle()
        assert await decisions(backend, hours(5, 2)) == expected
        await harness.advance(HOUR)

        assert await decisions(backend, hours(7)) == ["triggered", *expected, "triggered"]
        runs = await runs_of(harness.workflow)
        assert len(runs) == len(slots) == expected.count("triggered") + 2


async def test_a_year_of_missed_minutes_is_one_decision(backend):
    clock = FakeClock()
    orders, slots = scheduled("* * * * *")
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.advance(timedelta(seconds=1))
        clock.advance(365 * DAY)
        await harness.settle()

        assert slots == [START + 365 * DAY]
        minutes = [START + timedelta(minutes=n) for n in range(1, 1000)]
        assert await decisions(backend, minutes) == ["skipped: missed"] * 999


async def test_a_failing_function_is_retried_and_no_slot_is_lost(backend):
    tries = []

    def fail_first(slot):
        tries.append(slot)
        if len(tries) < 4:
            raise ValueError("not yet")
        return Order()

    retry = Backoff(first=timedelta(minutes=5), cap=timedelta(minutes=5), jitter="none")
    orders, _ = scheduled(function=fail_first)
    async with Harness(orders, backend=backend, retry=retry) as harness:
        await harness.advance(1.5 * HOUR)

        assert tries == hours(1) * 4
        assert await decisions(backend, hours(1)) == ["triggered"]


async def test_a_function_that_always_fails_holds_up_no_later_slot(backend):
    tries = []

    def fail_at_one(slot):
        tries.append(slot)
        if slot.hour == 1:
            raise ValueError("never")
        return Order()

    orders, _ = scheduled(function=fail_at_one)
    async with Harness(orders, backend=backend) as harness:
        await harness.advance(3 * HOUR)

        assert await decisions(backend, hours(3)) == ["skipped: missed", "triggered", "triggered"]
        assert len([slot for slot in tries if slot.hour == 1]) > 3


async def test_jitter_delays_each_slot_by_its_own_part(backend):
    orders, slots = scheduled(jitter=timedelta(minutes=20))
    async with Harness(orders, backend=backend) as harness:
        await harness.advance(24 * HOUR + timedelta(minutes=20))

        assert slots == hours(24)
        late = [r.created_at - s for r, s in zip(await runs_of(harness.workflow), slots, strict=True)]
        assert all(timedelta(0) <= delay <= timedelta(minutes=20) for delay in late)
        assert len(set(late)) > 20


async def test_clocks_are_set_and_every_local_time_comes_once(backend):
    clock = FakeClock(datetime(2026, 3, 27, 12, tzinfo=UTC))
    orders, slots = scheduled("30 2 * * *", zone="Europe/Amsterdam")
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.advance(3 * DAY)
        assert [f"{slot:%d %H:%M%z}" for slot in slots] == ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]
        clock.advance(datetime(2026, 10, 24, tzinfo=UTC) - clock.now())
        await harness.settle()
        slots.clear()
        await harness.advance(3 * DAY)
        assert [f"{slot:%d %H:%M%z}" for slot in slots] == ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]


async def test_a_clock_that_is_set_back_starts_no_slot_twice(backend):
    clock = FakeClock()
    orders, slots = scheduled()
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.advance(5 * HOUR)
        clock._now -= 3 * HOUR
        await harness.advance(2 * HOUR)
        assert slots == hours(5)
        await harness.advance(3 * HOUR)

        assert slots == hours(7)
        assert await decisions(backend, hours(7)) == ["triggered"] * 7


async def test_a_paused_schedule_misses_its_slots_and_goes_on_with_the_next(new_backend):
    clock = FakeClock()
    orders, slots = scheduled(catch_up="all")
    async with Harness(orders, backend=new_backend(), clock=clock) as harness:
        await harness.advance(HOUR)
        info = await harness.workflow.schedules.pause("tick", actor="ann")
        assert (info.is_paused, info.next_slot) == (True, None)
        await harness.advance(3 * HOUR)
        assert slots == hours(1)
    backend = new_backend()
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.advance(HOUR)
        assert (await info_of(harness.workflow)).is_paused

        info = await harness.workflow.schedules.resume("tick")

        assert (info.is_paused, info.last_slot) == (False, hours(1)[0])
        await harness.advance(2 * HOUR)
        assert slots == [*hours(1), *hours(2, 6)]
        assert await decisions(backend, hours(7)) == [
            "triggered", *["skipped: missed"] * 4, "triggered", "triggered",
        ]  # fmt: skip
        again = await harness.workflow.schedules.resume("tick")
        assert again.next_slot == hours(1, 8)[0]


async def test_a_schedule_is_triggered_by_hand_beside_its_slots(backend):
    orders, slots = scheduled()
    async with Harness(orders, backend=backend) as harness:
        await harness.advance(1.5 * HOUR)
        await harness.workflow.schedules.pause("tick")
        run_id = await harness.workflow.schedules.trigger_now("tick", actor="ann")
        await harness.settle()

        run = await harness.workflow.runs.get(run_id)
        assert (run.foreign_id, run.run_state) == ("tick", RunState.COMPLETED)
        assert slots == [*hours(1), START + 1.5 * HOUR]
        await harness.workflow.schedules.resume("tick")
        await harness.advance(HOUR)
        assert await decisions(backend, hours(2)) == ["triggered"] * 2


async def test_triggering_by_hand_says_why_it_cannot(backend):
    orders, _ = scheduled(function=lambda slot: None, step=lambda run: Skip())
    orders.add_schedule("@daily", lambda slot: Order(), name="open", foreign_id="o")
    async with Harness(orders, backend=backend) as harness:
        with pytest.raises(InputError, match="answers None"):
            await harness.workflow.schedules.trigger_now("tick")
        with pytest.raises(InputError, match="no schedule 'tock'"):
            await harness.workflow.schedules.trigger_now("tock")
        await harness.workflow.trigger("o", Order())
        with pytest.raises(RunInProgressError):
            await harness.workflow.schedules.trigger_now("open")


async def test_schedules_are_made_changed_and_deleted_at_run_time(backend):
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Status.SENT, to=[Status.SENT])
    async with Harness(orders, backend=backend) as harness:
        schedules = harness.workflow.schedules
        for n in range(3):
            await schedules.put(f"customer-{n}", "0 * * * *", Order(n), foreign_id=f"c-{n}")
        await harness.advance(2 * HOUR)
        counts = sorted((run.foreign_id, run.object.total) for run in await runs_of(harness.workflow))
        assert counts == [(f"c-{n}", n) for n in range(3) for _ in range(2)]

        same = await schedules.put("customer-0", "0 * * * *", Order(9))
        assert (same.next_slot, same.last_slot) == (hours(1, 3)[0], hours(1, 2)[0])
        other = await schedules.put("customer-1", "30 * * * *", Order(1), zone="Asia/Kolkata")
        assert other.next_slot == START + 3 * HOUR
        assert other.next_slot.tzinfo == ZoneInfo("Asia/Kolkata")
        await schedules.delete("customer-2", actor="ann")
        names = [info.name async for info in schedules.find()]
        assert names == ["customer-0", "customer-1"]
        await harness.advance(HOUR)

        late = [(r.foreign_id, r.object.total) for r in (await runs_of(harness.workflow))[6:]]
        assert sorted(late) == [("customer-0", 9), ("customer-1", 1)]
        with pytest.raises(InputError, match="no schedule"):
            await schedules.delete("customer-2")
        await schedules.put("customer-2", "0 * * * *", Order(7))
        await harness.advance(HOUR)
        assert (await harness.latest("customer-2")).object.total == 7


async def test_what_cannot_be_put_is_refused_before_anything_is_stored(backend):
    orders, _ = scheduled()
    async with Harness(orders, backend=backend) as harness:
        schedules = harness.workflow.schedules
        with pytest.raises(DefinitionError, match="cannot be read"):
            await schedules.put("x", "61 * * * *", Order())
        with pytest.raises(DefinitionError, match="time zone"):
            await schedules.put("x", "@daily", Order(), zone="Mars/Olympus")
        with pytest.raises(DefinitionError, match="schedule name"):
            await schedules.put("a/b", "@daily", Order())
        with pytest.raises(DefinitionError, match="foreign id"):
            await schedules.put("x", "@daily", Order(), foreign_id="")
        with pytest.raises(InputError, match="is a str"):
            await schedules.put("x", "@daily", "order")
        with pytest.raises(InputError, match="declared in code"):
            await schedules.put("tick", "@daily", Order())
        with pytest.raises(InputError, match="declared in code"):
            await schedules.delete("tick")
        for act in (schedules.pause, schedules.resume):
            with pytest.raises(InputError, match="no schedule 'x'"):
                await act("x")
        assert [info.name async for info in schedules.find()] == ["tick"]


async def test_a_client_manages_schedules_that_a_worker_runs(new_backend):
    clock = FakeClock()
    orders, slots = scheduled()
    async with Harness(orders, backend=new_backend(), clock=clock) as harness:
        client = orders.build(new_backend(), clock=clock)
        async with client.client():
            await client.schedules.put("made", "@daily", Order(5))
            await client.schedules.pause("tick")
            await harness.advance(DAY)
            assert slots == []
            assert (await client.runs.latest("made")).object.total == 5
            await client.schedules.trigger_now("tick")
            await harness.settle()
        assert len(slots) == 1


@pytest.mark.parametrize(
    ("spec", "options", "text"),
    [
        ("61 * * * *", {}, "cannot be read"),
        ("0 0 30 2 *", {}, "cannot be read|eight years"),
        ("@daily", {"zone": "Mars/Olympus"}, "time zone"),
        ("@daily", {"name": "a/b"}, "name of"),
        ("@daily", {"foreign_id": "x" * 300}, "foreign id"),
        ("@daily", {"catch_up": "some"}, "catch_up"),
        ("@daily", {"overlap": "allow"}, "overlap"),
        ("@daily", {"jitter": timedelta(days=2)}, "jitter"),
        ("@daily", {"jitter": 5}, "jitter"),
        ("@daily", {"status": 3}, "not a Status"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(spec, options, text):
    orders = Builder("orders", Order, Status)
    with pytest.raises(DefinitionError, match=text):
        orders.add_schedule(spec, lambda slot: Order(), **({"name": "x"} | options))


def test_names_parameters_options_and_resources_are_checked(backend):
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Status.SENT, to=[Status.SENT])

    def nightly(slot, *, psp):
        return Order()

    with pytest.raises(TypeError, match="did you mean 'catch_up'"):
        orders.schedule("@daily", catchup="all")(nightly)
    with pytest.raises(DefinitionError, match="name of a schedule"):
        orders.schedule("@daily")(lambda slot: Order())
    with pytest.raises(DefinitionError, match="takes"):
        orders.schedule("@daily", name="x")(lambda slot, more: Order())
    assert orders.schedule("@daily")(nightly) is nightly
    with pytest.raises(DefinitionError, match="already"):
        orders.schedule("@hourly")(nightly)
    with pytest.raises(DefinitionError, match="wants 'psp'"):
        orders.build(backend)
    orders.add_schedule("@daily", lambda slot: Order(), name="end", status=Status.SENT)
    with pytest.raises(DefinitionError, match="nothing leads out"):
        orders.build(backend, resources={"psp": 1})


async def test_another_spec_starts_after_now_and_the_old_one_retires(new_backend):
    clock = FakeClock()
    old, old_slots = scheduled("0 * * * *")
    new, new_slots = scheduled("30 * * * *")
    async with Harness(old, backend=new_backend(), clock=clock) as harness:
        await harness.advance(1.25 * HOUR)
        await harness.workflow.schedules.pause("tick")
    async with Harness(new, backend=new_backend(), clock=clock) as harness:
        assert (await info_of(harness.workflow)).is_paused, "a pause outlives a deploy"
        await harness.workflow.schedules.resume("tick")
        await harness.advance(2 * HOUR)
        assert (old_slots, new_slots) == (hours(1), [START + 1.5 * HOUR, START + 2.5 * HOUR])
        (info,) = [info async for info in harness.workflow.schedules.find()]
        assert info.spec == "30 * * * *"
        store = harness.workflow.opened().instance.backend.schedule_store
        retired = [s.spec for s in await store.get("orders", "tick") if s.is_retired]
        assert retired == ["0 * * * *"]
    async with Harness(old, backend=new_backend(), clock=clock) as harness:
        await harness.advance(HOUR)
        assert old_slots == [*hours(1), *hours(1, 4)], "a release that comes back starts after now"


async def test_two_releases_live_side_by_side_and_decide_a_common_slot_once(new_backend):
    clock = FakeClock()
    old, old_slots = scheduled("0 * * * *")
    new, new_slots = scheduled("0,30 * * * *")
    backend = new_backend()
    async with Harness(old, backend=backend, clock=clock) as first:
        async with Harness(new, backend=new_backend(), clock=clock) as second:
            for _ in range(8):
                await advance(clock, [first, second], timedelta(minutes=30))
            halves = [START + timedelta(minutes=30) * n for n in range(1, 9)]
            assert await decisions(backend, halves) == ["triggered"] * 8
            runs = await runs_of(second.workflow)
            assert [run.created_at for run in runs] == halves
            store = backend.schedule_store
            assert not any(s.is_retired for s in await store.get("orders", "tick"))


async def advance(clock, harnesses, by):
    """Move the one clock of several harnesses, and settle each."""
    clock.advance(by)
    for _ in range(2):
        for harness in harnesses:
            await harness.settle()


async def test_a_schedule_that_no_code_declares_retires_after_ten_minutes(new_backend):
    clock = FakeClock()
    with_it, slots = scheduled()
    without = Builder("orders", Order, Status)
    without.add_step(Status.CREATED, lambda run: Status.SENT, to=[Status.SENT])
    async with Harness(with_it, backend=new_backend(), clock=clock):
        pass
    async with Harness(without, backend=new_backend(), clock=clock) as harness:
        await harness.advance(timedelta(minutes=8))
        assert [info.name async for info in harness.workflow.schedules.find()] == ["tick"]
        with pytest.raises(InputError, match="other code"):
            await harness.workflow.schedules.trigger_now("tick")
        await harness.advance(timedelta(minutes=4))
        assert [info.name async for info in harness.workflow.schedules.find()] == []
        await harness.workflow.schedules.put("tick", "@hourly", Order(3))
        await harness.advance(HOUR)
        assert (await harness.latest("tick")).object.total == 3
        assert slots == []
    async with Harness(with_it, backend=new_backend(), clock=clock) as harness:
        await harness.advance(HOUR)
        assert slots == hours(1, 2)
        assert len(await runs_of(harness.workflow)) == 2


async def test_two_instances_decide_each_slot_once(new_backend):
    clock = FakeClock()
    orders, slots = scheduled()
    backend = new_backend()
    async with Harness(orders, backend=backend, clock=clock) as first:
        async with Harness(orders, backend=new_backend(), clock=clock) as second:
            for _ in range(5):
                await advance(clock, [first, second], HOUR)
        for _ in range(3):
            await advance(clock, [first], HOUR)
        assert slots == hours(8)
        assert len(await runs_of(first.workflow)) == 8
        assert await decisions(backend, hours(8)) == ["triggered"] * 8


async def test_two_holders_of_one_role_start_no_slot_twice(new_backend):
    """The role saves work; the decision is what makes a slot start one run at most."""
    clock = FakeClock()
    orders, slots = scheduled()
    first, second = new_backend(), new_backend()
    async with Harness(orders, backend=first, clock=clock) as one:
        async with Harness(orders, backend=second, clock=clock) as two:
            for harness in (one, two):
                for consumer in harness.workflow.opened()._consumers:
                    consumer.hold(frozenset(range(16)))
            for _ in range(10):
                await advance(clock, [one, two], HOUR)
            runs = await runs_of(two.workflow)
            assert [run.created_at for run in runs] == hours(10)
            assert await decisions(first, hours(10)) == ["triggered"] * 10
            assert set(slots) == set(hours(10))


async def test_a_slot_that_is_due_now_does_not_wait_for_a_hint_of_another_process(new_backend):
    orders, slots = scheduled("@every 1s")
    async with orders.build(new_backend()) as workflow, asyncio.timeout(20):
        while len(slots) < 2:
            await asyncio.sleep(0.01)
        assert to_datetime(to_instant(slots[0])) < slots[1]
        assert await workflow.runs.count() >= 1
