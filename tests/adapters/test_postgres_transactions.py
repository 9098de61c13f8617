"""Triggers in a user's transaction, and steps whose own statements join their commit."""

import asyncio
from datetime import timedelta
from typing import Literal

import asyncpg
import pytest

from stepgraph import Backoff, Builder, Run, RunState, Skip
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.postgres import Postgres
from stepgraph.errors import DefinitionError, InputError, RunInProgressError, RunNotFoundError
from tests.flows import SOON, Order, Status, one_step, three_steps
from tests.postgres import empty_postgres

QUICK = Backoff(first=timedelta(milliseconds=10), cap=timedelta(milliseconds=10))


@pytest.fixture
def url():
    return empty_postgres()


@pytest.fixture
async def mine(url):
    """A connection of the user's, with a table of the user's."""
    connection = await asyncpg.connect(url)
    await connection.execute("drop table if exists paid; create table paid (id text primary key)")
    yield connection
    await connection.execute("drop table paid")
    await connection.close()


async def paid(connection):
    return [row[0] for row in await connection.fetch("select id from paid order by id")]


# --- trigger(connection=)


async def test_a_trigger_in_a_transaction_stands_when_it_commits_and_stops_nobody(url, mine):
    async with three_steps().build(Postgres(url)) as workflow:
        transaction = mine.transaction()
        await transaction.start()
        await mine.execute("insert into paid values ('a')")
        run_id = await workflow.trigger("a", Order(), connection=mine)
        assert await mine.fetchval("show search_path") == '"$user", public'
        for number in range(20):
            other = await workflow.trigger(f"other-{number}", Order())
            await workflow.await_status(other, Status.SENT, within=SOON)
        with pytest.raises(RunNotFoundError):
            await workflow.runs.get(run_id)

        await transaction.commit()

        await workflow.await_status(run_id, Status.SENT, within=SOON)
        assert await paid(mine) == ["a"]


async def test_a_transaction_that_rolls_back_takes_its_run_with_it(url, mine):
    async with three_steps().build(Postgres(url)) as workflow:
        with pytest.raises(ZeroDivisionError):
            async with mine.transaction():
                run_id = await workflow.trigger("a", Order(), connection=mine)
                raise ZeroDivisionError
        with pytest.raises(RunNotFoundError):
            await workflow.runs.get(run_id)
        await workflow.trigger("a", Order())


async def test_a_run_in_progress_leaves_the_transaction_usable(url, mine):
    async with three_steps().build(Postgres(url)).client() as workflow:
        first = await workflow.trigger("a", Order())
        async with mine.transaction():
            with pytest.raises(RunInProgressError, match=first):
                await workflow.trigger("a", Order(), connection=mine)
            keyed = [
                await workflow.trigger("b", Order(), idempotency_key="k", connection=mine)
                for _ in range(2)
            ]
            await mine.execute("insert into paid values ('still')")
        assert keyed[0] == keyed[1]
        assert await paid(mine) == ["still"]
        assert await workflow.runs.count() == 2


async def test_what_is_no_transaction_of_the_store_s_is_refused(url, mine):
    async with three_steps().build(Postgres(url)).client() as workflow:
        with pytest.raises(InputError, match="not in a transaction"):
            await workflow.trigger("a", Order(), connection=mine)
        with pytest.raises(InputError, match="is a str: it takes a connection of asyncpg"):
            await workflow.trigger("a", Order(), connection="x")
    async with three_steps().build(Memory()).client() as workflow:
        with pytest.raises(InputError, match="Memory has no transactions to share"):
            await workflow.trigger("a", Order(), connection=mine)


# --- steps


async def pay(run: Run[Order, Status], *, connection: asyncpg.Connection) -> Literal[Status.PAID]:
    await connection.execute("insert into paid values ($1)", run.foreign_id)
    run.object.seen.append("paid")
    return Status.PAID


async def test_a_step_s_statements_and_its_commit_are_one(url, mine):
    async with one_step(pay).build(Postgres(url)) as workflow:
        ids = [await workflow.trigger(f"o-{number}", Order()) for number in range(12)]
        for run_id in ids:
            run = await workflow.await_status(run_id, Status.PAID, within=SOON)
            assert run.object.seen == ["paid"]
        assert len(await paid(mine)) == 12


