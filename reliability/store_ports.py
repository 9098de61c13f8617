"""The ports of the simulated store, as one node has them: every call goes over the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from reliability.loop import NODE, context_of
from reliability.network import Network
from reliability.store import StoreServer
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import RunRef
from stepgraph.model.write import Result, Write
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.history_store import HistoryStore
from stepgraph.ports.lost_runs import LostRuns
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.work_queue import WorkQueue


class SimPort:
    """Any other port of the store: whatever the memory backend has, behind the network."""

    def __init__(self, model: Any, network: Network) -> None:
        self._model = model
        self._network = network

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._model, name)
        if not callable(method):
            return method

        async def call(*arguments: Any, **more: Any) -> Any:
            execute = partial(_run, method, *arguments, **more)
            return await self._network.call("store", name, execute, is_write=True)

        return call


class SimRecordStore(RecordStore):
    """The runs, over the network."""

    capabilities = Capabilities(durability="durable", is_shared=True)

    def __init__(self, server: StoreServer, network: Network) -> None:
        self._server = server
        self._network = network
        self.slot_count = server.slot_count

    async def _read(self, method: str, *arguments: Any) -> Any:
        model = getattr(self._server.records, method)

        def execute() -> Any:
            # The model's methods are coroutines that never suspend.
            return _finished(model(*arguments))

        return await self._network.call("store", method, execute)

    async def commit(
        self, writes: Sequence[Write], finished: Sequence[QueueKey] = ()
    ) -> Sequence[Result]:
        node = NODE.get()
        execute = partial(self._server.commit, node, tuple(writes), tuple(finished))
        return await self._network.call("store", "commit", execute, is_write=True)  # type: ignore[no-any-return]

    async def lookup_many(self, refs: Any) -> Any:
        return await self._read("lookup_many", list(refs))

    async def find(self, run_id: str) -> Any:
        return await self._read("find", run_id)

    async def latest(self, workflow: str, foreign_id: str) -> Any:
        return await self._read("latest", workflow, foreign_id)

    async def list_records(self, record_filter: Any, page: Any) -> Any:
        return await self._read("list_records", record_filter, page)

    async def count(self, record_filter: Any, limit: int) -> Any:
        return await self._read("count", record_filter, limit)

    async def find_unique(self, scope: str, key: str) -> Any:
        return await self._read("find_unique", scope, key)


def _finished(coroutine: Any) -> Any:
    """Return what a coroutine returns that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the model suspended")


class SimWorkQueue(WorkQueue):
    """The queue rows, over the network."""

    def __init__(self, server: StoreServer, network: Network) -> None:
        self._server = server
        self._network = network

    async def due(self, wants: Any, now: int) -> Any:
        return await self._network.call("store", "due", partial(self._server.due, wants, now))

    async def next_due(self, consumers: Any) -> Any:
        execute = partial(_run, self._server.queue.next_due, dict(consumers))
        return await self._network.call("store", "next_due", execute)

    async def put(self, rows: Any) -> None:
        execute = partial(self._server.put, list(rows))
        await self._network.call("store", "put", execute, is_write=True)

    async def park(self, rows: Any, error: str, now: int) -> None:
        execute = partial(self._server.park, list(rows), error, now)
        await self._network.call("store", "park", execute, is_write=True)

    async def list_parked(self, consumer: Any, limit: int) -> Any:
        execute = partial(_run, self._server.queue.list_parked, consumer, limit)
        return await self._network.call("store", "list_parked", execute)

    async def drive(self, keys: Any, now: int) -> Any:
        execute = partial(_run, self._server.queue.drive, list(keys), now)
        return await self._network.call("store", "drive", execute, is_write=True)

    async def discard(self, keys: Any) -> Any:
        execute = partial(_run, self._server.queue.discard, list(keys))
        return await self._network.call("store", "discard", execute, is_write=True)


def _run(method: Any, *arguments: Any, **more: Any) -> Any:
    return _finished(method(*arguments, **more))


class SimHistoryStore(HistoryStore):
    """The history, over the network."""

    def __init__(self, server: StoreServer, network: Network) -> None:
        self._server = server
        self._network = network

    async def _call(self, name: str, run_id: Any, *, is_write: bool = False) -> Any:
        execute = partial(_run, getattr(self._server.history, name), run_id)
        return await self._network.call("store", name, execute, is_write=is_write)

    async def history(self, run_id: str) -> Any:
        return await self._call("history", run_id)

    async def attempts(self, run_id: str) -> Any:
        return await self._call("attempts", run_id)

    async def scrub(self, run: RunRef) -> None:
        await self._call("scrub", run, is_write=True)


class SimLostRuns(LostRuns):
    """The reconciler's questions, over the network."""

    def __init__(self, server: StoreServer, network: Network) -> None:
        self._server = server
        self._network = network

    async def list_lost(self, query: Any, limit: int) -> Any:
        def execute() -> Any:
            before = min(query.due_before, self._server.now())
            return _run(self._server.lost.list_lost, query._replace(due_before=before), limit)

        found = await self._network.call("store", "list_lost", execute)
        if found:
            self._server.world.goal("a lost run was found by its record")
        return found

    async def adopt(self, workflow: str, rows: Any, now: int) -> Any:
        execute = partial(self._server.adopt, workflow, dict(rows), now)
        return await self._network.call("store", "adopt", execute, is_write=True)


class SimHints:
    """Wake-ups between nodes: late, or lost."""

    def __init__(self, server: StoreServer, network: Network) -> None:
        self._server = server
        self._network = network
        self._node = ""

    async def listen(self, wake: Callable[[], None]) -> None:
        self._node = NODE.get()
        self._server.listeners[self._node] = wake

    def stop(self) -> None:
        self._server.listeners.pop(self._node, None)

    async def tell(self) -> None:
        world = self._server.world
        sender = NODE.get()
        for node, wake in list(self._server.listeners.items()):
            if node != sender and self._network.find("hints lost") is None:
                world.loop.call_later(self._network.delay(), wake, context=context_of(node))
