"""SQLiteEventStreamer: one row for each subscription of a topic, deleted when acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from weakref import WeakSet

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.model.event import Delivery, Event
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.event_streamer import EventReceiver, EventSender, EventStreamer
from stepgraph.ports.retention_store import Position, Pruned, PruneQuery

_POLL_SECONDS = 0.5
_SUBSCRIBE = "insert or ignore into subscription values (?, ?)"
_NAMES = "select name from subscription where topic = ?"
_SEND = """
insert into event (topic, name, slot, workflow, foreign_id, run_id, version, attempt, created_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_READ = """
select position, slot, workflow, foreign_id, run_id, version, attempt, created_at from event
where topic = ? and name = ? and slot = ? and position > ? order by position limit ?
"""
_ACK = "delete from event where position = ? and topic = ? and name = ?"
_OLDEST = "select min(created_at) from event where topic = ? and name = ? and slot = ?"
_AGES = (
    "select position, workflow, created_at from event where position > ? order by position limit ?"
)
_FORGET = "delete from event where position = ?"
_SKIP = "delete from event where topic = ? and name = ?"


class SQLiteEventStreamer(EventStreamer):
    """A stream for records that are kept elsewhere."""

    partition_count = SLOT_COUNT

    def __init__(self, file: SQLiteFile, capabilities: Capabilities) -> None:
        """Work on `file`."""
        self._file = file
        self.capabilities = capabilities
        self.waiting: WeakSet[SQLiteEventReceiver] = WeakSet()

    async def open_sender(self) -> EventSender:
        """Return a sender."""
        return SQLiteEventSender(self._file, self)

    async def open_receiver(
        self, topic: str, name: str, slots: Sequence[int] = (), *, from_latest: bool = False
    ) -> EventReceiver:
        """Subscribe, at the latest now; what is sent from here on is kept for `name`."""

        def subscribe(connection: sqlite3.Connection) -> None:
            is_new = connection.execute(_SUBSCRIBE, (topic, name)).rowcount
            if is_new and from_latest:
                connection.execute(_SKIP, (topic, name))

        await self._file.write(subscribe)
        receiver = SQLiteEventReceiver(self._file, topic, name, tuple(slots))
        self.waiting.add(receiver)
        return receiver

    async def prune(self, query: PruneQuery) -> Pruned:
        """Delete old rows, which are what somebody has not read."""
        names = (query.after.at, query.limit)
        page = await self._file.read(lambda connection: connection.execute(_AGES, names).fetchall())
        old = [
            (position,)
            for position, workflow, created_at in page
            if workflow == query.workflow and created_at < query.before
        ]
        if old:
            await self._file.write(lambda connection: connection.executemany(_FORGET, old))
        is_full = len(page) == query.limit
        return Pruned(len(old), Position(page[-1][0], "") if is_full else None)


class SQLiteEventSender(EventSender):
    """Writes one row for each subscription."""

    def __init__(self, file: SQLiteFile, streamer: SQLiteEventStreamer) -> None:
        """Write to `file`."""
        self._file = file
        self._streamer = streamer

    async def send(self, events: Sequence[Event]) -> None:
        """Store all events in one transaction."""

        def send(connection: sqlite3.Connection) -> None:
            names: dict[str, list[str]] = {}
            for event in events:
                if event.topic not in names:
                    found = connection.execute(_NAMES, (event.topic,)).fetchall()
                    names[event.topic] = [row[0] for row in found]
                for name in names[event.topic]:
                    connection.execute(_SEND, _row(event, name))

        await self._file.write(send)
        for receiver in list(self._streamer.waiting):
            receiver.wake()

    async def close(self) -> None:
        """Do nothing: the file is the backend's."""


def _row(event: Event, name: str) -> tuple[object, ...]:
    return (
        event.topic, name, slot_of(event.run_id), event.workflow, event.foreign_id, event.run_id,
        event.version, event.attempt, event.created_at,
    )  # fmt: skip


class SQLiteEventReceiver(EventReceiver):
    """Reads on from what it handed out; a receiver opened later begins at what is not finished."""

    def __init__(self, file: SQLiteFile, topic: str, name: str, slots: tuple[int, ...]) -> None:
        """Read `topic` as `name`."""
        self._file = file
        self._topic = topic
        self._name = name
        self._slots = slots or tuple(range(SLOT_COUNT))
        self._positions = dict.fromkeys(self._slots, 0)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def receive(self, max_events: int) -> Sequence[Delivery]:
        """Wait for events, by a poll that a sender of this process cuts short."""
        while True:
            self._woken.clear()
            rows = await self._file.read(partial(self._read, max_events))
            if rows:
                for delivery in rows:
                    self._positions[delivery.slot] = delivery.position
                return rows
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _read(self, max_events: int, connection: sqlite3.Connection) -> list[Delivery]:
        found: list[Delivery] = []
        for slot in self._slots:
            left = max_events - len(found)
            if left <= 0:
                break
            names = (self._topic, self._name, slot, self._positions[slot], left)
            for position, place, *event in connection.execute(_READ, names):
                found.append(Delivery(Event(self._topic, *event), place, position))
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Delete the rows."""
        rows = [(delivery.position, self._topic, self._name) for delivery in deliveries]
        await self._file.write(lambda connection: connection.executemany(_ACK, rows))

    async def low_water(self) -> int | None:
        """Return when the oldest row was sent."""

        def oldest(connection: sqlite3.Connection) -> int | None:
            names = [(self._topic, self._name, slot) for slot in self._slots]
            found = [connection.execute(_OLDEST, name).fetchone()[0] for name in names]
            return min((at for at in found if at is not None), default=None)

        return await self._file.read(oldest)

    async def close(self) -> None:
        """Do nothing: the subscription stays."""
