"""CensusSuite: how a store must count runs by status."""

from __future__ import annotations

from typing import Any

from stepgraph.model.record import Record
from stepgraph.testing.conformance.make import make_record, make_write


async def stored(backend: Any, *statuses: int, run_state: int = 2, **changes: Any) -> list[Record]:
    """Store one run in each of these statuses, and return them, oldest first."""
    records = [make_record(status=s, run_state=run_state, **changes) for s in statuses]
    await backend.record_store.commit([make_write(record) for record in records])
    return records


class CensusSuite:
    """Counts by status."""

    async def test_runs_are_counted_by_status(self, backend: Any) -> None:
        """In the order of the statuses, those included that nobody knows."""
        await stored(backend, 7, 1, 7, -3)

        found = await backend.census.count_by_status("orders", is_open=True, limit=99, sample=1)
        assert [(c.status, c.count) for c in found] == [(-3, 1), (1, 1), (7, 2)]

    async def test_open_runs_and_ended_ones_are_counted_apart(self, backend: Any) -> None:
        """Paused runs are open; those whose data was deleted have ended."""
        for run_state in range(1, 8):
            await stored(backend, run_state, run_state=run_state)
        count = backend.census.count_by_status

        found = await count("orders", is_open=True, limit=99, sample=1)
        assert [c.status for c in found] == [1, 2, 3]
        found = await count("orders", is_open=False, limit=99, sample=1)
        assert [c.status for c in found] == [4, 5, 6, 7]

    async def test_only_runs_of_the_workflow_are_counted(self, backend: Any) -> None:
        """Whatever else is stored."""
        await stored(backend, 1, workflow="other")
        await stored(backend, 1)

        found = await backend.census.count_by_status("orders", is_open=True, limit=99, sample=1)
        assert [c.count for c in found] == [1]

    async def test_a_count_names_its_oldest_and_newest_runs(self, backend: Any) -> None:
        """Each once, oldest first, also where the two overlap."""
        refs = [record.ref for record in await stored(backend, *[1] * 5, *[2] * 3)]

        found = await backend.census.count_by_status("orders", is_open=True, limit=99, sample=2)
        assert found[0].runs == (*refs[:2], *refs[3:5])
        assert found[1].runs == tuple(refs[5:])

    async def test_no_more_runs_are_looked_at_than_allowed(self, backend: Any) -> None:
        """Of ended runs the newest."""
        for is_open, run_state in ((True, 2), (False, 4)):
            await stored(backend, 1, 2, 3, 4, run_state=run_state)
            found = await backend.census.count_by_status(
                "orders", is_open=is_open, limit=2, sample=1
            )
            assert sum(c.count for c in found) == 2
        assert [c.status for c in found] == [3, 4]
