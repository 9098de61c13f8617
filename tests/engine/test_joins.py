"""Joins: called once, when the children have ended, whatever happens meanwhile."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Literal

import msgspec
import pytest

from stepgraph import (
    Backoff,
    Builder,
    NotOpenError,
    Pause,
    Repeat,
    Run,
    RunNotFoundError,
    RunState,
    Skip,
    Snapshot,
    Trigger,
)
from stepgraph.engine.work import work_of_row
from stepgraph.model.queue import QueueRow
from stepgraph.model.slot import slot_of
from stepgraph.testing import Harness, make_child, make_run
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
from tests.flows import SOON

MINUTE = timedelta(minutes=1)


def counting(*answers):
    """A join that answers one after the other, and the foreign ids that each call was given."""
    calls = []

    async def join(run, children):
        calls.append([f"{child.foreign_id} {child.run_state.name}" for child in children])
        answer = answers[min(len(calls), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return join, calls


async def deliver(family, *foreign_ids):
    """End parcels that are held."""
    for foreign_id in foreign_ids:
        await family.members[1].workflow.callback(foreign_id, Parcel.BOOKED)
    await family.settle()


async def test_a_join_is_called_once_and_children_move_no_version(backend):
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(3))
        record = await family.first.workflow.runs.record(run.id)
        assert (record.next, record.version) == ("join", 2)
        await deliver(family, "b-1/2", "b-1/0")
        assert (await family.get(run.id)).version == 2
        assert calls == []
        await deliver(family, "b-1/1")

        assert (await family.get(run.id)).version == 3
        # In the order of their starts, not of their ends.
        assert calls == [["b-1/0 COMPLETED", "b-1/1 COMPLETED", "b-1/2 COMPLETED"]]
        assert (await family.first.workflow.runs.history(run.id))[-1].cause == "join"


async def test_a_cancelled_child_has_ended(backend):
    boxes = held_parcels()
    async with Family(baskets(boxes), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.members[1].workflow.runs.cancel((await family.children(run.id))[0].run_id, "lost")

        assert (await family.get(run.id)).object.seen == ["b-1/0 CANCELLED"]


async def test_a_run_without_children_goes_on_at_once(backend):
    boxes = parcels()
    async with Family(baskets(boxes), boxes, backend=backend) as family:
        for until in (Stage.NEW, Stage.SPLIT):
            run = await family.trigger(f"b-{until}", Basket(0), status=until)
            assert run.run_state is RunState.COMPLETED


async def test_children_that_ended_before_the_run_came_are_joined(backend):
    boxes = parcels()
    orders = Builder("baskets", Basket, Stage)

    @orders.step(Stage.NEW)
    def split(run: Run[Basket, Stage]) -> Literal[Stage.LATE]:
        started(run, boxes)
        return Stage.LATE

    @orders.callback(Stage.LATE)
    def go(run: Run[Basket, Stage], payload: bytes) -> Literal[Stage.SPLIT]:
        return Stage.SPLIT

    @orders.join(Stage.SPLIT)
    def joined(run: Run[Basket, Stage], children, *, mark: str) -> Literal[Stage.DONE]:
        run.object.seen += [f"{mark} {child.run_state.name}" for child in children]
        return Stage.DONE

    async with Family(boxes, backend=backend) as family:
        await family.join(orders, resources={"mark": "x"})
        parents = family.members[1].workflow
        run_id = await parents.trigger("b-1", Basket(2))
        await family.settle()
        assert all(not child.is_open for child in await family.children(run_id))
        await parents.callback("b-1", go)
        await family.settle()

        assert (await parents.runs.get(run_id)).object.seen == ["x COMPLETED", "x COMPLETED"]


async def test_children_are_loaded_when_they_are_asked_for(backend):
    boxes, loaded = parcels(), []

    async def join(run, children):
        loaded.extend([await child.snapshot() for child in children])
        return Stage.DONE

    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))

        assert run.status is Stage.DONE
        assert [type(child) for child in loaded] == [Snapshot, Snapshot]
        assert [child.object for child in loaded] == [Box("box 0"), Box("box 1")]
        assert [child.id for child in loaded] == [c.run_id for c in await family.children(run.id)]


async def test_a_child_that_cannot_be_loaded_says_why(new_backend):
    boxes, errors = parcels(), []

    async def join(run, children):
        for child in children:
            assert (child.status, child.workflow_name) == (child.status.__class__(child.status), "parcels")
            try:
                await child.snapshot()
            except (NotOpenError, RunNotFoundError) as error:
                errors.append(type(error))
        return Stage.DONE

    orders = baskets(boxes, join)
    async with orders.build(new_backend()) as workflow, boxes.build(new_backend()) as others:
        await workflow.trigger("b-1", Basket(1))
        run = await workflow.runs.latest("b-1")
        await workflow.await_status(run.id, Stage.DONE, within=SOON)
        assert errors == [NotOpenError]
        await others.trigger("b-2/0", Box("x" * 10))
    held, shared = held_parcels(), new_backend()
    async with orders.build(shared) as workflow, held.build(shared) as others:
        await others.trigger("b-3/0", Box())
        run_id = await workflow.trigger("b-3", Basket(1))
        await workflow.await_status(run_id, Stage.DONE, within=SOON)
        assert errors == [NotOpenError, RunNotFoundError]


async def test_a_failing_join_is_failure_data_like_a_steps(backend):
    boxes = parcels()
    join, calls = counting(ValueError("boom"), ValueError("boom"), Stage.DONE)
    orders = baskets(boxes, join, retry=MINUTE, pause_after_error_count=2)
    async with Family(orders, boxes, backend=backend, pause_retry=timedelta(hours=1)) as family:
        run = await family.trigger("b-1", Basket(1))
        assert (run.status, run.run_state, len(calls)) == (Stage.SPLIT, RunState.RUNNING, 1)
        await family.advance(2 * MINUTE)
        run = await family.get(run.id)
        assert (run.run_state, run.reason) == (RunState.PAUSED, "attempt 2 failed: ValueError: boom")
        attempts = await family.first.workflow.runs.attempts(run.id)
        assert [attempt.number for attempt in attempts] == [1, 2]
        await family.advance(timedelta(hours=2))

        assert (await family.get(run.id)).status is Stage.DONE
        assert calls == [["b-1/0 COMPLETED"]] * 3


async def test_retry_hurries_a_join_that_backs_off(backend):
    boxes = parcels()
    join, calls = counting(ValueError("boom"), Stage.DONE)
    async with Family(baskets(boxes, join, retry=60 * MINUTE), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.first.workflow.runs.retry(run.id)

        assert (await family.get(run.id)).status is Stage.DONE
        assert len(calls) == 2


async def test_retry_does_not_call_a_join_whose_children_are_open(backend):
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.first.workflow.runs.retry(run.id)
        await family.settle()
        assert calls == []
        await deliver(family, "b-1/0")

        assert (await family.get(run.id)).status is Stage.DONE


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_paused_parent_joins_when_it_is_resumed(backend, is_before):
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        runs = family.first.workflow.runs
        run = await family.trigger("b-1", Basket(2))
        await runs.pause(run.id, "wait")
        await deliver(family, "b-1/0", *(["b-1/1"] if is_before else []))
        assert calls == []
        await runs.resume(run.id)
        await family.settle()
        assert len(calls) == int(is_before)
        if not is_before:
            await deliver(family, "b-1/1")

        assert (await family.get(run.id)).status is Stage.DONE
        assert len(calls) == 1


async def test_a_cancelled_parent_is_not_joined_and_its_children_go_on(backend):
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.first.workflow.runs.cancel(run.id, "no more")
        await deliver(family, "b-1/0")

        assert (await family.get(run.id)).run_state is RunState.CANCELLED
        assert calls == []
        (child,) = await family.children(run.id)
        assert (child.is_open, child.run_state) == (False, 4)


async def test_what_else_a_join_may_answer(backend):
    boxes = parcels()
    join, calls = counting(Repeat(), Repeat(after=60 * MINUTE), Pause("look"), Stage.DONE)
    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        assert len(calls) == 2
        await family.advance(59 * MINUTE)
        assert len(calls) == 2
        await family.advance(2 * MINUTE)
        assert (await family.get(run.id)).reason == "look"
        await family.first.workflow.runs.resume(run.id)

        assert (await family.get(run.id)).status is Stage.DONE
        assert calls == [["b-1/0 COMPLETED"]] * 4


async def test_a_join_that_skips_is_not_asked_again(backend):
    boxes = held_parcels()
    join, calls = counting(Skip())
    async with Family(baskets(boxes, join, until="any"), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))
        await deliver(family, "b-1/0", "b-1/1")

        assert len(calls) == 1
        assert (await family.first.workflow.runs.record(run.id)).next == "skipped"


async def test_of_any_the_first_end_is_enough(backend):
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    async with Family(baskets(boxes, join, until="any"), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(3))
        assert calls == []
        await deliver(family, "b-1/1")
        assert (await family.get(run.id)).status is Stage.DONE
        await deliver(family, "b-1/0", "b-1/2")

        assert calls == [["b-1/0 INITIATED", "b-1/1 COMPLETED", "b-1/2 INITIATED"]]
        assert (await family.get(run.id)).version == 3


async def test_a_failing_join_of_any_keeps_its_back_off(backend):
    boxes = held_parcels()
    join, calls = counting(ValueError("boom"), Stage.DONE)
    orders = baskets(boxes, join, until="any", retry=60 * MINUTE)
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))
        await deliver(family, "b-1/0", "b-1/1")
        assert len(calls) == 1
        await family.advance(61 * MINUTE)

        assert (await family.get(run.id)).status is Stage.DONE


async def test_consume_lag_holds_a_join_back(backend):
    boxes = parcels()
    async with Family(baskets(boxes, consume_lag=5 * MINUTE), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.advance(4 * MINUTE)
        assert (await family.get(run.id)).status is Stage.SPLIT
        await family.advance(2 * MINUTE)

        assert (await family.get(run.id)).status is Stage.DONE


async def test_the_key_of_a_join_is_its_own(backend):
    boxes, keys = parcels(), []

    async def join(run, children):
        keys.append(run.idempotency_key)
        return Repeat() if len(keys) == 1 else Stage.DONE

    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        await family.trigger("b-1", Basket(1))

    assert len(set(keys)) == 2


async def test_runs_that_waited_before_their_status_had_a_join_are_joined(backend):
    boxes, before = parcels(), Builder("baskets", Basket, Stage)

    @before.step(Stage.NEW)
    def split(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        started(run, boxes)
        return Stage.SPLIT

    before.callback(Stage.SPLIT, to=Stage.DONE)(lambda_named())
    async with Family(before, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        assert run.status is Stage.SPLIT
    async with Family(baskets(boxes), boxes, backend=backend) as family:
        assert (await family.get(run.id)).object.seen == ["b-1/0 COMPLETED"]


def lambda_named():
    def go(run, payload: bytes) -> Stage:
        return Stage.DONE

    return go


async def test_ten_thousand_children_are_joined_exactly_once(backend):
    boxes = parcels()
    join, calls = counting(Stage.DONE)
    async with baskets(boxes, join).build(backend) as workflow, boxes.build(backend):
        run_id = await workflow.trigger("b-1", Basket(10_000))
        run = await workflow.await_status(run_id, Stage.DONE, within=timedelta(seconds=120))

        assert run.version == 3
        assert len(calls) == 1
        assert len({*calls[0]}) == 10_000


async def test_two_instances_join_each_run_once(new_backend):
    boxes, calls = parcels(), []

    async def join(run, children):
        calls.append(run.foreign_id)
        return Stage.DONE

    orders = baskets(boxes, join, retry=Backoff(first=timedelta(milliseconds=10)))
    one, two = new_backend(), new_backend()
    async with (
        orders.build(one) as workflow, boxes.build(one),
        orders.build(two) as other, boxes.build(two),
    ):  # fmt: skip
        results = await workflow.trigger_many(Trigger(f"b-{n}", Basket(7)) for n in range(60))
        for result in results:
            run = await other.await_status(result.run_id, Stage.DONE, within=SOON)
            assert run.version == 3
    assert sorted(calls) == sorted(f"b-{n}" for n in range(60))


async def test_both_instances_may_look_at_one_moment(backend):
    """Two holders of a slot each store the end of one of the last two children."""
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))
        consumer = ended_consumer(family)
        batches = [[one_end(child, consumer)] for child in await family.children(run.id)]
        await asyncio.gather(*(consumer.handler.handle(batch) for batch in batches))

        assert (await family.get(run.id)).status is Stage.DONE
        assert len(calls) == 1


async def test_a_run_that_comes_to_its_join_between_two_reads_waits_for_what_it_brings(backend):
    """Its children are asked about after the run was read, never before."""
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    orders = Builder("baskets", Basket, Stage)
    orders.add_join(Stage.SPLIT, join, to=[Stage.DONE])

    @orders.step(Stage.NEW)
    def begin(run: Run[Basket, Stage]) -> Literal[Stage.LATE]:
        run.trigger_child(boxes, "first", Box())
        return Stage.LATE

    @orders.callback(Stage.LATE)
    def go(run: Run[Basket, Stage], payload: bytes) -> Literal[Stage.SPLIT]:
        run.trigger_child(boxes, "second", Box())
        return Stage.SPLIT

    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket())
        await deliver(family, "first")
        consumer = ended_consumer(family)
        handler, reads = consumer.handler, []

        def then(method):
            async def read(*args):
                reads.append(method)
                if len(reads) == 2:
                    await family.first.workflow.callback("b-1", go)
                return await method(*args)

            return read

        tools = handler._tools
        handler._tools = tools._replace(
            store=Reads(lookup_many=then(tools.store.lookup_many)),
            children=Reads(end=tools.children.end, progress=then(tools.children.progress)),
        )
        await handler.handle([one_end((await family.children(run.id))[0], consumer)])
        handler._tools = tools
        await family.settle()

        assert len(reads) >= 2
        assert calls == []
        await deliver(family, "second")
        assert calls == [["first COMPLETED", "second COMPLETED"]]


Reads = SimpleNamespace


def ended_consumer(family):
    """What looks after children at the first member."""
    consumers = family.first.workflow.opened()._consumers
    return next(consumer for consumer in consumers if consumer.name == "baskets/join")


def one_end(child, consumer):
    """The work of a child's end, as a holder of the slot has it in hand."""
    parent = child.parent_run_id
    row = QueueRow(
        "baskets/join", slot_of(parent), 0, child.run_id, "baskets", "b-1", parent, 1, 0,
        msgspec.json.encode([2, 4]),
    )  # fmt: skip
    return work_of_row(row, next(iter(consumer.receivers)))


