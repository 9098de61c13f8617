"""Harness: a workflow on the memory backend under a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import IntEnum
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, final

from msgspec.structs import replace

from stepgraph.adapters.memory import Memory
from stepgraph.builder import Builder
from stepgraph.engine.snapshot import snapshot_of
from stepgraph.engine.supervisor import Supervisor
from stepgraph.model.instant import to_datetime
from stepgraph.model.options import BuildOptions
from stepgraph.model.receipt import CallbackReceipt
from stepgraph.model.run import Snapshot
from stepgraph.ports.backend import HasRecordStore
from stepgraph.ports.clock import pause_seconds
from stepgraph.testing.clock import FakeClock
from stepgraph.workflow import Workflow

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
_FIRST_PAUSE, _LAST_PAUSE = 0.0, 0.01


@final
class Harness(Generic[O, S]):
    """`async with Harness(orders) as harness`: the real engine, and no waiting.

    A two-day timeout is `await harness.advance(timedelta(days=2))`: the clock jumps from one due
    instant to the next, so that everything happens at its time and in its order.
    """

    def __init__(
        self,
        builder: Builder[O, S],
        *,
        backend: HasRecordStore | None = None,
        **options: Unpack[BuildOptions],
    ) -> None:
        """Build `builder` on `backend` (new memory if None), with any option of `build()`."""
        clock = options.get("clock", FakeClock())
        if not isinstance(clock, FakeClock):
            raise TypeError("a harness moves its clock: give it a FakeClock, or none")
        self.clock: FakeClock = clock
        options["clock"] = clock
        store = backend if backend is not None else Memory()
        self.workflow: Workflow[O, S] = builder.build(store, **options)

    async def __aenter__(self) -> Self:
        """Start the workflow."""
        await self.workflow.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.workflow.stop()

    @property
    def _supervisor(self) -> Supervisor:
        return self.workflow.opened()

    async def settle(self) -> None:
        """Wait until there is nothing left to do at this instant of the clock."""
        pause = _FIRST_PAUSE
        while not await self._is_settled():
            self._supervisor.wake()
            await pause_seconds(pause)
            pause = min(_LAST_PAUSE, pause * 2 + 0.0005)

    async def _is_settled(self) -> bool:
        """Return whether nothing is in hand and no queue row is due; looked at twice."""
        for _ in range(2):
            await self._supervisor.instance.committer.drained()
            next_due = await self._next_due()
            if self._supervisor.is_busy:
                return False
            if next_due is not None and next_due <= self.clock.microseconds():
                return False
            await pause_seconds(0)
        return True

    async def _next_due(self) -> int | None:
        queue = self._supervisor.instance.backend.work_queue
        slots = tuple(range(self._supervisor.instance.store.slot_count))
        names = dict.fromkeys(self._supervisor.consumer_names, slots)
        return min((await queue.next_due(names)).values(), default=None)

    async def advance(self, by: timedelta) -> None:
        """Move the clock, stopping at every timer, retry and slot on the way, and settle."""
        target = self.clock.now() + by
        await self.settle()
        while True:
            next_due = await self._next_due()
            if next_due is None or to_datetime(next_due) > target:
                break
            self.clock.advance(max(to_datetime(next_due) - self.clock.now(), timedelta(0)))
            await self.settle()
        self.clock.advance(target - self.clock.now())
        await self.settle()

    async def trigger(
        self, foreign_id: str, initial: O, *, status: S | None = None
    ) -> Snapshot[O, S]:
        """Trigger, settle, and return where the run is now."""
        run_id = await self.workflow.trigger(foreign_id, initial, status=status)
        await self.settle()
        return await self.workflow.runs.get(run_id)

    async def callback(
        self, foreign_id: str, target: Any, payload: object = b""
    ) -> CallbackReceipt:
        """Settle, call back, settle."""
        await self.settle()
        receipt = await self.workflow.callback(foreign_id, target, payload)
        await self.settle()
        return receipt

    async def latest(self, foreign_id: str) -> Snapshot[O, S]:
        """Settle, and return the newest run of the foreign id."""
        await self.settle()
        run = await self.workflow.runs.latest(foreign_id)
        if run is None:
            raise AssertionError(f"{foreign_id!r} has no run")
        return run

    async def versions(self, run_id: str) -> list[Snapshot[O, S]]:
        """Return every stored version of a run, oldest first."""
        record = await self.workflow.runs.record(run_id)
        history = self._supervisor.instance.backend.history_store
        data = record.object
        found: list[Snapshot[O, S]] = []
        for row in await history.history(run_id):
            data = row.object if row.object is not None else data
            version = replace(
                record,
                version=row.version,
                status=row.status,
                run_state=row.run_state,
                updated_at=row.at,
                object=data,
            )
            found.append(snapshot_of(self.workflow.definition, version))
        return found

    async def require(self, foreign_id: str, status: S, expected: O) -> None:
        """Assert that the newest run passed `status` with this object."""
        run = await self.latest(foreign_id)
        seen = [v.object for v in await self.versions(run.id) if v.status is status]
        if expected not in seen:
            raise AssertionError(
                f"{foreign_id!r} was in {status.name} with {seen or 'nothing: it was never there'},"
                f" not with {expected!r}; it is in {run.status.name} now"
            )

    async def wait_for(
        self, foreign_id: str, predicate: Callable[[Snapshot[O, S]], bool]
    ) -> Snapshot[O, S]:
        """Return the first version of the newest run that the predicate accepts."""
        run = await self.latest(foreign_id)
        versions = await self.versions(run.id)
        found = next((version for version in versions if predicate(version)), None)
        if found is None:
            raise AssertionError(f"no version of {run!r} is accepted, nor of {versions!r}")
        return found
