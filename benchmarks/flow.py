"""The work that is measured: three steps that do nothing but move on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from stepgraph import Builder, Run


class Status(IntEnum):
    PLACED = 1
    PAID = 2
    PACKED = 3
    SENT = 4


@dataclass
class Order:
    customer: str
    address: str
    cents: int
    lines: list[str]
    receipt: str = ""


def make_order(number: int) -> Order:
    """Return an order of some 200 bytes of JSON."""
    lines = [f"article-{number % 97}", f"article-{number % 89}", "packing"]
    return Order(f"customer-{number}", "Main Street 12, 1234 AB Amsterdam, Netherlands", 4990, lines)


POISON = Order("poison", "", 0, [])


def three_steps(
    note: Callable[[str], None] = lambda _: None,
    fails: Callable[[Order], bool] = lambda _: False,
) -> Builder[Order, Status]:
    """Return the workflow; `note` is told the id of each run in its last step.

    The first step fails for the orders that `fails` accepts.
    """
    orders = Builder("orders", Order, Status)

    @orders.step(Status.PLACED)
    async def charge(run: Run[Order, Status]) -> Literal[Status.PAID]:
        if fails(run.object):
            raise RuntimeError("the poison run fails")
        run.object.receipt = "receipt-1234"
        return Status.PAID

    @orders.step(Status.PAID)
    async def pack(run: Run[Order, Status]) -> Literal[Status.PACKED]:
        return Status.PACKED

    @orders.step(Status.PACKED)
    async def send(run: Run[Order, Status]) -> Literal[Status.SENT]:
        note(run.id)
        return Status.SENT

    return orders
