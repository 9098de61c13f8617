"""Nodes: simulated processes, each with its own backend object, workflow and clock."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from reliability.loop import at_node, context_of
from reliability.roles import SimRoles
from reliability.source import SimConnector
from reliability.store_ports import (
    SimHints,
    SimHistoryStore,
    SimLostRuns,
    SimPort,
    SimRecordStore,
    SimWorkQueue,
)
from reliability.stream import SimStreamer
from stepgraph.errors import UnavailableError
from stepgraph.model.instant import to_datetime, to_instant
from stepgraph.ports.clock import Clock


class SimBackend:
    """What one node has of the store: every port over the network."""

    def __init__(self, world: Any) -> None:
        network = world.network
        for name, port in vars(world.store.memory).items():
            if not name.startswith("_"):
                setattr(self, name, SimPort(port, network))
        self.record_store = SimRecordStore(world.store, network)
        self.work_queue = SimWorkQueue(world.store, network)
        self.history_store = SimHistoryStore(world.store, network)
        self.lost_runs = SimLostRuns(world.store, network)
        self.hints = SimHints(world.store, network)
        self.role_scheduler = SimRoles(world.roles, network)
        self.event_streamer = None

    async def open(self) -> None: ...

    async def close(self) -> None:
        self.hints.stop()


class SimStreamBackend:
    """What one node has of the broker."""

    def __init__(self, world: Any) -> None:
        self.event_streamer = SimStreamer(world.stream, world.network)

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class SimClock(Clock):
    """One node's wall clock: the world's time, and what it is wrong by."""

    def __init__(self, world: Any, node: str) -> None:
        self._world = world
        self._node = node

    def now(self) -> datetime:
        return to_datetime(self.microseconds())

    def microseconds(self) -> int:
        return int(self._world.microseconds(self._node))

    async def sleep_until(self, at: datetime, /) -> None:
        while (left := (to_instant(at) - self.microseconds()) / 1e6) > 0:
            await asyncio.sleep(min(left, 60.0))


class Node:
    """A process that is started again, under a new name, whenever it has died."""

    def __init__(self, world: Any, name: str, *, is_client: bool = False) -> None:
        self.world = world
        self.name = name
        self.is_client = is_client
        self.incarnation = 0
        self.id = ""
        self.workflows: list[Any] = []
        self.is_up = False
        self.has_failed = False
        self._stop: asyncio.Event | None = None
        self._task: Any = None

    def start(self) -> None:
        """Start a new process."""
        self.incarnation += 1
        self.id = f"{self.name}#{self.incarnation}"
        self._stop = asyncio.Event()
        with at_node(self.id):
            self._task = self.world.loop.create_task(
                self._main(self._stop, self.id), name=self.id, context=context_of(self.id)
            )

    async def _main(self, stop: asyncio.Event, node_id: str) -> None:
        world = self.world
        self.has_failed = True
        while not stop.is_set():
            workflows = self._build()
            self.has_failed = False
            try:
                await self._serve(workflows, stop)
            except UnavailableError:
                # A process that cannot start is started again.
                await asyncio.sleep(1.0)
        if self.id == node_id:
            self.is_up = False
        world.note("stopped", node_id)

    def _build(self) -> list[Any]:
        world = self.world
        backend = SimBackend(world)
        options: dict[str, Any] = dict(world.config.options)
        if world.config.is_mixed:
            options["event_streamer"] = SimStreamBackend(world)
        clock = SimClock(world, self.name)
        return [
            world.flow.builder(name).build(
                backend,
                clock=clock,
                instance=self.id,
                connectors={"feed": SimConnector(world.sources[name], world.network)},
                **options,
            )
            for name in world.config.workflows
        ]

    async def _serve(self, workflows: list[Any], stop: asyncio.Event) -> None:
        async with _opened(workflows, is_client=self.is_client):
            self.workflows = workflows
            self.is_up = True
            self.world.note("serves", self.id)
            await stop.wait()
            self.is_up = False

    async def stop(self) -> None:
        """Stop as SIGTERM does, and return when the process has ended."""
        self.is_up = False
        if self._stop is not None:
            self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def crash(self) -> None:
        """Die at once: nothing of it runs any more, and nobody is told."""
        self.is_up = False
        self.world.loop.kill(self.id)
        self.world.loop.graveyard.append(self._task)
        self.world.store.listeners.pop(self.id, None)


class _opened:
    """Open all workflows of a node, and close those that were opened."""

    def __init__(self, workflows: list[Any], *, is_client: bool) -> None:
        self._managers = [w.client() if is_client else w for w in workflows]
        self._entered: list[Any] = []

    async def __aenter__(self) -> None:
        try:
            for manager in self._managers:
                await manager.__aenter__()
                self._entered.append(manager)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(self, *error: object) -> None:
        for manager in reversed(self._entered):
            await manager.__aexit__(None, None, None)
