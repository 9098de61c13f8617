"""ScheduleStore: keeps schedules, and the one decision about each of their slots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from stepgraph.model.schedule import Schedule, SlotDecision


class ScheduleStore(Protocol):
    """Schedules by (workflow, name, fingerprint), beside the runs of a record store.

    Every method raises `UnavailableError` while the store is away, and may be repeated then.
    """

    @abstractmethod
    async def get(self, workflow: str, name: str) -> Sequence[Schedule]:
        """Return every generation of a schedule, by fingerprint; never stale."""
        ...

    @abstractmethod
    async def list_schedules(
        self, workflow: str, after: tuple[str, str], limit: int
    ) -> Sequence[Schedule]:
        """Return a page of a workflow's schedules past (name, fingerprint), in that order."""
        ...

    @abstractmethod
    async def put(self, schedule: Schedule) -> bool:
        """Store a schedule if the stored version is the one before its own; return whether it was.

        Version 1 is stored only where there is none. This compare-and-swap is the only lock.
        """
        ...

    @abstractmethod
    async def delete(self, schedule: Schedule) -> bool:
        """Delete a schedule if it is stored at this version; return whether it was.

        The decisions about its slots stay.
        """
        ...

    @abstractmethod
    async def decide(self, decision: SlotDecision) -> SlotDecision:
        """Store a decision unless its slot has one, and return the one that stands.

        A decision takes its `row` among the unique names of the record store, atomically: of this
        call and a `Write` that has the name in its `unique` one wins, and the other sees it.
        """
        ...
