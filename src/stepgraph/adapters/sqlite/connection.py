"""SQLiteFile: one writer and one reader thread over one file, with one lock among processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from stepgraph.adapters.sqlite.errors import translated
from stepgraph.adapters.sqlite.fork import forks
from stepgraph.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")
# What to run with the connection, and whom to tell; None in its place closes the connection.
_Job: TypeAlias = tuple[
    asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[sqlite3.Connection], Any] | None
]
_CHECKPOINT_CHANGES = 8000  # rows; some thousand pages
Synchronous = Literal["FULL", "NORMAL"]


class _Seat:
    """One thread's place: its jobs and its connection, which only a holder of `lock` touches."""

    __slots__ = ("connection", "jobs", "lock")

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None


class SQLiteFile:
    """Runs jobs on connections that live in threads of their own.

    Every write transaction, every checkpoint and the close happen under one advisory lock
    (`flock`), so writers queue fairly, and a checkpoint never runs beside another process's write:
    the condition of the WAL-reset bug of SQLite 3.7.0 to 3.51.2 cannot arise among our processes
    (https://www.sqlite.org/wal.html#walresetbug).

    While the process forks every connection is closed (see `fork.py`). In the child the file is as
    if never opened; the parent connects again with its next job.
    """

    def __init__(self, path: str, synchronous: Synchronous) -> None:
        """Work on the file at `path`; nothing is touched before `open`."""
        self.path = path
        self._synchronous = synchronous
        self._writer = _Seat()
        self._reader = _Seat()
        self._lock: IO[bytes] | None = None
        # The file lock is one for the whole process: its threads queue here before it.
        self._turn = threading.Lock()
        self._is_open = False
        self._checkpointed_at = 0

    async def open(self) -> None:
        """Open the file, which is made if it is not there, and the lock beside it."""
        if self._is_open:
            return
        if os.path.realpath(self.path) in _abandoned:
            raise UnavailableError(
                f"{self.path} was open when something other than Python forked this process, and"
                " cannot be used here: open it after that fork, not before"
            )
        with _file_errors(self.path):
            self._lock = Path(f"{self.path}-lock").open("ab")
        forks.close_in_child(self._lock)
        forks.guard(self)
        self._is_open = True
        for seat, kind in ((self._writer, "writer"), (self._reader, "reader")):
            name = f"stepgraph-sqlite-{kind}"
            threading.Thread(target=self._serve, args=(seat,), name=name, daemon=True).start()

    async def close(self) -> None:
        """End both threads after the jobs that were given to them."""
        if not self._is_open:
            return
        self._is_open = False
        loop = asyncio.get_running_loop()
        for seat in (self._reader, self._writer):
            closed: asyncio.Future[None] = loop.create_future()
            seat.jobs.put((loop, closed, None))
            await closed
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def rest(self) -> None:
        """Close both connections between two jobs, and keep both threads waiting."""
        for seat in (self._reader, self._writer):
            seat.lock.acquire()
            with suppress(sqlite3.Error, OSError):
                self._disconnect(seat)

    def go_on(self) -> None:
        """Let the threads work; each connects again with its next job."""
        for seat in (self._reader, self._writer):
            seat.lock.release()

    def forget(self) -> None:
        """Be closed, in a child; its parent's threads and locks are none of its business."""
        seats = (self._reader, self._writer)
        # A connection that is still here was open at a fork that nobody announced.
        if any(seat.connection is not None for seat in seats):
            _abandoned[os.path.realpath(self.path)] = seats
        self._writer, self._reader = _Seat(), _Seat()
        self._turn = threading.Lock()
        self._lock = None
        self._is_open = False

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in the reader thread."""
        return await self._run(self._reader, job)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in one write transaction, under the lock; all of it happens or nothing.

        A caller that is cancelled leaves the job to complete.
        """
        return await self._run(
            self._writer, lambda connection: self._in_transaction(connection, job)
        )

    async def change_schema(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` under the lock; it begins and commits by itself."""

        def locked(connection: sqlite3.Connection) -> T:
            with self._locked():
                return job(connection)

        return await self._run(self._writer, locked)

    async def empty_log(self) -> None:
        """Move everything out of the write-ahead log and cut it off: old pages are gone then.

        If a reader holds on to an old page for longer than a moment, the log stays as it is.
        """

        def empty(connection: sqlite3.Connection) -> None:
            with self._locked():
                connection.execute("pragma busy_timeout = 100")
                try:
                    connection.execute("pragma wal_checkpoint(truncate)").fetchall()
                finally:
                    connection.execute("pragma busy_timeout = 5000")

        await self._run(self._writer, empty)

    async def _run(self, seat: _Seat, job: Callable[..., T]) -> T:
        if not self._is_open:
            raise UnavailableError(f"{self.path} is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        seat.jobs.put((loop, answer, job))
        return await answer

    def _in_transaction(
        self, connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]
    ) -> T:
        with self._locked():
            connection.execute("begin immediate")
            try:
                value = job(connection)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            self._checkpoint(connection)
            return value

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move pages out of the write-ahead log; whoever wrote does it, under the lock.

        The log starts again at its beginning once all of it has been moved.
        """
        if connection.total_changes - self._checkpointed_at < _CHECKPOINT_CHANGES:
            return
        self._checkpointed_at = connection.total_changes
        # Data is safe in the log already, so a failure here is the next writer's to repair.
        with suppress(sqlite3.OperationalError):
            connection.execute("pragma wal_checkpoint(passive)").fetchall()

    @contextmanager
    def _locked(self) -> Generator[None]:
        if self._lock is None:
            raise UnavailableError(f"{self.path} is closed")
        with self._turn:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("pragma busy_timeout = 5000")
        connection.execute("pragma journal_mode = wal").fetchall()
        if self._synchronous == "FULL":
            connection.execute("pragma synchronous = full")
        else:
            connection.execute("pragma synchronous = normal")
        connection.execute("pragma wal_autocheckpoint = 0").fetchall()
        # A log that grew behind a long reader is cut to 64 MiB when it starts again.
        connection.execute("pragma journal_size_limit = 67108864").fetchall()
        # What was deleted on request must not be readable in free pages.
        connection.execute("pragma secure_delete = on").fetchall()
        connection.execute("pragma cache_size = -65536")
        return connection

    def _disconnect(self, seat: _Seat) -> None:
        """Close a seat's connection, if it has one; its lock is held."""
        connection, seat.connection = seat.connection, None
        if connection is not None:
            with self._locked():
                connection.close()

    def _serve(self, seat: _Seat) -> None:
        is_over = False
        while not is_over:
            loop, answer, job = seat.jobs.get()
            is_over = job is None
            value: Any = None
            error: BaseException | None = None
            try:
                with seat.lock, translated(self.path):
                    value = self._work(seat, job)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop may be closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, value, error)
            del loop, answer, job, value, error

    def _work(self, seat: _Seat, job: Callable[[sqlite3.Connection], T] | None) -> T | None:
        """Run a job on the seat's connection, which is made with the first one."""
        if job is None:
            self._disconnect(seat)
            return None
        if seat.connection is None:
            if seat is self._writer:
                self._checkpointed_at = 0  # a connection counts its changes from its beginning
            with self._locked():
                seat.connection = self._connect()
        return job(seat.connection)


# A parent's connections that this process must not even close, by the file's true path.
_abandoned: dict[str, tuple[_Seat, ...]] = {}


def _settle(answer: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)


@contextmanager
def _file_errors(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"{path} cannot be opened: {error}") from error
