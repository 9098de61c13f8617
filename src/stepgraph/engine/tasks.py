"""Tasks: every background task has an owner that awaits it; the only place that makes one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from stepgraph.ports.log import Log

_LOG = Log()


class Tasks:
    """A group of tasks that live until they end or the owner closes them."""

    def __init__(self, log: Log = _LOG) -> None:
        """Start empty."""
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_any(self) -> bool:
        """Return whether a task runs."""
        return bool(self._tasks)

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """Return the tasks that have not ended."""
        return frozenset(self._tasks)

    def start(
        self, work: Coroutine[Any, Any, None], name: str, context: Context | None = None
    ) -> asyncio.Task[None]:
        """Run `work` in the background; an error in it is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("background task %s ended by an error", task.get_name(), error=error)

    async def close(self) -> None:
        """Cancel what still runs and wait until all has ended."""
        while self._tasks:
            ending = sorted(self._tasks, key=lambda task: task.get_name())
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
