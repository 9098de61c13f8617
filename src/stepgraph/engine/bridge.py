"""Bridge: how code without async calls a workflow, which lives in the process's loop thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context
from typing import Any, Generic, TypeVar
from weakref import finalize

from stepgraph.engine.caller_thread import Call
from stepgraph.engine.loop_thread import loop_thread
from stepgraph.engine.tasks import Tasks
from stepgraph.errors import NotOpenError
from stepgraph.ports.log import Log

W = TypeVar("W")
T = TypeVar("T")
_log = Log()
_PAGE = 100  # as many as a page of `runs.find`, so that nothing is read in vain


class Bridge(Generic[W]):
    """Calls the coroutines of a client that is opened with the first call, once in each process.

    For any number of threads. Nothing survives a fork: the child opens a client of its own. A
    caller that is interrupted while it waits (KeyboardInterrupt, or what a signal handler raises)
    leaves at once: its write is withdrawn if it was not sent yet, else it completes.
    """

    def __init__(self, open_client: Callable[[], AbstractAsyncContextManager[W]]) -> None:
        """Open nothing yet. `open_client` makes everything anew, for each process."""
        self._open_client = open_client
        self._by_process: dict[int, _Here[W]] = {}
        self._is_closed = False
        finalize(self, _leave, self._by_process)

    def call(self, make: Callable[[W], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine returns, or raise what it raises."""
        _refuse_inside_a_loop()
        call = Call(make)
        here = self._here()
        # A door that could not be opened is over between two of these: the next one is tried.
        while not here.door(self._open_client, self._check).submit(call):
            pass
        return call.wait()

    def iterate(self, make: Callable[[W], AsyncIterator[T]]) -> Iterator[T]:
        """Iterate over what an async iterator gives; one that is given up is closed."""
        pages = _Pages(make)
        try:
            while not pages.is_over:
                yield from self.call(pages.next)
        finally:
            # The collector may come here in any thread, so nothing is waited for.
            if not pages.is_over:
                self._here().submit_late(Call(pages.close))

    def close(self) -> None:
        """Close the client. Calls that still wait raise `NotOpenError`, and so does every later."""
        door = self._here().present()
        if door is not None and door.is_this_thread:
            raise NotOpenError("a function that runs in the client's own loop cannot close it")
        self._is_closed = True
        if door is not None:
            door.ask_to_leave()
            door.has_left(None)

    def _check(self) -> None:
        if self._is_closed:
            raise NotOpenError("the blocking workflow is closed: make another with blocking()")

    def _here(self) -> _Here[W]:
        process = os.getpid()
        found = self._by_process.get(process)
        # One operation, so that threads that come first together get the same.
        return found if found is not None else self._by_process.setdefault(process, _Here())


class _Here(Generic[W]):
    """What a bridge has in one process."""

    def __init__(self) -> None:
        # The collector may come here from inside itself, so it must be one to enter again.
        self._lock = threading.RLock()
        self._door: _Door[W] | None = None

    def door(
        self, open_client: Callable[[], AbstractAsyncContextManager[W]], check: Callable[[], None]
    ) -> _Door[W]:
        """Return what calls go through: a new one if there is none, or it could not open."""
        with self._lock:
            check()
            if self._door is None or self._door.is_over:
                self._door = _Door(open_client)
            return self._door

    def present(self) -> _Door[W] | None:
        """Return what calls go through, if there is any."""
        return self._door

    def submit_late(self, call: Call[W, None]) -> None:
        """Begin a call that nobody waits for, if there still is a client."""
        if self._door is not None:
            self._door.submit(call)


