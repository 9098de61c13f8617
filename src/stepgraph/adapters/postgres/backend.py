"""Postgres: every port over one schema of a PostgreSQL database, for any number of machines."""

from __future__ import annotations

from typing import Any

import asyncpg

from stepgraph.adapters.postgres.backlog import PostgresBacklog
from stepgraph.adapters.postgres.census import PostgresCensus
from stepgraph.adapters.postgres.child_store import PostgresChildStore
from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.adapters.postgres.definition_store import PostgresDefinitionStore
from stepgraph.adapters.postgres.event_streamer import PostgresEventStreamer
from stepgraph.adapters.postgres.hints import PostgresHints
from stepgraph.adapters.postgres.history_store import PostgresHistoryStore, PostgresLostRuns
from stepgraph.adapters.postgres.migrations import (
    SchemaStatus,
    check,
    migrate,
    sql_since,
    status_of,
)
from stepgraph.adapters.postgres.record_store import PostgresRecordStore
from stepgraph.adapters.postgres.retention_store import PostgresRetentionStore
from stepgraph.adapters.postgres.role_scheduler import PostgresRoleScheduler
from stepgraph.adapters.postgres.schedule_store import PostgresScheduleStore
from stepgraph.adapters.postgres.timeout_store import PostgresTimeoutStore
from stepgraph.adapters.postgres.transactions import PostgresTransactions
from stepgraph.adapters.postgres.verify import problems_of
from stepgraph.adapters.postgres.work_queue import PostgresWorkQueue
from stepgraph.ports.capabilities import Capabilities


class Postgres:
    """Runs, their history, roles, timers and schedules in one schema of a database.

    A process uses up to six connections, made when they are first needed. Behind a proxy they must
    be sessions of their own (PgBouncer: session mode). Nothing here changes the schema but
    `migrate`: `open` refuses one that is missing or too old.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        pool: asyncpg.Pool[Any] | None = None,
        schema: str = "stepgraph",
    ) -> None:
        """Name the database; connections are made when a workflow is opened.

        Without `dsn` and `pool` the environment names it (PGHOST, PGUSER, ...). Connections of a
        `pool` are acquired for as long as the backend is open, and the pool stays the caller's.
        """
        server = PostgresServer(dsn, pool, schema)
        capabilities = Capabilities(durability="durable", is_shared=True, has_transactions=True)
        self._server = server
        self.record_store = PostgresRecordStore(server, capabilities)
        self.work_queue = PostgresWorkQueue(server)
        self.backlog = PostgresBacklog(server)
        self.history_store = PostgresHistoryStore(server)
        self.retention_store = PostgresRetentionStore(server)
        self.child_store = PostgresChildStore(server)
        self.lost_runs = PostgresLostRuns(server)
        self.census = PostgresCensus(server)
        self.definition_store = PostgresDefinitionStore(server)
        self.schedule_store = PostgresScheduleStore(server)
        self.hints = PostgresHints(server)
        self.transactions = PostgresTransactions(server)
        self.event_streamer = PostgresEventStreamer(server, capabilities)
        self.timeout_store = PostgresTimeoutStore(server, capabilities)
        self.role_scheduler = PostgresRoleScheduler(server, capabilities)

    async def open(self) -> None:
        """Connect once, and refuse a schema that this code cannot work on."""
        if self._server.is_open:
            return
        self._server.open()
        try:
            check(self._server, await self._status())
        except BaseException:
            await self._server.close()
            raise

    async def close(self) -> None:
        """Let go of every connection."""
        await self._server.close()

    async def migrate(self) -> int:
        """Bring the schema up to date, and make it if need be; return how many changes there were.

        One transaction under a lock: it happens as a whole or not at all, and two processes that
        migrate at once do it once. Needs a role that may create in the schema, and in the database
        if the schema is not there. Raises `SchemaError` for a schema of later code.
        """
        connection = await self._server.connect_plainly()
        try:
            return await migrate(self._server, connection)
        finally:
            await self._server.disconnect(connection)

    async def schema_status(self) -> SchemaStatus:
        """Return how far the schema is, whether the backend is open or not."""
        was_open = self._server.is_open
        self._server.open()
        try:
            return await self._status()
        finally:
            if not was_open:
                await self._server.close()

    def migration_sql(self, since: int = 0) -> str:
        """Return what `migrate` would do to a schema at version `since`, as a script for psql."""
        return sql_since(self._server.schema, since)

    async def verify(self) -> list[str]:
        """Return what is unsafe in the server's settings, each with what to do; best empty."""
        connection = await self._server.connect_plainly()
        try:
            return await problems_of(self._server, connection)
        finally:
            await self._server.disconnect(connection)

    async def _status(self) -> SchemaStatus:
        connection = await self._server.connect()
        try:
            return await status_of(self._server, connection)
        finally:
            await self._server.disconnect(connection)
