"""PostgresEventStreamer: one row for each subscription of a topic, deleted when acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakSet

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.rows import columns_of
from stepgraph.adapters.postgres.statement import unnest
from stepgraph.model.event import Delivery, Event
from stepgraph.model.slot import SLOT_COUNT, slot_of
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.clock import elapsed_seconds
from stepgraph.ports.event_streamer import EventReceiver, EventSender, EventStreamer
from stepgraph.ports.retention_store import Position, Pruned, PruneQuery

_POLL_SECONDS = 0.5
_SWEEP_SECONDS = 1.0
_SUBSCRIBE = (
    "insert into subscription (topic, name) values ($1, $2) on conflict do nothing returning 1"
)
_SKIP = "delete from event where topic = $1 and name = $2"
_PRUNE = (
    "with page as materialized (select position, workflow, created_at from event"
    " where position > $1 order by position limit $2),"
    " gone as (delete from event using page where event.position = page.position"
    " and page.workflow = $3 and page.created_at < $4 returning 1)"
    " select (select count(*) from gone), count(*), max(position) from page"
)
_COLUMNS = "topic, slot, workflow, foreign_id, run_id, version, attempt, created_at"
_SEND = (
    "insert into event (name, " + _COLUMNS + ") select subscription.name, given.topic, given.slot,"
    " given.workflow, given.foreign_id, given.run_id, given.version, given.attempt,"
    " given.created_at from " + unnest("titttiiii") + " as given (" + _COLUMNS + ", place)"
    " join subscription on subscription.topic = given.topic order by given.place"
)  # fmt: skip
READ = (
    "select found.* from unnest($3::bigint[], $4::bigint[]) as probe (slot, after)"
    " cross join lateral (select position, event.slot, workflow, foreign_id, run_id, version,"
    " attempt, created_at from event where topic = $1 and name = $2 and event.slot = probe.slot"
    " and position > probe.after order by position limit $5) as found"
)
_ACK = "delete from event where position = any($1::bigint[]) and topic = $2 and name = $3"
_OLDEST = (
    "select min(found.created_at) from unnest($3::bigint[]) as probe (slot) cross join lateral"
    " (select created_at from event where topic = $1 and name = $2 and event.slot = probe.slot"
    " order by position limit 1) as found"
)


class PostgresEventStreamer(EventStreamer):
    """A stream for records that are kept elsewhere."""

    partition_count = SLOT_COUNT

    def __init__(self, server: PostgresServer, capabilities: Capabilities) -> None:
        """Work on `server`."""
        self._server = server
        self.capabilities = capabilities
        self.waiting: WeakSet[PostgresEventReceiver] = WeakSet()

    async def open_sender(self) -> EventSender:
        """Return a sender."""
        return PostgresEventSender(self._server, self)

    async def open_receiver(
        self, topic: str, name: str, slots: Sequence[int] = (), *, from_latest: bool = False
    ) -> EventReceiver:
        """Subscribe, at the latest now; what is sent from here on is kept for `name`."""
        is_new = await self._server.moves.fetch(_SUBSCRIBE, topic, name)
        if is_new and from_latest:
            await self._server.moves.fetch(_SKIP, topic, name)
        receiver = PostgresEventReceiver(self._server, topic, name, tuple(slots))
        self.waiting.add(receiver)
        return receiver

    async def prune(self, query: PruneQuery) -> Pruned:
        """Delete old rows, which are what somebody has not read."""
        values = (query.after.at, query.limit, query.workflow, query.before)
        deleted, count, last = (await self._server.moves.fetch(_PRUNE, *values))[0]
        return Pruned(deleted, Position(last, "") if count == query.limit else None)


class PostgresEventSender(EventSender):
    """Writes one row for each subscription."""

    def __init__(self, server: PostgresServer, streamer: PostgresEventStreamer) -> None:
        """Write to `server`."""
        self._server = server
        self._streamer = streamer

    async def send(self, events: Sequence[Event]) -> None:
        """Store all events in one statement."""
        rows = [
            (e.topic, slot_of(e.run_id), e.workflow, e.foreign_id, e.run_id, e.version, e.attempt,
             e.created_at, place)
            for place, e in enumerate(events)
        ]  # fmt: skip
        await self._server.moves.fetch(_SEND, *columns_of(rows, 9))
        for receiver in list(self._streamer.waiting):
            receiver.wake()

    async def close(self) -> None:
        """Do nothing: the connection is the backend's."""


class PostgresEventReceiver(EventReceiver):
    """Reads on from what it handed out, and once a second from the very beginning.

    Positions are taken before they are committed: what took one first and commits last stands
    behind the reader, and is found by the next sweep. What is in hand is left out there.
    """

    def __init__(
        self, server: PostgresServer, topic: str, name: str, slots: tuple[int, ...]
    ) -> None:
        """Read `topic` as `name`."""
        self._server = server
        self._topic = topic
        self._name = name
        self._slots = slots or tuple(range(SLOT_COUNT))
        self._positions = dict.fromkeys(self._slots, 0)
        self._in_hand: set[int] = set()
        self._swept_at = elapsed_seconds()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def receive(self, max_events: int) -> Sequence[Delivery]:
        """Wait for events, by a poll that a sender of this process cuts short."""
        while True:
            self._woken.clear()
            found = await self._read(max_events)
            if found:
                for delivery in found:
                    before = self._positions[delivery.slot]
                    self._positions[delivery.slot] = max(before, delivery.position)
                    self._in_hand.add(delivery.position)
                return found
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _read(self, max_events: int) -> list[Delivery]:
        now = elapsed_seconds()
        is_sweep = now - self._swept_at >= _SWEEP_SECONDS
        after = [0 if is_sweep else self._positions[slot] for slot in self._slots]
        limit = max_events + (len(self._in_hand) if is_sweep else 0)
        rows = await self._server.reads.fetch(
            READ, self._topic, self._name, list(self._slots), after, limit
        )
        if is_sweep:
            self._swept_at = now
        return [
            Delivery(Event(self._topic, *event), slot, position)
            for position, slot, *event in rows
            if position not in self._in_hand
        ][:max_events]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Delete the rows."""
        positions = [delivery.position for delivery in deliveries]
        await self._server.moves.fetch(_ACK, positions, self._topic, self._name)
        self._in_hand.difference_update(positions)

    async def low_water(self) -> int | None:
        """Return when the oldest row was sent."""
        values = (self._topic, self._name, list(self._slots))
        rows = await self._server.reads.fetch(_OLDEST, *values)
        sent_at: int | None = rows[0][0]
        return sent_at

    async def close(self) -> None:
        """Do nothing: the subscription stays."""
