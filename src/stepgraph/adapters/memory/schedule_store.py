"""MemoryScheduleStore: schedules in a dictionary, decisions among the unique names."""

from __future__ import annotations

from collections.abc import Sequence

from stepgraph.adapters.memory.storage import MemoryStorage, TakenName
from stepgraph.model.schedule import Schedule, SlotDecision, decision_of
from stepgraph.ports.schedule_store import ScheduleStore


class MemoryScheduleStore(ScheduleStore):
    """Schedules of this process; nothing suspends between a look and a change."""

    def __init__(self, storage: MemoryStorage) -> None:
        """Work on `storage`, which twins may share."""
        self._storage = storage

    async def get(self, workflow: str, name: str) -> Sequence[Schedule]:
        """Return every generation of a schedule."""
        found = [s for s in self._storage.schedules.values() if s.key[:2] == (workflow, name)]
        return sorted(found, key=lambda schedule: schedule.fingerprint)

    async def list_schedules(
        self, workflow: str, after: tuple[str, str], limit: int
    ) -> Sequence[Schedule]:
        """Return a page of a workflow's schedules."""
        found = [
            schedule
            for key, schedule in self._storage.schedules.items()
            if key.workflow == workflow and key[1:] > after
        ]
        return sorted(found, key=lambda schedule: schedule.key)[:limit]

    async def put(self, schedule: Schedule) -> bool:
        """Store a schedule if the stored version is the one before."""
        stored = self._storage.schedules.get(schedule.key)
        if (stored.version if stored is not None else 0) != schedule.version - 1:
            return False
        self._storage.schedules[schedule.key] = schedule
        return True

    async def delete(self, schedule: Schedule) -> bool:
        """Delete a schedule at this version."""
        stored = self._storage.schedules.get(schedule.key)
        if stored is None or stored.version != schedule.version:
            return False
        del self._storage.schedules[schedule.key]
        return True

    async def decide(self, decision: SlotDecision) -> SlotDecision:
        """Take the name of the slot, unless it is taken."""
        row = decision.row
        name = TakenName(row.body, decision.workflow, decision.at)
        taken = self._storage.unique.setdefault((row.scope, row.key), name)
        return decision_of(decision.workflow, decision.name, decision.slot, taken.body)
