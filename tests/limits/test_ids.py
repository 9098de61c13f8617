"""Foreign ids, keys and run ids: 1 to 255 bytes of text, stored as they are."""

import pytest

from stepgraph import InputError, NotWaitingError, RunNotFoundError, Skip, Trigger
from stepgraph.ports.identity import keyed_run_id
from tests.flows import Order, Status, one_step
from tests.limits.corpus import FITTING, fitting, nothing_is_written, unfit


def waiting(buffer=None):
    orders = one_step(lambda run: Skip())
    orders.add_callback(Status.CREATED, paid, to=[Status.PAID], buffer=buffer)
    return orders


def paid(run, payload):
    return Status.PAID


@pytest.fixture
async def client(backend):
    async with waiting().build(backend).client() as client:
        yield client


@pytest.mark.parametrize("text", **fitting())
async def test_a_text_that_fits_comes_back_as_it_was(client, text):
    run_id = await client.trigger(text, Order(), idempotency_key=text)

    assert (await client.runs.get(run_id)).foreign_id == text
    assert (await client.runs.latest(text)).id == run_id
    assert await client.runs.count(foreign_id=text) == 1
    assert await client.trigger(text, Order(), idempotency_key=text) == run_id
    first = await client.callback(text, paid, b"", idempotency_key=text)
    again = await client.callback(text, paid, b"", idempotency_key=text)
    assert (first.effect, again.effect, again.version) == ("applied", "repeated", first.version)


async def test_texts_that_look_alike_are_different_runs(client):
    ids = {await client.trigger(text, Order()) for text in FITTING.values()}

    assert len(ids) == await client.runs.count() == len(FITTING)


def test_ids_and_keys_are_joined_injectively():
    pairs = [("a", "b/c"), ("a/b", "c"), ("1:a", "b"), ("1", ":ab"), ("ab", "c"), ("a", "bc")]

    ids = {keyed_run_id("orders", name, key) for name, key in pairs}

    assert len(ids) == len(pairs)


@pytest.mark.parametrize(("value", "words"), **unfit())
async def test_a_foreign_id_that_does_not_fit_is_refused(client, value, words):
    with pytest.raises(InputError, match=f"the foreign id.*{words}") as caught:
        await client.trigger(value, Order())
    (result,) = await client.trigger_many([Trigger(value, Order())])
    with pytest.raises(InputError, match=words):
        await client.callback(value, paid, b"")
    with pytest.raises(InputError, match=words):
        await client.runs.latest(value)
    with pytest.raises(InputError, match=words):
        await client.runs.count(foreign_id=value)
    with pytest.raises(InputError, match=words):
        _ = [run async for run in client.runs.find(foreign_id=value)]

    assert words in str(result.error)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isascii()
    assert await nothing_is_written(client)


@pytest.mark.parametrize(("value", "words"), **unfit())
async def test_a_key_that_does_not_fit_is_refused(client, value, words):
    with pytest.raises(InputError, match=f"the idempotency key.*{words}"):
        await client.trigger("order-1", Order(), idempotency_key=value)
    (result,) = await client.trigger_many([Trigger("order-1", Order(), idempotency_key=value)])
    with pytest.raises(InputError, match=f"the idempotency key.*{words}"):
        await client.callback("order-1", paid, b"", idempotency_key=value)

    assert words in str(result.error)
    assert await nothing_is_written(client)


@pytest.mark.parametrize(("value", "words"), **unfit())
async def test_a_run_id_that_is_none_is_not_found(client, value, words):
    kind = RunNotFoundError if isinstance(value, str) else InputError
    await client.trigger("order-1", Order())

    for ask in (
        lambda: client.runs.get(value),
        lambda: client.runs.history(value),
        lambda: client.runs.attempts(value),
        lambda: client.await_status(value, within=None),
        lambda: client.callback("order-1", paid, b"", run_id=value),
    ):
        with pytest.raises(kind) as caught:
            await ask()
        assert len(str(caught.value)) < 2000
    if isinstance(value, str):
        with pytest.raises(RunNotFoundError):
            await client.runs.cancel(value, "no reason")


@pytest.mark.parametrize("text", **fitting())
async def test_a_run_id_that_no_run_has_is_not_found(client, text):
    with pytest.raises(RunNotFoundError):
        await client.runs.get(text)
    with pytest.raises(NotWaitingError):
        await client.callback(text, paid, b"")
