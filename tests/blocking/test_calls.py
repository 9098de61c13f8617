"""A blocking workflow does what the async one does, for code without async."""

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pytest

from stepgraph import (
    Builder,
    DeadlineError,
    InputError,
    NotOpenError,
    NotWaitingError,
    Run,
    RunInProgressError,
    RunNotFoundError,
    RunState,
    Trigger,
    UnavailableError,
    VersionConflictError,
)
from stepgraph.adapters.sqlite import SQLite
from stepgraph.engine.caller_thread import on_callers_thread
from tests.blocking.worker import working
from tests.flows import SOON, Order, Status, three_steps


@dataclass
class Parcel:
    number: str


def waiting_orders(asked=None):
    """A workflow that waits for a callback."""
    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED)
    def packed(run: Run[Order, Status], payload: Parcel) -> Literal[Status.PACKED]:
        if asked is not None:
            asked(run, payload)
        run.object.seen.append(payload.number)
        return Status.PACKED

    return orders


@pytest.fixture
def client(backend):
    with waiting_orders().build(backend).blocking() as client:
        yield client


def test_a_run_is_triggered_called_back_and_awaited(client):
    run_id = client.trigger("order-1", Order(total=3))
    receipt = client.callback("order-1", Status.CREATED, Parcel("P-1"))
    run = client.await_status(run_id, Status.PACKED, within=SOON)

    assert receipt.run_id == run_id
    assert (run.object.seen, run.run_state) == (["P-1"], RunState.COMPLETED)
    assert client.name == "orders"


def test_a_worker_beside_it_does_the_steps(tmp_path):
    builder = three_steps()
    with (
        working(builder.build(SQLite(tmp_path / "runs.db"))),
        builder.build(SQLite(tmp_path / "runs.db")).blocking() as client,
    ):
        run_id = client.trigger("order-1", Order())
        run = client.await_status(run_id, Status.SENT, within=SOON)

    assert run.object.seen == ["charge", "pack", "send"]


def test_runs_are_read_and_controlled(client):
    run_id = client.trigger("order-1", Order())
    seen = client.runs.get(run_id)

    client.runs.pause(seen, "look at it", actor="ann")
    with pytest.raises(VersionConflictError):
        client.runs.cancel(seen, "as it was")

    assert client.runs.latest("order-1").run_state is RunState.PAUSED
    assert client.runs.count(run_state=RunState.PAUSED) == 1
    assert client.runs.resume_all(status=Status.CREATED).done == 1
    assert [entry.actor for entry in client.runs.history(run_id)][1] == "ann"


def test_many_triggers_come_from_an_iterable_that_is_read_on_the_callers_thread(client):
    threads = []

    def triggers():
        for number in range(3):
            threads.append(threading.current_thread())
            yield Trigger(f"order-{number}", Order(number))

    results = client.trigger_many(triggers())

    assert [result.error for result in results] == [None] * 3
    assert set(threads) == {threading.current_thread()}


def test_an_async_iterator_is_an_iterator_over_all_pages(client):
    client.trigger_many([Trigger(f"order-{n}", Order()) for n in range(250)])

    found = [run.foreign_id for run in client.runs.find(order="asc")]

    assert sorted(found) == sorted(f"order-{n}" for n in range(250))
    assert len(list(client.runs.find(limit=120))) == 120
    assert list(client.dead_letters.find()) == []


def test_an_error_keeps_its_type_and_where_it_came_from(client):
    client.trigger("order-1", Order())

    with pytest.raises(RunInProgressError, match="order-1") as caught:
        client.trigger("order-1", Order())

    names = [entry.name for entry in caught.traceback]
    assert names[0] == "test_an_error_keeps_its_type_and_where_it_came_from"
    assert "run_id_of" in names
    with pytest.raises(RunNotFoundError):
        client.runs.get("nothing")
    with pytest.raises(InputError, match="foreign id"):
        client.trigger("", Order())
    with pytest.raises(NotWaitingError):
        client.callback("order-2", Status.CREATED, Parcel("P-1"))
    with pytest.raises(DeadlineError):
        client.await_status(caught.value.run_id, Status.PACKED, within=timedelta(0))


