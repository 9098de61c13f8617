"""RoleSchedulerSuite: what a role scheduler must do. Nothing relies on it for safety."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from stepgraph.ports.role_scheduler import Lease


@asynccontextmanager
async def members(backend: Any, *names: str) -> AsyncGenerator[list[Lease]]:
    """Join under several names; leave at the end."""
    leases: list[Lease] = [await backend.role_scheduler.join(name) for name in names]
    try:
        yield leases
    finally:
        for lease in leases:
            await lease.close()


class RoleSchedulerSuite:
    """One lease an instance, many roles under it."""

    async def test_a_role_has_one_holder(self, backend: Any) -> None:
        """Whoever asks first gets it, of many who ask at once."""
        async with members(backend, "a", "b", "c", "d") as leases:
            answers = await asyncio.gather(*(lease.take(["r"]) for lease in leases))

            assert sum("r" in taken for taken in answers) == 1

    async def test_roles_do_not_block_each_other(self, backend: Any) -> None:
        """Those that are free are taken, the others are left out."""
        async with members(backend, "a", "b") as (a, b):
            assert set(await a.take(["r1"])) == {"r1"}
            assert set(await b.take(["r1", "r2"])) == {"r2"}

    async def test_a_role_that_is_held_is_taken(self, backend: Any) -> None:
        """Asking again changes nothing, the epoch included."""
        async with members(backend, "a") as (a,):
            first = await a.take(["r"])

            assert dict(await a.take(["r"])) == dict(first)

    async def test_a_freed_role_passes_on_with_a_higher_epoch(self, backend: Any) -> None:
        """The fencing token grows with every holder."""
        async with members(backend, "a", "b") as (a, b):
            first = await a.take(["r"])
            await b.free(["r"])
            assert not await b.take(["r"])
            await a.free(["r"])
            second = await b.take(["r"])
            await b.free(["r"])
            third = await a.take(["r"])

            assert first["r"] < second["r"] < third["r"]

    async def test_a_closed_lease_frees_everything(self, backend: Any) -> None:
        """At once; closing twice is closing once."""
        async with members(backend, "a", "b") as (a, b):
            await a.take(["r1", "r2"])
            await a.close()
            await a.close()

            assert set(await b.take(["r1", "r2"])) == {"r1", "r2"}
            assert [member.id for member in (await b.renew()).members] == ["b"]

    async def test_a_standing_shows_members_and_holders(self, backend: Any) -> None:
        """What they can hold, and who holds what."""
        async with members(backend, "a", "b") as (a, b):
            await a.describe({"orders": ("print", ("orders/step/1",))})
            await b.take(["r"])
            for lease in (a, b):
                standing = await lease.renew()
                found = {member.id: member.can_hold for member in standing.members}
                assert found == {"a": {"orders": ("print", ("orders/step/1",))}, "b": {}}
                assert dict(standing.holders) == {"r": "b"}
                assert all(0 <= member.age_seconds < 60 for member in standing.members)
