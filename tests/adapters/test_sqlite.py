"""The SQLite backend keeps every contract, and what is its own."""

import asyncio
import os
import sqlite3
import subprocess
import sys

import pytest

from stepgraph.adapters.sqlite import SQLite
from stepgraph.adapters.sqlite.migrations import VERSION
from stepgraph.errors import SchemaError, UnavailableError
from stepgraph.testing.conformance import (
    BacklogSuite,
    CensusSuite,
    DefinitionStoreSuite,
    ChildStoreSuite,
    EventStreamerSuite,
    RecordStoreSuite,
    RetentionSuite,
    RoleSchedulerSuite,
    ScheduleStoreSuite,
    TimeoutStoreSuite,
    WorkQueueSuite,
)
from stepgraph.testing.conformance.make import make_record, make_write


class TestSQLite(
    RecordStoreSuite,
    WorkQueueSuite,
    BacklogSuite,
    RetentionSuite,
    EventStreamerSuite,
    TimeoutStoreSuite,
    RoleSchedulerSuite,
    DefinitionStoreSuite,
    CensusSuite,
    ScheduleStoreSuite,
    ChildStoreSuite,
):
    @pytest.fixture
    async def backend(self, tmp_path):
        backend = SQLite(tmp_path / "runs.db")
        await backend.open()
        yield backend
        await backend.close()


@pytest.fixture
async def opened(tmp_path):
    backend = SQLite(tmp_path / "runs.db")
    await backend.open()
    yield backend
    await backend.close()


async def test_a_file_with_a_newer_schema_is_refused_unchanged(tmp_path):
    path = tmp_path / "runs.db"
    backend = SQLite(path)
    await backend.open()
    await backend.close()
    with sqlite3.connect(path) as connection:
        connection.execute("update stepgraph_schema set version = 999, readable_from = 998")
    connection.close()

    with pytest.raises(
        SchemaError, match=f"schema version 999.*version {VERSION}: update stepgraph"
    ):
        await SQLite(path).open()


async def test_a_newer_schema_that_this_code_can_read_is_used(tmp_path):
    path = tmp_path / "runs.db"
    backend = SQLite(path)
    await backend.open()
    await backend.close()
    with sqlite3.connect(path) as connection:
        connection.execute("update stepgraph_schema set version = 999, readable_from = 1")
    connection.close()

    await backend.open()
    await backend.close()


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError, match="cannot be opened"):
        await SQLite(tmp_path / "nowhere" / "runs.db").open()


async def test_a_closed_backend_can_be_opened_again(opened):
    record = make_record()
    await opened.record_store.commit([make_write(record)])
    await opened.close()
    with pytest.raises(UnavailableError, match="closed"):
        await opened.record_store.lookup_many([record.ref])
    await opened.open()

    assert await opened.record_store.lookup_many([record.ref]) == [record]


async def test_a_backend_does_not_cross_a_fork(opened):
    process = os.fork()
    if process == 0:
        try:
            asyncio.new_event_loop().run_until_complete(opened.record_store.find("x"))
        except UnavailableError:
            os._exit(7)
        finally:
            os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7


HOLDER = """
import asyncio, sys
from stepgraph.adapters.sqlite import SQLite
async def main():
    backend = SQLite(sys.argv[1])
    await backend.open()
    lease = await backend.role_scheduler.join("other/process")
    print(sorted(await lease.take(["r"])), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_the_roles_of_a_killed_process_are_free_at_once(opened, tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "runs.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"['r']\n"
        lease = await opened.role_scheduler.join("me")
        assert dict((await lease.renew()).holders) == {"r": "other/process"}
        assert not await lease.take(["r"])
        holder.kill()
        holder.wait()

        assert dict((await lease.renew()).holders) == {}
        assert await lease.take(["r"]) == {"r": 2}
        await lease.close()


async def test_hints_wake_the_other_process(tmp_path, opened):
    other = SQLite(tmp_path / "runs.db")
    await other.open()
    woken = asyncio.Event()
    await opened.hints.listen(lambda: None)
    await other.hints.listen(woken.set)

    await opened.hints.tell()

    await asyncio.wait_for(woken.wait(), 10)
    await other.close()


async def test_two_backends_on_one_file_commit_side_by_side(tmp_path, opened):
    other = SQLite(tmp_path / "runs.db")
    await other.open()

    async def write(backend):
        for _ in range(50):
            await backend.record_store.commit([make_write(make_record()) for _ in range(10)])

    await asyncio.gather(write(opened), write(other))
    await other.close()
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        assert connection.execute("select count(*) from run").fetchone() == (1000,)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