def test_an_error_of_a_callback_function_is_raised_to_the_caller(backend):
    def fail(run, payload):
        raise ZeroDivisionError("not today")

    with waiting_orders(fail).build(backend).blocking() as client:
        client.trigger("order-1", Order())
        with pytest.raises(ZeroDivisionError, match="not today"):
            client.callback("order-1", Status.CREATED, Parcel("P-1"))
        assert client.runs.latest("order-1").version == 1


def test_a_callback_function_may_call_back_in(backend):
    workflow = waiting_orders(lambda run, _: others.append(client.runs.get(run.id).version)).build(
        backend
    )
    others = []
    with workflow.blocking() as client:
        client.trigger("order-1", Order())
        client.callback("order-1", Status.CREATED, Parcel("P-1"))

    assert others == [1]


def test_where_a_run_was_triggered_is_the_callers_line(backend):
    with three_steps().build(backend).blocking() as client:
        run_id = client.trigger("order-1", Order())

        origin = client._bridge.call(lambda workflow: workflow.runs.record(run_id)).meta.trace_origin

    assert "test_calls.py" in origin
    assert origin.endswith("test_where_a_run_was_triggered_is_the_callers_line")


def test_work_is_handed_back_to_the_thread_that_waits(client):
    async def ask(workflow):
        return await on_callers_thread(threading.current_thread)

    async def fail(workflow):
        await on_callers_thread(lambda: 1 // 0)

    assert client._bridge.call(ask) is threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        client._bridge.call(fail)


async def test_a_call_inside_an_event_loop_is_refused_with_advice(client):
    with pytest.raises(NotOpenError, match="runs an event loop.*client"):
        client.trigger("order-1", Order())


def test_a_backend_that_is_open_in_another_loop_is_refused(backend):
    workflow = waiting_orders().build(backend)

    async def beside() -> None:
        async with workflow.client():
            with workflow.blocking() as client:
                with pytest.raises(NotOpenError, match="another event loop.*backend object of its own"):
                    await asyncio.to_thread(client.trigger, "order-1", Order())

    asyncio.run(beside())


def test_two_workflows_on_one_backend_meet_in_one_loop(backend):
    with (
        waiting_orders().build(backend).blocking() as orders,
        three_steps("others").build(backend).blocking() as others,
    ):
        orders.trigger("order-1", Order())
        others.trigger("order-1", Order())

        assert (orders.runs.count(), others.runs.count()) == (1, 1)


def test_resources_are_opened_and_closed_with_it_in_one_task(backend):
    facts = []

    @asynccontextmanager
    async def resources():
        facts.append(asyncio.current_task())
        yield {"parcels": ["P-9"]}
        facts.append(asyncio.current_task())

    orders = Builder("orders", Order, Status)

    @orders.callback(Status.CREATED)
    async def packed(
        run: Run[Order, Status], payload: bytes, *, parcels: list[str]
    ) -> Literal[Status.PACKED]:
        run.object.seen.extend(parcels)
        return Status.PACKED

    with orders.build(backend, resources=resources).blocking() as client:
        run_id = client.trigger("order-1", Order())
        client.callback("order-1", packed, b"")
        assert client.runs.get(run_id).object.seen == ["P-9"]

    assert len(facts) == 2
    assert facts[0] is facts[1]


def test_nothing_is_opened_before_the_first_call(tmp_path):
    before = threading.active_count()
    with waiting_orders().build(SQLite(tmp_path / "runs.db")).blocking():
        assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_opened_is_tried_again_by_the_next_call(tmp_path):
    folder = tmp_path / "later"
    with waiting_orders().build(SQLite(folder / "runs.db")).blocking() as client:
        with pytest.raises(UnavailableError, match="cannot be opened"):
            client.trigger("order-1", Order())
        folder.mkdir()
        assert client.trigger("order-1", Order())
