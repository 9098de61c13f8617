"""MemoryConnector: a foreign stream that a test or a program fills by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stepgraph.ports.connector import Connector, ConnectorEvent, ConnectorReceiver


class MemoryConnector(Connector):
    """Keeps every event; each named receiver has finished some of them."""

    def __init__(self) -> None:
        """Start empty."""
        self.events: list[ConnectorEvent] = []
        self.finished: dict[str, set[int]] = {}
        self.changed = asyncio.Condition()

    async def publish(self, *events: ConnectorEvent) -> None:
        """Add events to the stream."""
        self.events.extend(events)
        async with self.changed:
            self.changed.notify_all()

    def unfinished(self, name: str) -> int:
        """Return how many events `name` has not acknowledged."""
        return len(self.events) - len(self.finished.get(name, ()))

    async def open_receiver(self, name: str, /) -> ConnectorReceiver:
        """Return a receiver that begins at what `name` has not finished."""
        return MemoryConnectorReceiver(self, self.finished.setdefault(name, set()))


class MemoryConnectorReceiver(ConnectorReceiver):
    """Reads on from what it handed out."""

    def __init__(self, connector: MemoryConnector, finished: set[int]) -> None:
        """Read `connector`; `finished` holds the places that are done."""
        self._connector = connector
        self._finished = finished
        self._next = 0
        # The same event may be published twice: it then has two places.
        self._places: dict[int, list[int]] = {}

    def _unread(self, max_events: int) -> list[ConnectorEvent]:
        events = self._connector.events
        found: list[ConnectorEvent] = []
        while self._next < len(events) and len(found) < max_events:
            if self._next not in self._finished:
                found.append(events[self._next])
                self._places.setdefault(id(events[self._next]), []).append(self._next)
            self._next += 1
        return found

    async def receive(self, max_events: int, /) -> Sequence[ConnectorEvent]:
        """Wait for events."""
        async with self._connector.changed:
            while not (found := self._unread(max_events)):
                await self._connector.changed.wait()
        return found

    async def ack(self, events: Sequence[ConnectorEvent], /) -> None:
        """Finish events."""
        for event in events:
            places = self._places.get(id(event), [])
            if places:
                self._finished.add(places.pop(0))

    async def close(self) -> None:
        """Do nothing."""
