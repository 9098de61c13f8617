"""A process that works, or waits, for a long time does not grow."""

import gc
import sys
from datetime import timedelta

from stepgraph import Retention, RunState, Trigger
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.sqlite import SQLite
from stepgraph.testing import Harness
from tests.flows import SOON, Order, Status, three_steps

DAY = timedelta(days=1)


def blocks():
    """How many blocks of memory the interpreter has in use, after everything dead is gone."""
    for _ in range(3):
        gc.collect()
    return sys.getallocatedblocks()


def left_in(supervisor):
    """What the engine still has in its collections, by their names."""
    instance = supervisor.instance
    found = {
        "waiters": instance.awaiting._waiters,
        "moves": instance.mover._moves,
    }
    for lane in (instance.committer._creates, instance.committer._changes):
        name = f"lane {lane._is_creating}"
        found |= {f"{name} pending": lane._pending, f"{name} finished": lane._finished}
        found[f"{name} gone"] = lane._gone
    for consumer in supervisor._consumers:
        found[f"{consumer.name} in hand"] = consumer.inbox.in_hand
        found[f"{consumer.name} ready"] = consumer.inbox._ready
        found[f"{consumer.name} running"] = getattr(consumer.handler, "_running", ())
        for receiver in consumer.receivers:
            found[f"{consumer.name} left"] = getattr(receiver, "_left_meanwhile", ())
            found[f"{consumer.name} acks"] = getattr(receiver, "_acks", ())
            found[f"{consumer.name} waiting"] = getattr(receiver, "_waiting", ())
    return {name: len(kept) for name, kept in found.items() if kept}


async def work(harness, wave, count):
    """Let so many runs live from trigger to end, keyed, awaited and told things."""
    wishes = (Trigger(f"o-{wave}-{n}", Order(n), idempotency_key=f"{n}") for n in range(count))
    results = await harness.workflow.trigger_many(wishes)
    for result in results[:50]:
        await harness.workflow.await_status(result.run_id, Status.SENT, within=SOON)
    await harness.settle()
    del results


async def test_the_engine_forgets_the_runs_that_it_did(tmp_path):
    orders = three_steps()

    @orders.on(RunState.COMPLETED)
    async def tell(change):
        pass

    async with Harness(orders, backend=SQLite(tmp_path / "runs.db")) as harness:
        await work(harness, "warm-up", 2000)
        before = blocks()
        await work(harness, "long", 10_000)
        grown = blocks() - before

        assert left_in(harness.workflow.opened()) == {}
        # A tenth of a block a run: one thing kept of each would be at least one.
        assert grown < 1000


async def test_the_engine_forgets_what_came_over_a_foreign_stream(tmp_path):
    """The memory stream keeps events for their retention; what the engine has is empty."""
    options = {"backend": SQLite(tmp_path / "runs.db"), "event_streamer": Memory()}
    async with Harness(three_steps(), **options) as harness:
        await work(harness, "long", 2000)

        assert left_in(harness.workflow.opened()) == {}


async def test_a_night_with_nothing_to_do_costs_no_memory(tmp_path):
    async with Harness(three_steps(), backend=SQLite(tmp_path / "runs.db")) as harness:
        supervisor = harness.workflow.opened()
        await work(harness, "warm-up", 100)

        async def idle(beats):
            for _ in range(beats):
                await supervisor.instance.reader._beat()
                await supervisor._membership._renew()
                supervisor.wake()
                await harness.settle()

        await idle(100)
        before = blocks()
        await idle(1000)

        assert blocks() - before < 100
        assert left_in(supervisor) == {}


async def test_workflows_that_come_and_go_leave_nothing_on_a_shared_instance(tmp_path):
    backend = SQLite(tmp_path / "runs.db")
    async with Harness(three_steps(), backend=backend) as harness:
        instance = harness.workflow.opened().instance
        membership = harness.workflow.opened()._membership

        async def come_and_go():
            async with three_steps("others").build(backend, clock=harness.clock):
                pass

        await come_and_go()
        sizes = [len(kept) for kept in vars(membership).values() if isinstance(kept, dict | set)]
        receivers = len(instance.reader.receivers)
        for _ in range(20):
            await come_and_go()

        assert [
            len(kept) for kept in vars(membership).values() if isinstance(kept, dict | set)
        ] == sizes
        assert len(instance.reader.receivers) == receivers
        assert len(instance.tasks._tasks) < 10
        assert instance.observers.by_workflow == {}
        assert instance.observers.everyone.observers == ()


async def test_memory_holds_only_what_is_kept():
    """With runs and keys pruned, what a thousand runs were stored in is empty again."""
    memory = Memory()
    options = {"retention": Retention(runs=DAY), "key_retention": 3 * DAY}
    async with Harness(three_steps(), backend=memory, **options) as harness:
        await work(harness, "one", 1000)
        assert len(memory._storage.records) == 1000
        await harness.advance(6 * DAY)

        storage = memory._storage
        kept = [storage.records, storage.open_runs, storage.runs_of, storage.history]
        kept += [storage.unique, storage.tombstones, storage.parked]
        assert [len(part) for part in kept] == [0] * 7
        assert sum(len(queue.rows) for queue in storage.queues.values()) == 1


async def test_a_file_whose_runs_are_pruned_does_not_grow(tmp_path):
    """The room of what was pruned is used again: by runs, history, keys and queue rows."""
    path = tmp_path / "runs.db"
    options = {"retention": Retention(runs=DAY), "key_retention": DAY}

    async with Harness(three_steps(), backend=SQLite(path), **options) as harness:
        sizes = []
        for wave in range(6):
            await work(harness, f"{wave}", 1500)
            await harness.advance(3 * DAY)
            await harness.workflow.opened().instance.backend._file.empty_log()
            sizes.append(path.stat().st_size)

        assert await harness.workflow.runs.count() == 0
        assert sizes[-1] <= sizes[1] * 1.05


async def test_the_log_is_cut_when_it_is_emptied(tmp_path):
    path = tmp_path / "runs.db"
    async with Harness(three_steps(), backend=SQLite(path)) as harness:
        await work(harness, "one", 500)
        log = path.with_name("runs.db-wal")
        assert log.stat().st_size > 100_000

        await harness.workflow.opened().instance.backend._file.empty_log()

        assert log.stat().st_size == 0
