"""The simulated role scheduler: leases by the server's own clock, and two holders at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from reliability.history import Grant
from reliability.network import Network
from stepgraph.errors import UnavailableError
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.role_scheduler import Lease, Member, RoleScheduler, Standing

TTL_SECONDS = 15.0
RENEW_SECONDS = 5.0


class RoleServer:
    """Members, holders and epochs."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.can_hold: dict[str, Any] = {}
        self.joined: dict[str, float] = {}
        self.expires: dict[str, float] = {}
        self.holders: dict[str, str] = {}
        self.epochs: dict[str, int] = {}

    def _drop_dead(self) -> float:
        now = float(self.world.loop.time())
        for member in [m for m, at in self.expires.items() if at < now]:
            self.world.goal("a lease ran out")
            self.drop(member)
        return now

    def drop(self, member: str) -> None:
        """Forget a member, and free its roles."""
        for table in (self.can_hold, self.joined, self.expires):
            table.pop(member, None)
        for role in [role for role, holder in self.holders.items() if holder == member]:
            del self.holders[role]

    def forget(self) -> None:
        """Lose everything but the epochs."""
        for member in list(self.expires):
            self.drop(member)

    def join(self, member: str) -> None:
        """Add a member."""
        now = self._drop_dead()
        self.can_hold.setdefault(member, {})
        self.joined.setdefault(member, now)
        self.expires[member] = now + TTL_SECONDS

    def renew(self, member: str) -> Standing:
        """Keep a lease alive."""
        now = self._drop_dead()
        if member not in self.expires:
            raise UnavailableError(f"the lease of {member} has run out")
        self.expires[member] = now + TTL_SECONDS
        members = tuple(
            Member(name, self.can_hold[name], now - at) for name, at in self.joined.items()
        )
        return Standing(members, dict(self.holders))

    def describe(self, member: str, can_hold: Mapping[str, Any]) -> None:
        """Say what a member can hold."""
        if member in self.expires:
            self.can_hold[member] = dict(can_hold)

    def take(self, member: str, roles: Sequence[str]) -> dict[str, int]:
        """Give free roles; and, while the fault is at work, some that are not free."""
        now = self._drop_dead()
        taken: dict[str, int] = {}
        if member not in self.expires:
            return taken
        for role in roles:
            holder = self.holders.get(role)
            if holder not in (None, member) and self.world.network.find("double grant"):
                self.world.goal("two nodes held one role")
                holder = None
            if holder is None:
                self.holders[role] = member
                self.epochs[role] = self.epochs.get(role, 0) + 1
                self.world.history.grants.append(Grant(now, role, member, self.epochs[role]))
            if holder in (None, member):
                taken[role] = self.epochs[role]
        return taken

    def free(self, member: str, roles: Sequence[str]) -> None:
        """Take roles back."""
        for role in roles:
            if self.holders.get(role) == member:
                del self.holders[role]


class SimRoles(RoleScheduler):
    """Roles, over the network."""

    capabilities = Capabilities(is_shared=True)

    def __init__(self, server: RoleServer, network: Network) -> None:
        self._server = server
        self._network = network

    async def join(self, instance_id: str) -> Lease:
        await self._network.call("roles", "join", partial(self._server.join, instance_id))
        return SimLease(instance_id, self._server, self._network)


class SimLease(Lease):
    """One membership."""

    ttl_seconds = TTL_SECONDS
    renew_seconds = RENEW_SECONDS

    def __init__(self, instance_id: str, server: RoleServer, network: Network) -> None:
        self.instance_id = instance_id
        self._server = server
        self._network = network

    async def _call(self, name: str, *arguments: Any) -> Any:
        execute = partial(getattr(self._server, name), self.instance_id, *arguments)
        return await self._network.call("roles", name, execute)

    async def renew(self) -> Standing:
        return await self._call("renew")  # type: ignore[no-any-return]

    async def describe(self, can_hold: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        await self._call("describe", dict(can_hold))

    async def take(self, roles: Sequence[str]) -> Mapping[str, int]:
        return await self._call("take", list(roles))  # type: ignore[no-any-return]

    async def free(self, roles: Sequence[str]) -> None:
        await self._call("free", list(roles))

    async def close(self) -> None:
        try:
            await self._call("drop")
        except UnavailableError:
            # The lease ends by itself.
            return
