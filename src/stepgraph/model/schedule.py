"""Schedule: what is stored of a schedule; and SlotDecision: what became of one of its slots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import blake2b
from typing import Generic, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar

import msgspec
from msgspec import Struct

from stepgraph.model.cron import CronSpec
from stepgraph.model.write import UniqueRow

S = TypeVar("S", bound=IntEnum)
CatchUp: TypeAlias = Literal["latest", "all", "none"]
Overlap: TypeAlias = Literal["skip", "wait"]
Decision: TypeAlias = Literal["triggered", "skipped: running", "skipped: filter", "skipped: missed"]
_encode = msgspec.json.encode


class ScheduleOptions(TypedDict, Generic[S], total=False):
    """What a schedule may set."""

    foreign_id: str | Callable[[datetime], str] | None  # its name; a function of the slot
    zone: str  # "UTC"; an IANA name
    status: S | None  # where its runs start; the first starting status
    name: str | None  # the function's
    catch_up: CatchUp  # "latest"; which of the slots that were missed are triggered
    jitter: timedelta  # 0; spreads the slots of many schedules, each by its own part of it
    overlap: Overlap  # "skip"; what a slot does while the run before is open


class ScheduleKey(NamedTuple):
    """What names a stored schedule; the fingerprint is empty for those that no code declares."""

    workflow: str
    name: str
    fingerprint: str


class Schedule(Struct, frozen=True):
    """A schedule as it is stored; instants and `jitter` are in microseconds.

    A declared one has a generation for each spec and zone (`fingerprint`), so that two releases of
    the code can live side by side. Slots up to `started_at` that nobody decided are missed ones.
    `next_slot` is the only slot that may be decided next, None after the last one. `version` rises
    by one with every change. `object` is what a schedule that no code declares triggers.
    """

    workflow: str
    name: str
    fingerprint: str
    spec: str
    zone: str
    foreign_id: str
    catch_up: CatchUp
    overlap: Overlap
    jitter: int
    object: bytes
    started_at: int
    next_slot: int | None
    last_slot: int | None = None
    last_decision: Decision | None = None
    is_paused: bool = False
    is_retired: bool = False
    version: int = 1

    @property
    def key(self) -> ScheduleKey:
        """Return what names this schedule."""
        return ScheduleKey(self.workflow, self.name, self.fingerprint)

    @property
    def is_declared(self) -> bool:
        """Return whether code declares it, or did."""
        return bool(self.fingerprint)

    @property
    def cron(self) -> CronSpec:
        """Return its slots."""
        return CronSpec(self.spec, self.zone)

    def due_at(self, slot: int) -> int:
        """Return when a slot is due: up to `jitter` after it, the same on every instance."""
        if not self.jitter:
            return slot
        name = f"{self.workflow}/{self.name}/{slot}".encode()
        part = int.from_bytes(blake2b(name, digest_size=8).digest(), "big") / 2**64
        return slot + int(self.jitter * part)


class SlotDecision(Struct, frozen=True, gc=False):
    """What became of a slot; there is one for each, for ever.

    It stands for all slots from `slot` to `last`: slots that were missed in a row are decided
    together. `run_id` is the run that was triggered, or that was running.
    """

    workflow: str
    name: str
    slot: int
    decision: Decision
    last: int
    at: int
    run_id: str = ""

    @property
    def row(self) -> UniqueRow:
        """Return the unique name that this decision takes."""
        body = _encode((self.decision, self.last, self.at, self.run_id))
        return UniqueRow(decision_scope(self.workflow, self.name), str(self.slot), body)


def decision_scope(workflow: str, name: str) -> str:
    """Return the scope of the unique names of a schedule's slots, whatever its spec is or was."""
    return f"{workflow}/schedule/{name}"


_decode = msgspec.json.Decoder(tuple[Decision, int, int, str]).decode


def decision_of(workflow: str, name: str, slot: int, body: bytes) -> SlotDecision:
    """Return the decision that a unique name's body holds."""
    decision, last, at, run_id = _decode(body)
    return SlotDecision(workflow, name, slot, decision, last, at, run_id)


def fingerprint_of(cron: CronSpec) -> str:
    """Return what tells one spec and zone from another."""
    return blake2b(_encode((cron.spec, cron.zone)), digest_size=6).hexdigest()
