"""Connector: a foreign stream of events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from stepgraph.errors import InputError
from stepgraph.model.identifier import check_id, shown

EVENT_LIMIT = 1024 * 1024
HEADER_COUNT, HEADER_LIMIT = 32, 16 * 1024
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


class ConnectorEvent(Struct, frozen=True):
    """An event of a foreign stream; `created_at` is aware, and the epoch if it is not known."""

    id: str
    foreign_id: str
    type: str = ""
    payload: bytes = b""
    headers: Mapping[str, str] = {}
    created_at: datetime = _UNKNOWN


def check_event(event: ConnectorEvent) -> None:
    """Raise `InputError` for an event that cannot be stored; its foreign id may be empty."""
    check_id("event id", event.id)
    if event.foreign_id:
        check_id("foreign id", event.foreign_id)
    if not isinstance(event.created_at, datetime) or event.created_at.tzinfo is None:
        raise InputError(
            f"created_at={shown(event.created_at)} of event {shown(event.id)} is no aware datetime"
        )
    count = len(event.headers)
    size = sum(len(part.encode(errors="replace")) for h in event.headers.items() for part in h)
    if count > HEADER_COUNT or size > HEADER_LIMIT:
        raise InputError(
            f"event {shown(event.id)} has {count} headers of {size} bytes; {HEADER_COUNT} of"
            f" {HEADER_LIMIT} bytes together fit: send what is more in the payload"
        )
    size += len(event.payload)
    if size > EVENT_LIMIT:
        raise InputError(
            f"event {shown(event.id)} has {size} bytes; {EVENT_LIMIT} fit: store what is large"
            " elsewhere and send its name"
        )


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
