"""MemoryEventStreamer: topics as lists; a named reader's unfinished events are what it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stepgraph.model.event import Delivery, Event
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.model.topic import step_topics
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.event_streamer import EventReceiver, EventSender, EventStreamer
from stepgraph.ports.retention_store import Pruned, PruneQuery


class MemoryTopic:
    """The events of one topic by their position; the old ones may be gone."""

    def __init__(self) -> None:
        """Start empty."""
        self.events: dict[int, Event] = {}
        self.end = 0

    def append(self, event: Event) -> None:
        """Put an event at the end."""
        self.events[self.end] = event
        self.end += 1

    @property
    def start(self) -> int:
        """Return the oldest position that is still there."""
        return next(iter(self.events), self.end)

    def drop_before(self, at: int) -> list[int]:
        """Forget the oldest events, up to one that was sent at `at` or later."""
        dropped: list[int] = []
        for position, event in self.events.items():
            if event.created_at >= at:
                break
            dropped.append(position)
        for position in dropped:
            del self.events[position]
        return dropped


class MemoryLog:
    """Every event of every topic, and what each named reader has finished."""

    def __init__(self) -> None:
        """Start empty."""
        self.topics: dict[str, MemoryTopic] = {}
        self.first: dict[tuple[str, str], int] = {}
        self.finished: dict[tuple[str, str], set[int]] = {}
        self.changed = asyncio.Condition()

    def topic(self, name: str) -> MemoryTopic:
        """Return a topic, made if it is not there."""
        return self.topics.setdefault(name, MemoryTopic())


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
        end = self.log.topic(topic).end
        self.log.first.setdefault((topic, name), end if from_latest else 0)
        self.log.finished.setdefault((topic, name), set())
        return MemoryEventReceiver(self.log, topic, name, tuple(slots) or tuple(range(SLOT_COUNT)))

    async def prune(self, query: PruneQuery) -> Pruned:
        """Forget old events, and who finished them."""
        count = 0
        for name, topic in self.log.topics.items():
            if not name.startswith(step_topics(query.workflow)):
                continue
            dropped = topic.drop_before(query.before)
            count += len(dropped)
            for (read, _), finished in self.log.finished.items():
                if read == name:
                    finished.difference_update(dropped)
        return Pruned(count, None)


class MemoryEventSender(EventSender):
    """Appends to topics."""

    def __init__(self, log: MemoryLog) -> None:
        """Append to `log`."""
        self._log = log

    async def send(self, events: Sequence[Event]) -> None:
        """Append, and wake the receivers."""
        for event in events:
            self._log.topic(event.topic).append(event)
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
        topic = self._log.topic(self._topic)
        finished = self._log.finished[self._key]
        found: list[Delivery] = []
        self._next = max(self._next, topic.start)
        while self._next < topic.end and len(found) < max_events:
            position, event = self._next, topic.events[self._next]
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
        events = self._log.topic(self._topic).events
        positions = (delivery.position for delivery in deliveries)
        self._log.finished[self._key].update(p for p in positions if p in events)

    async def low_water(self) -> int | None:
        """Return when the oldest unfinished event of these slots was sent."""
        topic = self._log.topic(self._topic)
        finished = self._log.finished[self._key]
        for position in range(max(self._log.first[self._key], topic.start), topic.end):
            event = topic.events[position]
            if position not in finished and slot_of(event.run_id) in self._slots:
                return event.created_at
        return None

    async def close(self) -> None:
        """Do nothing: what is unfinished stays so."""
