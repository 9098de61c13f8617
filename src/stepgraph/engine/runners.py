"""Runners: tasks that work through items one after another; more of them only if they suspend."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any, Generic, TypeAlias, TypeVar

from stepgraph.engine.tasks import Tasks
from stepgraph.ports.clock import pause_seconds

T = TypeVar("T")
_ITEMS_A_TURN = 64
Runner: TypeAlias = "asyncio.Task[Any] | None"


class Runners(Generic[T]):
    """At most `concurrency` calls of `work` at once.

    A call that does not suspend costs no task: one runner awaits it directly and goes on with the
    next item. Only when every runner is found suspended while items wait, their number doubles.
    """

    def __init__(
        self, concurrency: int, work: Callable[[T, Runner], Coroutine[Any, Any, None]], tasks: Tasks
    ) -> None:
        """Call `work` with every item and the task that runs it; it may raise cancellation only."""
        self._concurrency = concurrency
        self._work = work
        self._tasks = tasks
        self._items: deque[T] = deque()
        self._alive = 0
        self._begun = asyncio.Event()
        self._begun.set()

    async def begun(self) -> None:
        """Wait until nothing is left that nobody has begun."""
        await self._begun.wait()

    @property
    def backlog(self) -> int:
        """Return how many items nobody has begun."""
        return len(self._items)

    def push(self, items: Iterable[T]) -> None:
        """Work on these as soon as there is a runner."""
        self._items.extend(items)
        if not self._items:
            return
        self._begun.clear()
        if self._alive == 0:
            self._spawn(1)
        asyncio.get_running_loop().call_soon(self._check)

    def clear(self) -> list[T]:
        """Take back what nobody has begun."""
        items = list(self._items)
        self._items.clear()
        self._begun.set()
        return items

    def _check(self) -> None:
        """Double the runners if items wait although every runner had its turn."""
        if self._items and self._alive < self._concurrency:
            self._spawn(min(max(1, self._alive), self._concurrency - self._alive, len(self._items)))
            asyncio.get_running_loop().call_soon(self._check)

    def _spawn(self, count: int) -> None:
        for _ in range(count):
            self._alive += 1
            # A context of its own: what a user's function sets is gone with the runner.
            self._tasks.start(self._run(), "runner", copy_context())

    async def _run(self) -> None:
        runner = asyncio.current_task()
        untouched = copy_context()
        items = self._items
        work = self._work
        left = _ITEMS_A_TURN
        try:
            while items:
                item = items.popleft()
                if not items:
                    self._begun.set()
                await work(item, runner)
                if copy_context() != untouched:
                    # A context variable was set: the next item must not see it.
                    break
                left -= 1
                if not left:
                    left = _ITEMS_A_TURN
                    await pause_seconds(0)
        finally:
            self._alive -= 1
        if items and self._alive < self._concurrency:
            self._spawn(1)
