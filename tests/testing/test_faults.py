"""Under faults of every kind the promises hold, and the same seed gives the same accidents."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import Backoff, Builder, ConnectorEvent, Repeat, Run, RunInProgressError, RunState
from stepgraph.adapters.memory import MemoryConnector
from stepgraph.testing import Faults, Harness
from stepgraph.testing.faults import FaultyBackend
from tests.flows import Order, Status, one_step, three_steps

MINUTE = timedelta(minutes=1)
KINDS = {
    "drop": {"drop": 0.3},
    "repeat": {"repeat": 0.5},
    "delay": {"delay": MINUTE},
    "crash": {"crash": 0.2},
    "all": {"drop": 0.1, "repeat": 0.2, "delay": MINUTE, "crash": 0.1},
}


def flow(log):
    """Steps, a flaky one, a repeat, a callback, a timeout and a hook; every call is logged."""
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED, retry=Backoff(first=MINUTE))
    async def charge(run: Run[Order, Status]) -> Literal[Status.PAID]:
        log.append(("charge", run.foreign_id, run.idempotency_key))
        await asyncio.sleep(0)
        if run.attempt == 1:
            raise ConnectionError("bank")
        run.object.seen.append("charge")
        return Status.PAID

    @orders.callback(Status.PAID)
    async def picked(run: Run[Order, Status], payload: int) -> Literal[Status.PACKED]:
        run.object.seen.append("picked")
        run.object.total += payload
        return Status.PACKED

    @orders.timeout(Status.PACKED, after=MINUTE)
    async def send(run: Run[Order, Status]) -> Repeat | Literal[Status.SENT]:
        run.object.seen.append("send")
        return Status.SENT

    @orders.on_complete
    async def tell(change) -> None:
        log.append(("tell", change.run.foreign_id, str(change.version)))

    return orders


async def play(faults, backend=None):
    """Play the flow for a few orders; return the runs and what was called."""
    log = []
    async with Harness(flow(log), backend=backend, faults=faults) as harness:
        for number in range(6):
            await harness.trigger(f"o-{number}", Order())
        await harness.advance(10 * MINUTE)
        for number in range(6):
            await harness.callback(f"o-{number}", Status.PAID, b"5")
        await harness.advance(10 * MINUTE)
        runs = [await harness.latest(f"o-{number}") for number in range(6)]
        count = await harness.workflow.runs.count()
        histories = [await harness.versions(run.id) for run in runs]
    return runs, log, count, histories


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
async def test_the_promises_hold_all_the_same(kind, seed):
    runs, log, count, histories = await play(Faults(seed=seed, **KINDS[kind]))

    assert count == 6
    for run, versions in zip(runs, histories, strict=True):
        assert run.run_state is RunState.COMPLETED
        assert (run.object.total, run.object.seen) == (5, ["charge", "picked", "send"])
        assert [v.version for v in versions] == [1, 2, 3, 4]
        keys = {key for name, foreign_id, key in log if (name, foreign_id) == ("charge", run.foreign_id)}
        assert len(keys) == 1
    assert {foreign_id for name, foreign_id, _ in log if name == "tell"} == {r.foreign_id for r in runs}


async def test_faults_do_their_worst_on_a_file_too(tmp_path):
    from stepgraph.adapters.sqlite import SQLite

    runs, *_ = await play(Faults(seed=1, **KINDS["all"]), SQLite(tmp_path / "runs.db"))
    assert all(run.object.seen == ["charge", "picked", "send"] for run in runs)


async def test_a_seed_repeats_its_accidents_and_another_one_has_others():
    def calls(played):
        return [(name, foreign_id) for name, foreign_id, _ in played[1]]

    faults = KINDS["crash"] | {"delay": MINUTE}
    first = await play(Faults(seed=7, **faults))
    second = await play(Faults(seed=7, **faults))
    others = [await play(Faults(seed=seed, **faults)) for seed in range(8, 12)]

    assert calls(first) == calls(second)
    assert [[v.updated_at for v in h] for h in first[3]] == [[v.updated_at for v in h] for h in second[3]]
    assert any(calls(other) != calls(first) for other in others)


@pytest.mark.parametrize("kind", ["drop", "repeat", "delay", "crash"])
async def test_each_kind_of_fault_does_happen(kind):
    """A fault that never strikes would prove nothing."""
    struck = []
    for seed in range(6):
        log = []
        async with Harness(flow(log), faults=Faults(seed=seed, **KINDS[kind])) as harness:
            backend = harness.workflow.opened().instance.backend
            assert isinstance(backend, FaultyBackend)
            await harness.trigger("o-1", Order())
            await harness.advance(10 * MINUTE)
            await harness.callback("o-1", Status.PAID, b"1")
            await harness.advance(10 * MINUTE)
            struck += backend.struck
    assert {name.split()[0] for name in struck} >= {kind}


async def test_a_delayed_announcement_comes_when_the_clock_has_moved():
    async with Harness(three_steps(), faults=Faults(delay=MINUTE)) as harness:
        run = await harness.trigger("o-1", Order())
        assert run.status is Status.CREATED
        await harness.advance(3 * MINUTE)
        assert (await harness.latest("o-1")).status is Status.SENT


async def test_events_that_come_twice_start_nothing_twice():
    source, seen = MemoryConnector(), []
    orders = three_steps()

    @orders.connector("shop")
    async def order(workflow, event) -> None:
        seen.append(event.id)
        await workflow.trigger(event.foreign_id, Order())

    faults = Faults(repeat=0.9, crash=0.1)
    async with Harness(orders, faults=faults, connectors={"shop": source}) as harness:
        await source.publish(*(ConnectorEvent(f"e-{n}", f"o-{n}") for n in range(20)))
        await harness.settle()
        assert await harness.workflow.runs.count() == 20
    assert len(seen) > 20


async def test_a_refusal_is_a_refusal_under_faults():
    async def hold(run: Run[Order, Status]) -> Repeat | Literal[Status.PAID]:
        return Repeat(after=MINUTE)

    async with Harness(one_step(hold), faults=Faults(crash=0.3, drop=0.2)) as harness:
        await harness.trigger("o-1", Order())
        with pytest.raises(RunInProgressError):
            await harness.trigger("o-1", Order())


async def test_two_workflows_crash_together():
    orders, shipping = three_steps(), three_steps("shipping")
    async with (
        Harness(orders, faults=Faults(seed=3, crash=0.3)) as harness,
        harness.beside(shipping) as ships,
    ):
        for number in range(10):
            await harness.trigger(f"o-{number}", Order())
            run = await ships.trigger(f"s-{number}", Order())
            assert run.object.seen == ["charge", "pack", "send"]
        assert await harness.workflow.runs.count(run_state=RunState.COMPLETED) == 10


@pytest.mark.parametrize("wrong", [{"drop": 1.0}, {"crash": -0.1}, {"repeat": 2}, {"delay": -MINUTE}])
def test_faults_that_could_never_end_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Faults(**wrong)


async def test_a_deletion_that_is_announced_twice_happens_once():
    orders, deleted = three_steps(), []

    @orders.custom_delete
    def blank(order):
        deleted.append(order.total)
        return Order(0)

    for seed in range(4):
        deleted.clear()
        async with Harness(orders, faults=Faults(seed=seed, repeat=0.9)) as harness:
            run = await harness.trigger("o-1", Order(5))
            await harness.workflow.runs.delete_data(run.id, "asked")
            await harness.advance(10 * MINUTE)
            entries = await harness.workflow.runs.history(run.id)
        assert [e.run_state for e in entries].count(RunState.DATA_DELETED) == 1
        assert deleted.count(5) >= 1
