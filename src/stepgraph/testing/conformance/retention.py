"""RetentionSuite: what a store must forget, and what it must keep."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stepgraph.model.history import Failure, HistoryRow
from stepgraph.model.record import Meta, Parent, Record
from stepgraph.model.tombstone import Tombstone
from stepgraph.model.write import COMMITTED, Committed, Exists, UniqueRow, Write
from stepgraph.ports.retention_store import START, Pruned, PruneQuery
from stepgraph.testing.conformance.make import (
    NOW,
    make_child,
    make_record,
    make_row,
    make_write,
    next_write,
)
from stepgraph.testing.conformance.record_store import commit, stored

KEPT = 1000
QUERY = PruneQuery("orders", NOW + 100, START, 100)


async def put(backend: Any, **changes: Any) -> Record:
    """Store a run as it is described, and return it."""
    record = make_record(**({"run_state": 4} | changes))
    await commit(backend, make_write(record))
    return record


async def prune(backend: Any, query: PruneQuery = QUERY) -> Pruned:
    """Prune runs, and return what was done."""
    answer: Pruned = await backend.retention_store.prune_runs(query, KEPT)
    return answer


async def lived(backend: Any, *ages: int, **changes: Any) -> Record:
    """Store a run of as many versions as instants are given; return its last version."""
    record = make_record(created_at=NOW, updated_at=NOW + ages[0], **changes)
    await commit(backend, make_write(record))
    for age in ages[1:]:
        write = next_write(record, updated_at=NOW + age)
        assert write.history is not None
        await commit(backend, replace(write, history=replace(write.history, object=None)))
        record = write.record
    return record


class RetentionSuite:
    """Old runs, history and keys."""

    async def test_an_old_ended_run_goes_with_its_history(self, backend: Any) -> None:
        """Nothing finds it any more; a younger one, and another workflow's, stay."""
        old = await put(backend)
        younger = await put(backend, updated_at=NOW + 100)
        other = await put(backend, workflow="other")

        assert await prune(backend) == Pruned(1, None)

        assert await stored(backend, old) is None
        assert await backend.record_store.find(old.run_id) is None
        assert await backend.record_store.latest("orders", old.foreign_id) is None
        assert list(await backend.history_store.history(old.run_id)) == []
        assert await stored(backend, younger) == younger
        assert await stored(backend, other) == other
        assert len(await backend.history_store.history(younger.run_id)) == 1

    async def test_an_open_run_is_never_pruned(self, backend: Any) -> None:
        """Initiated, running or paused, and neither is one whose data is being deleted."""
        kept = [await put(backend, run_state=run_state) for run_state in (1, 2, 3, 7)]

        assert await prune(backend) == Pruned(0, None)

        assert [await stored(backend, record) for record in kept] == kept

    async def test_a_run_with_work_left_is_kept_until_it_is_done(self, backend: Any) -> None:
        """A queue row that is about it, and then the dead letter."""
        record = await put(backend)
        row = make_row(record, consumer="orders/hook/h", id=f"{record.run_id}/4")
        await backend.work_queue.put([(None, row)])
        assert await prune(backend) == Pruned(0, None)
        await backend.work_queue.park([row], "text", NOW)
        assert await prune(backend) == Pruned(0, None)

        await backend.work_queue.discard([row.key])

        assert await prune(backend) == Pruned(1, None)

    async def test_step_work_of_an_ended_run_keeps_nothing(self, backend: Any) -> None:
        """A row of its step, or its announcement, means nothing any more."""
        record = await put(backend)
        rows = [make_row(record), make_row(record, consumer="orders/relay", id="r")]
        await backend.work_queue.put([(None, row) for row in rows])

        assert await prune(backend) == Pruned(1, None)

    async def test_a_child_waits_for_its_parent(self, backend: Any) -> None:
        """It goes when the parent has ended; a parent that is gone holds nothing."""
        parent = await put(backend, run_state=2)
        meta = Meta(parent=Parent("orders", parent.foreign_id, parent.run_id, 1, 1))
        child = await put(backend, meta=meta)
        assert await prune(backend) == Pruned(0, None)
        await commit(backend, next_write(parent, run_state=5))

        assert await prune(backend) == Pruned(2, None)

        assert await stored(backend, child) is None

    async def test_a_pruned_run_takes_the_rows_of_its_children_along(self, backend: Any) -> None:
        """What it knew of its children goes, and what another run knows stays."""
        old = await put(backend)
        younger = await put(backend, updated_at=NOW + 100)
        for parent in (old, younger):
            changes = {"run_state": parent.run_state, "updated_at": parent.updated_at}
            write = next_write(parent, **changes)
            await commit(backend, replace(write, children=(make_child(parent, 1),)))

        assert await prune(backend) == Pruned(1, None)

        children = backend.child_store
        counts = [
            len(await children.list_children(r.run_id, None, 9, only_waiting=False))
            for r in (old, younger)
        ]
        assert counts == [0, 1]

    async def test_pages_pass_over_what_is_kept(self, backend: Any) -> None:
        """Each batch looks at so many runs, the one that ended first first, and says where."""
        kept = await put(backend, updated_at=NOW)
        await backend.work_queue.put([(None, make_row(kept, consumer="orders/hook/h", id="h"))])
        gone = [await put(backend, updated_at=NOW + n // 2) for n in range(7)]
        counts: list[int] = []
        query = QUERY._replace(limit=2)
        while True:
            pruned = await prune(backend, query)
            counts.append(pruned.deleted)
            if pruned.after is None:
                break
            query = query._replace(after=pruned.after)

        assert max(counts) <= 2
        assert sum(counts) == 7
        assert [await stored(backend, record) for record in gone] == [None] * 7
        assert await stored(backend, kept) == kept

    async def test_a_keyed_run_leaves_a_tombstone(self, backend: Any) -> None:
        """In the same write; others leave none."""
        keyed = await put(backend, is_keyed=True, run_state=5, updated_at=NOW + 3)
        plain = await put(backend)

        await prune(backend)

        ids = [plain.run_id, keyed.run_id, "nobody"]
        assert list(await backend.retention_store.tombstones(ids)) == [
            None,
            Tombstone(keyed.run_id, "orders", 5, NOW + 3 + KEPT),
            None,
        ]

    async def test_a_tombstone_answers_a_create(self, backend: Any) -> None:
        """The first write repeated, a later one, and one among others; nothing is created."""
        record = make_record(is_keyed=True, run_state=4)
        first = make_write(record)
        await commit(backend, first)
        await prune(backend)
        again = replace(record, write_id=b"another-write-id", run_state=1)
        new = [make_record(is_keyed=True) for _ in range(3)]

        results = await commit(backend, *(make_write(r) for r in (new[0], again, *new[1:])))

        assert results == [COMMITTED, Exists(record.run_id), COMMITTED, COMMITTED]
        assert await commit(backend, first) == [Exists(record.run_id)]
        assert await stored(backend, record) is None
        assert list(await backend.history_store.history(record.run_id)) == []

    async def test_a_late_write_does_not_bring_a_run_back(self, backend: Any) -> None:
        """Neither its record nor its history nor its rows."""
        record = await put(backend)
        await prune(backend)
        late = next_write(record, run_state=7)

        await commit(backend, replace(late, enqueue=(make_row(record, consumer="late"),)))

        assert await stored(backend, record) is None
        assert list(await backend.history_store.history(record.run_id)) == []
        assert await backend.work_queue.next_due({"late": tuple(range(16))}) == {}

    async def test_old_versions_go_and_the_newest_stays(self, backend: Any) -> None:
        """However old the newest one is, in open runs as in ended ones; others keep theirs."""
        record = await lived(backend, 1, 2, 3, 200)
        still = await lived(backend, 1, 2, 3)
        other = await lived(backend, 1, 2, 3, workflow="other")

        assert await backend.retention_store.prune_history(QUERY) == Pruned(5, None)

        versions = [
            [row.version for row in await backend.history_store.history(found.run_id)]
            for found in (record, still, other)
        ]
        assert versions == [[4], [3], [1, 2, 3]]

    async def test_the_first_version_that_stays_has_its_object(self, backend: Any) -> None:
        """Though it was left out because it was as before; a later one keeps none."""
        record = await lived(backend, 1, 2, 200, 201, object=b'"kept"')

        await backend.retention_store.prune_history(QUERY)

        rows = await backend.history_store.history(record.run_id)
        assert [(row.version, row.object) for row in rows] == [(3, b'"kept"'), (4, None)]

    async def test_old_attempts_go_and_young_ones_stay(self, backend: Any) -> None:
        """Of whatever version they are."""
        record = await lived(backend, 1, 2)
        for attempt, at in ((1, NOW + 3), (2, NOW + 200)):
            failure = Failure("Error", "text", "", None)
            write_id = attempt.to_bytes(16, "big")
            tried = replace(record, attempt=attempt, write_id=write_id)
            row = HistoryRow(
                record.run_id, 2, attempt, write_id, 1, 2, 2, "step", at, at, failure=failure
            )
            await commit(backend, Write(write_id, tried, 2, attempt - 1, row))

        await backend.retention_store.prune_history(QUERY)

        attempts = await backend.history_store.attempts(record.run_id)
        assert [row.attempt for row in attempts] == [2]

    async def test_history_is_pruned_in_pages(self, backend: Any) -> None:
        """At most so many runs and rows a call, until nothing is further."""
        records = [await lived(backend, 1, 2, 3, 4) for _ in range(5)]
        query, counts = QUERY._replace(limit=2), []
        for _ in range(100):
            pruned = await backend.retention_store.prune_history(query)
            counts.append(pruned.deleted)
            if pruned.after is None:
                break
            query = query._replace(after=pruned.after)

        assert sum(counts) == 15
        for record in records:
            rows = await backend.history_store.history(record.run_id)
            assert [(row.version, row.object) for row in rows] == [(4, record.object)]

    async def test_old_names_are_free_again(self, backend: Any) -> None:
        """Younger ones, and those of another workflow, are not; a batch at a time."""
        names = [UniqueRow("s", f"k{n}", b"body") for n in range(5)]
        for number, name in enumerate(names):
            record = make_record(
                workflow="other" if number == 4 else "orders",
                updated_at=NOW + (100 if number == 3 else number),
            )
            await commit(backend, make_write(record, unique=(name,)))
        store = backend.retention_store

        counts = [await store.prune_keys(QUERY._replace(limit=2), NOW) for _ in range(3)]

        assert counts == [2, 1, 0]
        taken = [await backend.record_store.find_unique("s", name.key) for name in names]
        assert taken == [None, None, None, b"body", b"body"]

    async def test_a_tombstone_goes_after_its_time(self, backend: Any) -> None:
        """Not a microsecond before; then the key is free."""
        record = await put(backend, is_keyed=True)
        await prune(backend)
        store = backend.retention_store
        until = NOW + KEPT

        assert await store.prune_keys(QUERY, until - 1) == 0
        assert await store.prune_keys(QUERY._replace(workflow="other"), until) == 0
        assert await store.prune_keys(QUERY, until) == 1

        assert list(await store.tombstones([record.run_id])) == [None]
        assert [type(r) for r in await commit(backend, make_write(record))] == [Committed]