async def test_the_next_step_goes_on_at_once(url, mine):
    flow = Builder("orders", Order, Status)
    flow.add_step(Status.CREATED, pay, to=[Status.PAID])
    flow.add_step(Status.PAID, lambda run: Status.PACKED, to=[Status.PACKED])
    async with flow.build(Postgres(url)) as workflow:
        run_id = await workflow.trigger("a", Order())
        run = await workflow.await_status(run_id, Status.PACKED, within=SOON)
        assert run.run_state is RunState.COMPLETED
        assert [entry.version for entry in await workflow.runs.history(run_id)] == [1, 2, 3]


async def test_a_failed_attempt_rolls_back_and_is_counted(url, mine):
    tries = []

    async def fails_once(run, *, connection):
        await connection.execute("insert into paid values ($1)", f"try-{len(tries)}")
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no")
        return Status.PAID

    async with one_step(fails_once, retry=QUICK).build(Postgres(url)) as workflow:
        run_id = await workflow.trigger("a", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)

        assert await paid(mine) == ["try-1"]
        attempts = await workflow.runs.attempts(run_id)
        assert [attempt.error_type for attempt in attempts] == ["ValueError"]


async def test_skip_rolls_back(url, mine):
    skipped = asyncio.Event()

    async def skips(run, *, connection):
        await connection.execute("insert into paid values ('x')")
        skipped.set()
        return Skip()

    async with one_step(skips).build(Postgres(url)) as workflow:
        await workflow.trigger("a", Order())
        await asyncio.wait_for(skipped.wait(), 20)
    assert await paid(mine) == []


async def test_a_deadlock_among_the_users_rows_is_repeated_and_not_counted(url, mine):
    await mine.execute("insert into paid values ('1'), ('2')")
    tries = []
    both = asyncio.Barrier(2)

    async def crosses(run, *, connection):
        tries.append(run.foreign_id)
        first, second = ("1", "2") if run.foreign_id == "a" else ("2", "1")
        await connection.execute("select from paid where id = $1 for update", first)
        if len(tries) <= 2:
            await both.wait()
        await connection.execute("select from paid where id = $1 for update", second)
        return Status.PAID

    async with one_step(crosses).build(Postgres(url)) as workflow:
        ids = [await workflow.trigger(foreign_id, Order()) for foreign_id in "ab"]
        for run_id in ids:
            await workflow.await_status(run_id, Status.PAID, within=SOON)
            assert await workflow.runs.attempts(run_id) == []
    assert len(tries) == 3


async def test_what_is_refused_at_the_commit_is_a_failed_attempt(url, mine):
    await mine.execute(
        "alter table paid add other text references paid (id) deferrable initially deferred"
    )
    tries = []

    async def refers(run, *, connection):
        tries.append(1)
        other = "nobody" if len(tries) == 1 else "a"
        await connection.execute("insert into paid values ('a', $1)", other)
        return Status.PAID

    async with one_step(refers, retry=QUICK).build(Postgres(url)) as workflow:
        run_id = await workflow.trigger("a", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)
        attempts = await workflow.runs.attempts(run_id)
        assert [attempt.error_type for attempt in attempts] == ["RefusedError"]


async def test_a_run_that_was_paused_meanwhile_takes_the_statements_back(url, mine):
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def waits(run, *, connection):
        await connection.execute("insert into paid values ('x')")
        begun.set()
        await may_end.wait()
        return Status.PAID

    async with one_step(waits).build(Postgres(url)) as workflow:
        run_id = await workflow.trigger("a", Order())
        await asyncio.wait_for(begun.wait(), 20)
        await workflow.runs.pause(run_id, reason="stop")
        may_end.set()
    assert await paid(mine) == []


async def test_a_connection_that_is_lost_in_a_step_repeats_it(url, mine):
    tries = []

    async def dies_once(run, *, connection):
        await connection.execute("insert into paid values ($1)", f"try-{len(tries)}")
        tries.append(1)
        if len(tries) == 1:
            query = "select pg_terminate_backend($1)"
            await mine.execute(query, connection.get_server_pid())
            await connection.execute("select 1")
        return Status.PAID

    async with one_step(dies_once, retry=QUICK).build(Postgres(url)) as workflow:
        run_id = await workflow.trigger("a", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)
    assert await paid(mine) == ["try-1"]


def test_a_store_without_transactions_is_refused_at_build():
    with pytest.raises(DefinitionError, match="Memory has no transactions to share"):
        one_step(pay).build(Memory())


def test_only_steps_that_are_coroutines_get_a_connection():
    def works(run, *, connection):
        return Status.PAID

    with pytest.raises(DefinitionError, match="only steps that are coroutines"):
        one_step(works)
