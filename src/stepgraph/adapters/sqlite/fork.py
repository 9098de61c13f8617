"""Fork: no connection is open while the process forks, and the child lets go of what is not its.

SQLite keeps its locks in memory of the process, by file. A child that opens a file which its parent
had open at the fork believes to hold the parent's locks, and takes none: the parent's close then
deletes the write-ahead log under it, with all that the child commits from there on
(https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What has connections."""

    def rest(self) -> None:
        """Close every connection and open none until `go_on`."""
        ...

    def go_on(self) -> None:
        """Work again, in the process that forked."""
        ...

    def forget(self) -> None:
        """Be as if nothing had been opened, in the child."""
        ...


class Closable(Protocol):
    """A file or a socket."""

    def close(self) -> None:
        """Let go of this process's descriptor."""
        ...


class Forks:
    """Everything in this process that a fork concerns."""

    def __init__(self) -> None:
        """Know of nothing yet; the interpreter is told with the first thing."""
        self._lock = threading.Lock()
        self._forkable: WeakSet[Forkable] = WeakSet()
        self._inherited: WeakSet[Closable] = WeakSet()
        self._resting: list[Forkable] = []
        self._is_registered = False

    def guard(self, part: Forkable) -> None:
        """Have `part` rest during every fork; waits for the end of one that is under way."""
        with self._lock:
            self._forkable.add(part)
            if not self._is_registered:
                self._is_registered = True
                os.register_at_fork(
                    before=self._before, after_in_parent=self._in_parent,
                    after_in_child=self._in_child,
                )  # fmt: skip

    def close_in_child(self, descriptor: Closable) -> None:
        """Have a child close its copy: else it would hold the parent's lock past its death."""
        self._inherited.add(descriptor)

    def _before(self) -> None:
        # The lock stays taken across the fork: nothing can begin to be open meanwhile.
        self._lock.acquire()
        self._resting = list(self._forkable)
        for part in self._resting:
            part.rest()

    def _in_parent(self) -> None:
        for part in self._resting:
            part.go_on()
        self._resting = []
        self._lock.release()

    def _in_child(self) -> None:
        for descriptor in list(self._inherited):
            with suppress(OSError):
                descriptor.close()
        self._inherited = WeakSet()
        for part in list(self._forkable):
            part.forget()
        self._resting = []
        # A fork that the interpreter was not told of beforehand left the lock as it was.
        self._lock = threading.Lock()


forks = Forks()
