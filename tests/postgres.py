"""Postgres for tests: one schema for a session, emptied before each test."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import asyncpg

from stepgraph.adapters.postgres import Postgres
from tests.servers import SERVERS

T = TypeVar("T")
_TABLES = (
    "select string_agg(format('delete from stepgraph.%I', relname), ';') from pg_class"
    " where relnamespace = 'stepgraph'::regnamespace and relkind = 'r'"
    " and relname <> 'schema_version'"
)
_migrated: set[str] = set()


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own, from a fixture that is not one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


async def _empty(url: str) -> None:
    if url not in _migrated:
        await Postgres(url).migrate()
        _migrated.add(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(await connection.fetchval(_TABLES))
    finally:
        await connection.close()


def empty_postgres() -> str:
    """Return the DSN of a server whose schema `stepgraph` is up to date and empty."""
    url = SERVERS.get("postgres").url
    run_apart(_empty(url))
    return url
