"""A blocking workflow ends well: when closed, interrupted, given up, dropped, or at the exit."""

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from stepgraph import NotOpenError, Trigger
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.sqlite import SQLite
from stepgraph.engine.instance import open_instances
from stepgraph.engine.loop_thread import loop_thread
from tests.blocking.test_calls import Parcel, waiting_orders
from tests.flows import SOON, Order, Status


def wait_until_the_loop_is_gone():
    thread = loop_thread()._thread
    if thread is not None:
        thread.join(SOON.total_seconds())
        assert not thread.is_alive()


def test_many_threads_share_one(backend):
    with waiting_orders().build(backend).blocking() as client, ThreadPoolExecutor(16) as pool:

        def view(number):
            run_id = client.trigger(f"order-{number}", Order(number))
            client.callback(f"order-{number}", Status.CREATED, Parcel(str(number)))
            return client.await_status(run_id, within=SOON).object.seen

        assert list(pool.map(view, range(200))) == [[str(n)] for n in range(200)]
        assert len(open_instances()) == 1


def test_threads_that_come_first_together_open_one_client(backend):
    together = threading.Barrier(8)
    with waiting_orders().build(backend).blocking() as client, ThreadPoolExecutor(8) as pool:

        def first(number):
            together.wait()
            return client.trigger(f"order-{number}", Order())

        assert len(set(pool.map(first, range(8)))) == 8
        assert len(open_instances()) == 1


def test_a_closed_one_refuses_calls_and_leaves_no_thread(backend):
    client = waiting_orders().build(backend).blocking()
    client.trigger("order-1", Order())

    client.close()
    client.close()

    with pytest.raises(NotOpenError, match="is closed"):
        client.runs.count()
    wait_until_the_loop_is_gone()
    assert open_instances() == ()


def test_one_can_be_made_again_after_another_was_closed(backend):
    workflow = waiting_orders().build(backend)
    for number in range(5):
        with workflow.blocking() as client:
            client.trigger(f"order-{number}", Order())
            assert client.runs.count() == number + 1


def test_a_call_that_waits_while_it_is_closed_is_told(backend):
    client = waiting_orders().build(backend).blocking()
    run_id = client.trigger("order-1", Order())
    errors = []

    def wait():
        try:
            client.await_status(run_id, Status.PACKED, within=None)
        except NotOpenError as error:
            errors.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for_a_waiter(client)
    client.close()
    thread.join()

    assert "closed while the call waited" in errors[0]


def wait_for_a_waiter(client):
    """Return as soon as somebody awaits a run."""

    async def look(workflow):
        while not workflow.opened().instance.awaiting._waiters:
            await asyncio.sleep(0)

    client._bridge.call(look)


def test_an_interrupted_wait_leaves_at_once_and_takes_its_waiter_away(backend):
    with waiting_orders().build(backend).blocking() as client:
        run_id = client.trigger("order-1", Order())
        main = threading.main_thread().ident

        def interrupt():
            wait_for_a_waiter(client)
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            client.await_status(run_id, Status.PACKED, within=None)
        thread.join()

        async def waiters(workflow):
            return dict(workflow.opened().instance.awaiting._waiters)

        assert client._bridge.call(waiters) == {}
        assert client.runs.count() == 1


def test_a_write_of_an_interrupted_caller_is_withdrawn_or_whole(backend):
    with waiting_orders().build(backend).blocking() as client:
        client.trigger("order-0", Order())
        interrupted = 0
        main = threading.main_thread().ident
        for number in range(1, 20):
            timer = threading.Timer(0.0005, signal.pthread_kill, (main, signal.SIGINT))
            try:
                timer.start()
                client.trigger(f"order-{number}", Order())
                timer.join()
            except KeyboardInterrupt:
                interrupted += 1
            # The same words with a key tell what became of it: one run or none, never half a one.
            run = client.runs.latest(f"order-{number}")
            assert run is None or client.runs.history(run.id)[0].version == 1
        assert client.runs.count() + interrupted >= 20


def test_an_iterator_given_up_half_way_closes_the_async_one(backend):
    closed = threading.Event()
    with waiting_orders().build(backend).blocking() as client:

        async def numbers(workflow):
            try:
                for number in range(1000):
                    yield number
            finally:
                closed.set()

        iterator = client._bridge.iterate(numbers)
        assert next(iterator) == 0
        del iterator
        gc.collect()

        assert closed.wait(SOON.total_seconds())


def test_an_error_half_way_comes_after_what_came_before_it(backend):
    with waiting_orders().build(backend).blocking() as client:

        async def numbers(workflow):
            yield 1
            yield 2
            raise LookupError("three is away")

        seen = []
        with pytest.raises(LookupError, match="three"):
            for number in client._bridge.iterate(numbers):
                seen.append(number)

    assert seen == [1, 2]


def test_one_that_is_dropped_is_closed(backend):
    client = waiting_orders().build(backend).blocking()
    client.trigger("order-1", Order())
    bridge = weakref.ref(client._bridge)

    del client
    gc.collect()

    assert bridge() is None
    wait_until_the_loop_is_gone()
    assert open_instances() == ()


EXIT = """
import sys, threading
from tests.blocking.test_calls import waiting_orders
from tests.flows import Order, Status
from stepgraph.adapters.{0}.backend import {1}
client = waiting_orders().build({1}({2})).blocking()
run_id = client.trigger("order-1", Order())
waiter = threading.Thread(target=lambda: client.await_status(run_id, within=None), daemon=True)
{3}
print("end")
"""


@pytest.mark.parametrize("last", ["", "waiter.start()", "iterator = client.runs.find(); next(iterator)"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_interpreter_ends_without_close(tmp_path, kind, last):
    names = ("memory", "Memory", "") if kind == "memory" else ("sqlite", "SQLite", repr(str(tmp_path / "runs.db")))
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", EXIT.format(*names, last)]

    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr
    if "waiter" not in last:
        assert result.stderr == ""
    assert not list(tmp_path.glob("*-hints/*"))


def test_a_system_exit_in_the_users_function_reaches_the_caller(backend):
    def leave(run, payload):
        raise SystemExit(3)

    with waiting_orders(leave).build(backend).blocking() as client:
        client.trigger("order-1", Order())
        with pytest.raises(SystemExit):
            client.callback("order-1", Status.CREATED, Parcel("P-1"))
        assert client.runs.count() == 1


def test_a_function_in_the_clients_own_loop_cannot_close_it(backend):
    orders = waiting_orders()

    async def close(run, payload: bytes):
        client.close()

    orders.add_callback(Status.PAID, close, to=Status.PACKED)
    with orders.build(backend).blocking() as client:
        client.trigger("order-1", Order(), status=Status.PAID)
        with pytest.raises(NotOpenError, match="own loop cannot close it"):
            client.callback("order-1", close, b"")
        assert client.runs.count() == 1


def test_a_bulk_load_may_be_larger_than_a_call(tmp_path):
    with waiting_orders().build(SQLite(tmp_path / "runs.db")).blocking() as client:
        results = client.trigger_many(
            Trigger(f"order-{n}", Order(), after=timedelta(days=1)) for n in range(1200)
        )
        assert len({result.run_id for result in results}) == 1200


def test_a_twin_of_a_memory_backend_does_not_outlive_its_backend():
    backend = Memory()
    gone = weakref.ref(backend)
    with waiting_orders().build(backend).blocking() as client:
        client.trigger("order-1", Order())
    wait_until_the_loop_is_gone()

    del backend, client
    gc.collect()

    assert gone() is None
