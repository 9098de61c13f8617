"""Child runs: started in the write of an answer or not at all, whatever answers it."""

from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import (
    Builder,
    Cancel,
    DefinitionError,
    InputError,
    Pause,
    Repeat,
    Run,
    RunInProgressError,
    RunState,
    Skip,
)
from stepgraph.testing import make_run
from tests.families import Basket, Box, Family, Parcel, Stage, baskets, held_parcels, parcels, started
from tests.flows import Order


def answering(boxes, *answers, **options):
    """A workflow whose step starts its parcels at each call, and answers what is next."""
    orders, calls = Builder("baskets", Basket, Stage), []

    def split(run):
        calls.append(started(run, boxes))
        answer = answers[min(len(calls), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    orders.add_step(Stage.NEW, split, to=[Stage.DONE], **options)
    return orders, calls


async def test_children_begin_with_the_answer_and_know_their_parent(backend):
    boxes = parcels()
    async with Family(baskets(boxes), boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))

        children = await family.children(run.id)
        assert [child.foreign_id for child in children] == ["b-1/0", "b-1/1"]
        record = await family.members[1].workflow.runs.record(children[1].run_id)
        parent = record.meta.parent
        assert (parent.workflow, parent.foreign_id, parent.run_id) == ("baskets", "b-1", run.id)
        assert (parent.progress_version, parent.number, record.is_keyed) == (1, 2, True)
        assert "families.py" in record.meta.trace_origin
        assert (await family.members[1].workflow.runs.get(record.run_id)).object == Box("box 1")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda run, boxes: run.trigger_child(boxes, "", Box()), "has 0 bytes; 1 to 255"),
        (lambda run, boxes: run.trigger_child(boxes, "x", Order()), "the object is a Order"),
        (lambda run, boxes: run.trigger_child(boxes, "x", Box(7)), "cannot be read back"),
        (lambda run, boxes: run.trigger_child(boxes, "x", Box(), status=Stage.NEW), "not a Parcel"),
        (lambda run, boxes: run.trigger_child(boxes, "x", Box(), status=Parcel.DELIVERED), "cannot start"),
        (lambda run, boxes: run.trigger_child("parcels", "x", Box()), "Builder, not a str"),
        (lambda run, boxes: [run.trigger_child(boxes, "x", Box()) for _ in "12"], "already"),
        (
            lambda run, boxes: [run.trigger_child(boxes, f"x{n}", Box("a" * 2_000_000)) for n in range(5)],
            "8388608 fit",
        ),
    ],
)
async def test_what_cannot_be_started_is_refused_at_once(wrong, text):
    run = make_run(Basket(), Stage.NEW)

    with pytest.raises(InputError, match=text):
        wrong(run, parcels())


async def test_a_function_that_starts_children_is_tested_without_a_workflow():
    boxes, run = parcels(), make_run(Basket(2), Stage.NEW)
    ids = started(run, boxes)

    assert [(c.run_id, c.workflow, c.object) for c in run.staged] == [
        (ids[0], "parcels", b'{"label":"box 0"}'),
        (ids[1], "parcels", b'{"label":"box 1"}'),
    ]
    assert started(make_run(Basket(2), Stage.NEW), boxes) == ids
    assert started(make_run(Basket(2), Stage.NEW, version=2), boxes) != ids


async def test_a_failed_attempt_starts_nothing_and_the_next_one_the_same(backend):
    boxes = parcels()
    orders, calls = answering(boxes, ValueError("boom"), Stage.DONE, retry=timedelta(minutes=1))
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))
        assert await family.children(run.id) == []
        await family.advance(timedelta(minutes=2))

        assert calls[0] == calls[1] == [child.run_id for child in await family.children(run.id)]
        assert await family.members[1].workflow.runs.count() == 2


async def test_skip_starts_nothing(backend):
    boxes = parcels()
    orders, _ = answering(boxes, Skip())
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))

        assert await family.children(run.id) == []
        assert await family.members[1].workflow.runs.count() == 0


async def test_a_pause_starts_children_and_the_call_after_it_starts_them_no_second_time(backend):
    boxes = held_parcels()
    orders, calls = answering(boxes, Pause("look"), Stage.DONE)
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(2))
        assert run.run_state is RunState.PAUSED
        assert await family.members[1].workflow.runs.count() == 2
        await family.first.workflow.runs.resume(run.id)
        await family.settle()

        assert calls[0] == calls[1] == [child.run_id for child in await family.children(run.id)]
        assert await family.members[1].workflow.runs.count() == 2


async def test_a_repeat_starts_further_children_at_every_visit(backend):
    boxes = parcels()
    orders, calls = answering(boxes, Repeat(), Repeat(), Cancel("enough"))
    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(1))

        assert run.run_state is RunState.CANCELLED
        assert len({child for ids in calls for child in ids}) == 3
        assert len(await family.children(run.id)) == 3


