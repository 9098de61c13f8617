"""MemoryRoleScheduler: roles among the instances of one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepgraph.errors import UnavailableError
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.clock import elapsed_seconds
from stepgraph.ports.role_scheduler import Lease, Member, RoleScheduler, Standing

_TTL_SECONDS = 15.0


class MemoryMembers:
    """Who is a member and who holds what; shared by twins."""

    def __init__(self) -> None:
        """Start with nobody."""
        self.can_hold: dict[str, Mapping[str, tuple[str, tuple[str, ...]]]] = {}
        self.joined: dict[str, float] = {}
        self.expires: dict[str, float] = {}
        self.holders: dict[str, str] = {}
        self.epochs: dict[str, int] = {}

    def drop_dead(self) -> None:
        """Forget members whose lease ran out, and free their roles."""
        now = elapsed_seconds()
        for member in [member for member, at in self.expires.items() if at < now]:
            self.drop(member)

    def drop(self, member: str) -> None:
        """Forget a member, and free its roles."""
        for table in (self.can_hold, self.joined, self.expires):
            table.pop(member, None)
        for role in [role for role, holder in self.holders.items() if holder == member]:
            del self.holders[role]


class MemoryRoleScheduler(RoleScheduler):
    """Roles in dictionaries."""

    capabilities = Capabilities()

    def __init__(self, members: MemoryMembers | None = None) -> None:
        """Work on `members`, which twins share."""
        self._members = members if members is not None else MemoryMembers()

    async def join(self, instance_id: str) -> Lease:
        """Become a member."""
        return MemoryLease(self._members, instance_id)


class MemoryLease(Lease):
    """The membership of one instance."""

    ttl_seconds = _TTL_SECONDS
    renew_seconds = 1.0

    def __init__(self, members: MemoryMembers, instance_id: str) -> None:
        """Join at once."""
        self.instance_id = instance_id
        self._members = members
        now = elapsed_seconds()
        members.can_hold[instance_id] = {}
        members.joined[instance_id] = now
        members.expires[instance_id] = now + _TTL_SECONDS

    async def renew(self) -> Standing:
        """Keep the lease alive."""
        members = self._members
        members.drop_dead()
        if self.instance_id not in members.expires:
            raise UnavailableError(f"the lease of instance {self.instance_id} has run out")
        now = elapsed_seconds()
        members.expires[self.instance_id] = now + _TTL_SECONDS
        return Standing(
            tuple(
                Member(member, members.can_hold[member], now - joined)
                for member, joined in members.joined.items()
            ),
            dict(members.holders),
        )

    async def describe(self, can_hold: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """Say what this instance can hold."""
        if self.instance_id in self._members.expires:
            self._members.can_hold[self.instance_id] = dict(can_hold)

    async def take(self, roles: Sequence[str]) -> Mapping[str, int]:
        """Take what is free."""
        members = self._members
        members.drop_dead()
        taken: dict[str, int] = {}
        if self.instance_id not in members.expires:
            return taken
        for role in roles:
            holder = members.holders.get(role)
            if holder is None:
                members.holders[role] = self.instance_id
                members.epochs[role] = members.epochs.get(role, 0) + 1
            if holder in (None, self.instance_id):
                taken[role] = members.epochs[role]
        return taken

    async def free(self, roles: Sequence[str]) -> None:
        """Give up roles."""
        for role in roles:
            if self._members.holders.get(role) == self.instance_id:
                del self._members.holders[role]

    async def close(self) -> None:
        """End the membership."""
        self._members.drop(self.instance_id)
