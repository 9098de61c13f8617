"""Parents and children: workflows that start each other, and a harness for several at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal

from stepgraph import Builder, Run
from stepgraph.model.instant import to_datetime
from stepgraph.testing import FakeClock, Harness


class Stage(IntEnum):
    NEW = 1
    SPLIT = 2
    DONE = 3
    LATE = 4


class Parcel(IntEnum):
    BOOKED = 1
    DELIVERED = 2


@dataclass
class Basket:
    parcels: int = 0
    seen: list[str] = field(default_factory=list)


@dataclass
class Box:
    label: str = ""


def parcels(name: str = "parcels") -> Builder[Box, Parcel]:
    """A workflow of one step that delivers at once."""
    boxes = Builder(name, Box, Parcel)

    @boxes.step(Parcel.BOOKED)
    async def deliver(run: Run[Box, Parcel]) -> Literal[Parcel.DELIVERED]:
        await asyncio.sleep(0)
        return Parcel.DELIVERED

    return boxes


def held_parcels(name: str = "parcels") -> Builder[Box, Parcel]:
    """A workflow whose runs wait for a callback."""
    boxes = Builder(name, Box, Parcel)

    @boxes.callback(Parcel.BOOKED)
    def arrived(run: Run[Box, Parcel], payload: bytes) -> Literal[Parcel.DELIVERED]:
        return Parcel.DELIVERED

    return boxes


def started(run: Run[Basket, Stage], boxes: Builder[Box, Parcel], **options: Any) -> list[str]:
    """Start the parcels of a basket from one of its functions."""
    return [
        run.trigger_child(boxes, f"{run.foreign_id}/{n}", Box(f"box {n}"), **options)
        for n in range(run.object.parcels)
    ]


def baskets(boxes: Builder[Box, Parcel], join: Any = None, **options: Any) -> Builder[Basket, Stage]:
    """A workflow that starts its parcels and waits for them; what the join saw is in the object."""
    orders = Builder("baskets", Basket, Stage)
    until = options.pop("until", "all")
    child_options = options.pop("child", {})

    @orders.step(Stage.NEW)
    async def split(run: Run[Basket, Stage]) -> Literal[Stage.SPLIT]:
        started(run, boxes, **child_options)
        return Stage.SPLIT

    async def all_there(run: Run[Basket, Stage], children: Any) -> Stage:
        run.object.seen += [f"{child.foreign_id} {child.run_state.name}" for child in children]
        return Stage.DONE

    orders.add_join(Stage.SPLIT, join or all_there, until=until, to=[Stage.DONE], **options)
    return orders


class Family:
    """`async with Family(parents, children, backend=backend)`: harnesses that share one clock."""

    def __init__(self, *builders: Builder[Any, Any], backend: Any, **options: Any) -> None:
        self.clock = FakeClock()
        self.backend = backend
        head, *rest = builders
        self.first = Harness(head, backend=backend, clock=self.clock, **options)
        self.members = [self.first, *(self.first.beside(builder, **options) for builder in rest)]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Family:
        for member in self.members:
            await self._stack.enter_async_context(member)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    async def join(self, builder: Builder[Any, Any], **options: Any) -> None:
        """Start one more workflow."""
        member = self.first.beside(builder, **options)
        self.members.append(await self._stack.enter_async_context(member))

    async def settle(self) -> None:
        """Wait until no member has anything left to do."""
        await self.first.settle()

    async def advance(self, by: timedelta) -> None:
        """Move the clock from one due instant to the next."""
        await self.first.advance(by)

    async def waiting_consumers(self) -> set[str]:
        """Return which consumers have queue rows, but for the retention, which always has one."""
        names = {n for m in self.members for n in m.workflow.opened().consumer_names}
        slots = tuple(range(16))
        found = await self.backend.work_queue.next_due(dict.fromkeys(names, slots))
        return {name for name in found if not name.endswith("/retention")}

    async def trigger(self, foreign_id: str, initial: Any, **options: Any) -> Any:
        """Trigger a run of the first member, settle, and return it."""
        run_id = await self.first.workflow.trigger(foreign_id, initial, **options)
        return await self.get(run_id)

    async def get(self, run_id: str) -> Any:
        """Settle, and return a run of the first member."""
        await self.settle()
        return await self.first.workflow.runs.get(run_id)

    async def children(self, run_id: str) -> list[Any]:
        """Return the rows of a run's children."""
        found = await self.backend.child_store.list_children(run_id, None, 100_000, only_waiting=False)
        return list(found)
