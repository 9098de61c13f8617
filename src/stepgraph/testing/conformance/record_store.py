"""RecordStoreSuite: what a record store and its history must do."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from stepgraph.model.history import Failure, HistoryRow
from stepgraph.model.queue import Want
from stepgraph.model.record import Meta, Parent, Record, RunRef
from stepgraph.model.record_filter import Page, RecordFilter
from stepgraph.model.write import Committed, Conflict, Exists, InProgress, Result, UniqueRow, Write
from stepgraph.ports.lost_runs import LostQuery
from stepgraph.testing.conformance.make import NOW, make_record, make_row, make_write, next_write

ODD_TEXTS = (
    "a",
    "A",
    "a ",
    " a",
    "é",
    "e\u0301",
    "{x}",
    "a:b",
    "a/b",
    "*",
    "'; drop",
    "😀",
    "\u202ea",
)


async def commit(backend: Any, *writes: Write) -> list[Result]:
    """Commit writes in one call."""
    return list(await backend.record_store.commit(writes))


async def stored(backend: Any, record: Record) -> Record | None:
    """Return a run as it is stored."""
    (found,) = await backend.record_store.lookup_many([record.ref])
    return found if isinstance(found, Record) else None


async def queued(backend: Any, consumer: str) -> list[str]:
    """Return the ids of a consumer's rows."""
    want = Want(consumer, tuple(range(16)), 0, 1000)
    return [row.id for row in await backend.work_queue.due([want], NOW + 10**12)]


