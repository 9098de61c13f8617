"""PostgresTransactions: transactions that a user's statements and a commit share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from stepgraph.adapters.postgres.batch import commit_batch
from stepgraph.adapters.postgres.connection import LENT_CONNECTIONS, Connection, PostgresServer
from stepgraph.adapters.postgres.errors import translated
from stepgraph.adapters.postgres.hints import channel_of
from stepgraph.errors import InputError, UnavailableError
from stepgraph.model.write import BUSY, Result, Write
from stepgraph.ports.transactions import Transactions

_TRIES = 3
_PASSING = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_LIMIT = "select set_config('idle_in_transaction_session_timeout', $1, true)"
_ENTER = (
    "with before as materialized (select current_setting('search_path') as path)"
    " select path, set_config('search_path', $1, true) from before"
)
# Who hears of it looks at the queue from its beginning: the row is as old as the transaction.
_LEAVE = "select set_config('search_path', $1, true), pg_notify($2, '')"


class PostgresTransactions(Transactions):
    """Connections of their own for steps, at most four; the seats of the engine stay free."""

    concurrency = LENT_CONNECTIONS

    def __init__(self, server: PostgresServer) -> None:
        """Work on `server`."""
        self._server = server
        self._channel = channel_of(server.schema)

    @asynccontextmanager
    async def open(self, limit_seconds: float) -> AsyncGenerator[Any]:
        """Begin, commit at the end, and roll back if the block raises."""
        async with self._server.lend() as connection:
            transaction = connection.transaction()
            with translated(self._server.name):
                await transaction.start()
                await connection.fetch(_LIMIT, f"{limit_seconds * 1000:.0f}ms")
            try:
                yield connection
            except BaseException:
                if not connection.is_closed():
                    with translated(self._server.name):
                        await transaction.rollback()
                raise
            with self._committing():
                await transaction.commit()

    @contextmanager
    def _committing(self) -> Generator[None]:
        """Tell what is to be repeated from what the server refuses."""
        with translated(self._server.name, is_commit=True):
            try:
                yield
            except _PASSING as error:
                raise UnavailableError(f"{self._server.name}: {error}: to be repeated") from error

    async def write(self, connection: object, write: Write) -> Result:
        """Make a write in the transaction that is open on `connection`."""
        ours = _checked(connection)

        async def fetch(query: str, *values: Any) -> list[Any]:
            rows: list[Any] = await ours.fetch(query, *values)
            return rows

        with translated(self._server.name):
            path = (await fetch(_ENTER, self._server.schema))[0][0]
            result: Result = BUSY
            for _ in range(_TRIES):
                (result,) = await commit_batch(fetch, [write], ())
                if result is not BUSY:
                    break
            await fetch(_LEAVE, path, self._channel)
        return result

    def is_passing(self, error: BaseException) -> bool:
        """Return whether the transaction met others."""
        return isinstance(error, _PASSING)


def _checked(connection: object) -> Connection:
    """Return a connection that a write may be made on."""
    if not isinstance(connection, (asyncpg.Connection, PoolConnectionProxy)):
        kind = type(connection).__name__
        raise InputError(f"connection= is a {kind}: it takes a connection of asyncpg")
    if not connection.is_in_transaction():
        raise InputError(
            "connection= is not in a transaction: use it in `async with connection.transaction():`"
        )
    return connection
