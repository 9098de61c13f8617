"""Processes die between any two writes around a slot, and clocks jump: one decision a slot, one run."""

import asyncio
import os
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepgraph import Skip, UnavailableError
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.sqlite import SQLite
from stepgraph.engine import instance as instances
from stepgraph.model.instant import to_datetime, to_instant
from stepgraph.model.schedule import decision_of
from stepgraph.testing import FakeClock, Harness
from tests.engine.test_schedules import HOUR, decisions, hours, runs_of, scheduled
from tests.flows import Order

WRITES = {
    "record_store": ("commit",), "work_queue": ("put",), "schedule_store": ("put", "delete", "decide")
}  # fmt: skip


class Fate:
    """Counts the writes of one process, and lets it die at one of them."""

    def __init__(self, backend, at, *, is_written):
        self.left, self.is_written, self.came = at, is_written, asyncio.Event()
        for port, names in WRITES.items():
            for name in names:
                self._wrap(getattr(backend, port), name)

    def _wrap(self, port, name):
        write = getattr(port, name)

        async def counted(*args, **kwargs):
            self.left -= 1
            if self.left > 0:
                return await write(*args, **kwargs)
            if self.left == 0 and self.is_written:
                await write(*args, **kwargs)
            self.came.set()
            return await asyncio.Event().wait()

        setattr(port, name, counted)


async def bury(workflow, backend):
    """End what a dead process had in memory; its lease runs out."""
    supervisor, workflow._worker = workflow._worker, None
    opened = instances._opened.pop((os.getpid(), id(backend)), None)
    if supervisor is not None:
        await supervisor._tasks.close()
    if opened is not None:
        await opened.instance.tasks.close()
        for membership in opened.instance._memberships.values():
            await membership.close()
        opened.instance.threads.close()
    await backend.close()


async def live(orders, backend, clock, until, at, *, is_written):
    """Run one process until a time, or to its death; return whether it died."""
    fate = Fate(backend, at, is_written=is_written)
    harness = Harness(orders, backend=backend, clock=clock, stop_within=timedelta(0))

    async def run():
        await harness.__aenter__()
        await harness.advance(max(until - clock.now(), timedelta(0)))

    running, dying = asyncio.create_task(run()), asyncio.create_task(fate.came.wait())
    await asyncio.wait([running, dying], return_when=asyncio.FIRST_COMPLETED)
    has_died = fate.came.is_set()
    running.cancel()
    dying.cancel()
    results = await asyncio.gather(running, dying, return_exceptions=True)
    await bury(harness.workflow, backend)
    assert not [r for r in results if isinstance(r, Exception)]
    return has_died


def odd_hours(catch_up="all", **options):
    """A schedule that triggers in odd hours and skips the even ones."""
    return scheduled(function=lambda slot: Order() if slot.hour % 2 else None, catch_up=catch_up, **options)


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_process_that_dies_at_any_write_leaves_every_slot_to_be_decided_once(kind, is_written, tmp_path):
    at, has_died = 0, True
    while has_died:
        at += 1
        first = Memory()
        path = tmp_path / f"{at}.db"
        new = first.twin if kind == "memory" else lambda path=path: SQLite(path)
        clock = FakeClock()
        orders, _ = odd_hours()
        has_died = await live(orders, new(), clock, hours(1, 3)[0], at, is_written=is_written)
        backend = new()
        async with Harness(orders, backend=backend, clock=clock) as harness:
            await harness.advance(hours(1, 5)[0] - clock.now())

            expected = ["triggered", "skipped: filter", "triggered", "skipped: filter", "triggered"]
            assert await decisions(backend, hours(5)) == expected, f"death at write {at}"
            assert len(await runs_of(harness.workflow)) == 3, f"death at write {at}"
    assert at > 12


@pytest.mark.parametrize("is_written", [False, True])
async def test_a_schedule_that_was_being_put_when_the_process_died_runs_or_is_not_there(is_written):
    for at in range(1, 5):
        clock = FakeClock()
        store = Memory()
        orders, _ = scheduled()
        dead = store.twin()
        workflow = orders.build(dead, clock=clock, stop_within=timedelta(0))
        await workflow.start()
        fate = Fate(dead, at, is_written=is_written)
        putting = asyncio.create_task(workflow.schedules.put("made", "@hourly", Order(1)))
        dying = asyncio.create_task(fate.came.wait())
        await asyncio.wait([putting, dying], return_when=asyncio.FIRST_COMPLETED)
        for task in (putting, dying):
            task.cancel()
        await asyncio.gather(putting, dying, return_exceptions=True)
        await bury(workflow, dead)
        alive = store.twin()
        async with Harness(orders, backend=alive, clock=clock) as harness:
            await harness.advance(2 * HOUR)
            names = [info.name async for info in harness.workflow.schedules.find()]
            found = await decisions(alive, hours(2), name="made")
            assert found == (["triggered"] * 2 if "made" in names else [None, None])


