"""The shop's orders, each way that one can take."""

from datetime import timedelta

import pytest

from examples.order_processor.flow import (
    Order,
    Payment,
    Status,
    collected,
    invoice_paid,
    orders,
)
from examples.order_processor.world import Bank, Post, Warehouse
from stepgraph import RunState
from stepgraph.testing import Faults, Harness
from tests.examples.programs import printed_by


@pytest.fixture
def world():
    return {"bank": Bank(), "warehouse": Warehouse({"lamp": 10}), "post": Post()}


def test_the_program_runs_three_orders_at_once():
    assert printed_by("order_processor") == [
        "lamp: COMPLETED in SHIPPED (payment attempts: 3); paid 4990",
        "chair: COMPLETED in REFUNDED (out of stock); paid 0",
        "table: CANCELLED in PACKED (found a nicer one); paid 0",
        "mails: chair: REFUNDED; lamp: SHIPPED; table: cancelled, found a nicer one",
    ]


async def test_a_bank_that_loses_its_answers_charges_once(backend, world):
    world["bank"].away_for["o-1"] = 3
    async with Harness(orders, backend=backend, resources=world) as harness:
        await harness.trigger("o-1", Order("lamp", 500))
        await harness.advance(timedelta(hours=1))
        await harness.callback("o-1", collected)
        run = await harness.latest("o-1")
        assert (run.status, run.object.payment_attempts) == (Status.SHIPPED, 4)
        assert list(world["bank"].charged.values()) == [("o-1", 500)]
        assert list(world["post"].sent.values()) == ["o-1: SHIPPED"]


async def test_an_invoice_must_be_paid_in_full(backend, world):
    world["bank"].declined.add("o-1")
    async with Harness(orders, backend=backend, resources=world) as harness:
        assert (await harness.trigger("o-1", Order("lamp", 500))).status is Status.ON_INVOICE
        with pytest.raises(ValueError, match="100 cents are missing"):
            await harness.callback("o-1", invoice_paid, Payment(400))
        await harness.callback("o-1", invoice_paid, b'{"cents": 500}')
        assert (await harness.latest("o-1")).status is Status.PACKED
        assert world["bank"].balance("o-1") == 500


async def test_nothing_on_the_shelf_is_paid_back(backend, world):
    async with Harness(orders, backend=backend, resources=world) as harness:
        run = await harness.trigger("o-1", Order("sofa", 500))
        assert (run.status, run.object.why_refunded) == (Status.REFUNDED, "out of stock")
        assert world["bank"].balance("o-1") == 0


async def test_what_is_not_collected_in_two_days_is_paid_back(backend, world):
    async with Harness(orders, backend=backend, resources=world) as harness:
        await harness.trigger("o-1", Order("lamp", 500))
        await harness.advance(timedelta(days=2) - timedelta(seconds=1))
        assert (await harness.latest("o-1")).status is Status.PACKED
        await harness.advance(timedelta(seconds=1))
        run = await harness.latest("o-1")
        assert (run.status, run.object.why_refunded) == (Status.REFUNDED, "never collected")
        assert world["bank"].balance("o-1") == 0


async def test_a_cancelled_order_is_paid_back_once(backend, world):
    async with Harness(orders, backend=backend, resources=world) as harness:
        run = await harness.trigger("o-1", Order("lamp", 500))
        await harness.workflow.runs.cancel(run.id, "not any more", actor="customer")
        await harness.advance(timedelta(days=3))
        assert (await harness.latest("o-1")).run_state is RunState.CANCELLED
        assert list(world["bank"].refunded.values()) == [("o-1", 500)]
        assert list(world["post"].sent.values()) == ["o-1: cancelled, not any more"]


@pytest.mark.parametrize("seed", range(5))
async def test_the_books_are_right_whatever_goes_wrong(world, seed):
    world["bank"].away_for |= {"o-0": 2, "o-3": 1}
    faults = Faults(seed=seed, drop=0.1, repeat=0.2, delay=timedelta(minutes=5), crash=0.1)
    async with Harness(orders, faults=faults, resources=world) as harness:
        for number in range(6):
            await harness.trigger(f"o-{number}", Order("lamp", 100))
        await harness.advance(timedelta(hours=2))
        await harness.callback("o-0", collected)
        await harness.advance(timedelta(days=3))
        runs = [await harness.latest(f"o-{number}") for number in range(6)]

    assert [run.status for run in runs] == [Status.SHIPPED] + [Status.REFUNDED] * 5
    assert [world["bank"].balance(run.foreign_id) for run in runs] == [100, 0, 0, 0, 0, 0]
    assert len(world["bank"].charged) == 6
    assert len(world["post"].sent) == 6
