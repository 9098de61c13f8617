"""Events of outside streams: 1 MiB, ids of 255 bytes, 32 headers; what passes it is parked."""

from datetime import UTC, datetime

import pytest

from stepgraph import Builder, ConnectorEvent, InputError, Skip
from stepgraph.adapters.memory import MemoryConnector
from stepgraph.ports.connector import EVENT_LIMIT, HEADER_LIMIT, check_event
from stepgraph.testing import Harness
from tests.engine.test_connectors import settled
from tests.engine.test_steps import until
from tests.flows import Order, Status
from tests.limits.corpus import FITTING, UNFIT

HEADERS_31 = {str(n): "x" for n in range(31)}
FULL = {"k": "x" * (HEADER_LIMIT - 1)}
TAKEN = [
    ConnectorEvent("e", "f"),
    ConnectorEvent("e", "", payload=b""),
    ConnectorEvent("x" * 255, "x" * 255),
    ConnectorEvent("e", "f", payload=b"x" * (EVENT_LIMIT - 1)),
    ConnectorEvent("e", "f", payload=b"x" * EVENT_LIMIT),
    ConnectorEvent("e", "f", payload=b"x" * (EVENT_LIMIT - HEADER_LIMIT), headers=FULL),
    ConnectorEvent("e", "f", headers=HEADERS_31),
    ConnectorEvent("e", "f", headers={**HEADERS_31, "a": "b"}),
    ConnectorEvent("e", "f", headers={"k": "x" * (HEADER_LIMIT - 2)}),
    ConnectorEvent("e", "f", created_at=datetime(2999, 1, 1, tzinfo=UTC)),
    *(ConnectorEvent(text, text) for text in FITTING.values()),
]
REFUSED = [
    (ConnectorEvent("e", "f", payload=b"x" * (EVENT_LIMIT + 1)), "1048577 bytes; 1048576 fit"),
    (
        ConnectorEvent("e", "f", payload=b"x" * (EVENT_LIMIT - HEADER_LIMIT + 1), headers=FULL),
        "1048577 bytes; 1048576 fit",
    ),
    (ConnectorEvent("e", "f", headers={**HEADERS_31, "a": "b", "c": "d"}), "33 headers"),
    (ConnectorEvent("e", "f", headers={"k": "x" * HEADER_LIMIT}), "16385 bytes; 32 of 16384"),
    (ConnectorEvent("e", "f", created_at=datetime(2026, 1, 1)), "no aware datetime"),
    *((ConnectorEvent(value, "f"), f"the event id.*{words}") for value, words in UNFIT.values()),
    *(
        (ConnectorEvent("e", value), f"the foreign id.*{words}")
        for value, words in UNFIT.values()
        if value
    ),
]


@pytest.mark.parametrize("event", TAKEN)
def test_an_event_within_the_limits_is_taken(event):
    check_event(event)


@pytest.mark.parametrize(("event", "words"), REFUSED)
def test_an_event_beyond_them_is_refused(event, words):
    with pytest.raises(InputError, match=words) as caught:
        check_event(event)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("parallel_count", [1, 3])
async def test_what_is_refused_is_parked_and_holds_nothing_up(backend, parallel_count):
    seen = []

    async def handle(workflow, event):
        seen.append(event.id)

    orders = Builder("orders", Order, Status)
    orders.add_step(Status.CREATED, lambda run: Skip(), to=[Status.PAID])
    orders.add_connector("events", handle, parallel_count=parallel_count, max_attempts=1)
    source = MemoryConnector()
    refused = [event for event, _ in REFUSED if isinstance(event.id, str)]
    async with Harness(orders, backend=backend, connectors={"events": source}) as harness:
        await source.publish(ConnectorEvent("first", "a"), *refused, ConnectorEvent("last", "b"))
        await settled(harness, source, len(refused) + 2)
        letters = [letter async for letter in harness.workflow.dead_letters.find()]

        assert sorted(seen) == ["first", "last"]
        assert {letter.kind for letter in letters} == {"connector"}
        assert all("SECRET" not in letter.error for letter in letters)
        assert any("1048577 bytes" in letter.error for letter in letters)

        # Its payload was not kept, so a retry can only say so.
        await harness.workflow.dead_letters.retry(letters[0].id)

        async def errors():
            await harness.settle()
            return [letter.error async for letter in harness.workflow.dead_letters.find()]

        await until(errors, lambda found: any("send it again from its" in e for e in found))
        assert sorted(seen) == ["first", "last"]
