"""The simulated broker: it repeats, reorders, delays, and loses what it has acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from reliability.loop import context_of
from reliability.network import Network
from stepgraph.model.event import Delivery, Event
from stepgraph.model.slot import slot_of
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.event_streamer import EventReceiver, EventSender, EventStreamer
from stepgraph.ports.retention_store import Pruned, PruneQuery


class StreamServer:
    """Topics as lists; each named reader has finished some positions."""

    def __init__(self, world: Any, partition_count: int) -> None:
        self.world = world
        self.partition_count = partition_count
        self.topics: dict[str, list[tuple[int, Event]]] = {}
        self.finished: dict[tuple[str, str], set[int]] = {}
        self.accepted: set[tuple[str, int]] = set()
        self._position = 0
        self._waiters: list[asyncio.Future[None]] = []

    def send(self, events: Sequence[Event]) -> None:
        """Take events, and do with them what the faults say."""
        network: Network = self.world.network
        for event in events:
            self.accepted.add((event.run_id, event.version))
            if network.find("lose") is not None:
                self.world.goal("an acknowledged event was lost")
                continue
            copies = 3 if network.find("duplicate") is not None else 1
            for _ in range(copies):
                late = network.find("delay")
                if late is not None:
                    after = 0.5 + network.delay() * 1000 * late.amount
                    self.world.loop.call_later(after, self._add, event, context=context_of(""))
                else:
                    self._add(event)

    def _add(self, event: Event) -> None:
        self._position += 1
        log = self.topics.setdefault(event.topic, [])
        if log and self.world.network.find("reorder") is not None:
            log.insert(len(log) - 1, (self._position, event))
        else:
            log.append((self._position, event))
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def wipe(self) -> None:
        """Lose everything."""
        self.world.goal("the broker lost everything")
        self.topics.clear()
        self.finished.clear()

    def poll(self, topic: str, name: str, slots: frozenset[int], taken: set[int]) -> list[Delivery]:
        """Return what a reader has neither finished nor taken."""
        done = self.finished.setdefault((topic, name), set())
        found = []
        for position, event in self.topics.get(topic, ()):
            slot = slot_of(event.run_id, self.partition_count)
            if slot in slots and position not in done and position not in taken:
                found.append(Delivery(event, slot, position))
        return found

    def ack(self, topic: str, name: str, positions: Sequence[int]) -> None:
        """Finish positions."""
        self.finished.setdefault((topic, name), set()).update(positions)

    def low_water(self, topic: str, name: str, slots: frozenset[int]) -> int | None:
        """Return when the oldest unfinished event was sent."""
        left = self.poll(topic, name, slots, set())
        return min((delivery.event.created_at for delivery in left), default=None)

    def waiter(self, loop: Any) -> asyncio.Future[None]:
        """Return what ends when something comes."""
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def left(self) -> list[str]:
        """Return what no reader has finished."""
        found = []
        for (topic, name), done in self.finished.items():
            left = [p for p, _ in self.topics.get(topic, ()) if p not in done]
            if left:
                found.append(f"{len(left)} events of {topic} for {name}")
        return found


class SimStreamer(EventStreamer):
    """The broker, over the network."""

    capabilities = Capabilities(replays=True, is_shared=True)

    def __init__(self, server: StreamServer, network: Network) -> None:
        self._server = server
        self._network = network
        self.partition_count = server.partition_count

    async def open_sender(self) -> EventSender:
        return SimSender(self._server, self._network)

    async def open_receiver(
        self, topic: str, name: str, slots: Sequence[int] = (), *, from_latest: bool = False
    ) -> EventReceiver:
        del from_latest
        wanted = frozenset(slots or range(self.partition_count))
        await self._network.call("stream", "open", lambda: None)
        return SimReceiver(self._server, self._network, (topic, name, wanted))

    async def prune(self, query: PruneQuery) -> Pruned:
        """Forget nothing: the faults see to that."""
        return Pruned(0, None)


class SimSender(EventSender):
    """Publishes."""

    def __init__(self, server: StreamServer, network: Network) -> None:
        self._server = server
        self._network = network

    async def send(self, events: Sequence[Event]) -> None:
        execute = partial(self._server.send, tuple(events))
        await self._network.call("stream", "send", execute, is_write=True)

    async def close(self) -> None: ...


class SimReceiver(EventReceiver):
    """Reads one topic under one name."""

    def __init__(
        self, server: StreamServer, network: Network, source: tuple[str, str, frozenset[int]]
    ) -> None:
        self._server = server
        self._network = network
        self._source = source
        self._taken: set[int] = set()

    async def receive(self, max_events: int) -> Sequence[Delivery]:
        loop = self._server.world.loop
        while True:
            waiter = self._server.waiter(loop)
            execute = partial(self._server.poll, *self._source, self._taken)
            found = (await self._network.call("stream", "poll", execute))[:max_events]
            if found:
                self._taken.update(delivery.position for delivery in found)
                for delivery in found:
                    event = delivery.event
                    self._server.world.received(event.run_id, event.version)
                return found  # type: ignore[no-any-return]
            try:
                async with asyncio.timeout(5.0):
                    await waiter
            except TimeoutError:
                continue

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        positions = [delivery.position for delivery in deliveries]
        topic, name, _ = self._source
        execute = partial(self._server.ack, topic, name, positions)
        await self._network.call("stream", "ack", execute)

    async def low_water(self) -> int | None:
        execute = partial(self._server.low_water, *self._source)
        return await self._network.call("stream", "low_water", execute)  # type: ignore[no-any-return]

    async def close(self) -> None: ...
