"""An order is checked, invoiced in the shop's own table, and confirmed; or it is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Literal

from examples.sql.shop import Shop
from stepgraph import Builder, Run


class Status(IntEnum):
    """Where an order is."""

    RECEIVED = 1
    CHECKED = 2
    INVOICED = 3
    CONFIRMED = 4
    REJECTED = 5


@dataclass
class Order:
    """An order."""

    customer: str
    cents: int
    invoice: int = 0
    problem: str = ""


orders = Builder("invoiced-orders", Order, Status)


# What is wrong with an order is no error of the program: it is a way through the graph. Raising
# would have it tried again and again, which mends no order.
@orders.step(Status.RECEIVED)
async def check(run: Run[Order, Status]) -> Literal[Status.CHECKED, Status.REJECTED]:
    """Reject what cannot be invoiced."""
    if run.object.cents <= 0:
        run.object.problem = f"{run.object.cents} cents cannot be invoiced"
        return Status.REJECTED
    return Status.CHECKED


# A sync function runs in a thread, where a blocking driver blocks nobody. That the process dies
# after the insert, here played by an exception, leaves one row, not two.
@orders.step(Status.CHECKED, retry=timedelta(milliseconds=50))
def invoice(
    run: Run[Order, Status], *, shop: Shop, accidents: set[str]
) -> Literal[Status.INVOICED]:
    """Write the invoice under this piece of work's key."""
    run.object.invoice = shop.write_invoice(
        run.idempotency_key, run.object.customer, run.object.cents
    )
    if run.foreign_id in accidents and run.attempt < 3:
        raise ConnectionError("the machine went away after the insert")
    return Status.INVOICED


@orders.step(Status.INVOICED)
async def confirm(run: Run[Order, Status]) -> Literal[Status.CONFIRMED]:
    """Tell the customer the number."""
    return Status.CONFIRMED
