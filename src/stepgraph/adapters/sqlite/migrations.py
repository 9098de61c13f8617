"""Migrations: numbered files, applied at open under the file's lock."""

from __future__ import annotations

import sqlite3
from importlib.resources import files

from stepgraph.errors import SchemaError

VERSION = 6
READABLE_FROM = 1  # the oldest code that can work on this schema


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the schema up to `VERSION`; return how many changes were applied.

    Raises `SchemaError` for a file whose schema this code is too old for.
    """
    connection.execute(
        "create table if not exists stepgraph_schema"
        " (version integer not null, readable_from integer not null)"
    )
    row = connection.execute("select version, readable_from from stepgraph_schema").fetchone()
    version, readable_from = row if row is not None else (0, 0)
    if readable_from > VERSION:
        raise SchemaError(
            f"the file has schema version {version}, which code for version {readable_from} or"
            f" later can read; this code is for version {VERSION}: update stepgraph"
        )
    applied = 0
    for number, script in _scripts():
        if number > version:
            _apply(connection, number, script)
            applied += 1
    return applied


def _scripts() -> list[tuple[int, str]]:
    folder = files("stepgraph.adapters.sqlite").joinpath("schema")
    found = [
        (int(entry.name.partition("_")[0]), entry.read_text())
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    """Apply one file in one transaction: a crash leaves it applied or not."""
    connection.execute("begin immediate")
    try:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("delete from stepgraph_schema")
        connection.execute("insert into stepgraph_schema values (?, ?)", (number, READABLE_FROM))
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
