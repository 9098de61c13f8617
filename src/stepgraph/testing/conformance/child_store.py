"""ChildStoreSuite: what a store of children must do."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from stepgraph.model.child_row import ChildEnd, ChildProgress, ChildRow
from stepgraph.model.queue import Want
from stepgraph.model.record import Record
from stepgraph.model.write import Conflict, Write
from stepgraph.testing.conformance.make import (
    NOW,
    make_child,
    make_record,
    make_row,
    make_write,
    next_write,
)

NONE = ChildProgress(has_open=False, has_ended=False)
OPEN = ChildProgress(has_open=True, has_ended=False)
BOTH = ChildProgress(has_open=True, has_ended=True)
ENDED = ChildProgress(has_open=False, has_ended=True)


async def begun(backend: Any, count: int) -> tuple[Record, list[ChildRow]]:
    """Return a run with so many open children, stored by its first step."""
    record = make_record()
    await backend.record_store.commit([make_write(record)])
    children = [make_child(record, number) for number in range(1, count + 1)]
    write = replace(next_write(record), children=tuple(children))
    await backend.record_store.commit([write])
    return write.record, children


async def take(backend: Any, record: Record, *children: ChildRow) -> Write:
    """Commit the write of a join, which may start further children."""
    write = replace(next_write(record), takes_children=True, children=children)
    await backend.record_store.commit([write])
    return write


def ended(child: ChildRow, run_state: int = 4) -> ChildEnd:
    """Return the end of a child."""
    return ChildEnd(child.run_id, 2, run_state)


async def progress(backend: Any, record: Record) -> ChildProgress:
    """Return how far the children of one run are."""
    (found,) = await backend.child_store.progress([record.run_id])
    assert isinstance(found, ChildProgress)
    return found


class ChildStoreSuite:
    """Children in the write of their parent, and whose are still open."""

    async def test_a_child_is_read_back_whole(self, backend: Any) -> None:
        """Every field survives, in the order that was asked for."""
        record = make_record()
        await backend.record_store.commit([make_write(record)])
        child = make_child(record, 7, foreign_id="é/1", status=-5, is_cancelled_with_parent=True)
        await backend.record_store.commit([replace(next_write(record), children=(child,))])

        found = await backend.child_store.find_children(["nobody", child.run_id])
        assert list(found) == [None, child]

    async def test_a_losing_write_leaves_no_children(self, backend: Any) -> None:
        """Nor does it take those that are there."""
        record, (child,) = await begun(backend, 1)
        late = make_child(record, 9)
        lost = replace(next_write(make_record()), children=(late,), takes_children=True)
        stale = replace(lost, record=replace(record, version=2), expected_version=1)

        (result,) = await backend.record_store.commit([stale])

        assert isinstance(result, Conflict)
        assert list(await backend.child_store.find_children([late.run_id])) == [None]
        assert list(await backend.child_store.find_children([child.run_id])) == [child]
        assert await progress(backend, record) == OPEN

    async def test_every_child_of_every_winner_is_there(self, backend: Any) -> None:
        """Of a call with several writes and more rows than one statement takes."""
        records = [make_record() for _ in range(3)]
        await backend.record_store.commit([make_write(record) for record in records])
        writes = [
            replace(next_write(r), children=tuple(make_child(r, n) for n in range(1, 151)))
            for r in records
        ]
        await backend.record_store.commit(writes)

        for write in writes:
            found = await backend.child_store.list_children(
                write.record.run_id, None, 1000, only_waiting=True
            )
            assert list(found) == list(write.children)

    async def test_a_child_that_is_staged_again_stays_as_it_is(self, backend: Any) -> None:
        """A pause stores the children; the call after the resume stages them once more."""
        record, (child, other) = await begun(backend, 2)
        await backend.child_store.end([ended(child)])
        again = (child, replace(other, status=9), make_child(record, 3))
        await backend.record_store.commit([replace(next_write(record), children=again)])

        found = await backend.child_store.find_children([child.run_id, other.run_id])
        assert [(c.is_open, c.status) for c in found] == [(False, 2), (True, other.status)]
        assert await progress(backend, record) == BOTH

    async def test_the_first_end_of_a_child_stays(self, backend: Any) -> None:
        """With everything that it says; an unknown child is ignored."""
        _, (child, refused) = await begun(backend, 2)
        await backend.child_store.end([ended(child), ChildEnd(refused.run_id, 1, 0, "other")])
        await backend.child_store.end([ended(child, 5), ended(refused), ChildEnd("nobody", 1, 4)])

        found = await backend.child_store.find_children([child.run_id, refused.run_id])
        assert list(found) == [
            replace(child, is_open=False, status=2, run_state=4),
            replace(refused, is_open=False, status=1, run_state=0, in_use_by="other"),
        ]

    async def test_progress_tells_open_and_ended_children(self, backend: Any) -> None:
        """Of each run by itself, in the order that was asked for."""
        record, (one, two) = await begun(backend, 2)
        other, _ = await begun(backend, 1)
        assert await progress(backend, record) == OPEN
        await backend.child_store.end([ended(one)])
        ids = ["nobody", other.run_id, record.run_id]
        assert list(await backend.child_store.progress(ids)) == [NONE, OPEN, BOTH]
        await backend.child_store.end([ended(two)])
        assert await progress(backend, record) == ENDED

    async def test_a_child_that_never_began_counts_as_ended(self, backend: Any) -> None:
        """Its foreign id was in use: nothing else will ever end it."""
        record, (child,) = await begun(backend, 1)
        await backend.child_store.end([ChildEnd(child.run_id, child.status, 0, "other")])

        assert await progress(backend, record) == ENDED

    async def test_who_ends_the_last_two_children_at_once_sees_it(self, backend: Any) -> None:
        """Each stores one end and asks afterwards: at least one must be told that none is open."""

        async def end_one(child: ChildRow) -> bool:
            await backend.child_store.end([ended(child)])
            return (await progress(backend, record)).has_open

        for _ in range(20):
            record, children = await begun(backend, 2)
            seen = await asyncio.gather(*map(end_one, children))
            assert not all(seen)

    async def test_a_join_takes_the_children_there_are(self, backend: Any) -> None:
        """Also those that are open; what its own write starts waits for the next join."""
        record, (one, two) = await begun(backend, 2)
        await backend.child_store.end([ended(one)])
        fresh = make_child(record, 3)
        write = await take(backend, record, fresh)

        store = backend.child_store
        assert list(await store.list_children(record.run_id, None, 9, only_waiting=True)) == [fresh]
        found = await store.find_children([one.run_id, two.run_id])
        assert [child.taken_version for child in found] == [write.record.version] * 2
        assert await progress(backend, record) == OPEN
        await store.end([ended(two), ended(fresh)])
        await take(backend, write.record)
        assert await progress(backend, record) == NONE

    async def test_children_are_listed_page_by_page_in_their_order(self, backend: Any) -> None:
        """By visit, then number; pages neither overlap nor skip; of one run alone."""
        record, children = await begun(backend, 5)
        await begun(backend, 1)
        later = make_child(record, 1, progress_version=9)
        taken = await take(backend, record, later)
        expected = [child.run_id for child in (*children, later)]

        seen: list[ChildRow] = []
        while True:
            after = seen[-1].place if seen else None
            page = await backend.child_store.list_children(
                taken.record.run_id, after, 2, only_waiting=False
            )
            seen += page
            if len(page) < 2:
                break
        assert [child.run_id for child in seen] == expected

    async def test_staged_objects_are_scrubbed_wherever_they_wait(self, backend: Any) -> None:
        """In the queue and among the dead letters, of this run and consumer alone."""
        record, other = make_record(), make_record()
        row = make_row(record, consumer="orders/spawn", slot=3, body=b"staged", id="1")
        parked = replace(row, id="2")
        others = [replace(row, id="3", run_id=other.run_id), replace(row, consumer="orders/x")]
        rows = [row, parked, *others]
        await backend.work_queue.put([(None, found) for found in rows])
        await backend.work_queue.park([parked], "error", NOW)

        await backend.child_store.scrub_staged("orders/spawn", 3, record.run_id)

        wants = [Want(name, (3,), 0, 9) for name in ("orders/spawn", "orders/x")]
        due = await backend.work_queue.due(wants, NOW + 9)
        assert [found.body for found in due] == [b"", b"staged", b"staged"]
        (letter,) = await backend.work_queue.list_parked(None, 9)
        assert letter.row == replace(parked, body=b"")