class RecordStoreSuite:
    """Runs under compare-and-swap; history and queue rows in the same write."""

    async def test_a_created_run_is_read_back_whole(self, backend: Any) -> None:
        """Every field survives, to the microsecond and the last byte."""
        parent = Parent("w", "f/1", "parent-id", 3, 12)
        meta = Meta("why", "ValueError", "text\n", "app.py:1 main", "00-a-b-01", parent)
        record = make_record(
            meta=meta, object=b'{"x":"\xc3\xa9"}', visited=(-1, 1, 3), is_keyed=True, due_at=NOW + 7
        )

        assert [type(r) for r in await commit(backend, make_write(record))] == [Committed]
        assert await stored(backend, record) == record

    async def test_an_unknown_run_is_none(self, backend: Any) -> None:
        """What is not there is None, not an error and not another run."""
        record = make_record()
        await commit(backend, make_write(make_record()))

        assert await stored(backend, record) is None
        assert await backend.record_store.find(record.run_id) is None
        assert await backend.record_store.latest("orders", "nobody") is None

    async def test_a_run_is_found_by_its_id(self, backend: Any) -> None:
        """The id alone tells workflow and foreign id."""
        record = make_record()
        await commit(backend, make_write(record))

        assert await backend.record_store.find(record.run_id) == RunRef(*record.ref)

    async def test_a_stale_version_is_refused_and_leaves_nothing(self, backend: Any) -> None:
        """Neither record, nor history, nor queue rows of a refused write remain."""
        record = make_record()
        row = make_row(record)
        await commit(backend, make_write(record, enqueue=(row,)))
        won = next_write(record, status=2)
        await commit(backend, won)
        lost = next_write(record, row.key, status=3)
        late = replace(lost, enqueue=(make_row(lost.record, consumer="late"),))

        (result,) = await commit(backend, late)

        assert isinstance(result, Conflict)
        assert result.record == won.record
        assert await stored(backend, record) == won.record
        assert [h.status for h in await backend.history_store.history(record.run_id)] == [1, 2]
        assert await queued(backend, "late") == []
        assert await queued(backend, row.consumer) == [row.id]

    async def test_a_winner_deletes_its_row_and_adds_the_next(self, backend: Any) -> None:
        """The row that was worked on goes with the write, even if the next has its very key."""
        record = make_record()
        row = make_row(record)
        await commit(backend, make_write(record, enqueue=(row,)))
        won = replace(next_write(record, row.key), enqueue=(replace(row, version=2),))

        await commit(backend, won)

        want = Want(row.consumer, (row.slot,), 0, 10)
        assert [r.version for r in await backend.work_queue.due([want], NOW)] == [2]

    async def test_of_twenty_writers_one_wins(self, backend: Any) -> None:
        """All at one version, at once."""
        record = make_record()
        await commit(backend, make_write(record))

        results = await asyncio.gather(
            *(commit(backend, next_write(record, status=s)) for s in range(20))
        )

        kinds = [type(r[0]) for r in results]
        assert kinds.count(Committed) == 1
        assert kinds.count(Conflict) == 19
        assert len(await backend.history_store.history(record.run_id)) == 2

    async def test_each_write_of_a_call_is_answered_by_itself(self, backend: Any) -> None:
        """A loser among winners harms nobody."""
        records = [make_record() for _ in range(5)]
        await commit(backend, *(make_write(r) for r in records))
        writes = [next_write(r) for r in records]
        writes[2] = replace(writes[2], expected_version=9)

        kinds = [type(r) for r in await commit(backend, *writes)]

        assert kinds == [Committed, Committed, Conflict, Committed, Committed]

    async def test_a_change_of_an_unknown_run_is_a_conflict(self, backend: Any) -> None:
        """A zombie's write to a run that is gone does not create it."""
        record = make_record()

        (result,) = await commit(backend, next_write(record))

        assert result == Conflict(None)
        assert await stored(backend, record) is None

    async def test_a_repeated_write_is_answered_as_the_first_time(self, backend: Any) -> None:
        """Also after somebody committed on top of it; and nothing happens twice."""
        record = make_record()
        create = make_write(record)
        change = next_write(record)
        await commit(backend, create)
        await commit(backend, change)
        await commit(backend, next_write(change.record))

        assert [type(r) for r in await commit(backend, create)] == [Committed]
        assert [type(r) for r in await commit(backend, change)] == [Committed]
        assert len(await backend.history_store.history(record.run_id)) == 3

    async def test_a_run_id_that_is_there_exists(self, backend: Any) -> None:
        """A create under a known id by somebody else names it, also after the run has ended."""
        record = make_record()
        await commit(backend, make_write(record))
        await commit(backend, next_write(record, run_state=4))
        again = replace(record, write_id=b"another-write-id")

        assert await commit(backend, make_write(again)) == [Exists(record.run_id)]

    async def test_a_second_open_run_is_refused(self, backend: Any) -> None:
        """Initiated, running and paused runs block their foreign id, and are named."""
        record = make_record()
        await commit(backend, make_write(record))
        for run_state in (1, 2, 3):
            second = make_record(foreign_id=record.foreign_id)
            results = await commit(backend, make_write(second))
            assert results == [InProgress(record.run_id)], run_state
            assert await stored(backend, second) is None
            moved = next_write(record, run_state=min(3, run_state + 1))
            await commit(backend, moved)
            record = moved.record

    async def test_an_ended_run_frees_its_foreign_id(self, backend: Any) -> None:
        """In every finished run state."""
        for run_state in (4, 5, 6, 7):
            record = make_record(foreign_id="again")
            assert [type(r) for r in await commit(backend, make_write(record))] == [Committed]
            await commit(backend, next_write(record, run_state=run_state))

    async def test_of_fifty_creates_of_a_foreign_id_one_wins(self, backend: Any) -> None:
        """All at once, each in a call of its own."""
        writes = [make_write(make_record(foreign_id="wanted")) for _ in range(50)]

        results = await asyncio.gather(*(commit(backend, write) for write in writes))

        kinds = [type(r[0]) for r in results]
        assert (kinds.count(Committed), kinds.count(InProgress)) == (1, 49)

    async def test_odd_foreign_ids_stay_distinct(self, backend: Any) -> None:
        """No folding, trimming, normalising or joining merges two of them."""
        records = [make_record(foreign_id=text) for text in ODD_TEXTS]

        results = await commit(backend, *(make_write(r) for r in records))

        assert {type(r) for r in results} == {Committed}
        for record in records:
            assert await backend.record_store.latest("orders", record.foreign_id) == record

    async def test_a_large_object_is_kept(self, backend: Any) -> None:
        """Two MiB, as the limit allows."""
        record = make_record(object=b'"' + b"x" * (2 * 1024 * 1024 - 2) + b'"')

        await commit(backend, make_write(record))

        assert await stored(backend, record) == record

    async def test_an_attempt_compares_the_attempt_and_progress_does_not(
        self, backend: Any
    ) -> None:
        """A failure counted twice is refused; a late success wins over a counted failure."""
        record = make_record()
        await commit(backend, make_write(record))
        tried = replace(record, attempt=1, write_id=b"first-failure---")
        failure = Failure("ValueError", "text", "trace", NOW + 5)
        history = HistoryRow(
            record.run_id, 1, 1, tried.write_id, 1, 1, 1, "step", NOW, NOW, failure=failure
        )
        first = Write(tried.write_id, tried, 1, 0, history)
        again = Write(b"other-failure---", replace(tried, write_id=b"o" * 16), 1, 0,
                      replace(history, write_id=b"o" * 16))  # fmt: skip

        assert [type(r) for r in await commit(backend, first)] == [Committed]
        assert [type(r) for r in await commit(backend, again)] == [Conflict]
        assert [type(r) for r in await commit(backend, first)] == [Committed]
        assert [type(r) for r in await commit(backend, next_write(record))] == [Committed]
        attempts = await backend.history_store.attempts(record.run_id)
        assert [row.failure for row in attempts] == [failure]
        assert len(await backend.history_store.history(record.run_id)) == 2

    async def test_a_taken_unique_name_makes_the_whole_write_a_conflict(self, backend: Any) -> None:
        """The second taker changes nothing; the same name in another scope is free."""
        one, other, third = make_record(), make_record(), make_record()
        await commit(backend, *(make_write(r) for r in (one, other, third)))
        name = UniqueRow("callback", "k")

        won = await commit(backend, replace(next_write(one), unique=(name,)))
        lost = await commit(backend, replace(next_write(other), unique=(name,)))
        free = await commit(backend, replace(next_write(third), unique=(UniqueRow("x", "k"),)))

        assert [type(r) for r in (*won, *lost, *free)] == [Committed, Conflict, Committed]
        assert await stored(backend, other) == other

    async def test_latest_prefers_the_open_run(self, backend: Any) -> None:
        """Else the one that was triggered last, whichever was stored last."""
        old = make_record(foreign_id="f")
        await commit(backend, make_write(old))
        ended = next_write(old, run_state=4)
        await commit(backend, ended)
        new = make_record(foreign_id="f", created_at=NOW + 1)
        await commit(backend, make_write(new))
        assert await backend.record_store.latest("orders", "f") == new
        done = next_write(new, run_state=5)
        await commit(backend, done)
        await commit(backend, next_write(ended.record, run_state=7))

        assert await backend.record_store.latest("orders", "f") == done.record

    async def test_pages_neither_overlap_nor_skip(self, backend: Any) -> None:
        """In both orders, with a last page that is short."""
        records = [make_record() for _ in range(100)]
        await commit(backend, *(make_write(r) for r in records))
        ids = [r.run_id for r in records]
        for is_descending in (False, True):
            seen: list[str] = []
            after: str | None = None
            while page := await backend.record_store.list_records(
                RecordFilter(workflow="orders"), Page(33, is_descending, after)
            ):
                seen += [r.run_id for r in page]
                after = page[-1].run_id
                assert len(page) in (33, 1)
            assert seen == (ids[::-1] if is_descending else ids)

    async def test_every_filter_filters(self, backend: Any) -> None:
        """Alternatives within a field, all fields together, exclusive bounds of time."""
        records = [
            make_record(workflow="orders" if n % 2 else "other", status=n % 3 + 1,
                        run_state=n % 5 + 1, foreign_id=f"f-{n}", created_at=NOW + n)
            for n in range(30)
        ]  # fmt: skip
        await commit(backend, *(make_write(r) for r in records))
        cases = [
            (RecordFilter(), 30),
            (RecordFilter(workflow="orders"), 15),
            (RecordFilter(foreign_id="f-7"), 1),
            (RecordFilter(foreign_id="nobody"), 0),
            (RecordFilter(statuses=(1, 3)), 20),
            (RecordFilter(run_states=(4,)), 6),
            (RecordFilter(workflow="other", statuses=(1,), run_states=(1, 2)), 2),
            (RecordFilter(created_after=NOW + 9, created_before=NOW + 20), 10),
        ]
        for wanted, count in cases:
            found = await backend.record_store.list_records(wanted, Page(limit=100))
            assert len(found) == count, wanted
            assert await backend.record_store.count(wanted, 100) == count, wanted

    async def test_counting_stops_at_the_limit(self, backend: Any) -> None:
        """A count never costs more than its limit."""
        await commit(backend, *(make_write(make_record()) for _ in range(20)))

        assert await backend.record_store.count(RecordFilter(), 7) == 7

    async def test_a_unique_name_is_found_with_its_body(self, backend: Any) -> None:
        """Names of other scopes are not."""
        name = UniqueRow("s", "k", b"body")
        await commit(backend, make_write(make_record(), unique=(name,)))

        assert await backend.record_store.find_unique("s", "k") == b"body"
        assert await backend.record_store.find_unique("k", "s") is None

    async def test_scrubbed_history_keeps_what_happened_and_no_text(self, backend: Any) -> None:
        """Neither objects nor reasons nor what an error said; other runs keep theirs."""
        record, other = make_record(), make_record()
        failure = Failure("Error", "4711", "trace 4711", None)
        await commit(backend, make_write(record), make_write(other))
        paused = next_write(record, run_state=3)
        assert paused.history is not None
        history = replace(paused.history, failure=failure, reason="for 4711", object=b"4711")
        row = make_row(record, consumer="c")
        await commit(backend, replace(paused, history=history, enqueue=(row,)))
        await backend.work_queue.park([row], "about 4711", NOW)

        for _ in range(2):
            await backend.history_store.scrub(record.ref)

        kept = await backend.history_store.history(record.run_id)
        letters = await backend.work_queue.list_parked(None, 10)
        assert [h.version for h in kept] == [1, 2]
        assert kept[1].failure == Failure("Error", "", "", None)
        assert "4711" not in repr((kept, letters))
        (untouched,) = await backend.history_store.history(other.run_id)
        assert untouched.object == other.object

    async def test_scrubbing_deletes_what_came_for_the_run(self, backend: Any) -> None:
        """Rows and letters of its foreign id that belong to no run; those of others stay."""
        record = make_record(run_state=4)
        await commit(backend, make_write(record))
        came = make_row(record, consumer="orders/inbox", run_id="", id="came", body=b"4711")
        parked = replace(came, id="parked")
        own = make_row(record, consumer="orders/hook/h", id="own")
        other = replace(came, foreign_id="other", id="other")
        await backend.work_queue.put([(None, row) for row in (came, parked, own, other)])
        await backend.work_queue.park([parked], "4711", NOW)

        await backend.history_store.scrub(record.ref)

        assert await queued(backend, "orders/inbox") == ["other"]
        assert await queued(backend, "orders/hook/h") == ["own"]
        assert list(await backend.work_queue.list_parked(None, 10)) == []

    async def test_scrubbing_leaves_what_came_for_an_open_run(self, backend: Any) -> None:
        """The next run of the foreign id may be waited for by it."""
        record = make_record(run_state=4)
        await commit(backend, make_write(record))
        await commit(backend, make_write(make_record(foreign_id=record.foreign_id)))
        came = make_row(record, consumer="orders/inbox", run_id="", id="came")
        await backend.work_queue.put([(None, came)])

        await backend.history_store.scrub(record.ref)

        assert await queued(backend, "orders/inbox") == ["came"]

    async def test_lost_runs_are_announced_open_and_old(self, backend: Any) -> None:
        """The one that waits longest first; what waits for other things is not lost."""
        old = make_record(is_announced=True, due_at=NOW - 9)
        older = make_record(is_announced=True, due_at=NOW - 10, next="retry")
        others = [
            make_record(due_at=NOW - 10),
            make_record(is_announced=True, due_at=NOW),
            make_record(is_announced=True, due_at=NOW - 10, next="skipped"),
            make_record(is_announced=True, due_at=NOW - 10, run_state=3),
            make_record(is_announced=True, due_at=NOW - 10, status=2),
        ]
        await commit(backend, *(make_write(r) for r in (old, older, *others)))
        query = LostQuery("orders", 1, tuple(range(16)), 16, NOW)

        lost = await backend.lost_runs.list_lost(query, 10)

        assert list(lost) == [older, old]
        assert list(await backend.lost_runs.list_lost(query, 1)) == [older]
        assert list(await backend.lost_runs.list_lost(query._replace(slots=()), 10)) == []