class _Door(Generic[W]):
    """A client that is opening, open or over, in the loop; and its calls."""

    def __init__(self, open_client: Callable[[], AbstractAsyncContextManager[W]]) -> None:
        self.is_over = False
        self._open_client = open_client
        self._lock = threading.RLock()
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._left = threading.Event()
        self._calls = Tasks()
        self._keeper = Tasks()
        self._workflow: W | None = None
        self._error: BaseException | None = None
        self._home = loop_thread()
        self._loop = self._home.enter(self)
        self._loop.call_soon_threadsafe(self._start_keeper)

    def submit(self, call: Call[W, Any]) -> bool:
        """Begin a call, unless it is over; every one that is taken is answered."""
        with self._lock:
            if self.is_over:
                return False
            call.loop = self._loop
            self._loop.call_soon_threadsafe(self._start, call, context=call.context)
            return True

    @property
    def is_this_thread(self) -> bool:
        """Return whether the caller runs in the loop, and would wait for itself."""
        with suppress(RuntimeError):
            return asyncio.get_running_loop() is self._loop
        return False

    def ask_to_leave(self) -> None:
        """Begin to close."""
        with suppress(RuntimeError):  # the loop is closed: it is over
            self._loop.call_soon_threadsafe(self._closing.set)

    def has_left(self, within_seconds: float | None) -> bool:
        """Wait until it is closed."""
        return self._left.wait(within_seconds)

    def _start_keeper(self) -> None:
        # Whoever calls first must not leave his context variables with the client.
        self._keeper.start(self._keep(), "keep a client", Context())

    async def _keep(self) -> None:
        """Open, wait, close: in one task, for what is bound to its task."""
        try:
            async with self._open_client() as workflow:
                self._workflow = workflow
                self._ready.set()
                await self._closing.wait()
                self._end()
                await self._calls.close()
        except BaseException as error:
            if self._workflow is None:
                self._error = error
            else:
                _log.error("a client was not closed as it should be", error=error)
        finally:
            self._end()
            self._ready.set()
            self._home.leave(self)
            self._left.set()

    def _end(self) -> None:
        with self._lock:
            self.is_over = True

    def _start(self, call: Call[W, Any]) -> None:
        if self.is_over and self._workflow is not None:
            call.fail(NotOpenError("the blocking workflow was closed meanwhile"))
        else:
            call.task = self._calls.start(self._carry(call), "blocking call", call.context)

    async def _carry(self, call: Call[W, Any]) -> None:
        try:
            await self._ready.wait()
            if self._workflow is None:
                raise self._error or NotOpenError("the client was stopped while it was opening")
            await call.work(self._workflow)
        except asyncio.CancelledError:
            call.fail(
                NotOpenError(
                    "the blocking workflow was closed while the call waited: what was not sent yet"
                    " is withdrawn, the rest completes; repeat it with the same key to know"
                )
            )
            raise
        except BaseException as error:
            call.fail(error)


class _Pages(Generic[W, T]):
    """An async iterator, asked for many items at a time."""

    def __init__(self, make: Callable[[W], AsyncIterator[T]]) -> None:
        self.is_over = False
        self._make = make
        self._workflow: W | None = None
        self._source: AsyncIterator[T] | None = None
        self._error: Exception | None = None

    async def next(self, workflow: W) -> list[T]:
        """Return the next items; an error comes after the items that came before it."""
        if self._source is None:
            self._workflow, self._source = workflow, self._make(workflow)
        if self._workflow is not workflow:
            self.is_over = True
            raise NotOpenError("this iterator was begun before a fork: begin another here")
        items: list[T] = []
        try:
            if self._error is not None:
                raise self._error
            while len(items) < _PAGE:
                items.append(await anext(self._source))
        except StopAsyncIteration:
            self.is_over = True
        except Exception as error:
            if not items:
                self.is_over = True
                raise
            self._error = error
        return items

    async def close(self, workflow: W) -> None:
        """Close the async iterator."""
        if self._workflow is workflow and isinstance(self._source, AsyncGenerator):
            await self._source.aclose()


def _leave(by_process: dict[int, _Here[Any]]) -> None:
    """Close what a bridge that was dropped has left open, without waiting for it."""
    here = by_process.get(os.getpid())
    door = here.present() if here is not None else None
    if door is not None:
        door.ask_to_leave()


def _refuse_inside_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise NotOpenError(
        "this thread runs an event loop, and a blocking call would stop it: use the workflow"
        " itself here, inside `async with workflow.client():`"
    )
