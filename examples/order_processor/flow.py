"""The workflow of an order.

PLACED ──────────▶ PAID ──▶ PACKED ──(collected)──▶ SHIPPED
   │ declined       ▲  │       │ not collected for two days
   ▼                │  ▼       ▼
ON_INVOICE ─(paid)──┘  REFUNDING ──▶ REFUNDED
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Literal

from examples.order_processor.world import Bank, Post, Warehouse
from stepgraph import Backoff, Builder, Change, Run


class Status(IntEnum):
    """Where an order is."""

    PLACED = 1
    ON_INVOICE = 2
    PAID = 3
    PACKED = 4
    SHIPPED = 5
    REFUNDING = 6
    REFUNDED = 7


@dataclass
class Order:
    """One order."""

    article: str
    cents: int
    is_paid: bool = False
    payment_attempts: int = 0
    why_refunded: str = ""


@dataclass
class Payment:
    """What the book-keeping posts when an invoice was paid."""

    cents: int


orders = Builder("shop-orders", Order, Status)


# Retries belong to the engine: the function raises, the attempt is stored with its error, and it is
# called again when it is due, whatever process is alive then. The key is the same at every try, so
# a charge whose answer was lost is not made twice. After ten failures a person looks at the run.
@orders.step(
    Status.PLACED,
    retry=Backoff(first=timedelta(milliseconds=50), cap=timedelta(minutes=5)),
    pause_after_error_count=10,
)
async def charge(run: Run[Order, Status], *, bank: Bank) -> Literal[Status.PAID, Status.ON_INVOICE]:
    """Charge the card; a card that is declined is no error, but another way through the graph."""
    order = run.object
    order.payment_attempts = run.attempt
    if not bank.charge(run.idempotency_key, run.foreign_id, order.cents):
        return Status.ON_INVOICE
    order.is_paid = True
    return Status.PAID


@orders.callback(Status.ON_INVOICE)
async def invoice_paid(
    run: Run[Order, Status], payment: Payment, *, bank: Bank
) -> Literal[Status.PAID]:
    """Take note of a paid invoice. What it raises is raised to whoever called back."""
    if payment.cents < run.object.cents:
        raise ValueError(f"{run.object.cents - payment.cents} cents are missing")
    bank.charged[run.idempotency_key] = (run.foreign_id, payment.cents)
    run.object.is_paid = True
    return Status.PAID


@orders.step(Status.PAID)
async def pack(
    run: Run[Order, Status], *, warehouse: Warehouse
) -> Literal[Status.PACKED, Status.REFUNDING]:
    """Take the article from its shelf, if there is one."""
    if warehouse.take(run.idempotency_key, run.object.article):
        return Status.PACKED
    run.object.why_refunded = "out of stock"
    return Status.REFUNDING


@orders.callback(Status.PACKED)
async def collected(run: Run[Order, Status], payload: bytes) -> Literal[Status.SHIPPED]:
    """The carrier was here."""
    return Status.SHIPPED


@orders.timeout(Status.PACKED, after=timedelta(days=2))
async def not_collected(run: Run[Order, Status]) -> Literal[Status.REFUNDING]:
    """Nobody came for it."""
    run.object.why_refunded = "never collected"
    return Status.REFUNDING


@orders.step(Status.REFUNDING)
async def refund(run: Run[Order, Status], *, bank: Bank) -> Literal[Status.REFUNDED]:
    """Pay back. This step's key is another than the charge's: each names one piece of work."""
    bank.refund(run.idempotency_key, run.foreign_id, run.object.cents)
    return Status.REFUNDED


# A hook is told of a change after it is committed, at least once; run id and version name it.
@orders.on_complete
async def tell_the_customer(change: Change[Order, Status], *, post: Post) -> None:
    """Write to the customer, whichever way it ended."""
    run = change.run
    post.send(f"{run.id}/{change.version}", f"{run.foreign_id}: {run.status.name}")


@orders.on_cancel
async def pay_back(change: Change[Order, Status], *, bank: Bank, post: Post) -> None:
    """A cancelled order ends where it stands; what was paid for it goes back."""
    run, key = change.run, f"{change.run.id}/{change.version}"
    if run.object.is_paid:
        bank.refund(key, run.foreign_id, run.object.cents)
    post.send(key, f"{run.foreign_id}: cancelled, {change.reason}")
