"""BacklogSuite: what a backend that counts its queue must count."""

from __future__ import annotations

from typing import Any

from stepgraph.ports.backlog import Waiting
from stepgraph.testing.conformance.make import NOW
from stepgraph.testing.conformance.work_queue import put, row_at


class BacklogSuite:
    """Due rows and dead letters by slot, counted as far as asked."""

    async def test_due_rows_are_counted_by_slot(self, backend: Any) -> None:
        """A slot without any has no entry."""
        await put(backend, row_at(0, NOW), row_at(0, NOW - 5), row_at(2, NOW - 1))

        found = await backend.backlog.count({"c": (0, 1, 2)}, NOW, 10)

        assert found == {("c", 0): Waiting(2, 0), ("c", 2): Waiting(1, 0)}

    async def test_what_is_due_later_is_not_counted(self, backend: Any) -> None:
        """A run that waits a month is no backlog."""
        await put(backend, row_at(0, NOW), row_at(0, NOW + 1))

        assert (await backend.backlog.count({"c": (0,)}, NOW, 10))["c", 0].due == 1

    async def test_dead_letters_are_counted_apart(self, backend: Any) -> None:
        """A parked row is due no more."""
        row, other = row_at(3, NOW), row_at(3, NOW - 1)
        await put(backend, row, other)
        await backend.work_queue.park([row], "no", NOW)

        assert await backend.backlog.count({"c": (3,)}, NOW, 10) == {("c", 3): Waiting(1, 1)}

    async def test_only_what_was_asked_for_is_counted(self, backend: Any) -> None:
        """Other consumers and slots are somebody else's."""
        await put(backend, row_at(0, NOW), row_at(1, NOW))

        assert set(await backend.backlog.count({"c": (1,), "d": (0,)}, NOW, 10)) == {("c", 1)}

    async def test_counting_stops_at_the_limit_of_each_slot(self, backend: Any) -> None:
        """A million rows cost no more than a thousand."""
        parked = [row_at(1, NOW - n) for n in range(4)]
        await put(backend, *(row_at(0, NOW - n) for n in range(4)), *parked)
        await backend.work_queue.park(parked, "no", NOW)

        found = await backend.backlog.count({"c": (0, 1)}, NOW, 3)

        assert found == {("c", 0): Waiting(3, 0), ("c", 1): Waiting(0, 3)}
