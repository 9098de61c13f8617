"""TimeoutStoreSuite: what a timeout store must do."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepgraph.model.timeout import TimeoutKey
from stepgraph.testing.conformance.make import NOW, make_record, make_timeout

ALL = tuple(range(16))


class TimeoutStoreSuite:
    """Timers by (run, visit, name)."""

    async def test_creating_twice_is_creating_once(self, backend: Any) -> None:
        """The first wins, whole."""
        timeout = make_timeout(make_record(), attempt=3)
        await backend.timeout_store.create([timeout])
        await backend.timeout_store.create([replace(timeout, due_at=NOW - 9)])

        assert list(await backend.timeout_store.list_timeouts(timeout.run_id)) == [timeout]

    async def test_visits_and_names_are_timers_of_their_own(self, backend: Any) -> None:
        """Several a status, and again at the next visit."""
        timeout = make_timeout(make_record())
        others = [timeout, replace(timeout, name="remind"), replace(timeout, entered_version=5)]
        await backend.timeout_store.create(others)

        assert len(await backend.timeout_store.list_timeouts(timeout.run_id)) == 3

    async def test_a_timer_is_due_at_its_instant_and_not_before(self, backend: Any) -> None:
        """To the microsecond; oldest first; at most the limit; of the workflow."""
        timers = [make_timeout(make_record(), due_at=NOW + n) for n in (2, 0, 1)]
        other = make_timeout(make_record(workflow="other"))
        await backend.timeout_store.create([*timers, other])
        store = backend.timeout_store

        assert list(await store.list_due("orders", ALL, NOW - 1, 10)) == []
        assert list(await store.list_due("orders", ALL, NOW, 10)) == [timers[1]]
        due = await store.list_due("orders", ALL, NOW + 9, 10)
        assert [timeout.due_at for timeout in due] == [NOW, NOW + 1, NOW + 2]
        assert len(await store.list_due("orders", ALL, NOW + 9, 2)) == 2

    async def test_only_the_slots_asked_for(self, backend: Any) -> None:
        """Timers of others are not seen, neither due nor next."""
        one, two = (make_timeout(make_record(), slot=slot, due_at=NOW + slot) for slot in (1, 2))
        await backend.timeout_store.create([one, two])

        assert list(await backend.timeout_store.list_due("orders", (2,), NOW + 9, 10)) == [two]
        assert await backend.timeout_store.next_due("orders", (2,)) == NOW + 2
        assert await backend.timeout_store.next_due("orders", ALL) == NOW + 1
        assert await backend.timeout_store.next_due("orders", (9,)) is None

    async def test_a_completed_timer_stays_ended(self, backend: Any) -> None:
        """A late create does not bring it back."""
        timeout = make_timeout(make_record())
        await backend.timeout_store.create([timeout])
        await backend.timeout_store.complete([timeout.key])
        await backend.timeout_store.create([timeout])

        assert list(await backend.timeout_store.list_due("orders", ALL, NOW, 10)) == []
        assert list(await backend.timeout_store.list_timeouts(timeout.run_id)) == []

    async def test_an_unknown_timer_is_ignored(self, backend: Any) -> None:
        """Completing or postponing it touches no other."""
        timeout = make_timeout(make_record())
        await backend.timeout_store.create([timeout])
        await backend.timeout_store.complete([TimeoutKey("nobody", 1, "x")])
        await backend.timeout_store.postpone([make_timeout(make_record(), due_at=NOW + 9)])

        assert list(await backend.timeout_store.list_due("orders", ALL, NOW + 99, 10)) == [timeout]

    async def test_a_postponed_timer_waits(self, backend: Any) -> None:
        """With the attempt that it carries."""
        timeout = make_timeout(make_record())
        await backend.timeout_store.create([timeout])
        later = replace(timeout, due_at=NOW + 5, attempt=2)
        await backend.timeout_store.postpone([later])

        assert list(await backend.timeout_store.list_due("orders", ALL, NOW, 10)) == []
        assert list(await backend.timeout_store.list_due("orders", ALL, NOW + 5, 10)) == [later]
