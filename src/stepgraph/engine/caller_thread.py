"""Call: one call from a thread without a loop, which waits; work can be handed back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from stepgraph.engine.threads import settle
from stepgraph.engine.trigger import calling_from, origin_of_caller

W = TypeVar("W")
T = TypeVar("T")
_waiting: ContextVar[SimpleQueue[Any] | None] = ContextVar("stepgraph_waiting", default=None)


class _Errand(NamedTuple):
    """Something for the caller's thread to do."""

    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    function: Callable[[], Any]

    def run(self) -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = self.function()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(settle, self.answer, value, error)


class _Answer(NamedTuple):
    value: Any
    error: BaseException | None


class Call(Generic[W, T]):
    """Has the caller's context variables, and the caller's line as its origin."""

    def __init__(self, make: Callable[[W], Coroutine[Any, Any, T]]) -> None:
        """Prepare to run `make(workflow)`; the thread that makes a call is the one that waits."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.context = copy_context()
        self._make = make
        self._inbox: SimpleQueue[_Errand | _Answer] = SimpleQueue()
        self.context.run(calling_from.set, origin_of_caller())
        self.context.run(_waiting.set, self._inbox)

    async def work(self, workflow: W) -> None:
        """Do it, in the loop."""
        self._inbox.put(_Answer(await self._make(workflow), None))

    def fail(self, error: BaseException) -> None:
        """Raise `error` to the caller."""
        self._inbox.put(_Answer(None, error))

    def wait(self) -> T:
        """Return or raise the answer, and run errands meanwhile."""
        try:
            while isinstance(item := self._inbox.get(), _Errand):
                item.run()
        except BaseException:
            self._withdraw()
            raise
        if item.error is None:
            value: T = item.value
            return value
        try:
            raise item.error
        finally:
            del item  # an error whose traceback leads to itself would wait for the collector

    def _withdraw(self) -> None:
        """Cancel the call of a caller that was interrupted and waits no more."""
        if self.loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the call has ended
                self.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


async def on_callers_thread(function: Callable[[], T]) -> T:
    """Run `function` on the thread that waits for this call, which is where its connection lives.

    Database connections of Django and of sqlite3 refuse every thread but their own, so a write
    that joins the caller's transaction is handed back to it. Without a caller that waits, in async
    code, the function runs here.
    """
    inbox = _waiting.get()
    if inbox is None:
        return function()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    inbox.put(_Errand(loop, answer, function))
    return await answer
