"""Every line that ends in `# E` must be an error in both checkers, and no other line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import Literal

from stepgraph import Builder, Child, Pause, Run, Snapshot, Trigger, Workflow
from stepgraph.adapters.memory import Memory
from stepgraph.testing import make_run


class Status(IntEnum):
    CREATED = 1
    PAID = 2
    REFUNDED = 3


class Other(IntEnum):
    X = 2


class Words(Enum):
    X = "x"


@dataclass
class Order:
    total: int


@dataclass
class Shipment:
    parcel: str


class NoStore:
    async def open(self) -> None: ...

    async def close(self) -> None: ...


orders = Builder("orders", Order, Status)
Builder("words", Order, Words)  # E


@orders.step(Other.X)  # E
async def wrong_source(run: Run[Order, Status]) -> Literal[Status.PAID]:
    return Status.PAID


@orders.step(Status.CREATED, to=[Other.X])  # E
async def wrong_to(run: Run[Order, Status]) -> Status:
    return Status.PAID


@orders.step(Status.CREATED)  # E
async def wrong_destination(run: Run[Order, Status]) -> Literal[Other.X]:
    return Other.X


@orders.step(Status.CREATED)  # E
async def wrong_object(run: Run[Shipment, Status]) -> Literal[Status.PAID]:
    return Status.PAID


@orders.step(Status.CREATED)  # E
async def no_answer(run: Run[Order, Status]) -> None: ...


@orders.step(Status.CREATED)  # E
def a_number(run: Run[Order, Status]) -> int:
    return 2


@orders.step(Status.CREATED, paralel_count=2)  # E
async def wrong_option(run: Run[Order, Status]) -> Literal[Status.PAID]:
    return Status.PAID


@orders.step(Status.CREATED, time_limit=5)  # E
async def seconds(run: Run[Order, Status]) -> Literal[Status.PAID]:
    return Status.PAID


@orders.step(Status.CREATED)
async def undeclared_destination(run: Run[Order, Status]) -> Literal[Status.PAID]:
    return Status.REFUNDED  # E


@orders.step(Status.CREATED)
async def undeclared_outcome(run: Run[Order, Status]) -> Literal[Status.PAID]:
    return Pause("no stock")  # E


@orders.step(Status.CREATED)
async def wrong_field(run: Run[Order, Status]) -> Literal[Status.PAID]:
    run.object.totl = 3  # E
    return Status.PAID


@orders.schedule("@hourly")  # E
def wrong_kind(slot: datetime) -> Shipment:
    return Shipment("")


@orders.schedule("@hourly", catch_up="some")  # E
def wrong_policy(slot: datetime) -> Order:
    return Order(0)


@orders.schedule("@hourly")  # E
def no_slot(run: Run[Order, Status]) -> Order:
    return Order(0)


@orders.join(Status.PAID)  # E
async def no_children(run: Run[Order, Status]) -> Literal[Status.REFUNDED]:
    return Status.REFUNDED


@orders.join(Status.PAID)  # E
async def one_child(run: Run[Order, Status], child: Child) -> Literal[Status.REFUNDED]:
    return Status.REFUNDED


@orders.join(Status.PAID)
async def all_there(
    run: Run[Order, Status], children: Sequence[Child]
) -> Literal[Status.REFUNDED]:
    children[0].object  # E
    return Status.REFUNDED


orders.join(Status.PAID, until="some")  # E
orders.build(NoStore())  # E
orders.build(Memory(), event_streamer=Memory().record_store)  # E
orders.build(Memory(), pause_retry=3600)  # E


async def use(workflow: Workflow[Order, Status], seen: Snapshot[Order, Status]) -> None:
    await workflow.trigger("order-1", Shipment("x"))  # E
    await workflow.trigger("order-1")  # E
    await workflow.schedules.put("a", "@daily", Shipment("x"))  # E
    await workflow.trigger("order-1", Order(1), status=Other.X)  # E
    await workflow.trigger_many([Trigger("a", Shipment("x"))])  # E
    await workflow.trigger_many([Trigger("a", Order(1))], status=Other.X)  # E
    await workflow.await_status("id", Other.X, within=None)  # E
    await workflow.await_status("id", Status.PAID)  # E
    await workflow.await_status("id", Status.PAID, within=5)  # E
    workflow.runs.find(statuss=Status.PAID)  # E
    workflow.runs.find(status=Other.X)  # E
    seen.object = Order(2)  # E
    seen.now()  # E
    run = make_run(Order(1), Status.PAID)
    await run.trigger_child(orders, "a", Order(1))  # E
    run.trigger_child(orders, "a", Shipment("x"))  # E
    run.trigger_child(orders, "a", Order(1), status=Other.X)  # E
    run.trigger_child(workflow, "a", Order(1))  # E



def use_blocking(workflow: Workflow[Order, Status]) -> None:
    client = workflow.blocking()
    client.trigger("order-1", Shipment("x"))  # E
    client.trigger("order-1", Order(1), status=Other.X)  # E
    client.callback("order-1", Other.X)  # E
    client.await_status("id", Status.PAID)  # E
    client.runs.find(status=Other.X)  # E
    client.start()  # E
