"""PostgresHints: NOTIFY after a commit, never in it, and LISTEN on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stepgraph.adapters.postgres.connection import Connection, PostgresServer
from stepgraph.adapters.postgres.errors import translated
from stepgraph.errors import WorkflowError
from stepgraph.ports.clock import pause_seconds
from stepgraph.ports.hints import Hints
from stepgraph.ports.log import Log

_log = Log("stepgraph.postgres")
_AGAIN_SECONDS = 1.0
NOTIFY = "select pg_notify($1, '')"


def channel_of(schema: str) -> str:
    """Return the channel of a schema; each database of a server has channels of its own."""
    return f"stepgraph/{schema}"


class PostgresHints(Hints):
    """Wakes the other processes of the schema.

    A transaction that notifies takes a lock of the whole server until its end is on disk, so the
    commits do not: a statement of its own, after the commit, costs a tenth of that.
    """

    def __init__(self, server: PostgresServer) -> None:
        """Meet the other processes of the server's schema."""
        self._server = server
        self._channel = channel_of(server.schema)
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def listen(self, wake: Callable[[], None]) -> None:
        """Listen until cancelled; a connection that is lost is made again a second later."""
        self._turn = asyncio.Lock()
        while True:
            try:
                await self._listen(wake)
            except WorkflowError as error:
                _log.info("no hints for a while: %s", error)
            await pause_seconds(_AGAIN_SECONDS)

    async def _listen(self, wake: Callable[[], None]) -> None:
        """Listen until the connection is lost."""
        connection = await self._server.connect()
        lost = asyncio.Event()

        def heard(_: Any, process: int, *__: object) -> None:
            if process != connection.get_server_pid():
                wake()

        def ended(_: Any) -> None:
            lost.set()

        try:
            with translated(self._server.name):
                connection.add_termination_listener(ended)
                await connection.add_listener(self._channel, heard)
            self._connection = connection
            wake()  # for what was told while nobody listened
            await lost.wait()
        finally:
            self._connection = None
            connection.remove_termination_listener(ended)
            async with self._turn:
                if not connection.is_closed():
                    await connection.remove_listener(self._channel, heard)
                await self._server.disconnect(connection)

    async def tell(self) -> None:
        """Notify, if there is a connection to do it with."""
        async with self._turn:
            connection = self._connection
            if connection is None or connection.is_closed():
                return
            try:
                with translated(self._server.name):
                    await connection.fetch(NOTIFY, self._channel, timeout=_AGAIN_SECONDS)
            except WorkflowError as error:
                _log.info("a hint was not sent: %s", error)
