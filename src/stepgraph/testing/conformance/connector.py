"""ConnectorSuite: what a foreign stream must do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from stepgraph.ports.connector import ConnectorEvent


def make(number: int) -> ConnectorEvent:
    """Return an event."""
    at = datetime.fromtimestamp(1_900_000_000 + number, UTC)
    return ConnectorEvent(f"e-{number}", "order", "paid", b"\x00x", {"h": "v"}, at)


async def receive(receiver: Any, count: int) -> list[ConnectorEvent]:
    """Receive exactly so many events."""
    found: list[ConnectorEvent] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await receiver.receive(count - len(found))
    return found


class ConnectorSuite:
    """Needs a fixture `connector` with a coroutine `publish(*events)` beside the port."""

    async def test_events_come_whole_and_in_order(self, connector: Any) -> None:
        """As they were published."""
        receiver = await connector.open_receiver("r")
        await connector.publish(*(make(n) for n in range(5)))

        assert await receive(receiver, 5) == [make(n) for n in range(5)]

    async def test_what_is_not_acknowledged_comes_again(self, connector: Any) -> None:
        """Whatever the order of the acks."""
        receiver = await connector.open_receiver("r")
        await connector.publish(*(make(n) for n in range(3)))
        found = await receive(receiver, 3)
        await receiver.ack([found[1]])
        await receiver.close()

        again = await connector.open_receiver("r")

        assert [event.id for event in await receive(again, 2)] == ["e-0", "e-2"]

    async def test_names_have_positions_of_their_own(self, connector: Any) -> None:
        """An ack of one finishes nothing for the other."""
        one, other = await connector.open_receiver("one"), await connector.open_receiver("other")
        await connector.publish(make(1))
        await one.ack(await receive(one, 1))

        assert len(await receive(other, 1)) == 1

    async def test_closing_twice_is_closing_once(self, connector: Any) -> None:
        """A receiver can be closed at any time."""
        receiver = await connector.open_receiver("r")
        for _ in range(2):
            await receiver.close()
