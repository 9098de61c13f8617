"""Migrations: numbered files, applied under an advisory lock by whoever may change the schema."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

import asyncpg

from stepgraph.adapters.postgres.connection import Connection, PostgresServer
from stepgraph.adapters.postgres.errors import translated
from stepgraph.errors import SchemaError
from stepgraph.model.slot import SLOT_COUNT

READABLE_FROM = 1  # the oldest code that can work on this schema
_LOCK = "select pg_advisory_xact_lock(hashtextextended('stepgraph migrate ' || $1, 0))"
_PATH = "select set_config('search_path', $1, true)"
_VERSION_TABLE = (
    "create table if not exists schema_version"
    " (version integer not null, readable_from integer not null, slot_count integer not null)"
)
_IS_THERE = "select to_regclass($1 || '.schema_version') is not null"
_READ = "select version, readable_from, slot_count from schema_version"
_FORGET = "delete from schema_version"
_KEEP = "insert into schema_version (version, readable_from, slot_count) values ($1, $2, $3)"


class SchemaStatus(NamedTuple):
    """How far the schema is: 0 is none at all; `latest` is what this code would make of it."""

    version: int
    readable_from: int
    latest: int
    slot_count: int


def scripts() -> list[tuple[int, str]]:
    """Return the numbered files in their order."""
    folder = files("stepgraph.adapters.postgres").joinpath("schema")
    found = [
        (int(entry.name.partition("_")[0]), entry.read_text())
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


VERSION = scripts()[-1][0]


def sql_since(schema: str, version: int) -> str:
    """Return what `migrate` would do to a schema at `version`, for psql."""
    parts = [
        "begin;",
        f"create schema if not exists {schema};",
        f"set local search_path to {schema};",
        _VERSION_TABLE + ";",
        *[script for number, script in scripts() if number > version],
        _FORGET + ";",
        f"insert into schema_version values ({VERSION}, {READABLE_FROM}, {SLOT_COUNT});",
        "commit;",
    ]
    return "\n".join(parts) + "\n"


async def status_of(server: PostgresServer, connection: Connection) -> SchemaStatus:
    """Return how far the schema is."""
    with translated(server.name):
        if not (await connection.fetch(_IS_THERE, server.schema))[0][0]:
            return SchemaStatus(0, 0, VERSION, SLOT_COUNT)
        rows: list[Any] = await connection.fetch(_READ)
    version, readable_from, slot_count = rows[0] if rows else (0, 0, SLOT_COUNT)
    return SchemaStatus(version, readable_from, VERSION, slot_count)


def check(server: PostgresServer, status: SchemaStatus) -> None:
    """Raise `SchemaError` for a schema that this code cannot work on."""
    where = f"{server.name}: the schema"
    how = "run `await Postgres(...).migrate()` as a role that may change it"
    if status.version == 0:
        raise SchemaError(f"{where} is not there, or this role may not look into it: {how}")
    if status.version < VERSION:
        raise SchemaError(f"{where} has version {status.version}, this code needs {VERSION}: {how}")
    if status.readable_from > VERSION:
        raise SchemaError(
            f"{where} has version {status.version}, which code for version {status.readable_from}"
            f" or later can read; this code is for version {VERSION}: update stepgraph"
        )
    if status.slot_count != SLOT_COUNT:
        raise SchemaError(
            f"{where} was made for {status.slot_count} slots, this code is for {SLOT_COUNT}"
        )


async def migrate(server: PostgresServer, connection: Connection) -> int:
    """Bring the schema up to date in one transaction; return how many files were applied."""
    with translated(server.name):
        async with connection.transaction():
            await connection.fetch(_LOCK, server.schema)
            await _create_schema(server, connection)
            await connection.fetch(_PATH, server.schema)
            await connection.execute(_VERSION_TABLE)
            rows: list[Any] = await connection.fetch(_READ)
            version, readable_from, _ = rows[0] if rows else (0, 0, 0)
            if readable_from > VERSION:
                check(server, SchemaStatus(version, readable_from, VERSION, SLOT_COUNT))
            pending = [script for number, script in scripts() if number > version]
            for script in pending:
                await connection.execute(script)
            if pending:
                await connection.execute(_FORGET)
                await connection.fetch(_KEEP, VERSION, READABLE_FROM, SLOT_COUNT)
            return len(pending)


async def _create_schema(server: PostgresServer, connection: Connection) -> None:
    """Create the schema unless it is there: asking needs fewer rights than "if not exists"."""
    rows = await connection.fetch("select to_regnamespace($1) is not null", server.schema)
    if not rows[0][0]:
        statement = f"create schema {server.schema}"
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise SchemaError(f"{server.name}: {error}: create the schema by its owner") from error
