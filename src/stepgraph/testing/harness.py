"""Harness: a workflow on the memory backend under a clock that jumps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import IntEnum
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, cast, final

from msgspec.structs import replace

from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.builder import Builder
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.errors import NotOpenError, OutcomeUnknownError
from stepgraph.model.options import BuildOptions
from stepgraph.model.receipt import CallbackReceipt
from stepgraph.model.run import Snapshot
from stepgraph.ports.backend import HasRecordStore
from stepgraph.ports.clock import pause_seconds
from stepgraph.testing.clock import FakeClock
from stepgraph.testing.faults import Faults, FaultyBackend
from stepgraph.testing.stage import Stage
from stepgraph.testing.story import story_of
from stepgraph.workflow import Workflow

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
T = TypeVar("T")
O2 = TypeVar("O2")
S2 = TypeVar("S2", bound=IntEnum)
_WITHIN = timedelta(seconds=30)


@final
class Harness(Generic[O, S]):
    """`async with Harness(orders) as harness`: the real engine, and no waiting.

    A two-day timeout is `await harness.advance(timedelta(days=2))`: the clock jumps from one due
    instant to the next, so that everything happens at its time and in its order. Steps, callbacks,
    timeouts, hooks, connectors and resources are what they are outside; nothing is replaced but
    the clock, and what `backend` and `faults` say.
    """

    def __init__(
        self,
        builder: Builder[O, S],
        *,
        backend: HasRecordStore | None = None,
        faults: Faults | None = None,
        **options: Unpack[BuildOptions],
    ) -> None:
        """Build `builder` on `backend` (new memory if None), with any option of `build()`.

        `faults` make announcements, commits and the instance itself fail by chance.
        """
        clock = options.get("clock", FakeClock())
        if not isinstance(clock, FakeClock):
            raise TypeError("a harness moves its clock: give it a FakeClock, or none")
        store: HasRecordStore = backend if backend is not None else Memory()
        if faults is not None:
            # It has every port of the backend that it stands before, whatever these are.
            store = cast("HasRecordStore", FaultyBackend(store, faults))
        self._stage = Stage(store, clock)
        self._build(builder, options)

    def _build(self, builder: Builder[O, S], options: BuildOptions) -> None:
        backend = self._stage.backend
        options["clock"] = self._stage.clock
        sources = options.get("connectors", {})
        self._sources = {n: s for n, s in sources.items() if isinstance(s, MemoryConnector)}
        if isinstance(backend, FaultyBackend):
            options["connectors"] = {n: backend.source(source) for n, source in sources.items()}
        self.workflow: Workflow[O, S] = builder.build(backend, **options)

    def beside(self, builder: Builder[O2, S2], **options: Unpack[BuildOptions]) -> Harness[O2, S2]:
        """Return a harness for another workflow on the same backend, clock and faults.

        `async with Harness(orders) as harness, harness.beside(shipping) as ships:`. Whatever
        settles or advances one of them does so for all.
        """
        other: Harness[O2, S2] = object.__new__(Harness)
        other._stage = self._stage
        other._build(builder, options)
        return other

    @property
    def clock(self) -> FakeClock:
        """The clock, which `advance` moves."""
        return self._stage.clock

    async def __aenter__(self) -> Self:
        """Start the workflow."""
        await self._stage.enter(self.workflow, self._sources)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self._stage.leave(self.workflow)

    async def settle(self, *, within: timedelta = _WITHIN) -> None:
        """Wait until there is nothing left to do at this instant of the clock.

        Nothing is slept for, but real time passes while a function waits for something real.
        Past `within` of it raises `AssertionError` with a list of what is still busy.
        """
        await self._stage.settle(within)

    async def advance(self, by: timedelta) -> None:
        """Move the clock, stopping at every timer, retry and slot on the way, and settle."""
        await self._stage.advance(by, _WITHIN)

    async def trigger(
        self, foreign_id: str, initial: O, *, status: S | None = None
    ) -> Snapshot[O, S]:
        """Trigger, settle, and return where the run is now."""
        keys = self._keys()
        run_id = await self._through_crashes(
            lambda: self.workflow.trigger(foreign_id, initial, status=status, idempotency_key=keys)
        )
        await self.settle()
        return await self.workflow.runs.get(run_id)

    async def callback(
        self, foreign_id: str, target: Any, payload: object = b""
    ) -> CallbackReceipt:
        """Settle, call back, settle."""
        await self.settle()
        key = self._keys()
        receipt = await self._through_crashes(
            lambda: self.workflow.callback(foreign_id, target, payload, idempotency_key=key)
        )
        await self.settle()
        return receipt

    def _keys(self) -> str | None:
        """Return a key for a call that may have to be repeated, or None where none will be."""
        if not isinstance(self._stage.backend, FaultyBackend):
            return None
        return self._stage.next_key()

    async def _through_crashes(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call whose outcome a crash left unknown, as its caller should, by its key."""
        while True:
            try:
                return await call()
            except (OutcomeUnknownError, NotOpenError):
                if not self._stage.is_restarting:
                    raise
            while self._stage.is_restarting:
                await pause_seconds(0)

    async def latest(self, foreign_id: str) -> Snapshot[O, S]:
        """Settle, and return the newest run of the foreign id."""
        await self.settle()
        run = await self.workflow.runs.latest(foreign_id)
        if run is None:
            known = [run.foreign_id async for run in self.workflow.runs.find(limit=10)]
            there = ", ".join(map(repr, known)) if known else "none at all"
            raise AssertionError(f"{foreign_id!r} has no run; the newest runs are of: {there}")
        return run

    async def versions(self, run_id: str) -> list[Snapshot[O, S]]:
        """Return every stored version of a run, oldest first.

        Only the last one where no history is kept, or the data was deleted.
        """
        record = await self.workflow.runs.record(run_id)
        history = self.workflow.opened().instance.backend.history_store
        definition = self.workflow.definition
        data, entered_at, status = b"", record.created_at, -1
        found: list[Snapshot[O, S]] = []
        for row in await history.history(run_id):
            data = row.object or data
            entered_at = row.at if row.status != status else entered_at
            status = row.status
            if not data:
                continue
            version = replace(
                record,
                version=row.version,
                status=row.status,
                run_state=row.run_state,
                entered_at=entered_at,
                updated_at=row.at,
                object=data,
                meta=record.meta.saying(row.reason),
            )
            found.append(snapshot_of(definition, version))
        if not found or found[-1].version != record.version:
            found.append(snapshot_of(definition, record))
        return found

    async def require(self, foreign_id: str, status: S, expected: O) -> None:
        """Assert that the newest run passed `status` with this object, as it reads when stored."""
        definition = self.workflow.definition
        if status.value not in definition.graph.statuses:
            raise AssertionError(f"{status.name} is no status of {self.workflow.name!r}")
        run = await self.latest(foreign_id)
        versions = await self.versions(run.id)
        seen = [version.object for version in versions if version.status is status]
        codec = definition.codec
        if codec.decode(codec.encode(expected), definition.object_type) not in seen:
            there = "there with another object" if seen else "never there"
            raise AssertionError(
                f"expected {status.name} with {expected!r}, but it was {there}\n"
                + await story_of(self.workflow, run, versions)
            )

    async def wait_for(
        self, foreign_id: str, predicate: Callable[[Snapshot[O, S]], bool]
    ) -> Snapshot[O, S]:
        """Settle, and return the first version of the newest run that the predicate accepts.

        Asserts that there is one: nothing more would come at this instant.
        """
        run = await self.latest(foreign_id)
        versions = await self.versions(run.id)
        for version in versions:
            if predicate(version):
                return version
        raise AssertionError(
            "no version is accepted\n" + await story_of(self.workflow, run, versions)
        )
