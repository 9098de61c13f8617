"""A store that fails, or a process that dies, at any write between a parent and its join."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from stepgraph.errors import WorkflowError
from tests.failing import Plan, failing
from tests.families import Basket, Box, Stage, baskets, parcels
from tests.flows import SOON

NEVER = 10**9
FAST = {"retry": timedelta(milliseconds=10), "stop_within": timedelta(0)}


def family(**options):
    """A parent of three children, of which one can never begin."""
    return baskets(parcels(), **options), parcels()


async def begin(orders, backend):
    """Trigger two parents; foreign ids of one child of the first and of all of the second are used."""
    async with parcels().build(backend).client() as others:
        for foreign_id in ("b-1/1", "b-2/0"):
            await others.runs.pause(await others.trigger(foreign_id, Box("in the way")), "stay")
    async with orders.build(backend).client() as workflow:
        await workflow.trigger("b-2", Basket(1))
        return await workflow.trigger("b-1", Basket(3))


async def finished(workflow, run_id, backend):
    """Wait for the parent's end and for an empty queue, and check that all of it happened once."""
    run = await workflow.await_status(run_id, Stage.DONE, within=SOON)
    assert run.object.seen == ["b-1/0 COMPLETED", "b-1/1 UNKNOWN", "b-1/2 COMPLETED"]
    other = await workflow.runs.latest("b-2")
    other = await workflow.await_status(other.id, Stage.DONE, within=SOON)
    assert (other.object.seen, other.version) == (["b-2/0 UNKNOWN"], 3)
    entries = await workflow.runs.history(run_id)
    assert Counter(entry.cause for entry in entries) == {"trigger": 1, "step": 1, "join": 1}
    rows = await backend.child_store.list_children(run_id, None, 9, only_waiting=False)
    assert [row.taken_version for row in rows] == [3, 3, 3]
    for row in rows:
        ref = await backend.record_store.find(row.run_id)
        assert (ref is None) is (row.run_state == 0)
    async with asyncio.timeout(20):
        while await left(backend):
            await asyncio.sleep(0.01)


async def left(backend):
    """What is due in any queue of the family, but for the run that is in the way."""
    names = ["baskets/step/1", "baskets/join", "baskets/join/2", "baskets/spawn", "parcels/spawn"]
    return await backend.work_queue.next_due(dict.fromkeys(names, range(16)))


async def count_of_writes(new_backend):
    """How many writes the flow takes when nothing fails."""
    backend = new_backend()
    orders, boxes = family()
    run_id = await begin(orders, backend)
    plan = Plan(NEVER, "before")
    failing(backend, plan)
    async with orders.build(backend, **FAST) as workflow, boxes.build(backend, **FAST):
        await finished(workflow, run_id, backend)
    return plan.count


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_a_store_that_fails_at_any_write_costs_time_only(any_new_backend, kind):
    for at in range(await count_of_writes(any_new_backend()) + 2):
        backend = any_new_backend()()
        orders, boxes = family()
        run_id = await begin(orders, backend)
        failing(backend, Plan(at, kind))
        async with orders.build(backend, **FAST) as workflow, boxes.build(backend, **FAST):
            await finished(workflow, run_id, backend)


async def test_a_process_that_dies_between_any_two_writes_is_followed_by_another(
    any_new_backend, monkeypatch
):
    monkeypatch.setattr("stepgraph.engine.supervisor._CANCEL_SECONDS", 0.05)
    monkeypatch.setattr("stepgraph.engine.instance._DRAIN_SECONDS", 0.05)
    for at in range(await count_of_writes(any_new_backend()) + 2):
        new_backend = any_new_backend()
        orders, boxes = family()
        dying, plan = new_backend(), Plan(at, "death")
        run_id = await begin(orders, new_backend())
        failing(dying, plan)
        async with orders.build(dying, **FAST) as workflow, boxes.build(dying, **FAST):
            async with asyncio.timeout(20):
                while plan.count <= at and await workflow.runs.count(status=Stage.DONE) < 2:
                    await asyncio.sleep(0.001)
        backend = new_backend()
        async with orders.build(backend, **FAST) as workflow, boxes.build(backend, **FAST):
            await finished(workflow, run_id, backend)


@pytest.mark.parametrize("at", range(4))
async def test_a_parent_whose_commit_fails_leaves_no_child(new_backend, at, monkeypatch):
    """Its children are rows of the very write: none of them is there without it."""
    monkeypatch.setattr("stepgraph.engine.supervisor._CANCEL_SECONDS", 0.05)
    monkeypatch.setattr("stepgraph.engine.instance._DRAIN_SECONDS", 0.05)
    orders, boxes = family()
    run_id = await begin(orders, new_backend())
    dying = failing(new_backend(), Plan(at, "death"))
    async with orders.build(dying, **FAST) as workflow, boxes.build(dying, **FAST):
        with pytest.raises((WorkflowError, TimeoutError)):
            await workflow.await_status(run_id, Stage.DONE, within=timedelta(milliseconds=100))
        run = await workflow.runs.get(run_id)
        rows = await dying.child_store.list_children(run_id, None, 9, only_waiting=False)

    assert len(rows) == (0 if run.version == 1 else 3)
