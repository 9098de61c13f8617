"""The workflows that the engine's tests run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal

from stepgraph import Builder, Run


class Status(IntEnum):
    CREATED = 1
    PAID = 2
    PACKED = 3
    SENT = 4


@dataclass
class Order:
    total: int = 0
    seen: list[str] = field(default_factory=list)


SOON = timedelta(seconds=20)


def three_steps(name: str = "orders", **options: Any) -> Builder[Order, Status]:
    """A workflow of three steps, each of which leaves its mark."""
    orders = Builder(name, Order, Status)

    @orders.step(Status.CREATED, **options)
    async def charge(run: Run[Order, Status]) -> Literal[Status.PAID]:
        run.object.seen.append("charge")
        return Status.PAID

    @orders.step(Status.PAID, **options)
    def pack(run: Run[Order, Status]) -> Literal[Status.PACKED]:
        run.object.seen.append("pack")
        return Status.PACKED

    @orders.step(Status.PACKED, **options)
    async def send(run: Run[Order, Status]) -> Literal[Status.SENT]:
        await asyncio.sleep(0)
        run.object.seen.append("send")
        return Status.SENT

    return orders


def one_step(function: Any, **options: Any) -> Builder[Order, Status]:
    """A workflow of one step from CREATED."""
    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, function, to=[Status.PAID], **options)
    return orders
