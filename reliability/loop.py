"""SimLoop: an event loop in virtual time whose order of task steps is chosen by a strategy.

Nodes are told apart by a context variable: whatever runs in a context that names a node belongs to
it. Killing a node drops its handles without running them; pausing one holds them back.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any

from reliability.strategy import Strategy

NODE: ContextVar[str] = ContextVar("node", default="")


class SimulationEscape(Exception):
    """Code under simulation asked for something real: a thread, a socket, a signal."""


class StuckError(Exception):
    """Nothing is ready and no timer is set, but the world has not ended."""


class StepBudgetError(Exception):
    """The world takes more steps than any sensible world needs: a livelock."""


class SimTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks iterate in the same order in every process."""

    def __init__(self, coroutine: Any, *, loop: SimLoop, **options: Any) -> None:
        # Before the base class, which puts the task into a set.
        self.number = loop.next_number()
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.BaseEventLoop):
    """One thread, virtual time, no input and output."""

    def __init__(self, strategy: Strategy, step_budget: int = 2_000_000) -> None:
        super().__init__()
        self._strategy = strategy
        self._now = 0.0
        self._numbers = 0
        self._sequence = 0
        self._plain: deque[tuple[int, events.Handle]] = deque()
        self._steps: list[tuple[int, events.Handle]] = []
        self._held: dict[str, list[events.Handle]] = {}
        self.steps = 0
        self.step_budget = step_budget
        self.dead: set[str] = set()
        self.graveyard: list[Any] = []
        self.on_idle: Callable[[], bool] | None = None
        self.errors: list[str] = []
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]
        self.set_exception_handler(self._note_error)

    def __del__(self) -> None:
        """Do nothing: there is no socket or selector to close, and the dead must not be run."""

    def next_number(self) -> int:
        """Return a new task's number."""
        self._numbers += 1
        return self._numbers

    def _make_task(
        self, _: Any, work: Coroutine[Any, Any, Any], context: Context | None = None
    ) -> SimTask:
        task = SimTask(work, loop=self, context=context)
        self._strategy.born(task.number)
        return task

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        task = self._make_task(self, coro, context)
        if name is not None:
            task.set_name(name)
        return task

    def _note_error(self, _: Any, details: dict[str, Any]) -> None:
        error = details.get("exception")
        self.errors.append(f"{details.get('message')}: {type(error).__name__}: {error}")

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> events.Handle:
        handle = events.Handle(callback, args, self, context)
        self._put(handle)
        return handle

    def _put(self, handle: events.Handle) -> None:
        self._sequence += 1
        owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        if type(owner) is SimTask:
            self._steps.append((self._sequence, handle))
        else:
            self._plain.append((self._sequence, handle))

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        raise SimulationEscape("call_soon_threadsafe")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        raise SimulationEscape("run_in_executor")

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...

    def _run_once(self) -> None:
        """Run everything that is ready at this instant, else let time jump to the next timer."""
        while not self._stopping and (self._plain or self._steps):  # type: ignore[attr-defined]
            self._run_handle(self._take())
        if self._stopping:  # type: ignore[attr-defined]
            return
        if self.on_idle is not None and self.on_idle():
            return
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not scheduled:
            raise StuckError("nothing is ready and no timer is set")
        self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                self._put(handle)

    def _take(self) -> events.Handle:
        if self._strategy.is_fifo:
            if self._steps and (not self._plain or self._steps[0][0] < self._plain[0][0]):
                return self._steps.pop(0)[1]
            return self._plain.popleft()[1]
        if self._plain:
            # The order of plain callbacks is promised by asyncio; only task steps may be permuted.
            return self._plain.popleft()[1]
        if len(self._steps) == 1:
            return self._steps.pop()[1]
        return self._steps.pop(self._strategy.pick(self._choices()))[1]

    def _choices(self) -> list[tuple[int, str]]:
        found = []
        for _, handle in self._steps:
            task: Any = handle._callback.__self__  # type: ignore[attr-defined]
            found.append((task.number, handle._context.get(NODE, "")))  # type: ignore[attr-defined]
        return found

    def _run_handle(self, handle: events.Handle) -> None:
        if handle._cancelled:  # type: ignore[attr-defined]
            return
        node = handle._context.get(NODE, "")  # type: ignore[attr-defined]
        if node in self.dead:
            # Kept alive: dropping the last reference to a task would run its `finally` blocks.
            self.graveyard.append(handle)
            return
        if node in self._held:
            self._held[node].append(handle)
            return
        self.steps += 1
        if self.steps > self.step_budget:
            raise StepBudgetError(f"more than {self.step_budget} steps")
        handle._run()

    def kill(self, node: str) -> None:
        """Let nothing of a node ever run again; nothing of it is told."""
        self.dead.add(node)
        self.graveyard += self._held.pop(node, [])

    def hold(self, node: str) -> None:
        """Stop a node as SIGSTOP does: timers that fall due meanwhile fire when it goes on."""
        self._held.setdefault(node, [])

    def release(self, node: str) -> None:
        """Let a held node go on."""
        for handle in self._held.pop(node, []):
            self._put(handle)

    @property
    def held(self) -> frozenset[str]:
        """Return the nodes that are held."""
        return frozenset(self._held)

    def bury(self) -> None:
        """Keep everything that is left from being destroyed, and stop."""
        self.graveyard += [handle for _, handle in self._plain]
        self.graveyard += [handle for _, handle in self._steps]
        self.graveyard += list(self._scheduled)  # type: ignore[attr-defined]
        self.graveyard += list(asyncio.all_tasks(self))


def context_of(node: str) -> Context:
    """Return a context in which everything belongs to `node`."""
    context = copy_context()
    context.run(NODE.set, node)
    return context


@contextmanager
def at_node(node: str) -> Iterator[None]:
    """Let what is started inside belong to `node`."""
    token = NODE.set(node)
    try:
        yield
    finally:
        NODE.reset(token)
