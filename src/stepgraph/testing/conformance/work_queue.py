"""WorkQueueSuite: what the queue rows of a record store must do."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepgraph.model.queue import QueueRow, Want
from stepgraph.testing.conformance.make import NOW, make_record, make_row, make_write

ALL = tuple(range(16))


async def put(backend: Any, *rows: QueueRow) -> None:
    """Store rows, each with a run of its own."""
    await backend.record_store.commit([make_write(make_record(), enqueue=(row,)) for row in rows])


async def due(backend: Any, want: Want, now: int = NOW) -> list[QueueRow]:
    """Return due rows of one want."""
    return list(await backend.work_queue.due([want], now))


def row_at(slot: int, due_at: int, **changes: Any) -> QueueRow:
    """Return a row of consumer "c"."""
    return make_row(make_record(), consumer="c", slot=slot, due_at=due_at, **changes)


class WorkQueueSuite:
    """Due rows, oldest first, without claims."""

    async def test_a_row_is_read_back_whole(self, backend: Any) -> None:
        """Every field survives."""
        row = row_at(3, NOW, body=b"\x00\xff", attempt=7, version=9, id="hook/1")
        await put(backend, row)

        assert await due(backend, Want("c", ALL, 0, 10)) == [row]

    async def test_rows_come_oldest_first_and_again_until_finished(self, backend: Any) -> None:
        """Reading claims nothing."""
        rows = [row_at(0, NOW - n) for n in (1, 3, 2)]
        await put(backend, *rows)
        for _ in range(2):
            found = await due(backend, Want("c", ALL, 0, 10))
            assert [row.due_at for row in found] == [NOW - 3, NOW - 2, NOW - 1]

    async def test_a_row_is_due_at_its_instant_and_not_before(self, backend: Any) -> None:
        """To the microsecond."""
        await put(backend, row_at(0, NOW))

        assert await due(backend, Want("c", ALL, 0, 10), NOW - 1) == []
        assert len(await due(backend, Want("c", ALL, 0, 10), NOW)) == 1

    async def test_only_the_slots_and_the_consumer_asked_for(self, backend: Any) -> None:
        """Work of others is not seen."""
        await put(backend, row_at(0, NOW), row_at(1, NOW), row_at(2, NOW))
        await put(backend, make_row(make_record(), consumer="d", slot=1, due_at=NOW))

        assert [row.slot for row in await due(backend, Want("c", (0, 2), 0, 10))] == [0, 2]

    async def test_a_limit_is_shared_among_the_slots(self, backend: Any) -> None:
        """A slot with a long backlog does not starve another; and the limit is used."""
        await put(backend, *(row_at(0, NOW - 100 - n) for n in range(50)), row_at(1, NOW))

        found = await due(backend, Want("c", (0, 1), 0, 10))

        assert len(found) == 10
        assert {row.slot for row in found} == {0, 1}

    async def test_several_wants_are_served_in_one_call(self, backend: Any) -> None:
        """Each with its own limit."""
        await put(backend, row_at(0, NOW), row_at(0, NOW - 1))
        await put(backend, make_row(make_record(), consumer="d", slot=0, due_at=NOW))

        found = await backend.work_queue.due([Want("c", ALL, 0, 1), Want("d", ALL, 0, 5)], NOW)

        assert [row.consumer for row in found] == ["c", "d"]

    async def test_a_position_skips_what_is_before_it(self, backend: Any) -> None:
        """And a row that arrives late behind it is seen from the beginning."""
        await put(backend, row_at(0, NOW - 5), row_at(0, NOW - 3))
        assert len(await due(backend, Want("c", ALL, NOW - 4, 10))) == 1
        await put(backend, row_at(0, NOW - 9))

        found = await due(backend, Want("c", ALL, 0, 10))

        assert [row.due_at for row in found] == [NOW - 9, NOW - 5, NOW - 3]

    async def test_next_due_is_the_earliest_of_the_slots(self, backend: Any) -> None:
        """Consumers without rows are left out."""
        await put(backend, row_at(0, NOW + 9), row_at(1, NOW + 5), row_at(2, NOW))

        found = await backend.work_queue.next_due({"c": (0, 1), "nobody": ALL})

        assert dict(found) == {"c": NOW + 5}

    async def test_finished_keys_of_a_call_are_deleted(self, backend: Any) -> None:
        """Without any write; unknown ones are ignored."""
        row = row_at(0, NOW)
        await put(backend, row)
        for _ in range(2):
            await backend.record_store.commit([], [row.key])

        assert await due(backend, Want("c", ALL, 0, 10)) == []

    async def test_a_postponed_row_moves_once(self, backend: Any) -> None:
        """A row that is gone is not brought back."""
        row, gone = row_at(0, NOW), row_at(0, NOW)
        await put(backend, row)
        later = replace(row, due_at=NOW + 50, attempt=2)
        moves = [(row.key, later), (gone.key, replace(gone, due_at=NOW + 50))]
        for _ in range(2):
            await backend.work_queue.put(moves)

        assert await due(backend, Want("c", ALL, 0, 10)) == []
        assert await due(backend, Want("c", ALL, 0, 10), NOW + 50) == [later]

    async def test_a_parked_row_waits_until_it_is_driven(self, backend: Any) -> None:
        """It leaves the queue, is listed with its error, and comes back with fresh attempts."""
        row = row_at(0, NOW, attempt=5)
        await put(backend, row)
        for _ in range(2):
            await backend.work_queue.park([row], "away", NOW)
        assert await due(backend, Want("c", ALL, 0, 10)) == []
        (letter,) = await backend.work_queue.list_parked(None, 10)
        assert (letter.row, letter.error, letter.parked_at) == (row, "away", NOW)
        assert list(await backend.work_queue.list_parked("d", 10)) == []

        assert await backend.work_queue.drive([row.key], NOW + 3) == 1
        assert await backend.work_queue.drive([row.key], NOW + 3) == 0
        found = await due(backend, Want("c", ALL, 0, 10), NOW + 3)
        assert found == [replace(row, due_at=NOW + 3, attempt=0)]
        assert list(await backend.work_queue.list_parked(None, 10)) == []

    async def test_a_row_can_be_put_without_a_run(self, backend: Any) -> None:
        """Putting it twice is putting it once."""
        row = row_at(0, NOW, body=b"x")
        for _ in range(2):
            await backend.work_queue.put([(None, row)])

        assert await due(backend, Want("c", ALL, 0, 10)) == [row]

    async def test_a_discarded_letter_is_gone(self, backend: Any) -> None:
        """And no other."""
        rows = [row_at(0, NOW), row_at(1, NOW)]
        await put(backend, *rows)
        await backend.work_queue.park(rows, "away", NOW)

        assert await backend.work_queue.discard([rows[0].key]) == 1
        assert await backend.work_queue.discard([rows[0].key]) == 0
        assert await backend.work_queue.drive([rows[0].key], NOW) == 0
        assert [p.row for p in await backend.work_queue.list_parked(None, 10)] == [rows[1]]

    async def test_runs_without_a_step_are_adopted_once(self, backend: Any) -> None:
        """Only those of the workflow, open, and in a status that has a step now."""
        waiting = make_record(next="no_step")
        others = [
            make_record(next="no_step", status=2),
            make_record(next="no_step", workflow="other"),
            make_record(next="no_step", run_state=3),
            make_record(next="skipped"),
        ]
        await backend.record_store.commit([make_write(r) for r in (waiting, *others)])

        assert await backend.lost_runs.adopt("orders", {1: "c"}, NOW) == 1
        assert await backend.lost_runs.adopt("orders", {1: "c"}, NOW) == 0
        (row,) = await due(backend, Want("c", ALL, 0, 10))
        assert (row.run_id, row.version) == (waiting.run_id, 1)
        (record,) = await backend.record_store.lookup_many([waiting.ref])
        assert record == replace(waiting, next="step", due_at=NOW)
