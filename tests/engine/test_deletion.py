"""A person's data is deleted wherever it was stored."""

from dataclasses import replace
from datetime import timedelta

import pytest

from stepgraph import DataDeletedError, RunState
from stepgraph.testing import Harness
from tests.flows import Order, Status, three_steps

CANARY = "4929-1234-canary"


def careless():
    """A workflow whose functions let the personal data out wherever they can."""
    orders = three_steps()

    @orders.on(RunState.COMPLETED, max_attempts=1)
    def fail(change):
        raise ValueError(f"no mail for {change.run.object.seen}")

    return orders


async def stored_of(harness, run_id):
    """Everything that the stores say about a run."""
    backend = harness.workflow.opened().instance.backend
    records = await backend.record_store.lookup_many([(await harness.workflow.runs.record(run_id)).ref])
    return repr(
        (
            records,
            await backend.history_store.history(run_id),
            await backend.history_store.attempts(run_id),
            await backend.work_queue.list_parked(None, 100),
        )
    )


async def test_nothing_of_the_object_is_left(backend, caplog):
    orders = careless()
    async with Harness(orders, backend=backend) as harness:
        run = await harness.trigger("o-1", Order(1, [CANARY]))
        assert run.run_state is RunState.COMPLETED
        assert CANARY in await stored_of(harness, run.id)

        asked = await harness.workflow.runs.delete_data(run, f"asked by {CANARY}", actor="anna")
        assert asked.run_state is RunState.REQUESTED_DATA_DELETED
        await harness.advance(timedelta(minutes=2))

        deleted = await harness.workflow.runs.get(run.id)
        assert (deleted.run_state, deleted.status) == (RunState.DATA_DELETED, Status.SENT)
        with pytest.raises(DataDeletedError):
            print(deleted.object)
        assert CANARY not in await stored_of(harness, run.id)
        entries = await harness.workflow.runs.history(run.id)
        assert "delete" in {entry.cause for entry in entries}
        assert "anna" in {entry.actor for entry in entries}
        # It may be asked for again.
        await harness.workflow.runs.delete_data(run.id, "again")
        await harness.advance(timedelta(minutes=2))
        assert (await harness.workflow.runs.get(run.id)).run_state is RunState.DATA_DELETED


async def test_custom_delete_keeps_what_it_returns(backend):
    orders = careless()

    @orders.custom_delete
    def blank(order: Order) -> Order:
        return replace(order, seen=[])

    async with Harness(orders, backend=backend) as harness:
        run = await harness.trigger("o-1", Order(7, [CANARY]))
        await harness.workflow.runs.delete_data(run, "asked")
        await harness.advance(timedelta(minutes=2))

        assert (await harness.workflow.runs.get(run.id)).object == Order(7, [])
        assert CANARY not in await stored_of(harness, run.id)


async def test_a_failing_custom_delete_is_parked_and_can_be_repeated(backend):
    orders = careless()
    works = []

    @orders.custom_delete
    def blank(order: Order) -> Order:
        if not works:
            raise ValueError("boom")
        return Order(0)

    async with Harness(orders, backend=backend, max_attempts=2) as harness:
        run = await harness.trigger("o-1", Order(7, [CANARY]))
        await harness.workflow.runs.delete_data(run, "asked")
        await harness.advance(timedelta(minutes=30))
        (letter,) = [found async for found in harness.workflow.dead_letters.find(kind="delete")]
        assert (await harness.workflow.runs.get(run.id)).run_state is RunState.REQUESTED_DATA_DELETED

        works.append(1)
        await harness.workflow.dead_letters.retry(letter.id)
        await harness.advance(timedelta(minutes=2))

        assert (await harness.workflow.runs.get(run.id)).object == Order(0)


async def test_a_hook_after_the_deletion_is_told_without_the_object(backend):
    orders, told = three_steps(), []

    @orders.on(RunState.COMPLETED, retry=timedelta(minutes=5))
    def late(change):
        if not told:
            told.append("first")
            raise ValueError
        try:
            told.append(change.run.object)
        except DataDeletedError:
            told.append((change.run_state, "deleted"))

    async with Harness(orders, backend=backend) as harness:
        run = await harness.trigger("o-1", Order(7, [CANARY]))
        await harness.workflow.runs.delete_data(run.id, "asked")
        await harness.advance(timedelta(minutes=10))
        assert told == ["first", (RunState.COMPLETED, "deleted")]


async def test_the_file_itself_holds_nothing(tmp_path):
    """SQLite keeps old pages: what was deleted must not be read from the file either."""
    from stepgraph.adapters.sqlite import SQLite

    backend = SQLite(tmp_path / "runs.db")
    async with Harness(careless(), backend=backend) as harness:
        run = await harness.trigger("o-1", Order(1, [CANARY]))
        await harness.workflow.runs.delete_data(run, "asked")
        await harness.advance(timedelta(minutes=2))
    left = [path.name for path in tmp_path.iterdir() if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert left == []
