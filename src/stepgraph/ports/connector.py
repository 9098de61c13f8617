"""Connector: a foreign stream of events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


class ConnectorEvent(Struct, frozen=True):
    """An event of a foreign stream; `created_at` is aware, and the epoch if it is not known."""

    id: str
    foreign_id: str
    type: str = ""
    payload: bytes = b""
    headers: Mapping[str, str] = {}
    created_at: datetime = _UNKNOWN


class ConnectorReceiver(Protocol):
    """Gives the events of a foreign stream to one named consumer, at least once."""

    @abstractmethod
    async def receive(self, max_events: int, /) -> Sequence[ConnectorEvent]:
        """Wait for at least one event and return up to `max_events`, in the source's order."""
        ...

    @abstractmethod
    async def ack(self, events: Sequence[ConnectorEvent], /) -> None:
        """Finish these events; what is not finished comes again from a receiver opened later."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """Stop receiving. May be called twice."""
        ...


class Connector(Protocol):
    """A foreign stream that can be opened."""

    @abstractmethod
    async def open_receiver(self, name: str, /) -> ConnectorReceiver:
        """Return a receiver whose position belongs to `name`."""
        ...
