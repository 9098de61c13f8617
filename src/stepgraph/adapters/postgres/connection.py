"""PostgresServer: the connections of one process, each with a job of its own."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from stepgraph.adapters.postgres.errors import translated
from stepgraph.errors import DefinitionError, UnavailableError

Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

LENT_CONNECTIONS = 4
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,47}")
# A statement is planned once, as for a large table: what is planned while a table is small scans
# and joins the whole of it, and goes on doing so when it is large.
_SETTINGS = {
    "application_name": "stepgraph",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "25s",  # less than the driver waits: what was given up on does not go on
}
_SET = (
    "select set_config(s.name, s.value, false) from unnest($1::text[], $2::text[]) s(name, value)"
)


class Seat:
    """One connection, made when it is first needed and again when it is lost.

    One statement at a time; whoever comes meanwhile waits for its turn.
    """

    def __init__(self, server: PostgresServer, lock_timeout: str, *, is_commit: bool) -> None:
        """Connect to `server`; no statement waits longer than `lock_timeout` for a lock."""
        self._server = server
        self._lock_timeout = lock_timeout
        self._is_commit = is_commit
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        """Run one statement, which commits by itself, and return its rows."""
        async with self._turn:
            connection = await self._connected()
            try:
                with translated(self._server.name, is_commit=self._is_commit):
                    return await connection.fetch(query, *values, timeout=_ANSWER_SECONDS)
            except UnavailableError:
                # Whatever it is about, a new connection knows nothing of it.
                await self._disconnect()
                raise

    async def close(self) -> None:
        """Let go of the connection after the statement that is under way."""
        async with self._turn:
            await self._disconnect()

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is None or connection.is_closed():
            await self._disconnect()
            connection = await self._server.connect(lock_timeout=self._lock_timeout)
            self._connection = connection
        return connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._server.disconnect(connection)


class PostgresServer:
    """The seats: two that commit, one for what the engine reads, and one each for the rest.

    Creates and changes never wait for each other, a long list never delays the queue, and nothing
    of these delays the lease. With a pool of the user's they come out of it and go back into it.
    """

    def __init__(self, dsn: str | None, pool: asyncpg.Pool[Any] | None, schema: str) -> None:
        """Find the server by `dsn`, the environment (PGHOST, ...), or the user's pool."""
        if dsn is not None and pool is not None:
            raise DefinitionError("Postgres takes a dsn or a pool, not both")
        if _SCHEMA_NAME.fullmatch(schema) is None:
            raise DefinitionError(
                f"{schema!r} cannot be the name of a schema here: lower-case ASCII letters, digits"
                " and underscores, at most 48, the first no digit"
            )
        self._dsn = dsn
        self._pool = pool
        self.schema = schema
        self.name = f"PostgreSQL, schema {schema}"
        self._opened_by = 0
        self._take_seats()

    def _take_seats(self) -> None:
        self.creates = Seat(self, "50ms", is_commit=True)
        self.changes = Seat(self, "50ms", is_commit=True)
        self.reads = Seat(self, "5s", is_commit=False)
        self.moves = Seat(self, "5s", is_commit=False)
        self.lists = Seat(self, "5s", is_commit=False)
        self._lent: asyncpg.Pool[Any] | None = self._pool
        self._turns = asyncio.Semaphore(LENT_CONNECTIONS)

    @property
    def is_open(self) -> bool:
        """Return whether this process may connect."""
        return self._opened_by == os.getpid()

    def open(self) -> None:
        """Let the seats connect. What a parent process had open is left alone."""
        if not self.is_open:
            self._take_seats()
            self._opened_by = os.getpid()

    async def close(self) -> None:
        """Let go of every connection."""
        if not self.is_open:
            return
        self._opened_by = 0
        for seat in (self.creates, self.changes, self.reads, self.moves, self.lists):
            await seat.close()
        lent, self._lent = self._lent, None
        if lent is not None and lent is not self._pool:
            await lent.close()

    async def connect(self, *, lock_timeout: str = "5s") -> Connection:
        """Return a connection with our settings. Raises `UnavailableError`."""
        if not self.is_open:
            raise UnavailableError(f"{self.name} is closed")
        settings = {**_SETTINGS, "lock_timeout": lock_timeout, "search_path": self.schema}
        connection = await self.connect_plainly()
        try:
            with translated(self.name):
                await connection.fetch(_SET, list(settings), list(settings.values()))
        except BaseException:
            await self.disconnect(connection)
            raise
        return connection

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[Connection]:
        """Lend one of four connections to user code, as the user has set it up.

        The engine needs none of these, so user code that holds them all stops nobody.
        """
        if not self.is_open:
            raise UnavailableError(f"{self.name} is closed")
        async with self._turns:
            with self._reaching():
                if self._lent is None:
                    self._lent = asyncpg.create_pool(
                        self._dsn, min_size=0, max_size=LENT_CONNECTIONS
                    )
                    await self._lent
                pool = self._lent
                connection = await pool.acquire(timeout=_CONNECT_SECONDS)
            try:
                yield connection
            finally:
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await pool.release(connection, timeout=_CONNECT_SECONDS)

    @contextmanager
    def _reaching(self) -> Generator[None]:
        try:
            yield
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            text = str(error) or f"no answer within {_CONNECT_SECONDS:.0f} seconds"
            raise UnavailableError(f"{self.name} cannot be reached: {text}") from error

    async def connect_plainly(self) -> Connection:
        """Return a connection as the server and the user have set it up."""
        with self._reaching():
            async with asyncio.timeout(_CONNECT_SECONDS):
                if self._pool is not None:
                    return await self._pool.acquire()
                connected: asyncpg.Connection[Any] = await asyncpg.connect(self._dsn)
                return connected

    async def disconnect(self, connection: Connection) -> None:
        """Close a connection, or give it back to the pool, which resets it."""
        try:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if self._pool is not None and isinstance(connection, PoolConnectionProxy):
                    await self._pool.release(connection, timeout=_CONNECT_SECONDS)
                else:
                    await connection.close(timeout=_CONNECT_SECONDS)
        except asyncio.CancelledError:
            connection.terminate()
            raise
