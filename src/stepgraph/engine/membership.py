"""Membership: keeps this instance's lease and moves slots of consumers in and out of its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from stepgraph.engine.consume import Consumer
from stepgraph.engine.tasks import Tasks
from stepgraph.errors import UnavailableError
from stepgraph.model.assignment import assign
from stepgraph.model.slot import group_of
from stepgraph.model.topic import slot_role
from stepgraph.ports.clock import elapsed_seconds
from stepgraph.ports.log import Log
from stepgraph.ports.role_scheduler import Lease, RoleScheduler, Standing

_NEWCOMER_SECONDS = 10.0
_PREFERENCE_SECONDS = 2.0
_MARGIN = 0.8  # the part of the lease's time for which its holder trusts it


class Seat(NamedTuple):
    """A consumer that this instance can run, and how its slots are cut."""

    consumer: Consumer
    fingerprint: str
    slot_count: int
    drain_seconds: float


class Membership:
    """One lease for all roles of an instance.

    Safety never rests on it: two holders of a slot waste work, and the compare-and-swap lets one
    of them win. A holder stops trusting its lease before anybody else may take its roles.
    """

    def __init__(self, scheduler: RoleScheduler, instance_id: str, tasks: Tasks, log: Log) -> None:
        """Join through `scheduler` when started."""
        self._log = log
        self._scheduler = scheduler
        self._instance_id = instance_id
        self._tasks = tasks
        self._lease: Lease | None = None
        self._standing = Standing((), {})
        self._renewed_at = 0.0
        self._seats: dict[str, Seat] = {}
        self._held: dict[str, dict[int, int]] = {}
        self._draining: set[str] = set()
        self._free_since: dict[str, float] = {}
        self._settling = asyncio.Lock()
        self._stirred = asyncio.Event()

    async def start(self) -> None:
        """Join, and keep the lease in the background."""
        self._lease = await self._scheduler.join(self._instance_id)
        self._renewed_at = elapsed_seconds()
        self._tasks.start(self._keep(), "keep the lease")

    async def seat(self, seats: list[Seat]) -> None:
        """Run these consumers here as far as their roles are to be had; returns after a first try.

        While the scheduler is away the background renewal goes on trying.
        """
        for seat in seats:
            self._seats[seat.consumer.name] = seat
            self._held.setdefault(seat.consumer.name, {})
        try:
            await self._describe()
            await self._renew()
        except UnavailableError as error:
            self._log.warning("roles are not to be had yet", error=error)

    async def unseat(self, names: list[str]) -> None:
        """Give up every role of these consumers; their work has ended."""
        roles = []
        for name in names:
            seat = self._seats.pop(name, None)
            for slot in range(seat.slot_count if seat is not None else 0):
                self._free_since.pop(slot_role(name, slot), None)
            roles += [slot_role(name, slot) for slot in self._held.pop(name, {})]
        if self._lease is None:
            return
        try:
            await self._lease.free(roles)
            await self._describe()
        except UnavailableError as error:
            text = "roles could not be freed; they end with the lease"
            self._log.warning(text, error=error)

    async def close(self) -> None:
        """End the membership."""
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await lease.close()

    def other_fingerprints(self, workflow: str, consumer: str, fingerprint: str) -> bool:
        """Return whether a live instance with another definition can hold a consumer too."""
        return any(
            member.id != self._instance_id
            and (described := member.can_hold.get(workflow)) is not None
            and described[0] != fingerprint
            and consumer in described[1]
            for member in self._standing.members
        )

    def other_releases(self, workflow: str, fingerprint: str) -> Mapping[str, str]:
        """Return which live instances have another definition of a workflow: its fingerprint."""
        return {
            member.id: described[0]
            for member in self._standing.members
            if member.id != self._instance_id
            and (described := member.can_hold.get(workflow)) is not None
            and described[0] != fingerprint
        }

    def is_anybody_able(self, workflow: str, consumer: str) -> bool:
        """Return whether a live instance can be a consumer."""
        return any(
            consumer in member.can_hold.get(workflow, ("", ()))[1]
            for member in self._standing.members
        )

    def epoch(self, consumer: str, slot: int) -> int | None:
        """Return the fencing epoch under which a slot is held here."""
        return self._held.get(consumer, {}).get(slot)

    async def _describe(self) -> None:
        can_hold: dict[str, tuple[str, tuple[str, ...]]] = {}
        for name, seat in sorted(self._seats.items()):
            workflow = seat.consumer.workflow
            names = can_hold.get(workflow, ("", ()))[1]
            can_hold[workflow] = (seat.fingerprint, (*names, name))
        if self._lease is not None:
            await self._lease.describe(can_hold)

    async def _keep(self) -> None:
        while self._lease is not None:
            try:
                async with asyncio.timeout(self._lease.renew_seconds):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            self._stirred.clear()
            try:
                await self._renew()
            except UnavailableError as error:
                self._log.warning("the lease cannot be renewed", error=error)
                await self._look_at_deadline()

    async def _look_at_deadline(self) -> None:
        """Drop everything in time if the lease is no longer to be trusted, and join anew."""
        lease = self._lease
        if lease is None or elapsed_seconds() < self._renewed_at + lease.ttl_seconds * _MARGIN:
            return
        for name, slots in self._held.items():
            seat = self._seats.get(name)
            if slots and seat is not None:
                lost = frozenset(slots)
                slots.clear()
                seat.consumer.hold(frozenset())
                seat.consumer.lose(lost, "role lost")
        try:
            self._lease = await self._scheduler.join(self._instance_id)
            await self._describe()
        except UnavailableError as error:
            self._log.warning("joining again failed", error=error)

    async def _renew(self) -> None:
        if self._lease is None:
            return
        async with self._settling:
            sent_at = elapsed_seconds()
            self._standing = await self._lease.renew()
            self._renewed_at = sent_at
            await self._settle(self._standing)

    async def _settle(self, standing: Standing) -> None:
        """Take what is free and ours to take; let go of what another should have."""
        preferred = assign(self._candidates(standing))
        wanted: list[tuple[str, int]] = []
        for name, seat in self._seats.items():
            leaving: set[int] = set()
            for slot in range(seat.slot_count):
                unit = _unit(seat, slot)
                holder = standing.holders.get(slot_role(name, slot))
                is_mine = preferred.get(unit, self._instance_id) == self._instance_id
                if slot in self._held[name]:
                    if not is_mine:
                        leaving.add(slot)
                elif holder == self._instance_id or self._may_take(name, slot, holder, is_mine):
                    wanted.append((name, slot))
            if leaving and name not in self._draining:
                self._draining.add(name)
                self._tasks.start(self._let_go(seat, frozenset(leaving)), f"let go of {name}")
        if wanted and self._lease is not None:
            await self._take(self._lease, wanted)

    def _may_take(self, name: str, slot: int, holder: str | None, is_mine: bool) -> bool:
        """The preferred instance takes a free role at once, anybody a moment later."""
        role = slot_role(name, slot)
        if holder is not None or name in self._draining:
            self._free_since.pop(role, None)
            return False
        if is_mine:
            return True
        since = self._free_since.setdefault(role, elapsed_seconds())
        return elapsed_seconds() - since > _PREFERENCE_SECONDS

    async def _take(self, lease: Lease, wanted: list[tuple[str, int]]) -> None:
        taken = await lease.take([slot_role(name, slot) for name, slot in wanted])
        for name in dict.fromkeys(name for name, _ in wanted):
            seat = self._seats.get(name)
            if seat is None:
                continue
            for slot in range(seat.slot_count):
                epoch = taken.get(slot_role(name, slot))
                if epoch is not None:
                    self._held[name][slot] = epoch
                    self._free_since.pop(slot_role(name, slot), None)
            seat.consumer.hold(frozenset(self._held[name]))

    def _candidates(self, standing: Standing) -> Mapping[str, list[str]]:
        """Return who can hold each group of slots; newcomers count only after a while."""
        found: dict[str, list[str]] = {}
        for name, seat in self._seats.items():
            able = [
                member
                for member in standing.members
                if name in member.can_hold.get(seat.consumer.workflow, ("", ()))[1]
                or member.id == self._instance_id
            ]
            settled = [m.id for m in able if m.age_seconds >= _NEWCOMER_SECONDS]
            for slot in range(seat.slot_count):
                found.setdefault(_unit(seat, slot), settled or [member.id for member in able])
        return found

    async def _let_go(self, seat: Seat, slots: frozenset[int]) -> None:
        """Finish what is in hand of these slots, then free their roles."""
        name = seat.consumer.name
        try:
            seat.consumer.hold(frozenset(self._held.get(name, ())) - slots)
            seat.consumer.inbox.drop_ready(slots)
            try:
                async with asyncio.timeout(seat.drain_seconds):
                    await seat.consumer.emptied(slots)
            except TimeoutError:
                seat.consumer.lose(slots, "role lost")
            for slot in slots:
                self._held.get(name, {}).pop(slot, None)
            if self._lease is not None:
                await self._lease.free([slot_role(name, slot) for slot in slots])
        except UnavailableError as error:
            self._log.warning("roles of %s could not be freed yet", name, error=error)
        finally:
            self._draining.discard(name)


def _unit(seat: Seat, slot: int) -> str:
    """Return the group of a slot: what is moved as one where it can be."""
    group = group_of(slot, seat.consumer.group_count, seat.slot_count)
    return f"{seat.consumer.name}/{group}-of-{seat.consumer.group_count}"
