"""The workflow: charge, pack, send; what it asks of the world are its resources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Literal

from examples.orders.ledger import Ledger
from stepgraph import Backoff, Builder, Cancel, Run


class Status(IntEnum):
    """Where an order is."""

    PLACED = 1
    PAID = 2
    PACKED = 3
    SENT = 4


@dataclass
class Order:
    """One order of the file."""

    customer: str
    cents: int
    receipt: str = ""
    parcel: str = ""


orders = Builder("orders", Order, Status)
AWAY = Backoff(first=timedelta(milliseconds=200), cap=timedelta(seconds=2))


@orders.step(Status.PLACED, retry=AWAY, pause_after_error_count=8)
async def charge(run: Run[Order, Status], *, ledger: Ledger) -> Literal[Status.PAID] | Cancel:
    """Charge the customer; the key is the same at every try, so the ledger charges once."""
    order = run.object
    if order.cents <= 0:
        return Cancel("nothing to pay")
    order.receipt = ledger.charge(
        run.idempotency_key, run.foreign_id, order.cents, run.attempt
    )
    return Status.PAID


@orders.step(Status.PAID)
async def pack(run: Run[Order, Status]) -> Literal[Status.PACKED]:
    """Give the parcel its name."""
    run.object.parcel = f"parcel-{run.foreign_id}"
    return Status.PACKED


@orders.step(Status.PACKED)
async def send(run: Run[Order, Status]) -> Literal[Status.SENT]:
    """Hand the parcel over."""
    return Status.SENT
