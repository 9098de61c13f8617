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
from stepgraph.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")
_Job: TypeAlias = tuple[
    asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[sqlite3.Connection], Any]
]
_CHECKPOINT_CHANGES = 8000  # rows; some thousand pages
Synchronous = Literal["FULL", "NORMAL"]


class SQLiteFile:
    """Runs jobs on connections that live in threads of their own.

    Every write transaction, every checkpoint and the close happen under one advisory lock
    (`flock`), so writers queue fairly, and a checkpoint never runs beside another process's write:
    the condition of the WAL-reset bug of SQLite 3.7.0 to 3.51.2 cannot arise among our processes
    (https://www.sqlite.org/wal.html#walresetbug).
    """

    def __init__(self, path: str, synchronous: Synchronous) -> None:
        """Work on the file at `path`; nothing is touched before `open`."""
        self.path = path
        self._synchronous = synchronous
        self._writes: SimpleQueue[_Job | None] = SimpleQueue()
        self._reads: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock: IO[bytes] | None = None
        self._process = 0
        self._checkpointed_at = 0

    @property
    def is_open(self) -> bool:
        """Return whether the threads run, in this very process."""
        return bool(self._threads)

    async def open(self) -> None:
        """Open the file, which is made if it is not there, and the lock beside it."""
        if self.is_open:
            return
        self._process = os.getpid()
        with _file_errors(self.path):
            self._lock = Path(f"{self.path}-lock").open("ab")
        for jobs, kind in ((self._writes, "writer"), (self._reads, "reader")):
            name = f"stepgraph-sqlite-{kind}"
            thread = threading.Thread(target=self._serve, args=(jobs,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    async def close(self) -> None:
        """End both threads after the jobs that were given to them."""
        if not self._threads:
            return
        threads, self._threads = self._threads, []
        self._reads.put(None)
        await asyncio.to_thread(threads[1].join)
        self._writes.put(None)
        await asyncio.to_thread(threads[0].join)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in the reader thread."""
        return await self._run(self._reads, job)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in one write transaction, under the lock; all of it happens or nothing.

        A caller that is cancelled leaves the job to complete.
        """
        return await self._run(
            self._writes, lambda connection: self._in_transaction(connection, job)
        )

    async def change_schema(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` under the lock; it begins and commits by itself."""

        def locked(connection: sqlite3.Connection) -> T:
            with self._locked():
                return job(connection)

        return await self._run(self._writes, locked)

    async def _run(self, jobs: SimpleQueue[_Job | None], job: Callable[..., T]) -> T:
        if os.getpid() != self._process:
            raise UnavailableError(
                f"{self.path} was opened before a fork: open a backend of its own in the child"
            )
        if not self._threads:
            raise UnavailableError(f"{self.path} is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        jobs.put((loop, answer, job))
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
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=True, cached_statements=256
        )
        connection.execute("pragma busy_timeout = 5000")
        connection.execute("pragma journal_mode = wal").fetchall()
        if self._synchronous == "FULL":
            connection.execute("pragma synchronous = full")
        else:
            connection.execute("pragma synchronous = normal")
        connection.execute("pragma wal_autocheckpoint = 0").fetchall()
        # What was deleted on request must not be readable in free pages.
        connection.execute("pragma secure_delete = on").fetchall()
        connection.execute("pragma cache_size = -65536")
        return connection

    def _serve(self, jobs: SimpleQueue[_Job | None]) -> None:
        connection: sqlite3.Connection | None = None
        while (given := jobs.get()) is not None:
            loop, answer, job = given
            value: Any = None
            error: BaseException | None = None
            try:
                with translated(self.path):
                    if connection is None:
                        with self._locked():
                            connection = self._connect()
                    value = job(connection)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop may be closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, value, error)
            del given, loop, answer, job, value, error
        if connection is not None:
            with self._locked():
                connection.close()


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
