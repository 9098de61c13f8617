"""A word that a person gave, in every place that takes one, is nowhere after the deletion."""

import base64
import sqlite3
from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import Builder, Cancel, ConnectorEvent, Pause, Run, RunState
from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.adapters.sqlite import SQLite
from stepgraph.testing import Harness
from tests.engine.test_connectors import settled
from tests.flows import Order, Status

CANARY = "canary-4929-1234-0815"
DAY = timedelta(days=1)


def forms(word):
    """The word as it is, and inside of base64 at each of its three alignments."""
    encoded = word.encode()
    shifted = [base64.b64encode(b"\0" * n + encoded)[4 if n else 0 : -4] for n in range(3)]
    return [encoded, *shifted]


def found_in(data):
    return [form for form in forms(CANARY) if form in data]


@pytest.fixture(params=["memory", "sqlite"])
def place(request, tmp_path):
    """A backend, and a function that gives all bytes that it has stored, by where they are."""
    if request.param == "memory":
        memory = Memory()
        storage = memory._storage

        def parts():
            kept = vars(storage) | vars(memory.event_streamer.log) | vars(memory.timeout_store)
            kept["rows"] = [queue.rows for queue in storage.queues.values()]
            return {name: repr(value).encode() for name, value in kept.items()}

        return memory, parts
    path = tmp_path / "runs.db"

    def dumped():
        with sqlite3.connect(path) as connection:
            texts = "\n".join(connection.iterdump())
            names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
            rows = {n: repr(connection.execute(f"select * from {n}").fetchall()) for n in names}
        connection.close()
        files = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
        return {n: text.encode() for n, text in rows.items()} | {"dump": texts.encode()} | files

    return SQLite(path), dumped


def careless():
    """A workflow that puts the word wherever a function can."""
    orders = Builder("orders", Order, Status)
    failed = []

    @orders.step(Status.CREATED, retry=timedelta(seconds=1))
    async def charge(run: Run[Order, Status]) -> Literal[Status.PAID] | Pause:
        if not failed:
            failed.append(run.id)
            try:
                raise KeyError(CANARY)
            except KeyError as error:
                raise ValueError(f"cannot charge {CANARY}") from error
        if len(run.object.seen) == 1:
            run.object.seen.append(f"again {CANARY}")
            return Pause(f"ask {CANARY}")
        return Status.PAID

    @orders.callback(Status.PAID, buffer=9 * DAY)
    async def packed(run: Run[Order, Status], payload: bytes) -> Literal[Status.PACKED] | Cancel:
        run.object.seen.append(payload.decode())
        return Cancel(f"refused by {CANARY}")

    @orders.callback(Status.PACKED, buffer=timedelta(minutes=1))
    async def sent(run: Run[Order, Status], payload: bytes) -> Literal[Status.SENT]:
        raise ValueError(payload)

    @orders.on(RunState.CANCELLED, max_attempts=1)
    async def tell(change):
        raise ValueError(f"no mail for {change.reason}")

    @orders.on(RunState.CANCELLED, RunState.DATA_DELETED, retry=9 * DAY)
    async def tell_for_ever(change):
        raise ValueError(f"no mail for {change.reason}")

    @orders.connector("parking", max_attempts=1)
    async def park(workflow, event):
        raise ValueError(f"cannot read {event.payload}")

    @orders.connector("waiting", retry=9 * DAY)
    async def wait(workflow, event):
        raise ValueError(f"cannot read {event.payload}")

    return orders


async def live(harness, sources):
    """Run one run through everything that can be told about it."""
    workflow = harness.workflow
    run_id = await workflow.trigger("o-1", Order(1, [CANARY]), idempotency_key=CANARY)
    await harness.advance(timedelta(minutes=1))
    await workflow.runs.resume(run_id)
    await harness.settle()
    await workflow.runs.pause(run_id, f"for {CANARY}")
    await workflow.runs.resume(run_id)
    await harness.settle()
    words = CANARY.encode()
    await workflow.callback("o-1", Status.PACKED, words, idempotency_key=f"early {CANARY}")
    await workflow.callback("o-1", Status.PAID, words, idempotency_key=f"now {CANARY}")
    await harness.advance(timedelta(minutes=5))
    await workflow.callback("o-1", Status.PAID, words, idempotency_key=f"late {CANARY}")
    for source in sources:
        await source.publish(ConnectorEvent(f"e {CANARY}", "o-1", payload=words))
        await settled(harness, source, 1)
    return run_id


async def test_a_word_is_nowhere_after_the_deletion(place, caplog):
    backend, stored = place
    sources = (MemoryConnector(), MemoryConnector())
    options = {"connectors": {"parking": sources[0], "waiting": sources[1]}}
    async with Harness(careless(), backend=backend, **options) as harness:
        run_id = await live(harness, sources)
        letters = {letter.kind async for letter in harness.workflow.dead_letters.find()}
        assert letters == {"hook", "callback", "connector"}
        assert (await harness.workflow.runs.get(run_id)).run_state is RunState.CANCELLED
        before = [name for name, data in stored().items() if found_in(data)]
        assert len(before) >= 4, before

        await harness.workflow.runs.delete_data(run_id, f"asked by {CANARY}", actor="anna")
        await harness.advance(timedelta(minutes=3))

        assert (await harness.workflow.runs.get(run_id)).run_state is RunState.DATA_DELETED
        left = {name: found_in(data) for name, data in stored().items() if found_in(data)}
        assert left == {}
        assert CANARY not in caplog.text
        # Who asked for it, and what happened when, stays; and a key still starts nothing twice.
        assert b"anna" in b"".join(stored().values())
        assert len(await harness.workflow.runs.attempts(run_id)) == 1
        again = await harness.workflow.trigger("o-1", Order(), idempotency_key=CANARY)
        assert again == run_id
        receipt = await harness.workflow.callback("o-1", Status.PAID, b"", idempotency_key=f"now {CANARY}")
        assert receipt.effect == "repeated"


async def test_what_lands_late_goes_with_the_second_pass(place):
    """A caller that was on its way keeps a payload after the first pass."""
    backend, stored = place
    sources = {"parking": MemoryConnector(), "waiting": MemoryConnector()}
    async with Harness(careless(), backend=backend, connectors=sources) as harness:
        run_id = await live(harness, [])
        await harness.workflow.runs.delete_data(run_id, "asked")
        await harness.settle()
        await harness.workflow.callback("o-1", Status.PAID, CANARY.encode(), idempotency_key="later")
        assert any(found_in(data) for data in stored().values())
        await harness.advance(timedelta(minutes=3))

        assert [name for name, data in stored().items() if found_in(data)] == []


async def test_the_words_of_a_failing_custom_delete_go_too(place):
    backend, stored = place
    orders, works = careless(), []

    @orders.custom_delete
    def blank(order: Order) -> Order:
        if not works:
            raise ValueError(f"cannot blank {order.seen}")
        return Order(order.total)

    sources = {"parking": MemoryConnector(), "waiting": MemoryConnector()}
    async with Harness(orders, backend=backend, connectors=sources, max_attempts=2) as harness:
        run_id = await live(harness, [])
        await harness.workflow.runs.delete_data(run_id, "asked")
        await harness.advance(timedelta(minutes=30))
        (letter,) = [found async for found in harness.workflow.dead_letters.find(kind="delete")]
        works.append(1)
        await harness.workflow.dead_letters.retry(letter.id)
        await harness.advance(timedelta(minutes=3))

        assert (await harness.workflow.runs.get(run_id)).object == Order(1)
        assert [name for name, data in stored().items() if found_in(data)] == []
