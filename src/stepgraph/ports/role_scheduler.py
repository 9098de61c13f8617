"""RoleScheduler: tries to have one holder for each role. Nothing may rely on it for safety."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from stepgraph.ports.capabilities import Capabilities


class Member(Struct, frozen=True):
    """A live instance, as all members see it.

    `can_hold` maps a workflow's name to (fingerprint of its definition, its consumers).
    `age_seconds` is how long it has been a member, by the scheduler's own clock.
    """

    id: str
    can_hold: Mapping[str, tuple[str, tuple[str, ...]]]
    age_seconds: float = 0.0


class Standing(Struct, frozen=True):
    """Who is there and who holds what: live members only, and roles held by live members."""

    members: tuple[Member, ...]
    holders: Mapping[str, str]


class Lease(Protocol):
    """One instance's membership. All of its roles live and die with it."""

    instance_id: str
    ttl_seconds: float
    renew_seconds: float

    @abstractmethod
    async def renew(self) -> Standing:
        """Keep the lease alive and return the standing. Raises `UnavailableError`.

        Called every `renew_seconds`. A holder measures its time from before this call was sent.
        """
        ...

    @abstractmethod
    async def describe(self, can_hold: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """Tell the others what this instance can hold from now on."""
        ...

    @abstractmethod
    async def take(self, roles: Sequence[str]) -> Mapping[str, int]:
        """Take those of `roles` that nobody live holds; return the fencing epoch of each taken.

        Roles that this instance holds already count as taken. An epoch grows with every holder.
        """
        ...

    @abstractmethod
    async def free(self, roles: Sequence[str]) -> None:
        """Give up roles; those not held are ignored."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """End the membership and free every role at once. May be called twice."""
        ...


class RoleScheduler(Protocol):
    """Hands out roles to instances."""

    capabilities: Capabilities

    @abstractmethod
    async def join(self, instance_id: str) -> Lease:
        """Become a member under an id that no live member has."""
        ...
