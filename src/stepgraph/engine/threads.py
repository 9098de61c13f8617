"""Threads: where the user's sync functions run; daemon threads, so that none holds up an exit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeAlias

_Call: TypeAlias = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Threads:
    """As many threads as there were calls at once; idle ones are used again."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._idle = 0
        self._count = 0
        self._lock = threading.Lock()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run `function` in a thread, with this task's context variables.

        A thread cannot be interrupted: the caller waits for its end even if cancelled meanwhile,
        and is then told of the cancellation.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        context = copy_context()
        with self._lock:
            if self._idle == 0:
                self._count += 1
                name = f"stepgraph-function-{self._count}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            else:
                self._idle -= 1
        self._calls.put((loop, answer, lambda: context.run(function)))
        cancelled: asyncio.CancelledError | None = None
        while not answer.done():
            try:
                await asyncio.wait((answer,))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            answer.exception()
            raise cancelled
        return answer.result()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            loop, answer, function = call
            try:
                value, error = function(), None
            except BaseException as raised:
                value, error = None, raised
            with self._lock:
                self._idle += 1
            try:
                loop.call_soon_threadsafe(settle, answer, value, error)
            except RuntimeError:
                # The loop is closed: the process is on its way out and nobody waits.
                return
            del call, answer, function, value, error

    def close(self) -> None:
        """Let idle threads end; a busy one ends with its call."""
        for _ in range(self._count):
            self._calls.put(None)


def settle(
    answer: asyncio.Future[Any],
    value: Any,
    error: BaseException | None,
) -> None:
    """Give a future its answer, unless its taker is gone."""
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    elif isinstance(error, StopIteration):
        answer.set_exception(RuntimeError("the function raised StopIteration"))
    else:
        answer.set_exception(error)