async def test_callbacks_timeouts_and_joins_start_children_too(backend):
    boxes = parcels()
    orders = Builder("baskets", Basket, Stage)
    seen = []

    @orders.callback(Stage.NEW)
    def told(run: Run[Basket, Stage], payload: bytes) -> Literal[Stage.LATE]:
        run.trigger_child(boxes, "by-callback", Box())
        return Stage.LATE

    @orders.timeout(Stage.LATE, after=timedelta(hours=1))
    def waited(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        run.trigger_child(boxes, "by-timeout", Box())
        return Stage.SPLIT

    @orders.join(Stage.SPLIT)
    def joined(run: Run[Basket, Stage], children) -> Literal[Stage.SPLIT, Stage.DONE]:
        seen.append([child.foreign_id for child in children])
        if len(seen) == 1:
            run.trigger_child(boxes, "by-join", Box())
            return Stage.SPLIT
        return Stage.DONE

    async with Family(orders, boxes, backend=backend) as family:
        run = await family.trigger("b-1", Basket(), status=Stage.NEW)
        await family.first.workflow.callback("b-1", told, b"")
        await family.advance(timedelta(hours=2))

        assert (await family.get(run.id)).run_state is RunState.COMPLETED
        # The second join is given only what the first was not.
        assert seen == [["by-callback", "by-timeout"], ["by-join"]]


async def test_a_child_whose_foreign_id_is_in_use_does_not_begin_and_counts_as_ended(backend):
    boxes, given = held_parcels(), []

    async def join(run, children):
        given.extend(children)
        return Stage.DONE

    async with Family(baskets(boxes, join), boxes, backend=backend) as family:
        others = family.members[1].workflow
        taken = await others.trigger("b-1/0", Box("another"))
        run = await family.trigger("b-1", Basket(2))
        assert run.status is Stage.SPLIT
        await others.callback("b-1/1", Parcel.BOOKED)

        assert (await family.get(run.id)).status is Stage.DONE
        refused, delivered = given
        assert (refused.run_state, refused.in_use_by) == (RunState.UNKNOWN, taken)
        assert (delivered.run_state, delivered.in_use_by) == (RunState.COMPLETED, "")
        assert delivered.status is Parcel.DELIVERED
        assert (await others.runs.get(taken)).object == Box("another")


async def test_a_run_of_which_no_child_can_begin_goes_on(backend):
    boxes = held_parcels()
    async with Family(baskets(boxes), boxes, backend=backend) as family:
        for n in range(3):
            await family.members[1].workflow.trigger(f"b-1/{n}", Box())

        run = await family.trigger("b-1", Basket(3))
        assert run.object.seen == [f"b-1/{n} UNKNOWN" for n in range(3)]


async def test_children_of_a_workflow_that_is_not_on_this_store_are_parked(backend):
    here, elsewhere = parcels(), parcels("elsewhere")
    orders = Builder("baskets", Basket, Stage)

    @orders.step(Stage.NEW)
    def split(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        run.trigger_child(elsewhere, "x", Box())
        run.trigger_child(here, "x", Box())
        return Stage.SPLIT

    @orders.join(Stage.SPLIT)
    def joined(run: Run[Basket, Stage], children) -> Literal[Stage.DONE]:
        assert [child.status for child in children] == [Parcel.DELIVERED] * 2
        return Stage.DONE

    async with Family(orders, here, backend=backend, max_attempts=2) as family:
        run = await family.trigger("b-1", Basket())
        assert await family.members[1].workflow.runs.count() == 1
        await family.advance(timedelta(minutes=10))

        letters = family.first.workflow.dead_letters
        (letter,) = [found async for found in letters.find(kind="child")]
        assert letter.subject == run.id
        assert "'elsewhere', which was never started on this record store" in letter.error
        await family.join(elsewhere)
        await letters.retry(letter.id)
        assert (await family.get(run.id)).status is Stage.DONE


async def test_a_child_is_an_ordinary_run_of_its_workflow(backend):
    boxes, told = held_parcels(), []

    @boxes.on(RunState.INITIATED, RunState.COMPLETED)
    def tell(change):
        told.append(change.run_state.name)

    async with Family(baskets(boxes), boxes, backend=backend) as family:
        await family.trigger("b-1", Basket(1))
        workflow = family.members[1].workflow
        with pytest.raises(RunInProgressError):
            await workflow.trigger("b-1/0", Box())
        await workflow.callback("b-1/0", Parcel.BOOKED)
        await family.settle()

        assert told == ["INITIATED", "COMPLETED"]


def test_a_status_has_a_step_or_a_join():
    orders = baskets(parcels())

    with pytest.raises(DefinitionError, match=r"SPLIT already has the join all_there\(\)"):
        orders.add_step(Stage.SPLIT, lambda run: Stage.DONE, to=Stage.DONE)
    with pytest.raises(DefinitionError, match=r"NEW already has the step split\(\)"):
        orders.add_join(Stage.NEW, lambda run, children: Stage.DONE, to=Stage.DONE)
    with pytest.raises(DefinitionError, match="until='some'"):
        orders.add_join(Stage.LATE, lambda run, children: Stage.DONE, to=Stage.DONE, until="some")
    with pytest.raises(DefinitionError, match=r"takes \(run, children\)"):
        orders.add_join(Stage.LATE, lambda run: Stage.DONE, to=Stage.DONE)
