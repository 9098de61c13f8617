"""Connections and the server die in the middle: nothing that was answered is lost, or doubled."""

import asyncio

import asyncpg
import pytest

from stepgraph import RunState
from stepgraph.adapters.postgres import Postgres
from stepgraph.errors import UnavailableError
from stepgraph.testing.conformance.make import make_record, make_write
from tests.flows import SOON, Order, Status, three_steps
from tests.postgres import empty_postgres
from tests.servers import SERVERS
from tools.services import PostgresService

RUNS = 300
_KILL = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stepgraph'"


async def trigger_all(workflow):
    """Trigger one after another by eight callers; return the ids."""

    async def call(caller):
        return [
            await workflow.trigger(f"order-{n}", Order()) for n in range(caller, RUNS, 8)
        ]

    return sum(await asyncio.gather(*(call(caller) for caller in range(8))), [])


async def check_all(workflow, run_ids):
    """Check that every run came to its end by one call of each step, and that there is no other."""
    for run_id in run_ids:
        run = await workflow.await_status(run_id, Status.SENT, within=SOON)
        assert run.object.seen == ["charge", "pack", "send"]
        history = await workflow.runs.history(run_id)
        assert [entry.version for entry in history] == [1, 2, 3, 4]
    assert len(set(run_ids)) == RUNS
    assert await workflow.runs.count() == RUNS
    assert await workflow.runs.count(run_state=(RunState.INITIATED, RunState.RUNNING)) == 0


async def test_connections_that_are_killed_under_load_lose_nothing():
    url = empty_postgres()
    other = await asyncpg.connect(url)
    killed = 0
    async with three_steps().build(Postgres(url)) as workflow:
        calls = asyncio.ensure_future(trigger_all(workflow))
        while not calls.done():
            killed += len(await other.fetch(_KILL))
            await asyncio.sleep(0.1)
        await check_all(workflow, await calls)
    await other.close()
    assert killed


@pytest.fixture
def server():
    """A server of this test's own."""
    SERVERS.get("postgres")
    service = PostgresService()
    service.install()
    service.start()
    yield service
    service.stop()


async def test_a_server_that_crashes_under_load_loses_nothing(server):
    await Postgres(server.url).migrate()
    async with three_steps().build(Postgres(server.url)) as workflow:
        calls = asyncio.ensure_future(trigger_all(workflow))
        for _ in range(2):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.crash)
            await asyncio.to_thread(server.start)
        await check_all(workflow, await calls)


async def test_a_commit_whose_answer_is_lost_is_told_from_one_that_was_not_sent(server):
    backend = Postgres(server.url)
    await backend.migrate()
    await backend.open()
    write = make_write(make_record())
    await backend.record_store.commit([write])
    server.crash()
    with pytest.raises(UnavailableError):
        await backend.record_store.commit([write])
    with pytest.raises(UnavailableError, match="cannot be reached") as away:
        await backend.record_store.commit([write])
    assert type(away.value) is UnavailableError
    server.start()

    (answer,) = await backend.record_store.commit([write])

    assert type(answer).__name__ == "Committed"
    assert len(await backend.history_store.history(write.record.run_id)) == 1
    await backend.close()
