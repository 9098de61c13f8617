"""EventStreamerSuite: what a stream must do, and what its capabilities let it off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from stepgraph.model.event import Delivery
from stepgraph.ports.clock import pause_seconds
from stepgraph.ports.retention_store import START, PruneQuery
from stepgraph.testing.conformance.make import NOW, make_event, make_record

TOPIC = "orders/step/1"


async def send(backend: Any, *versions: int, **changes: Any) -> str:
    """Send events of one new run; return its id."""
    sender = await backend.event_streamer.open_sender()
    record = make_record()
    await sender.send([make_event(record, version=v, **changes) for v in versions])
    await sender.close()
    return record.run_id


async def receive(receiver: Any, count: int) -> list[Delivery]:
    """Receive exactly so many deliveries."""
    found: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await receiver.receive(count - len(found))
    return found


def versions(deliveries: Sequence[Delivery]) -> list[int]:
    """Return what the events name."""
    return [delivery.event.version for delivery in deliveries]


class EventStreamerSuite:
    """Events per topic and named reader, at least once."""

    async def test_an_event_is_received_whole_and_in_order(self, backend: Any) -> None:
        """Every field survives; events of a run keep their order."""
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        run_id = await send(backend, 1, 2, 3, attempt=4)

        found = await receive(receiver, 3)

        assert versions(found) == [1, 2, 3]
        event = found[0].event
        assert (event.run_id, event.topic, event.attempt) == (run_id, TOPIC, 4)
        assert (event.workflow, event.created_at) == ("orders", NOW)

    async def test_what_is_not_acknowledged_comes_again(self, backend: Any) -> None:
        """From a receiver that is opened later under the same name; the rest does not."""
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        await send(backend, 1, 2, 3)
        found = await receive(receiver, 3)
        await receiver.ack([found[2], found[0]])
        await receiver.ack([found[0]])
        await receiver.close()
        await send(backend, 4)

        again = await backend.event_streamer.open_receiver(TOPIC, "r")

        assert sorted(versions(await receive(again, 2))) == [2, 4]

    async def test_two_names_have_two_positions(self, backend: Any) -> None:
        """An ack of one finishes nothing for the other."""
        one = await backend.event_streamer.open_receiver(TOPIC, "one")
        other = await backend.event_streamer.open_receiver(TOPIC, "other")
        await send(backend, 1)
        await one.ack(await receive(one, 1))

        assert versions(await receive(other, 1)) == [1]

    async def test_topics_do_not_mix(self, backend: Any) -> None:
        """A receiver gets its own topic only."""
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        await send(backend, 1, topic="orders/step/2")
        await send(backend, 2)

        assert versions(await receive(receiver, 1)) == [2]

    async def test_from_latest_begins_when_it_is_opened(self, backend: Any) -> None:
        """What was sent before is not received; what is sent before the first receive is."""
        await send(backend, 1)
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r", from_latest=True)
        await send(backend, 2)

        assert versions(await receive(receiver, 1)) == [2]

    async def test_a_new_name_starts_where_the_capabilities_say(self, backend: Any) -> None:
        """At the oldest event if the stream replays, else when it is opened."""
        await send(backend, 1)
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        await send(backend, 2)
        expected = [1, 2] if backend.event_streamer.capabilities.replays else [2]

        assert versions(await receive(receiver, len(expected))) == expected

    async def test_slots_split_a_topic(self, backend: Any) -> None:
        """Each event goes to the receiver of its slot, all of a run to one."""
        count = backend.event_streamer.partition_count
        halves = (range(count // 2), range(count // 2, count))
        receivers = [
            await backend.event_streamer.open_receiver(TOPIC, "r", tuple(half)) for half in halves
        ]
        ids = [await send(backend, 1, 2) for _ in range(40)]
        found: list[set[str]] = []
        for receiver, half in zip(receivers, halves, strict=True):
            deliveries: list[Delivery] = []
            try:
                async with asyncio.timeout(1.0):
                    while True:
                        deliveries += await receiver.receive(100)
            except TimeoutError:
                pass
            assert {delivery.slot for delivery in deliveries} <= set(half)
            found.append({delivery.event.run_id for delivery in deliveries})

        assert found[0] | found[1] == set(ids)
        assert found[0].isdisjoint(found[1])

    async def test_a_cancelled_receive_loses_nothing(self, backend: Any) -> None:
        """Waiting can be given up at any time."""
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        waiting = asyncio.gather(receiver.receive(1))
        await pause_seconds(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await send(backend, 1)

        assert versions(await receive(receiver, 1)) == [1]

    async def test_low_water_is_the_oldest_unfinished(self, backend: Any) -> None:
        """None at the head."""
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        assert await receiver.low_water() is None
        await send(backend, 1, created_at=NOW - 5)
        await send(backend, 2)
        found = await receive(receiver, 2)
        assert await receiver.low_water() == NOW - 5

        await receiver.ack([d for d in found if d.event.version == 1])
        assert await receiver.low_water() == NOW
        await receiver.ack(found)
        assert await receiver.low_water() is None

    async def test_old_events_are_forgotten_though_nobody_read_them(self, backend: Any) -> None:
        """Younger ones, and those of another workflow, are not; nor by a stream of its own rule."""
        await backend.event_streamer.open_receiver(TOPIC, "r")
        await backend.event_streamer.open_receiver("other/step/1", "r")
        await send(backend, 1, 2, created_at=NOW - 5)
        await send(backend, 3)
        await send(backend, 4, created_at=NOW - 5, topic="other/step/1", workflow="other")
        query = PruneQuery("orders", NOW, START, 2)
        count = 0
        for _ in range(10):
            pruned = await backend.event_streamer.prune(query)
            count += pruned.deleted
            if pruned.after is None:
                break
            query = query._replace(after=pruned.after)

        left = await backend.event_streamer.open_receiver(TOPIC, "r")
        assert versions(await receive(left, 3 - count)) == [1, 2, 3][count:]
        other = await backend.event_streamer.open_receiver("other/step/1", "r")
        assert versions(await receive(other, 1)) == [4]
        assert count in (0, 2)

    async def test_closing_twice_is_closing_once(self, backend: Any) -> None:
        """Of senders and receivers."""
        sender = await backend.event_streamer.open_sender()
        receiver = await backend.event_streamer.open_receiver(TOPIC, "r")
        for part in (sender, receiver, sender, receiver):
            await part.close()
