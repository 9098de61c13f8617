"""PostgresRoleScheduler: one lease an instance and one row a role, by the server's clock alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from stepgraph.adapters.postgres.connection import PostgresServer
from stepgraph.errors import UnavailableError
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.clock import elapsed_seconds
from stepgraph.ports.role_scheduler import Lease, Member, RoleScheduler, Standing

TTL_SECONDS = 15.0
_TTL = timedelta(seconds=TTL_SECONDS)
_JOIN = (
    "with gone as (delete from instance where expires_at < now() - $2::interval)"
    " insert into instance (id, can_hold, joined_at, expires_at)"
    " values ($1, '{}', now(), now() + $2::interval) on conflict (id) do update set"
    " can_hold = '{}', joined_at = now(), expires_at = excluded.expires_at"
)
_RENEW = (
    "update instance set expires_at = now() + $2::interval"
    " where id = $1 and expires_at > now() returning 1"
)
_DESCRIBE = "update instance set can_hold = $2 where id = $1"
_STANDING = (
    "select live.id, live.can_hold, extract(epoch from now() - live.joined_at)::float8,"
    " array(select role.name from role where role.holder = live.id)"
    " from instance as live where live.expires_at > now() order by live.id"
)
# Rows are taken in the order of their names, so that two who ask at once do not deadlock.
_TAKE = (
    "with me as materialized (select id from instance where id = $1 and expires_at > now()),"
    " taken as (insert into role (name, holder, epoch) select wanted.name, me.id, 1"
    " from unnest($2::text[]) as wanted (name), me order by wanted.name"
    " on conflict (name) do update set holder = excluded.holder, epoch = role.epoch + 1"
    " where role.holder is null or not exists (select from instance"
    " where instance.id = role.holder and instance.expires_at > now())"
    " returning name, epoch)"
    " select name, epoch from taken union all"
    " select role.name, role.epoch from role join me on role.holder = me.id"
    " where role.name = any($2) and (role.name in (select name from taken)) is not true"
)
_FREE = "update role set holder = null where name = any($2::text[]) and holder = $1"
_LEAVE = (
    "with freed as (update role set holder = null where holder = $1)"
    " delete from instance where id = $1"
)


class PostgresRoleScheduler(RoleScheduler):
    """A role is free when its holder is gone, or its holder's lease has run out."""

    def __init__(self, server: PostgresServer, capabilities: Capabilities) -> None:
        """Work on `server`."""
        self._server = server
        self.capabilities = capabilities

    async def join(self, instance_id: str) -> Lease:
        """Become a member."""
        lease = PostgresLease(self._server, instance_id)
        await lease.join()
        return lease


class PostgresLease(Lease):
    """Writes one small row every third of its time, and reads between."""

    ttl_seconds = TTL_SECONDS
    renew_seconds = 1.0

    def __init__(self, server: PostgresServer, instance_id: str) -> None:
        """Prepare; `join` makes it real."""
        self.instance_id = instance_id
        self._server = server
        self._written_at = 0.0
        self._is_member = False

    async def join(self) -> None:
        """Become visible."""
        now = elapsed_seconds()
        await self._server.moves.fetch(_JOIN, self.instance_id, _TTL)
        self._written_at = now
        self._is_member = True

    async def renew(self) -> Standing:
        """Keep the lease, if it has not run out, and read who is there."""
        now = elapsed_seconds()
        if now - self._written_at >= TTL_SECONDS / 3:
            if not await self._server.moves.fetch(_RENEW, self.instance_id, _TTL):
                raise UnavailableError(f"the lease of instance {self.instance_id} has run out")
            self._written_at = now
        rows = await self._server.moves.fetch(_STANDING)
        if all(row[0] != self.instance_id for row in rows):
            raise UnavailableError(f"the lease of instance {self.instance_id} has run out")
        members = tuple(Member(row[0], _can_hold_of(row[1]), max(0.0, row[2])) for row in rows)
        return Standing(members, {role: row[0] for row in rows for role in row[3]})

    async def describe(self, can_hold: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """Say what this instance can hold."""
        await self._server.moves.fetch(_DESCRIBE, self.instance_id, json.dumps(can_hold))

    async def take(self, roles: Sequence[str]) -> Mapping[str, int]:
        """Take what is free."""
        rows = await self._server.moves.fetch(_TAKE, self.instance_id, sorted(set(roles)))
        return dict(rows)

    async def free(self, roles: Sequence[str]) -> None:
        """Give up roles."""
        await self._server.moves.fetch(_FREE, self.instance_id, list(roles))

    async def close(self) -> None:
        """End the membership and free every role, in one statement."""
        if self._is_member:
            self._is_member = False
            await self._server.moves.fetch(_LEAVE, self.instance_id)


def _can_hold_of(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {name: (entry[0], tuple(entry[1])) for name, entry in json.loads(text).items()}
