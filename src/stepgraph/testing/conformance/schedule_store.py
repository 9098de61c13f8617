"""ScheduleStoreSuite: what a schedule store must do."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from stepgraph.model.schedule import Schedule, SlotDecision, decision_scope
from stepgraph.model.write import Committed, Conflict
from stepgraph.testing.conformance.make import NOW, make_record, make_schedule, make_write

FIRST = ("", "")


def _decision(slot: int, **changes: Any) -> SlotDecision:
    decision = SlotDecision("orders", "nightly", slot, "skipped: filter", slot, NOW)
    return replace(decision, **changes)


class ScheduleStoreSuite:
    """Schedules by (workflow, name, fingerprint), and one decision a slot."""

    async def test_a_schedule_is_read_back_whole(self, backend: Any) -> None:
        """Every field, also those that are empty."""
        full = make_schedule(
            name="full", jitter=5, next_slot=NOW, last_slot=NOW - 9, object=b'{"total":1}',
            last_decision="skipped: running", is_paused=True, is_retired=True, catch_up="all",
            overlap="wait",
        )  # fmt: skip
        empty = make_schedule(name="empty", next_slot=None)
        for schedule in (full, empty):
            assert await backend.schedule_store.put(schedule)

        assert list(await backend.schedule_store.get("orders", "full")) == [full]
        assert list(await backend.schedule_store.get("orders", "empty")) == [empty]
        assert list(await backend.schedule_store.get("orders", "none")) == []

    async def test_a_change_compares_the_version(self, backend: Any) -> None:
        """It replaces the version before its own; a first version replaces nothing."""
        schedule = make_schedule()
        store = backend.schedule_store
        assert not await store.put(replace(schedule, version=2))
        assert await store.put(schedule)
        assert not await store.put(replace(schedule, is_paused=True))
        assert not await store.put(replace(schedule, is_paused=True, version=3))
        second = replace(schedule, is_paused=True, version=2)
        assert await store.put(second)
        assert not await store.put(replace(second, is_paused=False))

        assert list(await store.get("orders", schedule.name)) == [second]

    async def test_of_twenty_changes_of_a_version_one_is_stored(self, backend: Any) -> None:
        """Side by side."""
        schedule = make_schedule()
        store = backend.schedule_store
        await store.put(schedule)
        changes = [replace(schedule, last_slot=n, version=2) for n in range(20)]
        won = await asyncio.gather(*(store.put(change) for change in changes))

        assert won.count(True) == 1
        assert list(await store.get("orders", schedule.name)) == [changes[won.index(True)]]

    async def test_generations_of_a_name_stand_side_by_side(self, backend: Any) -> None:
        """Each has a version of its own."""
        one, two = make_schedule(fingerprint="a"), make_schedule(fingerprint="b", spec="@daily")
        for schedule in (two, one):
            assert await backend.schedule_store.put(schedule)

        assert list(await backend.schedule_store.get("orders", one.name)) == [one, two]

    async def test_pages_of_schedules_neither_overlap_nor_skip(self, backend: Any) -> None:
        """By name and fingerprint, of one workflow."""
        wanted = [make_schedule(name=name, fingerprint=f) for name in "abc" for f in ("", "1")]
        for schedule in [*wanted[::-1], make_schedule(workflow="other", name="b")]:
            await backend.schedule_store.put(schedule)
        found: list[Schedule] = []
        after = FIRST
        while page := await backend.schedule_store.list_schedules("orders", after, 3):
            found += page
            after = (page[-1].name, page[-1].fingerprint)

        assert found == wanted

    async def test_deleting_compares_the_version(self, backend: Any) -> None:
        """Somebody else's change is not deleted unseen; deleting twice is deleting once."""
        schedule = make_schedule()
        store = backend.schedule_store
        await store.put(schedule)
        changed = replace(schedule, version=2)
        await store.put(changed)

        assert not await store.delete(schedule)
        assert list(await store.get("orders", schedule.name)) == [changed]
        assert await store.delete(changed)
        assert not await store.delete(changed)
        assert list(await store.get("orders", schedule.name)) == []
        assert await store.put(schedule)

    async def test_the_first_decision_of_a_slot_stands(self, backend: Any) -> None:
        """For ever, and for this slot of this schedule alone."""
        store = backend.schedule_store
        first = _decision(NOW, decision="skipped: missed", last=NOW + 5, run_id="r")
        assert await store.decide(first) == first
        assert await store.decide(_decision(NOW)) == first
        others = (
            _decision(NOW + 1), _decision(NOW, name="other"), _decision(NOW, workflow="other")
        )  # fmt: skip
        for other in others:
            assert await store.decide(other) == other

    async def test_of_a_decision_and_a_write_that_takes_its_name_one_wins(
        self, backend: Any
    ) -> None:
        """A run and "skipped" never stand side by side."""
        store, scope = backend.schedule_store, decision_scope("orders", "nightly")
        skipped = _decision(NOW)
        triggered = _decision(NOW + 1, decision="triggered", run_id="r")
        await store.decide(skipped)
        late = make_write(make_record(), unique=(_decision(NOW, decision="triggered").row,))
        early = make_write(make_record(), unique=(triggered.row,))

        (lost,) = await backend.record_store.commit([late])
        assert isinstance(lost, Conflict)
        assert await backend.record_store.find_unique(scope, str(NOW)) == skipped.row.body
        assert list(await backend.record_store.lookup_many([late.record.ref])) == [None]
        (won,) = await backend.record_store.commit([early])
        assert isinstance(won, Committed)
        assert await store.decide(_decision(NOW + 1)) == triggered
