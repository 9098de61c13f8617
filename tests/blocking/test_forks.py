"""A process that forks and its children each go on by themselves, and none harms another."""

import subprocess
import sys

import pytest

from stepgraph.adapters.sqlite import SQLite
from stepgraph.errors import UnavailableError

HEAD = """
import os, sys, threading, multiprocessing
from tests.blocking.test_calls import waiting_orders, Parcel
from tests.blocking.worker import working
from tests.flows import SOON, Order, Status, three_steps
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.sqlite import SQLite

def forked(work):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

def ended(child):
    assert os.waitpid(child, 0)[1] == 0, "the child failed"

path = sys.argv[1]
"""
PROGRAMS = {
    "a web server that loads its application before it forks": """
workflow = waiting_orders().build(SQLite(path))
client = workflow.blocking()
client.trigger("parent-0", Order())

def serve(name):
    for number in range(20):
        run_id = client.trigger(f"{name}-{number}", Order())
        client.callback(f"{name}-{number}", Status.CREATED, Parcel("P"))
        client.await_status(run_id, Status.PACKED, within=SOON)

children = [forked(lambda: serve(f"child-{n}")) for n in range(3)]
serve("parent-again")
for child in children:
    ended(child)
assert client.runs.count() == 81
""",
    "a parent that closes while its child goes on": """
client = waiting_orders().build(SQLite(path)).blocking()
client.trigger("parent", Order())
go_on, closed = os.pipe()

def work():
    client.trigger("child-before", Order())
    os.read(go_on, 1)
    for number in range(50):
        client.trigger(f"child-{number}", Order())

child = forked(work)
client.close()
os.write(closed, b"x")
ended(child)
with waiting_orders().build(SQLite(path)).blocking() as again:
    assert again.runs.count() == 52
""",
    "a worker whose child triggers": """
builder = three_steps()
workflow = builder.build(SQLite(path))
with working(workflow):
    lease = workflow.opened().instance.id

    def work():
        with builder.build(SQLite(path)).blocking() as client:
            run_id = client.trigger("order-1", Order())
            assert client.await_status(run_id, Status.SENT, within=SOON).object.seen
            with workflow.blocking() as same:
                assert same.runs.get(run_id).object.seen

    ended(forked(work))
    assert workflow.opened().instance.id == lease
    with builder.build(SQLite(path)).blocking() as client:
        run_id = client.trigger("order-2", Order())
        client.await_status(run_id, Status.SENT, within=SOON)
""",
    "forks while threads trigger": """
client = waiting_orders().build(SQLite(path)).blocking()
over = threading.Event()
counts = [0] * 4

def trigger(place):
    while not over.is_set():
        client.trigger(f"thread-{place}-{counts[place]}", Order())
        counts[place] += 1

threads = [threading.Thread(target=trigger, args=(place,)) for place in range(4)]
for thread in threads:
    thread.start()
for number in range(15):
    ended(forked(lambda: client.trigger(f"child-{number}", Order())))
over.set()
for thread in threads:
    thread.join()
assert client.runs.count() == sum(counts) + 15
""",
    "multiprocessing by fork": """
client = waiting_orders().build(SQLite(path)).blocking()
client.trigger("parent", Order())

def trigger(number):
    return client.trigger(f"order-{number}", Order())

with multiprocessing.get_context("fork").Pool(3) as pool:
    ids = pool.map(trigger, range(30))
assert len({client.runs.get(run_id).id for run_id in ids}) == 30
""",
    "children of children": """
client = waiting_orders().build(SQLite(path)).blocking()
client.trigger("parent", Order())

def work():
    client.trigger("child", Order())
    ended(forked(lambda: client.trigger("grandchild", Order())))
    assert client.runs.count() == 3

ended(forked(work))
assert client.runs.count() == 3
""",
    "a memory backend, of which the child has its own copy": """
client = waiting_orders().build(Memory()).blocking()
client.trigger("parent", Order())

def work():
    client.trigger("child", Order())
    assert client.runs.count() == 2

ended(forked(work))
assert client.runs.count() == 1
""",
    "an iterator and a closed client cross a fork": """
from stepgraph import NotOpenError
client, closed = (waiting_orders().build(SQLite(path)).blocking() for _ in range(2))
for number in range(150):
    client.trigger(f"order-{number}", Order())
closed.close()
runs = client.runs.find()
next(runs)

def work():
    try:
        assert len(list(runs)) == -1
    except NotOpenError as error:
        assert "before a fork" in str(error)
    try:
        closed.runs.count()
        raise AssertionError
    except NotOpenError:
        pass

ended(forked(work))
assert len(list(runs)) == 149
""",
    "a lease that is free when its holder is killed, though a child of it lives": """
import signal, time
from pathlib import Path
from stepgraph.adapters.sqlite.role_scheduler import _lives
alive, started = os.pipe()
worker = os.fork()
if not worker:
    with working(three_steps().build(SQLite(path))):
        os.fork() or threading.Event().wait()
        os.write(started, b"x")
        threading.Event().wait()
os.read(alive, 1)
(lease,) = Path(path).parent.glob("*-lease-*")
assert _lives(str(lease))
os.kill(worker, signal.SIGKILL)
os.waitpid(worker, 0)
assert not _lives(str(lease))
os.killpg(0, signal.SIGTERM)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_forks(tmp_path, name):
    command = [sys.executable, "-X", "dev", "-c", HEAD + PROGRAMS[name], str(tmp_path / "runs.db")]

    result = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, start_new_session=True
    )

    assert result.returncode in (0, -15), result.stderr
    assert "Traceback" not in result.stderr, result.stderr


async def test_a_file_that_was_open_at_an_unannounced_fork_is_refused(tmp_path):
    backend = SQLite(tmp_path / "runs.db")
    await backend.open()
    await backend.work_queue.list_parked(None, 1)

    lock = backend._file._lock
    backend._file.forget()  # what a child does; the fork itself was not announced

    with pytest.raises(UnavailableError, match="open it after that fork"):
        await backend.open()
    with pytest.raises(UnavailableError, match="open it after that fork"):
        await SQLite(tmp_path / "runs.db").open()
    lock.close()