@pytest.mark.parametrize("error", ["lost before", "lost after"])
@pytest.mark.parametrize("port", WRITES)
async def test_a_store_that_fails_once_at_any_write_costs_nothing(backend, port, error):
    orders, _ = odd_hours()
    async with Harness(orders, backend=backend) as harness:
        for name in WRITES[port]:
            write = getattr(getattr(backend, port), name)
            calls = []

            async def failing(*args, write=write, calls=calls, **kwargs):
                calls.append(1)
                if len(calls) % 2 == 0:
                    return await write(*args, **kwargs)
                if error == "lost after":
                    await write(*args, **kwargs)
                raise UnavailableError("gone for a moment")

            setattr(getattr(backend, port), name, failing)
        await harness.advance(4 * HOUR)

        assert await decisions(backend, hours(4)) == ["triggered", "skipped: filter"] * 2
        assert len(await runs_of(harness.workflow)) == 2


ACTIONS = st.one_of(
    st.tuples(st.just("live"), st.integers(0, 300), st.integers(1, 40), st.booleans()),
    st.tuples(st.just("jump"), st.integers(-300, 300)),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
)


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=8), catch_up=st.sampled_from(["latest", "all", "none"]))
def test_whatever_happens_a_slot_has_one_decision_and_one_run(actions, catch_up):
    asyncio.run(happens(actions, catch_up))


async def happens(actions, catch_up):
    """Let processes live and die, clocks jump and people pause; then look at every slot."""
    store, clock = Memory(), FakeClock()
    orders, _ = odd_hours(catch_up, foreign_id=lambda slot: f"{slot:%d-%H}")
    latest = clock.now()
    for kind, *details in actions:
        backend = store.twin()
        if kind == "live":
            minutes, at, is_written = details
            until = clock.now() + timedelta(minutes=minutes)
            await live(orders, backend, clock, until, at, is_written=is_written)
        elif kind == "jump":
            clock._now += timedelta(minutes=details[0])
        else:
            workflow = orders.build(backend, clock=clock)
            async with workflow.client():
                if [info async for info in workflow.schedules.find()]:
                    await getattr(workflow.schedules, kind)("tick")
        latest = max(latest, clock.now())
    clock._now = latest
    backend = store.twin()
    async with Harness(orders, backend=backend, clock=clock) as harness:
        await harness.workflow.schedules.resume("tick")
        await harness.advance(3 * HOUR)
        await look(harness, backend)


async def look(harness, backend):
    """Every slot from the first decided one to now has one decision; each "triggered" has its run."""
    taken = {
        int(key): decision_of("orders", "tick", int(key), taken_name.body)
        for (scope, key), taken_name in backend._storage.unique.items()
        if scope == "orders/schedule/tick"
    }
    decided = sorted(slot for slot, _ in taken.items())
    slot, now = decided[0], harness.clock.microseconds()
    hour = to_instant(to_datetime(0) + HOUR)
    while slot <= now:
        assert slot in taken, f"{to_datetime(slot)} has no decision"
        slot = taken[slot].last + hour
    triggered = {d.run_id for d in taken.values() if d.decision == "triggered"}
    assert {run.id for run in await runs_of(harness.workflow)} == triggered


def give(harness, slots):
    """Have one process hold these slots of every consumer, whatever others hold."""
    for consumer in harness.workflow.opened()._consumers:
        consumer.hold(frozenset(slots))


def hold_back(backend, port, name):
    """Let one process wait before a write, once; return what tells that it waits, and what frees it."""
    write, waits, free = getattr(getattr(backend, port), name), asyncio.Event(), asyncio.Event()

    async def held(*args, **kwargs):
        waits.set()
        await free.wait()
        return await write(*args, **kwargs)

    setattr(getattr(backend, port), name, held)
    return waits, free


@pytest.mark.parametrize("late", ["skip", "run"])
async def test_a_skip_and_a_run_of_one_slot_exclude_each_other(late):
    """One process saw the run before open, the other saw it ended: the first to write decides."""
    store, clock = Memory(), FakeClock()
    orders, _ = scheduled(step=lambda run: Skip())
    slow, quick = (Harness(orders, backend=store.twin(), clock=clock) for _ in range(2))
    await slow.__aenter__()
    await quick.__aenter__()
    look = slow.workflow.opened().instance.backend
    if late == "skip":
        run_id = await slow.workflow.trigger("tick", Order())
    port, name = ("schedule_store", "decide") if late == "skip" else ("record_store", "commit")
    waits, free = hold_back(look, port, name)
    give(slow, range(16))
    give(quick, ())
    clock.advance(HOUR)
    slow.workflow.opened().wake()
    await waits.wait()
    if late == "skip":
        await quick.workflow.runs.cancel(run_id, "over")
    else:
        run_id = await quick.workflow.trigger("tick", Order())
    give(quick, range(16))
    await quick.settle()
    if late == "run":
        await quick.workflow.runs.cancel(run_id, "over")
    free.set()
    await slow.settle()

    expected = "triggered" if late == "skip" else "skipped: running"
    assert await decisions(look, hours(1)) == [expected]
    assert len(await runs_of(slow.workflow)) == (2 if late == "skip" else 1)
    for harness in (slow, quick):
        await harness.__aexit__(None, None, None)
