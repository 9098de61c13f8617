"""SQLiteRoleScheduler: roles in a table, and a locked file that shows whether a holder lives."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.fork import forks
from stepgraph.errors import UnavailableError
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.clock import elapsed_seconds
from stepgraph.ports.role_scheduler import Lease, Member, RoleScheduler, Standing

TTL_SECONDS = 15.0
_JOIN = "insert or replace into instance values (?, ?, '{}', ?, ?)"
_RENEW = "update instance set expires_at = ? where id = ?"
_DESCRIBE = "update instance set can_hold = ? where id = ?"
_MEMBERS = "select id, lock_path, can_hold, joined_at, expires_at from instance order by id"
_ROLES = "select name, holder from role where holder is not null"
_TAKE = """
insert into role values (?1, ?2, 1)
on conflict (name) do update set holder = ?2, epoch = epoch + 1 where holder is null
"""
_HELD = "select epoch from role where name = ? and holder = ?"
_FREE = "update role set holder = null where name = ? and holder = ?"
_DROP_ROLES = "update role set holder = null where holder = ?"
_DROP = "delete from instance where id = ?"


class SQLiteRoleScheduler(RoleScheduler):
    """Leases by the machine's boot clock, which all processes of one host share."""

    def __init__(self, file: SQLiteFile, capabilities: Capabilities) -> None:
        """Work on `file`."""
        self._file = file
        self.capabilities = capabilities

    async def join(self, instance_id: str) -> Lease:
        """Become a member, known by a file that this process keeps locked."""
        lease = SQLiteLease(self._file, instance_id)
        await lease.join()
        return lease


class SQLiteLease(Lease):
    """The kernel frees the lock when its process dies: then the others need not wait.

    The time limit stays for processes that are stopped, or cut off from the file.
    """

    ttl_seconds = TTL_SECONDS
    renew_seconds = 1.0

    def __init__(self, file: SQLiteFile, instance_id: str) -> None:
        """Prepare; `join` makes it real."""
        self.instance_id = instance_id
        self._file = file
        name = instance_id.replace(os.sep, "_")
        self._lock_path = f"{file.path}-lease-{name}"
        self._lock: IO[bytes] | None = None
        self._written_at = 0.0
        self._peers: tuple[tuple[str, str], ...] = ()
        self._changes = -1
        self._standing: Standing | None = None

    async def join(self) -> None:
        """Lock the file, then become visible."""
        try:
            self._lock = Path(self._lock_path).open("ab")
            forks.close_in_child(self._lock)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = f"{self._lock_path} cannot be locked: {error}"
            raise UnavailableError(text) from error
        now = elapsed_seconds()
        row = (self.instance_id, self._lock_path, now, now + TTL_SECONDS)
        await self._file.write(lambda connection: connection.execute(_JOIN, row))
        self._written_at = now

    async def renew(self) -> Standing:
        """Write a third of the way through the lease, or when a peer died; else only read."""
        now = elapsed_seconds()
        is_due = now - self._written_at >= TTL_SECONDS / 3
        if is_due or self._standing is None or any(not _lives(path) for _, path in self._peers):
            expires_at = now + TTL_SECONDS
            renewed = await self._file.write(lambda c: self._renew(c, expires_at))
            if not renewed:
                raise UnavailableError(f"the lease of instance {self.instance_id} has run out")
            self._written_at = now
            self._changes = -1
        self._standing = await self._file.read(self._read)
        return self._standing

    def _renew(self, connection: sqlite3.Connection, expires_at: float) -> bool:
        now = elapsed_seconds()
        if not connection.execute(_RENEW, (expires_at, self.instance_id)).rowcount:
            return False
        for member, path, _, _, ends_at in connection.execute(_MEMBERS).fetchall():
            if member == self.instance_id or (now <= ends_at <= now + 2 * TTL_SECONDS
                                              and _lives(path)):  # fmt: skip
                continue
            connection.execute(_DROP_ROLES, (member,))
            connection.execute(_DROP, (member,))
            if not _lives(path):
                with suppress(OSError):
                    Path(path).unlink(missing_ok=True)
        return True

    def _read(self, connection: sqlite3.Connection) -> Standing:
        """Read the standing, but only if anybody else has written to the file since."""
        changes = connection.execute("pragma data_version").fetchone()[0]
        if self._standing is not None and changes == self._changes:
            return self._standing
        self._changes = changes
        now = elapsed_seconds()
        rows = connection.execute(_MEMBERS).fetchall()
        self._peers = tuple((row[0], row[1]) for row in rows if row[0] != self.instance_id)
        members = tuple(
            Member(row[0], _can_hold_of(row[2]), max(0.0, now - row[3])) for row in rows
        )
        return Standing(members, dict(connection.execute(_ROLES).fetchall()))

    async def describe(self, can_hold: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """Say what this instance can hold."""
        row = (json.dumps(can_hold), self.instance_id)
        await self._file.write(lambda connection: connection.execute(_DESCRIBE, row))
        self._changes = -1

    async def take(self, roles: Sequence[str]) -> Mapping[str, int]:
        """Take what is free."""

        def take(connection: sqlite3.Connection) -> dict[str, int]:
            taken: dict[str, int] = {}
            query = "select 1 from instance where id = ?"
            if connection.execute(query, (self.instance_id,)).fetchone() is None:
                return taken
            for role in roles:
                connection.execute(_TAKE, (role, self.instance_id))
                row = connection.execute(_HELD, (role, self.instance_id)).fetchone()
                if row is not None:
                    taken[role] = row[0]
            return taken

        taken = await self._file.write(take)
        self._changes = -1
        return taken

    async def free(self, roles: Sequence[str]) -> None:
        """Give up roles."""
        rows = [(role, self.instance_id) for role in roles]
        await self._file.write(lambda connection: connection.executemany(_FREE, rows))
        self._changes = -1

    async def close(self) -> None:
        """End the membership; the lock goes last, so that nobody sees a dead member first."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None

        def leave(connection: sqlite3.Connection) -> None:
            connection.execute(_DROP_ROLES, (self.instance_id,))
            connection.execute(_DROP, (self.instance_id,))

        try:
            await self._file.write(leave)
        finally:
            with suppress(OSError):
                Path(self._lock_path).unlink(missing_ok=True)
            lock.close()


def _can_hold_of(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {name: (entry[0], tuple(entry[1])) for name, entry in json.loads(text).items()}


def _lives(path: str) -> bool:
    """Return whether some process keeps the file locked; one that is gone belongs to nobody."""
    try:
        with Path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
