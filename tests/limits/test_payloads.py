"""Callback payloads: 1 MiB, of the declared type, refused before anything is written."""

import math
from datetime import timedelta
from typing import Any, Literal

import pytest

from stepgraph import Builder, InputError, PayloadError, Run
from stepgraph.engine.callback import PAYLOAD_LIMIT
from tests.flows import Order, Status
from tests.limits.corpus import nothing_is_written


def telling(seen, buffer=None):
    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED, buffer=buffer)
    def raw(run: Run[Order, Status], payload: bytes) -> Literal[Status.PAID]:
        seen.append(payload)
        return Status.PAID

    @orders.callback(Status.PAID)
    def typed(run: Run[Order, Status], payload: dict[str, Any]) -> Literal[Status.PACKED]:
        seen.append(payload)
        return Status.PACKED

    return orders


@pytest.fixture
def seen():
    return []


@pytest.fixture
async def client(backend, seen):
    async with telling(seen).build(backend).client() as client:
        yield client


@pytest.mark.parametrize("size", [0, PAYLOAD_LIMIT - 1, PAYLOAD_LIMIT])
@pytest.mark.parametrize("kind", [bytes, bytearray, lambda data: memoryview(bytes(data))])
async def test_a_payload_of_the_limit_is_given_whole(client, seen, size, kind):
    await client.trigger("order-1", Order())

    await client.callback("order-1", Status.CREATED, kind(b"x" * size))

    assert [len(payload) for payload in seen] == [size]


@pytest.mark.parametrize("buffer", [None, timedelta(hours=1)])
async def test_a_payload_above_the_limit_is_refused(backend, seen, buffer):
    async with telling(seen, buffer).build(backend).client() as client:
        with pytest.raises(PayloadError, match=rf"{PAYLOAD_LIMIT + 1} bytes; {PAYLOAD_LIMIT} fit: store"):
            await client.callback("order-1", Status.CREATED, b"x" * (PAYLOAD_LIMIT + 1))

        assert await nothing_is_written(client)
    assert seen == []


@pytest.mark.parametrize("more", [-1, 0])
async def test_a_value_of_the_limit_is_given_whole(client, seen, more):
    await client.trigger("order-1", Order(), status=Status.PAID)
    value = {"k": "x" * (PAYLOAD_LIMIT + more - len('{"k":""}'))}

    await client.callback("order-1", Status.PAID, value)

    assert seen == [value]


DEEP = 1_000


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"k": "x" * PAYLOAD_LIMIT}, "1048584 bytes; 1048576 fit"),
        ({"k": "x" * 3 * PAYLOAD_LIMIT}, "2097152 fit"),
        ({"k": math.nan}, "no JSON number"),
        ({"k": "\ud800"}, "surrogates"),
        ({"k": object()}, "cannot be sent"),
        (b'{"k":' + b"[" * DEEP + b"]" * DEEP + b"}", "nested deeper than 64"),
        (b"[" * PAYLOAD_LIMIT, "nested deeper than 64"),
        (b"[]" * (PAYLOAD_LIMIT // 2), "no dict"),
        (b'{"k": NaN}', "no dict"),
        (b'{"k": ' + b"9" * 5_000 + b"}", "no dict"),
        (b"\xff\xfe", "no dict"),
        (b"", "no dict"),
        (b'{"SECRET', "no dict"),
        ("SECRET", "no dict"),
        (["SECRET"], "no dict"),
    ],
)
async def test_a_payload_that_cannot_be_read_is_refused(client, seen, payload, words):
    run_id = await client.trigger("order-1", Order(), status=Status.PAID)

    with pytest.raises(PayloadError, match=words) as caught:
        await client.callback("order-1", Status.PAID, payload)

    assert "SECRET" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert seen == []
    assert len(await client.runs.history(run_id)) == 1


async def test_what_is_no_bytes_is_refused_by_a_callback_of_bytes(client, seen):
    await client.trigger("order-1", Order())

    with pytest.raises(PayloadError, match=r"raw\(\) takes bytes, not str"):
        await client.callback("order-1", Status.CREATED, "SECRET")
    with pytest.raises(InputError, match="is no callback"):
        await client.callback("order-1", Status.SENT, b"")

    assert seen == []
