"""Everything here must type-check under mypy --strict and pyright strict."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Literal, TypeAlias, TypedDict, assert_type

import attrs
import msgspec
import pydantic

from stepgraph import (
    Backoff,
    Builder,
    BulkReport,
    Cancel,
    CallbackReceipt,
    DeadLetter,
    Child,
    Outcome,
    Pause,
    Repeat,
    Run,
    RunState,
    ScheduleInfo,
    Skip,
    Snapshot,
    Trigger,
    TriggerResult,
    Workflow,
    serve,
)
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.sqlite import SQLite
from stepgraph.blocking import BlockingDeadLetters, BlockingRuns, BlockingWorkflow


class Status(IntEnum):
    CREATED = 1
    PAID = 2
    PACKED = 3
    REFUNDED = 4
    SPLIT = 5


@dataclass
class Order:
    total: int
    due_at: datetime | None = None
    receipt: str = ""


class StructOrder(msgspec.Struct):
    total: int


class ModelOrder(pydantic.BaseModel):
    total: int


@attrs.define
class AttrsOrder:
    total: int


class DictOrder(TypedDict):
    total: int


@dataclass(frozen=True)
class Shipment:
    parcel: str


class ShippingStatus(IntEnum):
    BOOKED = 1
    DELIVERED = 2


orders = Builder("orders", Order, Status)
assert_type(orders, Builder[Order, Status])
assert_type(Builder("a", StructOrder, Status), Builder[StructOrder, Status])
assert_type(Builder("a", ModelOrder, Status), Builder[ModelOrder, Status])
assert_type(Builder("a", AttrsOrder, Status), Builder[AttrsOrder, Status])
assert_type(Builder("a", DictOrder, Status), Builder[DictOrder, Status])
shipping = Builder("shipping", Shipment, ShippingStatus)

OrderRun: TypeAlias = Run[Order, Status]
Next: TypeAlias = Literal[Status.PACKED, Status.REFUNDED]


class Psp:
    async def charge(self, total: int, key: str) -> str:
        return f"{total} {key}"


@orders.step(
    Status.CREATED,
    parallel_count=5,
    pause_after_error_count=3,
    retry=Backoff(first=timedelta(milliseconds=200)),
)
async def charge(run: Run[Order, Status], *, psp: Psp) -> Literal[Status.PAID] | Pause | Cancel:
    if run.object.total <= 0:
        return Cancel("nothing to pay")
    if run.attempt > 5:
        return Pause("the provider is away")
    run.object.receipt = await psp.charge(run.object.total, key=run.idempotency_key)
    return Status.PAID


def blocking_step(run: OrderRun) -> Next:
    if run.is_cancelled or run.now() > datetime.now():
        return Status.REFUNDED
    run.object = replace(run.object, receipt="x")
    return Status.PACKED


orders.add_step(Status.PAID, blocking_step)
orders.add_step(Status.PAID, blocking_step, to=(Status.PACKED, Status.REFUNDED), concurrency=10)


@orders.step(Status.SPLIT, to=[Status.PACKED])
async def any_outcome(run: Run[Order, Status]) -> Status | Outcome:
    if run.version > 100:
        return Skip()
    run.trigger_child(shipping, f"{run.foreign_id}-1", Shipment("x"), status=ShippingStatus.BOOKED)
    child = run.trigger_child(shipping, "b", Shipment("y"), cancel_with_parent=True)
    assert_type(child, str)
    return Repeat(after=timedelta(minutes=1)) if run.version < 3 else Status.PACKED


@orders.step(Status.REFUNDED, to=Status.PACKED)
async def generic_step(run: Run[Any, Any]) -> Status:
    return Status.PACKED


@orders.schedule("0 9 * * MON-FRI", zone="Europe/Amsterdam", catch_up="latest")
def nightly(slot: datetime) -> Order | None:
    return Order(slot.day) if slot.day != 1 else None


@orders.schedule("@hourly", foreign_id=lambda slot: f"sweep-{slot:%H}", status=Status.PAID)
async def sweep(slot: datetime, *, psp: Psp) -> Order:
    return Order(0)


orders.add_schedule("@every 90s", nightly, name="often", overlap="wait", jitter=timedelta(seconds=5))
@orders.join(Status.SPLIT, until="all")
async def all_there(
    run: Run[Order, Status], children: Sequence[Snapshot[Any, Any]]
) -> Literal[Status.PACKED]:
    return Status.PACKED


@orders.join(Status.SPLIT, until="any", retry=timedelta(seconds=1))
async def one_there(
    run: Run[Order, Status], children: Sequence[Child], *, psp: Psp
) -> Literal[Status.PACKED] | Pause:
    if any(child.run_state is RunState.CANCELLED for child in children):
        return Pause("a parcel is lost")
    assert_type(await children[0].snapshot(), Snapshot[Any, Any])
    return Status.PACKED


def counted(run: OrderRun, children: Sequence[Child]) -> Next:
    return Status.PACKED if len(children) > 1 else Status.REFUNDED


orders.add_join(Status.SPLIT, counted, to=[Status.PACKED, Status.REFUNDED])


class Kitchen:
    def __init__(self, psp: Psp) -> None:
        self.psp = psp
        self.builder = Builder("kitchen", Order, Status)
        self.builder.add_step(Status.CREATED, self.cook, time_limit=timedelta(minutes=1))
        self.builder.step(Status.PAID)(self.serve)

    async def cook(self, run: OrderRun) -> Literal[Status.PAID]:
        return Status.PAID

    def serve(self, run: OrderRun) -> Literal[Status.PACKED]:
        return Status.PACKED


@asynccontextmanager
async def resources() -> AsyncGenerator[Mapping[str, object]]:
    yield {"psp": Psp()}


workflow = orders.build(SQLite("orders.db"), resources={"psp": Psp()})
assert_type(workflow, Workflow[Order, Status])
orders.build(SQLite("orders.db"), event_streamer=SQLite("events.db"), resources=resources)
orders.build(Memory(), pause_after_error_count=5, pause_retry=None, history="full")


async def use() -> None:
    async with workflow as same:
        assert_type(same, Workflow[Order, Status])
    async with workflow.client() as client:
        assert_type(client, Workflow[Order, Status])
    run_id = await workflow.trigger(
        "order-1",
        Order(4990),
        status=Status.PAID,
        idempotency_key="k",
        after=timedelta(hours=1),
    )
    assert_type(run_id, str)
    seen = await workflow.await_status(
        run_id, Status.PACKED, Status.REFUNDED, within=timedelta(seconds=10)
    )
    assert_type(seen, Snapshot[Order, Status])
    assert_type(seen.object, Order)
    assert_type(seen.status, Status)
    await workflow.await_status(run_id, within=None)
    assert_type(
        await workflow.trigger_many(
            Trigger(f"o-{i}", Order(i), idempotency_key=str(i)) for i in range(9)
        ),
        list[TriggerResult],
    )
    async for paused in workflow.runs.find(run_state=RunState.PAUSED, limit=10):
        assert_type(paused, Snapshot[Order, Status])
    count = await workflow.runs.count(status=Status.PAID)
    assert_type(count, int)
    results = await workflow.trigger_many(
        [Trigger("a", Order(1)), Trigger("b", Order(2))], status=Status.PAID
    )
    assert_type(results[0].error is None, bool)
    async for schedule in workflow.schedules.find():
        assert_type(schedule, ScheduleInfo)
    assert_type(await workflow.schedules.put("a", "@daily", Order(1), foreign_id="a"), ScheduleInfo)
    assert_type(await workflow.schedules.pause("a", actor="me"), ScheduleInfo)
    assert_type(await workflow.schedules.resume("a"), ScheduleInfo)
    assert_type(await workflow.schedules.trigger_now("a"), str)
    await workflow.schedules.delete("a")
    await serve(workflow)


@orders.callback(Status.PAID)
def warehouse(run: Run[Order, Status], payload: StructOrder, *, psp: Psp) -> Next:
    return Status.PACKED


def use_blocking() -> None:
    assert_type(workflow.blocking(), BlockingWorkflow[Order, Status])
    with workflow.blocking() as client:
        assert_type(client, BlockingWorkflow[Order, Status])
        assert_type(client.runs, BlockingRuns[Order, Status])
        assert_type(client.dead_letters, BlockingDeadLetters)
        run_id = client.trigger("order-1", Order(1), status=Status.PAID, idempotency_key="k")
        assert_type(run_id, str)
        assert_type(
            client.trigger_many(Trigger(f"o-{i}", Order(i)) for i in range(9)),
            list[TriggerResult],
        )
        assert_type(client.callback("order-1", warehouse, StructOrder(1)), CallbackReceipt)
        assert_type(client.callback("order-1", warehouse, b"{}"), CallbackReceipt)
        assert_type(client.callback("order-1", Status.PAID, "anything"), CallbackReceipt)
        seen = client.await_status(run_id, Status.PAID, within=None)
        assert_type(seen, Snapshot[Order, Status])
        assert_type(client.runs.pause(seen, "look at it"), Snapshot[Order, Status])
        assert_type(client.runs.latest("order-1"), Snapshot[Order, Status] | None)
        assert_type(client.runs.cancel_all("over", status=Status.PAID), BulkReport)
        for paused in client.runs.find(run_state=RunState.PAUSED):
            assert_type(paused, Snapshot[Order, Status])
        for letter in client.dead_letters.find(kind="hook"):
            assert_type(letter, DeadLetter)
            client.dead_letters.retry(letter.id)


def match_it(outcome: Outcome) -> str:
    match outcome:
        case Pause(reason) | Cancel(reason):
            return reason
        case Skip():
            return "skip"
        case Repeat(after):
            return str(after)
