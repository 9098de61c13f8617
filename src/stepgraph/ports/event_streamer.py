"""EventStreamer: announces events on topics; it may lose, repeat and reorder them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.event import Delivery, Event
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.retention_store import Pruned, PruneQuery


class EventSender(Protocol):
    """Publishes events."""

    @abstractmethod
    async def send(self, events: Sequence[Event]) -> None:
        """Return when every event is stored by the stream. After an error any may have been."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """Give up the connection. May be called twice."""
        ...


class EventReceiver(Protocol):
    """Gives deliveries of one topic to one named consumer."""

    @abstractmethod
    async def receive(self, max_events: int) -> Sequence[Delivery]:
        """Wait for at least one event and return up to `max_events`, in order for each run.

        Cancelling loses nothing. What was handed out and not acknowledged comes again at least
        from a receiver opened later under the same name.
        """
        ...

    @abstractmethod
    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Finish these deliveries, in any order; repeating an ack does nothing."""
        ...

    @abstractmethod
    async def low_water(self) -> int | None:
        """Return when the oldest unfinished event was sent, or None at the head."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """Stop receiving. May be called twice."""
        ...


class EventStreamer(Protocol):
    """Opens senders and receivers."""

    capabilities: Capabilities
    partition_count: int

    @abstractmethod
    async def open_sender(self) -> EventSender:
        """Return a sender for all topics."""
        ...

    @abstractmethod
    async def open_receiver(
        self, topic: str, name: str, slots: Sequence[int] = (), *, from_latest: bool = False
    ) -> EventReceiver:
        """Return a receiver of `topic` under `name`, of these slots (none given: of all).

        The position belongs to (topic, name) and survives receivers and processes. Without one a
        receiver starts at the oldest event if the capability `replays` says so, else, or with
        `from_latest`, at the end as it is when this call returns.
        """
        ...

    @abstractmethod
    async def prune(self, query: PruneQuery) -> Pruned:
        """Forget events sent before `query.before`, also those that somebody has not read.

        A stream that forgets by itself does nothing and returns `Pruned(0, None)`.
        """
        ...