async def test_children_of_a_mixed_pair_are_joined(new_backend):
    boxes = parcels()
    records, events = new_backend(), new_backend()
    orders = baskets(boxes)
    async with (
        orders.build(records, event_streamer=events) as workflow,
        boxes.build(records, event_streamer=events),
    ):
        run_id = await workflow.trigger("b-1", Basket(3))
        run = await workflow.await_status(run_id, Stage.DONE, within=SOON)
        assert run.object.seen == [f"b-1/{n} COMPLETED" for n in range(3)]


async def test_a_parent_that_is_not_there_any_more_is_nobodys_trouble(backend):
    """Its children's ends are stored all the same, and their rows leave the queue."""
    boxes = held_parcels()
    async with Family(baskets(boxes), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.first.workflow.runs.cancel(run.id, "no more")
        await deliver(family, "b-1/0")
        assert await family.waiting_consumers() == set()


async def test_a_callback_that_stays_leaves_the_join_waiting(backend):
    boxes = held_parcels()
    join, calls = counting(Stage.DONE)
    orders = baskets(boxes, join)
    orders.add_callback(Stage.SPLIT, noted, to=[Stage.DONE])
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.first.workflow.callback("b-1", noted, b"")
        await family.settle()
        assert calls == []
        await deliver(family, "b-1/0")

        run = await family.get(run.id)
        assert (run.status, run.object.seen) == (Stage.DONE, ["noted"])
        assert len(calls) == 1


def noted(run, payload: bytes) -> Repeat | Stage:
    run.object.seen.append("noted")
    return Repeat()


async def test_children_of_a_join_that_was_left_are_for_the_next(backend):
    boxes = held_parcels()
    orders = baskets(boxes)
    join, calls = counting(Stage.DONE)
    orders.add_timeout(Stage.SPLIT, lambda_late(), after=MINUTE, to=[Stage.LATE])
    orders.add_join(Stage.LATE, join, to=[Stage.DONE])
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))
        await family.advance(2 * MINUTE)
        assert (await family.get(run.id)).status is Stage.LATE
        await deliver(family, "b-1/0")

        assert (await family.get(run.id)).status is Stage.DONE
        assert calls == [["b-1/0 COMPLETED"]]


