"""Stage: the workflows of one test that share a backend and a clock, and what they still do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from stepgraph.adapters.memory import MemoryConnector
from stepgraph.engine.supervisor import Supervisor
from stepgraph.engine.tasks import Tasks
from stepgraph.model.instant import to_datetime
from stepgraph.model.topic import connector_consumer
from stepgraph.ports.backend import HasRecordStore
from stepgraph.ports.clock import elapsed_seconds, pause_seconds
from stepgraph.testing.clock import FakeClock
from stepgraph.testing.faults import FaultyBackend
from stepgraph.workflow import Workflow

_YIELDS = 50
_LONGEST_PAUSE = 0.005
_SHOWN = 10


class Stage:
    """Moves the clock of all its workflows together, and knows when none has anything to do.

    Nothing is to do when no work is in hand, no queue row is due, no commit, move or
    acknowledgement is under way, no event of a source is unread, and no brief task runs.
    """

    def __init__(self, backend: HasRecordStore, clock: FakeClock) -> None:
        """Begin without a workflow."""
        self.backend = backend
        self.clock = clock
        self._workflows: list[tuple[Workflow[Any, Any], dict[str, MemoryConnector]]] = []
        self._services: set[asyncio.Task[None]] = set()
        self._tasks = Tasks()
        self._restarts = 0
        self._keys = 0
        self.is_restarting = False

    def next_key(self) -> str:
        """Return a key that no other call of this test has."""
        self._keys += 1
        return f"harness-{self._keys}"

    @property
    def _opened(self) -> list[Supervisor]:
        return [workflow.opened() for workflow, _ in self._workflows]

    async def enter(
        self, workflow: Workflow[Any, Any], sources: dict[str, MemoryConnector]
    ) -> None:
        """Start a workflow; `sources` are those of its connectors that can be looked into."""
        await workflow.start()
        self._workflows.append((workflow, sources))
        self._know(workflow.opened())
        if isinstance(self.backend, FaultyBackend) and not self._tasks.has_any:
            self._tasks.start(self._restart_what_crashes(self.backend), "restart after crashes")

    def _know(self, supervisor: Supervisor) -> None:
        """Know the tasks that serve for ever: those that run before any work came."""
        self._services |= supervisor.running
        if isinstance(self.backend, FaultyBackend):
            self.backend.watch(supervisor.instance, self._restarts)

    async def leave(self, workflow: Workflow[Any, Any]) -> None:
        """Stop a workflow."""
        if isinstance(self.backend, FaultyBackend):
            # Faults are over now; a restart that is under way comes to its end first.
            self.backend.heal()
            while self._is_down(self.backend) and self._tasks.has_any:
                await pause_seconds(0)
        if len(self._workflows) == 1:
            await self._tasks.close()
        await workflow.stop()
        self._workflows = [entry for entry in self._workflows if entry[0] is not workflow]

    async def _restart_what_crashes(self, backend: FaultyBackend) -> None:
        while True:
            await backend.crashed.wait()
            self.is_restarting = True
            self._restarts += 1
            workflows = [workflow for workflow, _ in self._workflows]
            await asyncio.gather(*(workflow.abandon() for workflow in workflows))
            # It may crash again while the other workflows of the instance are still starting.
            backend.crashed.clear()
            for workflow in workflows:
                await workflow.start()
                self._know(workflow.opened())
            self.is_restarting = backend.crashed.is_set()

    def _is_down(self, backend: FaultyBackend) -> bool:
        return self.is_restarting or backend.crashed.is_set()

    async def settle(self, within: timedelta) -> None:
        """Return when nothing is left to do at this instant; see `Harness.settle`."""
        ends_at = elapsed_seconds() + within.total_seconds()
        looks = 0
        while left := await self._left_twice():
            if elapsed_seconds() >= ends_at:
                raise AssertionError(_not_settled(left, within, self.clock))
            looks += 1
            # Yields are enough in memory; what waits for a disk or a thread is looked at rarely.
            await pause_seconds(min(_LONGEST_PAUSE, max(0, looks - _YIELDS) * 0.0002))

    async def _left_twice(self) -> list[str]:
        """Look again one turn of the loop later, so that what was being handed over is seen."""
        for _ in range(2):
            left = await self._left()
            if left:
                return left
            await pause_seconds(0)
        return []

    async def _left(self) -> list[str]:
        if isinstance(self.backend, FaultyBackend) and self._is_down(self.backend):
            return ["the instance crashed and is being restarted"]
        left: list[str] = []
        running: set[asyncio.Task[None]] = set()
        for supervisor, (workflow, sources) in zip(self._opened, self._workflows, strict=True):
            left += supervisor.unfinished()
            left += _unread(workflow.name, supervisor, sources)
            running |= supervisor.running
        if not left:
            left += [f"{task.get_name()} runs" for task in running - self._services]
        if not left:
            now = self.clock.microseconds()
            due = await self._due()
            left += [f"{name}: a queue row is due" for name, due_at in due if due_at <= now]
            if left:
                self._wake()
        return left

    def _wake(self) -> None:
        """Have everybody look: a clock that jumps rings no bell."""
        for supervisor in self._opened:
            supervisor.wake()

    async def _due(self) -> list[tuple[str, int]]:
        """Return when each consumer's first row, or first foreign event, is due."""
        found: list[tuple[str, int]] = []
        for supervisor in self._opened:
            slots = tuple(range(supervisor.instance.store.slot_count))
            names = dict.fromkeys(supervisor.consumer_names, slots)
            found += (await self.backend.work_queue.next_due(names)).items()
            due_at = supervisor.next_due()
            if due_at is not None:
                found.append((supervisor.definition.name, due_at))
        return found

    async def advance(self, by: timedelta, within: timedelta) -> None:
        """Move the clock by way of everything that is due until then, and settle at each stop."""
        target = self.clock.now() + by
        await self.settle(within)
        while True:
            next_due = min((due_at for _, due_at in await self._due()), default=None)
            if next_due is None or to_datetime(next_due) > target:
                break
            self.clock.advance(max(to_datetime(next_due) - self.clock.now(), timedelta(0)))
            self._wake()
            await self.settle(within)
        self.clock.advance(target - self.clock.now())
        self._wake()
        await self.settle(within)


def _unread(
    workflow: str, supervisor: Supervisor, sources: dict[str, MemoryConnector]
) -> Iterator[str]:
    """Say which sources have events that nobody has taken; what is too young may wait."""
    if supervisor.next_due() is None:
        for name, source in sources.items():
            count = source.unfinished(connector_consumer(workflow, name))
            if count:
                yield f"{name}: {count} events of the source are not acknowledged"


def _not_settled(left: Sequence[str], within: timedelta, clock: FakeClock) -> str:
    shown = "\n".join(f"  - {text}" for text in left[:_SHOWN])
    more = f"\n  - and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return (
        f"not settled after {within.total_seconds():g} s of real time, with the clock standing at"
        f" {clock.now():%Y-%m-%d %H:%M:%S}:\n{shown}{more}\n"
        "A function that waits for something outside, or that repeats itself for ever without"
        " Repeat(after=...), never settles"
    )
