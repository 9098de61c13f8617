"""LoopThread: the event loop, in a daemon thread, that a process's blocking workflows share."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from typing import Protocol

_EXIT_SECONDS = 5.0


class Guest(Protocol):
    """What is open in the loop."""

    def ask_to_leave(self) -> None:
        """Begin to close; called in any thread, returns at once."""
        ...

    def has_left(self, within_seconds: float) -> bool:
        """Wait until it is closed."""
        ...


class LoopThread:
    """Runs while it has guests. Workflows on one backend object meet in it, as they must."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._lock = threading.Lock()
        self._guests: set[Guest] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def enter(self, guest: Guest) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs at least until `guest` leaves."""
        with self._lock:
            self._guests.add(guest)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="stepgraph-blocking", daemon=True
                )
                self._thread.start()
            return self._loop

    def leave(self, guest: Guest) -> None:
        """Stop the loop with its last guest; called in the loop."""
        with self._lock:
            self._guests.discard(guest)
            if not self._guests and self._loop is not None:
                self._loop.call_soon(self._loop.stop)
                self._loop = None

    def close(self) -> None:
        """Have everybody leave before the interpreter ends; what takes too long is left."""
        with self._lock:
            guests, thread = list(self._guests), self._thread
        for guest in guests:
            guest.ask_to_leave()
        if all(guest.has_left(_EXIT_SECONDS) for guest in guests) and thread is not None:
            thread.join(_EXIT_SECONDS)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# By process: a child has no thread of its parent's. A parent's entry is kept, for its loop shares
# the kernel's objects with the parent's and must not be closed here by the collector.
_by_process: dict[int, LoopThread] = {}


def loop_thread() -> LoopThread:
    """Return this process's."""
    found = _by_process.get(os.getpid())
    if found is not None:
        return found
    # One operation: of two threads that come here first, both get the same one.
    made = LoopThread()
    found = _by_process.setdefault(os.getpid(), made)
    if found is made and len(_by_process) == 1:
        atexit.register(_close_here)
    return found


def _close_here() -> None:
    found = _by_process.get(os.getpid())
    if found is not None:
        found.close()
