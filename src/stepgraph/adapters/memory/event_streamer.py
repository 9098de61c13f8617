"""MemoryEventStreamer: topics as lists; a named reader's unfinished events are what it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stepgraph.model.event import Delivery, Event
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.event_streamer import EventReceiver, EventSender, EventStreamer


class MemoryLog:
    """Every event of every topic, and what each named reader has finished."""

    def __init__(self) -> None:
        """Start empty."""
        self.topics: dict[str, list[Event]] = {}
        self.first: dict[tuple[str, str], int] = {}
        self.finished: dict[tuple[str, str], set[int]] = {}
        self.changed = asyncio.Condition()


class MemoryEventStreamer(EventStreamer):
    """A stream in this process; twins share its log."""

    capabilities = Capabilities(replays=True)
    partition_count = SLOT_COUNT

    def __init__(self, log: MemoryLog | None = None) -> None:
        """Work on `log`."""
        self.log = log if log is not None else MemoryLog()

    async def open_sender(self) -> EventSender:
        """Return a sender."""
        return MemoryEventSender(self.log)

    async def open_receiver(
        self, topic: str, name: str, slots: Sequence[int] = (), *, from_latest: bool = False
    ) -> EventReceiver:
        """Return a receiver that goes on where `name` was."""
        events = self.log.topics.setdefault(topic, [])
        self.log.first.setdefault((topic, name), len(events) if from_latest else 0)
        self.log.finished.setdefault((topic, name), set())
        return MemoryEventReceiver(self.log, topic, name, tuple(slots) or tuple(range(SLOT_COUNT)))


class MemoryEventSender(EventSender):
    """Appends to topics."""

    def __init__(self, log: MemoryLog) -> None:
        """Append to `log`."""
        self._log = log

    async def send(self, events: Sequence[Event]) -> None:
        """Append, and wake the receivers."""
        for event in events:
            self._log.topics.setdefault(event.topic, []).append(event)
        async with self._log.changed:
            self._log.changed.notify_all()

    async def close(self) -> None:
        """Do nothing."""


class MemoryEventReceiver(EventReceiver):
    """Hands out what its name has not finished and it has not handed out itself."""

    def __init__(self, log: MemoryLog, topic: str, name: str, slots: tuple[int, ...]) -> None:
        """Read `topic` as `name`."""
        self._log = log
        self._topic = topic
        self._key = (topic, name)
        self._slots = frozenset(slots)
        self._next = log.first[self._key]

    def _unread(self, max_events: int) -> list[Delivery]:
        events = self._log.topics[self._topic]
        finished = self._log.finished[self._key]
        found: list[Delivery] = []
        while self._next < len(events) and len(found) < max_events:
            position, event = self._next, events[self._next]
            self._next += 1
            slot = slot_of(event.run_id)
            if slot in self._slots and position not in finished:
                found.append(Delivery(event, slot, position))
        return found

    async def receive(self, max_events: int) -> Sequence[Delivery]:
        """Wait for events."""
        async with self._log.changed:
            while not (found := self._unread(max_events)):
                await self._log.changed.wait()
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Finish events."""
        self._log.finished[self._key].update(delivery.position for delivery in deliveries)

    async def low_water(self) -> int | None:
        """Return when the oldest unfinished event of these slots was sent."""
        events = self._log.topics[self._topic]
        finished = self._log.finished[self._key]
        for position in range(self._log.first[self._key], len(events)):
            if position not in finished and slot_of(events[position].run_id) in self._slots:
                return events[position].created_at
        return None

    async def close(self) -> None:
        """Do nothing: what is unfinished stays so."""