def lambda_late():
    def too_late(run) -> Stage:
        return Stage.LATE

    return too_late


async def test_a_workflow_may_start_runs_of_itself(backend):
    trees = Builder("trees", Basket, Stage)

    @trees.step(Stage.NEW)
    def branch(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        for n in range(run.object.parcels):
            run.trigger_child(trees, f"{run.foreign_id}/{n}", Basket(run.object.parcels - 1))
        return Stage.SPLIT

    @trees.join(Stage.SPLIT)
    async def joined(run: Run[Basket, Stage], children) -> Literal[Stage.DONE]:
        sizes = [len((await child.snapshot()).object.seen) for child in children]
        run.object.seen = [run.foreign_id] * (1 + sum(sizes))
        return Stage.DONE

    async with Family(trees, backend=backend) as family:
        run = await family.trigger("t", Basket(3))

        assert len(run.object.seen) == 1 + 3 + 6 + 6


async def test_a_join_is_tested_without_a_workflow():
    async def all_there(run, children):
        run.object.seen = [(await child.snapshot()).object for child in children if not child.in_use_by]
        return Stage.DONE

    run = make_run(Basket(), Stage.SPLIT)
    children = [
        make_child("a", Parcel.DELIVERED, initial="cup"),
        make_child("b", Parcel.BOOKED, run_state=RunState.UNKNOWN, in_use_by="x"),
    ]
    assert await all_there(run, children) is Stage.DONE
    assert run.object.seen == ["cup"]
    assert [repr(child) for child in children] == [
        "<Child run-of-a of 'a': DELIVERED, COMPLETED>",
        "<Child run-of-b of 'b': BOOKED, UNKNOWN>",
    ]
    with pytest.raises(RunNotFoundError):
        await children[1].snapshot()


async def test_a_harness_of_one_workflow_waits_for_its_own_part(backend):
    async with Harness(baskets(parcels()), backend=backend) as harness:
        run = await harness.trigger("b-1", Basket(0))
        assert run.status is Stage.DONE
