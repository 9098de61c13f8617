"""A cancel passes down to the children that asked for it; deletion reaches what is staged."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import Builder, Cancel, Run, RunState
from tests.families import (
    Basket,
    Box,
    Family,
    Parcel,
    Stage,
    baskets,
    held_parcels,
    parcels,
    started,
)

TOGETHER = {"cancel_with_parent": True}
CANARY = "4929-1234-canary"


async def states(family, run_id, member=1):
    """The run states of a run's children."""
    store = family.backend.record_store
    found = []
    for child in await family.children(run_id):
        ref = await store.find(child.run_id)
        found.append(None if ref is None else (await store.lookup_many([ref]))[0].run_state)
    return found


async def test_children_are_cancelled_with_their_parent_if_they_asked_for_it(backend):
    boxes = held_parcels()
    orders = Builder("baskets", Basket, Stage)

    @orders.step(Stage.NEW)
    def split(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        started(run, boxes, cancel_with_parent=True)
        run.trigger_child(boxes, "alone", Box())
        return Stage.SPLIT

    @orders.join(Stage.SPLIT)
    def joined(run: Run[Basket, Stage], children) -> Literal[Stage.DONE]:
        return Stage.DONE

    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))
        await family.members[1].workflow.callback("b-1/0", Parcel.BOOKED)
        await family.settle()
        await family.first.workflow.runs.cancel(run.id, "no more", actor="anna")
        await family.settle()

        assert await states(family, run.id) == [4, 5, 1]
        child = (await family.children(run.id))[1]
        snapshot = await family.members[1].workflow.runs.get(child.run_id)
        assert snapshot.reason == f"its parent {run.id} was cancelled"
        assert (child.is_open, child.run_state) == (False, 5)


async def test_a_cancel_passes_down_to_the_youngest(backend):
    boxes = held_parcels()
    orders = baskets(boxes, child=TOGETHER)
    roots = Builder("roots", Basket, Stage)

    @roots.step(Stage.NEW)
    def split(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        run.trigger_child(orders, "b-1", Basket(2), cancel_with_parent=True)
        return Stage.SPLIT

    @roots.callback(Stage.SPLIT)
    def stop(run: Run[Basket, Stage], payload: bytes) -> Literal[Stage.DONE] | Cancel:
        return Cancel("asked")

    async with Family(roots, orders, boxes, backend=backend) as family:
        run = await family.trigger("r-1", Basket())
        (child,) = await family.children(run.id)
        await family.first.workflow.callback("r-1", stop, b"")
        await family.settle()

        assert await states(family, run.id) == [5]
        assert await states(family, child.run_id) == [5, 5]


async def test_hundreds_are_cancelled_in_bounded_batches(backend):
    boxes = held_parcels()
    async with Family(baskets(boxes, child=TOGETHER), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(250))
        await family.first.workflow.runs.cancel(run.id, "no more")
        await family.settle()

        assert await states(family, run.id) == [5] * 250


async def test_children_that_were_to_begin_after_the_cancel_do_not(backend):
    boxes = held_parcels()
    async with Family(baskets(boxes, child=TOGETHER), backend=backend, max_attempts=3) as family:
        # The children's workflow is not there yet, so that they wait while their parent ends.
        run = await family.trigger("b-1", Basket(2))
        assert await states(family, run.id) == [None, None]
        await family.first.workflow.runs.cancel(run.id, "no more")
        await family.join(boxes)
        await family.advance(timedelta(hours=1))

        assert await states(family, run.id) == [None, None]
        assert [child.run_state for child in await family.children(run.id)] == [0, 0]


async def test_children_that_began_while_the_parent_was_cancelled_are_found(backend):
    """The parent was looked up before its cancel: it is looked at once more after they began."""
    boxes = held_parcels()
    async with Family(baskets(boxes, child=TOGETHER), boxes, backend=backend) as family:
        workflow = family.first.workflow
        run_id = await workflow.trigger("b-1", Basket(2))
        performer = spawn_performer_of(workflow)
        begin, cancelled = performer._begin, []

        async def cancel_first(*args):
            if not cancelled:
                cancelled.append(await workflow.runs.cancel(run_id, "meanwhile"))
                # What the cancel left is done before they begin, and finds nobody.
                while "/cancel" in await waiting(family):
                    await asyncio.sleep(0.001)
            return await begin(*args)

        performer._begin = cancel_first
        await family.settle()

        assert cancelled
        assert await states(family, run_id) == [5, 5]


def spawn_performer_of(workflow):
    """What starts the children of a workflow here."""
    consumers = workflow.opened()._consumers
    return next(c for c in consumers if c.name.endswith("/spawn")).handler._performer


@pytest.mark.parametrize("is_parked", [True, False])
async def test_staged_objects_are_deleted_with_their_parents_data(backend, is_parked):
    elsewhere = parcels("elsewhere")
    orders = Builder("baskets", Basket, Stage)

    @orders.step(Stage.NEW)
    def split(run: Run[Basket, Stage]) -> Literal[Stage.DONE]:
        run.trigger_child(elsewhere, "x", Box(CANARY))
        return Stage.DONE

    attempts = 1 if is_parked else 1000
    async with Family(orders, backend=backend, max_attempts=attempts) as family:
        run = await family.trigger("b-1", Basket())
        assert CANARY in await waiting(family)
        await family.first.workflow.runs.delete_data(run.id, "asked")
        await family.advance(timedelta(minutes=2))

        assert (await family.get(run.id)).run_state is RunState.DATA_DELETED
        assert CANARY not in await waiting(family)
        await family.join(elsewhere)
        for letter in [found async for found in family.first.workflow.dead_letters.find()]:
            await family.first.workflow.dead_letters.retry(letter.id)
        await family.advance(timedelta(hours=1))
        assert await states(family, run.id) == [None]
        assert await family.waiting_consumers() == set()


async def waiting(family):
    """Everything that waits in the queue or among the dead letters."""
    from stepgraph.model.queue import Want

    queue = family.backend.work_queue
    want = Want("baskets/spawn", tuple(range(16)), 0, 99)
    return repr((await queue.due([want], 2**62), await queue.list_parked(None, 99)))
