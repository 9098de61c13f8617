"""The simulated outside stream that connectors read: its events come again until acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Any

from reliability.network import Network
from stepgraph.ports.connector import Connector, ConnectorEvent, ConnectorReceiver


class SourceServer:
    """A list of events, and which positions each reader has finished."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.events: list[ConnectorEvent] = []
        self.finished: set[int] = set()

    def publish(self, event: ConnectorEvent) -> None:
        """Add an event; the same may be added twice."""
        self.events.append(event)
        self.world.history.source_events.append((event.id, event.foreign_id))

    def poll(self, taken: set[int]) -> list[tuple[int, ConnectorEvent]]:
        """Return what is neither finished nor taken."""
        return [
            (place, event)
            for place, event in enumerate(self.events)
            if place not in self.finished and place not in taken
        ]

    def ack(self, places: Sequence[int]) -> None:
        """Finish events."""
        for place in places:
            at = self.world.loop.time()
            self.world.history.source_acks.append((at, self.events[place].id))
        self.finished.update(places)


class SimConnector(Connector):
    """The outside stream, over the network."""

    def __init__(self, server: SourceServer, network: Network) -> None:
        self._server = server
        self._network = network

    async def open_receiver(self, name: str, /) -> ConnectorReceiver:
        del name
        await self._network.call("stream", "open source", lambda: None)
        return SimSourceReceiver(self._server, self._network)


class SimSourceReceiver(ConnectorReceiver):
    """Reads on from what it has taken."""

    def __init__(self, server: SourceServer, network: Network) -> None:
        self._server = server
        self._network = network
        self._taken: set[int] = set()
        self._places: dict[int, int] = {}
        self._given: list[ConnectorEvent] = []

    async def receive(self, max_events: int, /) -> Sequence[ConnectorEvent]:
        while True:
            execute = partial(self._server.poll, self._taken)
            found = (await self._network.call("stream", "poll source", execute))[:max_events]
            if found:
                for place, _ in found:
                    self._taken.add(place)
                # Each delivery is an object of its own, as from a real stream.
                delivered = [copy(event) for _, event in found]
                self._given += delivered
                for (place, _), event in zip(found, delivered, strict=True):
                    self._places[id(event)] = place
                return delivered
            await asyncio.sleep(1.0)

    async def ack(self, events: Sequence[ConnectorEvent], /) -> None:
        places = [self._places[id(event)] for event in events if id(event) in self._places]
        await self._network.call("stream", "ack source", partial(self._server.ack, places))

    async def close(self) -> None: ...
