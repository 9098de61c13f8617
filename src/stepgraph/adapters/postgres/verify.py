"""What is checked of a server's settings before it is trusted with runs."""

from __future__ import annotations

from typing import Any

from stepgraph.adapters.postgres.connection import Connection, PostgresServer
from stepgraph.adapters.postgres.errors import translated

_OLDEST = 130_000
_READ = (
    "select name, setting from pg_settings where name in ('fsync', 'full_page_writes',"
    " 'synchronous_commit', 'server_version_num', 'server_encoding', 'server_version',"
    " 'zero_damaged_pages', 'ignore_checksum_failure', 'autovacuum')"
)
_IS_STANDBY = "select pg_is_in_recovery()"
_UNSAFE: dict[str, tuple[str, str]] = {
    "fsync": ("off", "a power loss can destroy the whole database: turn fsync on"),
    "full_page_writes": (
        "off",
        "a power loss can leave torn pages behind: turn full_page_writes on",
    ),
    "synchronous_commit": (
        "off",
        "a crash loses what was answered as stored: set synchronous_commit to on for this role",
    ),
    "zero_damaged_pages": ("on", "damaged pages are silently emptied: turn it off"),
    "ignore_checksum_failure": ("on", "damaged pages are silently used: turn it off"),
    "autovacuum": ("off", "the queue's dead rows are never cleared away: turn autovacuum on"),
}


async def problems_of(server: PostgresServer, connection: Connection) -> list[str]:
    """Return one sentence for each setting that breaks a promise."""
    with translated(server.name):
        settings: dict[str, Any] = dict(await connection.fetch(_READ))
        is_standby = (await connection.fetch(_IS_STANDBY))[0][0]
    found = [
        f"{name} is {unsafe}: {why}"
        for name, (unsafe, why) in _UNSAFE.items()
        if settings[name] == unsafe
    ]
    if settings["server_encoding"] != "UTF8":
        found.append(
            f"server_encoding is {settings['server_encoding']}: ids cannot hold every text:"
            " use a database in UTF8"
        )
    if int(settings["server_version_num"]) < _OLDEST:
        found.append(f"the server is version {settings['server_version']}: 13 is the oldest tried")
    if is_standby:
        found.append("this server is a standby: connect to the primary")
    return found
