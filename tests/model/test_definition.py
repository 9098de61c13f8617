"""What may be declared, and the graph that comes of it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import pytest

from stepgraph import Builder, Cancel, DefinitionError, Run, Skip
from stepgraph.adapters.memory import Memory
from stepgraph.testing import Harness
from tests.flows import Order, Status, three_steps


class Odd(IntEnum):
    """Numbers that other frameworks keep for themselves."""

    ZERO = 0
    MINUS_ONE = -1
    MINUS_TWO = -2
    LARGE = 2**31 - 1


def told(run, payload):
    return Status.PAID


def test_a_status_has_one_step():
    orders = three_steps()
    with pytest.raises(DefinitionError, match=r"CREATED already has the step charge\(\)"):
        orders.add_step(Status.CREATED, lambda run: Status.PAID, to=Status.PAID)


async def test_a_status_may_have_any_number_that_fits():
    odd = Builder("odd", Order, Odd)
    odd.add_step(Odd.ZERO, lambda run: Odd.MINUS_ONE, to=Odd.MINUS_ONE)
    odd.add_step(Odd.MINUS_ONE, lambda run: Odd.MINUS_TWO, to=Odd.MINUS_TWO)
    odd.add_step(Odd.MINUS_TWO, lambda run: Odd.LARGE, to=Odd.LARGE)
    async with Harness(odd) as harness:
        assert (await harness.trigger("o-1", Order())).status is Odd.LARGE
        assert (await harness.trigger("o-2", Order(), status=Odd.ZERO)).status is Odd.LARGE


def test_two_names_for_one_number_are_refused():
    class Twice(IntEnum):
        A = 1
        B = 1

    with pytest.raises(DefinitionError, match="both 1"):
        Builder("twice", Order, Twice)


def test_a_definition_without_any_function_is_refused():
    with pytest.raises(DefinitionError, match="has no step"):
        Builder("empty", Order, Status).build(Memory())


def test_a_definition_that_leads_nowhere_is_refused():
    orders = Builder("nowhere", Order, Status)
    orders.add_step(Status.CREATED, only_cancels)
    with pytest.raises(DefinitionError, match="leads to another status"):
        orders.build(Memory())


async def only_cancels(run: Run[Order, Status]) -> Cancel:
    return Cancel("no")


def test_another_condition_of_a_join_is_another_release():
    def declared(until):
        orders = Builder("orders", Order, Status)
        orders.add_join(Status.CREATED, lambda run, children: Status.PAID, until=until, to=Status.PAID)
        return orders.definition().fingerprint

    assert declared("all") == declared("all") != declared("any")


def test_the_graph_has_edges_starts_and_ends_in_the_order_of_declaration():
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Status.PAID, to=[Status.PAID, Status.SENT])
    orders.add_callback(Status.PACKED, told, to=Status.PAID)
    orders.add_callback(Status.CREATED, told, to=Status.PAID)
    graph = orders.definition().graph

    assert graph.edges == ((1, 2), (1, 4), (3, 2))
    assert graph.starts == (1, 3)
    assert graph.ends == (2, 4)
    assert orders.definition().starts == (Status.CREATED, Status.PACKED)


async def test_cycles_and_self_loops_run_and_start_where_they_were_declared():
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED)
    async def count(run: Run[Order, Status]) -> Literal[Status.CREATED, Status.PAID]:
        run.object.total += 1
        return Status.PAID if run.object.total % 3 == 0 else Status.CREATED

    @orders.step(Status.PAID)
    async def back(run: Run[Order, Status]) -> Literal[Status.CREATED] | Skip:
        return Skip() if run.object.total > 5 else Status.CREATED

    assert orders.definition().starts == (Status.CREATED,)
    async with Harness(orders) as harness:
        run = await harness.trigger("o-1", Order())
        assert (run.status, run.object.total) == (Status.PAID, 6)
        assert [v.status.name for v in await harness.versions(run.id)].count("CREATED") == 6


async def test_a_function_may_go_only_where_it_declares_itself(caplog):
    """A callback's destination is none of the step's, though they share a status."""
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Status.SENT, to=Status.PAID, pause_after_error_count=1)
    orders.add_callback(Status.CREATED, told, to=Status.SENT)
    async with Harness(orders) as harness:
        run = await harness.trigger("o-1", Order())
        assert run.status is Status.CREATED
        (attempt,) = await harness.workflow.runs.attempts(run.id)
        assert attempt.error_type == "InvalidTransitionError"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "Ä", "a" * 65, "a\n", ".."])
def test_a_name_that_could_be_mixed_up_is_refused(name):
    if name == "..":
        Builder("..", Order, Status)  # dots are fine: no name is ever part of a path
        return
    with pytest.raises(DefinitionError):
        Builder(name, Order, Status)


async def test_names_that_differ_in_case_or_a_hyphen_are_different_workflows():
    names = ["orders", "Orders", "or-ders", "or_ders", "or.ders"]
    backend = Memory()
    seen = []
    for name in names:
        async with Harness(three_steps(name), backend=backend) as harness:
            await harness.trigger("o-1", Order())
            seen.append(await harness.workflow.runs.count())
    assert seen == [1] * len(names)


def test_an_object_type_that_cannot_be_stored_is_refused_at_once():
    @dataclass
    class Holder:
        lock: object
        more: complex

    with pytest.raises(DefinitionError, match="cannot be stored"):
        Builder("holders", dict[complex, int | str | list[int] | set[int]], Status)
