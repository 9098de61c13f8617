"""What a release is told about the stored runs before it is deployed."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pytest

from stepgraph import Builder, NotOpenError, Problem, RunState
from stepgraph.engine import check
from stepgraph.testing.conformance.make import make_record, make_write
from tests.flows import Order, Status, three_steps


@dataclass
class Strict:
    """An order that has to know its currency."""

    total: int
    currency: str


class Fewer(IntEnum):
    """Statuses of a release that forgot two."""

    CREATED = 1
    PAID = 2


def chain(object_type: Any, statuses: Any, *edges: tuple[int, int]) -> Builder[Any, Any]:
    """A workflow with a step for each edge."""
    orders = Builder("orders", object_type, statuses)
    for before, after in edges:
        orders.add_step(statuses(before), lambda run: None, to=statuses(after))
    return orders


async def problems(builder, backend):
    """Check as a new release would: by a client."""
    async with builder.build(backend).client() as workflow:
        return list(await workflow.check())


async def store(backend, *records):
    await backend.open()
    await backend.record_store.commit([make_write(record) for record in records])
    await backend.close()


ORDER = b'{"total":1,"seen":[]}'


async def test_a_sound_workflow_has_no_problems(backend):
    async with three_steps().build(backend) as workflow:
        await workflow.trigger("o-1", Order())
        assert await workflow.check() == []


async def test_checking_needs_an_open_workflow(backend):
    with pytest.raises(NotOpenError):
        await three_steps().build(backend).check()


async def test_statuses_that_nothing_leads_to_are_unreachable(backend):
    found = await problems(chain(Order, Status, (1, 2)), backend)

    assert [(p.code, p.run_count) for p in found] == [("unreachable", 0)] * 2
    assert "no run can come to PACKED: nothing leads to it" in found[0].text


async def test_a_cycle_that_no_start_leads_to_is_unreachable_and_has_no_end(backend):
    await store(backend, make_record(status=3, object=ORDER, run_state=2))

    found = await problems(chain(Order, Status, (1, 2), (3, 4), (4, 3)), backend)

    assert [p.code for p in found] == ["unreachable"] * 2 + ["dead_end"] * 2
    assert [p.run_count for p in found] == [1, 0, 1, 0]
    assert "no end can be reached from PACKED" in found[2].text


async def test_a_function_that_leads_nowhere_is_a_dead_end(backend):
    orders = chain(Order, Fewer, (1, 2))
    orders.add_step(Fewer.PAID, lambda run: None, to=[])

    (found,) = await problems(orders, backend)

    assert found.code == "dead_end"
    assert "will never be called" in found.text


async def test_runs_in_statuses_that_the_code_lost_are_counted_and_named(backend):
    async with three_steps().build(backend):
        pass  # so that the store knows what status 3 was called
    await store(
        backend,
        *(make_record(status=3, object=ORDER, run_state=2) for _ in range(4)),
        make_record(status=3, object=ORDER, run_state=4),
        make_record(status=2, object=ORDER),
        make_record(status=77, object=ORDER, workflow="other"),
    )

    (found,) = await problems(chain(Order, Fewer, (1, 2)), backend)

    assert (found.code, found.run_count) == ("lost_status", 5)
    assert "5 runs are in status 3 (once called PACKED), which Fewer does not have; 4 of them" in found.text


async def test_objects_that_no_longer_load_are_found_by_status(backend):
    await store(
        backend,
        make_record(status=1, object=ORDER),
        make_record(status=1, object=b'{"total":1,"currency":"EUR"}'),
        make_record(status=2, object=ORDER, run_state=4),
        make_record(status=2, object=b'{"result":"deleted"}', run_state=int(RunState.DATA_DELETED)),
    )

    found = await problems(chain(Strict, Fewer, (1, 2)), backend)

    assert [(p.code, p.run_count) for p in found] == [("unreadable_object", 1)] * 2
    assert "1 of the 2 runs that were read in CREATED have no readable Strict" in found[0].text
    assert "currency" in found[0].text


async def test_the_oldest_and_the_newest_of_a_status_are_read(backend):
    good, bad = b'{"total":1,"currency":"EUR"}', ORDER
    await store(backend, *(make_record(object=bad if n in (0, 30, 99) else good) for n in range(100)))

    (found,) = await problems(chain(Strict, Fewer, (1, 2)), backend)

    assert found.run_count == 2  # the one in the middle is not looked at
    assert "2 of the 10 runs" in found.text


async def test_beyond_the_limit_a_count_is_a_least_one(backend, monkeypatch):
    monkeypatch.setattr(check, "_OPEN_LIMIT", 3)
    await store(backend, *(make_record(status=9, object=ORDER) for _ in range(8)))

    (found,) = await problems(chain(Order, Fewer, (1, 2)), backend)

    assert found.run_count == 3
    assert "at least 3 runs are in status 9" in found.text


def test_problems_are_values():
    assert Problem(code="dead_end", text="x", run_count=1) == Problem(code="dead_end", text="x", run_count=1)
