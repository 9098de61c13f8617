"""What is PostgreSQL's own: its schema, its locks, its settings, its plans."""

import asyncio
import os
import re

import asyncpg
import pytest
from msgspec.structs import replace

from stepgraph.adapters.postgres import Postgres
from stepgraph.adapters.postgres.migrations import VERSION, SchemaStatus
from stepgraph.errors import DefinitionError, RefusedError, SchemaError, UnavailableError
from stepgraph.model.queue import Want
from stepgraph.model.write import BUSY, COMMITTED, Conflict
from stepgraph.testing.conformance.make import NOW, make_record, make_row, make_write, next_write
from tests.postgres import empty_postgres


@pytest.fixture
def url():
    return empty_postgres()


@pytest.fixture
async def opened(url):
    backend = Postgres(url)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def other(url):
    """A connection of somebody else."""
    connection = await asyncpg.connect(url)
    await connection.execute("set search_path to stepgraph")
    yield connection
    await connection.close()


@pytest.fixture
async def bare(url, other):
    """A backend on a schema that is not there, which is dropped at the end."""
    yield Postgres(url, schema="bare")
    await other.execute("drop schema if exists bare cascade")


# --- the schema


async def test_a_schema_that_is_not_there_is_refused_with_what_to_do(bare):
    with pytest.raises(SchemaError, match=r"schema bare: the schema is not there.*migrate\(\)"):
        await bare.open()
    assert await bare.schema_status() == SchemaStatus(0, 0, VERSION, 16)


async def test_of_two_that_migrate_at_once_one_does_it(bare, url):
    again = Postgres(url, schema="bare")

    counts = await asyncio.gather(bare.migrate(), again.migrate())

    assert sorted(counts) == [0, VERSION]
    assert await bare.schema_status() == SchemaStatus(VERSION, 1, VERSION, 16)
    assert await bare.migrate() == 0
    await bare.open()
    await bare.close()


async def test_the_script_for_psql_makes_the_schema_that_migrate_makes(bare, opened, other):
    await other.execute(bare.migration_sql())
    await other.execute("reset search_path")

    made = "select table_name, column_name, data_type from information_schema.columns"
    where = " where table_schema = $1 order by 1, 2"
    assert await bare.schema_status() == SchemaStatus(VERSION, 1, VERSION, 16)
    assert await other.fetch(made + where, "bare") == await other.fetch(made + where, "stepgraph")


@pytest.mark.parametrize(
    ("version", "readable_from", "slots", "text"),
    [
        (VERSION - 1, 1, 16, f"has version {VERSION - 1}, this code needs {VERSION}: run"),
        (999, 998, 16, "code for version 998 or later can read.*update stepgraph"),
        (VERSION, 1, 32, "was made for 32 slots"),
    ],
)
async def test_a_schema_of_other_code_is_refused(bare, other, version, readable_from, slots, text):
    await bare.migrate()
    query = "update bare.schema_version set version = $1, readable_from = $2, slot_count = $3"
    await other.execute(query, version or -1, readable_from, slots)

    with pytest.raises(SchemaError, match=text.replace("version 0", "version -1")):
        await bare.open()


async def test_a_newer_schema_that_this_code_can_read_is_used_and_not_changed(bare, other):
    await bare.migrate()
    await other.execute("update bare.schema_version set version = 999, readable_from = 1")

    assert await bare.migrate() == 0
    await bare.open()
    await bare.close()


@pytest.mark.parametrize("schema", ["", "Upper", "a;b", 'a"b', "x" * 49, "1a", "a-b"])
def test_a_schema_s_name_is_plain(schema):
    with pytest.raises(DefinitionError, match="cannot be the name of a schema"):
        Postgres(schema=schema)


async def test_a_role_that_may_only_read_and_write_rows_is_enough(url, other):
    await other.execute(
        "create role worker login; grant usage on schema stepgraph to worker;"
        "grant select, insert, update, delete on all tables in schema stepgraph to worker;"
        "revoke insert, update, delete on stepgraph.schema_version from worker"
    )
    backend = Postgres(url.replace("stepgraph@", "worker@"))
    try:
        await backend.open()
        record = make_record()
        assert await backend.record_store.commit([make_write(record)]) == [COMMITTED]
        lease = await backend.role_scheduler.join("me")
        assert await lease.take(["r"]) == {"r": 1}
        await lease.close()
        assert await backend.verify() == []
        with pytest.raises(SchemaError, match="permission denied"):
            await Postgres(url.replace("stepgraph@", "worker@"), schema="bare").migrate()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            connection = await backend._server.connect()
            try:
                await connection.execute("drop table run")
            finally:
                await backend._server.disconnect(connection)
    finally:
        await backend.close()
        await other.execute("drop owned by worker; drop role worker")


# --- who waits for whom


async def test_a_row_that_somebody_has_locked_is_busy_and_holds_nobody_up(opened, other):
    records = [make_record() for _ in range(3)]
    await opened.record_store.commit([make_write(record) for record in records])
    changes = [next_write(record) for record in records]
    async with other.transaction():
        await other.execute("select from run where run_id = $1 for update", records[1].run_id)

        assert await opened.record_store.commit(changes) == [COMMITTED, BUSY, COMMITTED]
    assert await opened.record_store.commit(changes) == [COMMITTED] * 3
    assert await opened.record_store.commit([next_write(records[1])]) == [
        Conflict(changes[1].record)
    ]


async def test_a_create_does_not_wait_for_a_transaction_that_stays_open(opened, other, url):
    first, rival = make_record(foreign_id="f"), make_record(foreign_id="f")
    await opened.record_store.commit([make_write(first)])
    async with other.transaction():
        await other.execute("delete from run where run_id = $1", first.run_id)

        with pytest.raises(RefusedError, match="lock timeout"):
            await opened.record_store.commit([make_write(rival)])
        assert await opened.record_store.commit([make_write(make_record())]) == [COMMITTED]
    assert await opened.record_store.commit([make_write(rival)]) == [COMMITTED]


async def test_what_was_inserted_first_and_committed_last_is_read(opened, other):
    first, second = make_row(make_record(), slot=1), make_row(make_record(), slot=1)
    want = Want(first.consumer, (1,), 0, 10)
    query = "insert into queue (consumer, slot, due_at, id, workflow, foreign_id, run_id, version,"
    query += " attempt, body) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    values = [getattr(first, name) for name in type(first).__struct_fields__]
    async with other.transaction():
        await other.execute(query, *values)
        await opened.work_queue.put([(None, replace(second, due_at=NOW + 1))])

        due = await opened.work_queue.due([want], NOW + 1)
        assert [row.id for row in due] == [second.id]
    due = await opened.work_queue.due([want], NOW + 1)
    assert [row.id for row in due] == [first.id, second.id]


# --- errors


async def test_what_no_text_of_the_server_can_hold_is_refused_and_harms_nobody(opened):
    bad = make_write(make_record(foreign_id="a\0b"))
    with pytest.raises(RefusedError):
        await opened.record_store.commit([make_write(make_record()), bad])
    surrogate = make_write(make_record(foreign_id="\ud800"))
    with pytest.raises(RefusedError):
        await opened.record_store.commit([surrogate])
    assert await opened.record_store.commit([make_write(make_record())]) == [COMMITTED]


async def test_a_closed_backend_can_be_opened_again(opened):
    record = make_record()
    await opened.record_store.commit([make_write(record)])
    await opened.close()
    with pytest.raises(UnavailableError, match="closed"):
        await opened.record_store.lookup_many([record.ref])
    await opened.open()

    assert await opened.record_store.lookup_many([record.ref]) == [record]


async def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(UnavailableError, match="schema stepgraph cannot be reached"):
        await Postgres("postgresql://nobody@127.0.0.1:1/nothing").open()


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
    assert await opened.record_store.find("x") is None


# --- settings and pools


async def test_unsafe_settings_are_named(url, other):
    changed = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    try:
        for name in changed:
            await other.execute(f"alter system set {name} = off")
        await other.execute("select pg_reload_conf()")
        query = "select count(*) from pg_settings where name = any($1) and setting = 'off'"
        while await other.fetchval(query, list(changed)) < len(changed):
            await asyncio.sleep(0.01)

        found = await Postgres(url).verify()

        assert [text.partition(" ")[0] for text in found] == list(changed)
        assert all(": " in text for text in found)
    finally:
        await other.execute("alter system reset all")
        await other.execute("select pg_reload_conf()")


async def test_a_pool_of_the_user_s_is_used_and_given_back_as_it_was(url):
    async with asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
        backend = Postgres(pool=pool)
        await backend.open()
        record = make_record()
        await backend.record_store.commit([make_write(record)])
        assert await backend.record_store.lookup_many([record.ref]) == [record]
        await backend.close()

        assert pool.get_idle_size() == pool.get_size()
        connections = [await pool.acquire() for _ in range(pool.get_size())]
        for connection in connections:
            assert await connection.fetchval("show enable_seqscan") == "on"
            assert await connection.fetchval("show search_path") == '"$user", public'
            await pool.release(connection)


def test_a_dsn_and_a_pool_are_one_too_many():
    with pytest.raises(DefinitionError, match="not both"):
        Postgres("postgresql://", pool=object())


# --- hints and leases


async def test_hints_wake_the_others_also_after_their_connection_was_lost(opened, other, url):
    woken, own = asyncio.Event(), asyncio.Event()
    second = Postgres(url)
    await second.open()
    listening = [
        asyncio.ensure_future(second.hints.listen(woken.set)),
        asyncio.ensure_future(opened.hints.listen(own.set)),
    ]
    for _ in range(2):
        await asyncio.wait_for(woken.wait(), 20)  # told once that it listens now
        await asyncio.wait_for(own.wait(), 20)
        woken.clear()
        await opened.hints.tell()
        await asyncio.wait_for(woken.wait(), 20)
        woken.clear()
        own.clear()
        await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'stepgraph'"
        )
    for listener in listening:
        listener.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    await second.close()


async def test_a_lease_ends_by_the_server_s_clock_alone(opened, other, url):
    mine = await opened.role_scheduler.join("mine")
    yours = await opened.role_scheduler.join("yours")
    assert await mine.take(["r"]) == {"r": 1}
    await other.execute("update instance set expires_at = now() where id = 'mine'")

    standing = await yours.renew()
    assert [member.id for member in standing.members] == ["yours"]
    assert dict(standing.holders) == {}
    with pytest.raises(UnavailableError, match="lease of instance mine has run out"):
        await mine.renew()
    assert await mine.take(["s"]) == {}
    assert await yours.take(["r"]) == {"r": 2}


# --- plans


_MANY = """
insert into run (entered_at, created_at, updated_at, due_at, status, version, attempt,
    progress_version, entered_version, run_state, format, is_keyed, is_announced, is_open, ended_at,
    run_id, workflow, foreign_id, next, write_id, visited, reason, failure_type, failure_text,
    trace_origin, trace_parent, parent, object)
select n, n, n, n, 1, 1, 0, 1, 1, case when n % 2 = 0 then 1 else 4 end, 1, false, false,
    n % 2 = 0, case when n % 2 = 0 then null else n end, lpad(n::text, 36, '0'), 'orders',
    'f-' || n, 'step', '', '1', '', '', '', '', '', '', ''
from generate_series(1, 100000) as n;
insert into history (at, started_at, version, attempt, status, try_number, run_state,
    previous_run_state, run_id, write_id, cause, actor, reason, role, instance)
select n, n, 1, 0, 1, 1, 1, 0, lpad(n::text, 36, '0'), '', 'trigger', '', '', '', ''
from generate_series(1, 100000) as n;
insert into queue (consumer, slot, due_at, id, workflow, foreign_id, run_id, version, attempt, body)
select 'orders/step/1', n % 16, n, n::text, 'orders', 'f', n::text, 1, 0, ''
from generate_series(1, 100000) as n;
insert into timeout (workflow, foreign_id, run_id, entered_version, name, status, slot, due_at,
    attempt, is_done)
select 'orders', 'f', n::text, 1, 't', 1, n % 16, n, 0, n % 2 = 0
from generate_series(1, 100000) as n;
"""


async def test_no_hot_statement_reads_a_table_from_end_to_end(opened, other):
    """Planned while the tables are small, used when they are large."""
    slots = tuple(range(16))

    async def use_all():
        records = [make_record() for _ in range(5)]
        writes = [make_write(r, enqueue=(make_row(r),)) for r in records]
        await opened.record_store.commit(writes)
        await opened.record_store.commit(writes)
        await opened.record_store.commit(
            [next_write(r, make_row(r).key, run_state=4) for r in records]
        )
        await opened.record_store.commit([next_write(records[0])])
        await opened.record_store.lookup_many([r.ref for r in records])
        await opened.record_store.latest("orders", "f-8")
        await opened.work_queue.due([Want("orders/step/1", slots, 0, 64)], NOW)
        await opened.work_queue.next_due({"orders/step/1": slots})
        await opened.timeout_store.list_due("orders", slots, NOW, 64)
        await opened.timeout_store.next_due("orders", slots)

    plans = []
    server = opened._server
    for seat in (server.creates, server.changes, server.reads):
        await seat.fetch("load 'auto_explain'")
        connection = seat._connection
        connection.add_log_listener(lambda _, message: plans.append(str(message.message)))
        for name in ("log_min_duration", "log_analyze", "log_timing", "log_level"):
            value = {"log_level": "notice", "log_timing": "off"}.get(name, "0")
            value = "on" if name == "log_analyze" else value
            await seat.fetch("select set_config($1, $2, false)", f"auto_explain.{name}", value)
    await use_all()
    await other.execute(_MANY)
    await other.execute("analyze")
    await use_all()
    await asyncio.sleep(0)

    plans = [plan for plan in plans if "auto_explain" not in plan and "pg_type" not in plan]
    assert len(plans) >= 18
    for plan in plans:
        text = plan.partition("plan:")[2]
        assert "Seq Scan" not in text, plan
        for found in re.finditer(r"(Index (Only )?Scan) using \w+ on \w+.*\n\s*(.*)", text):
            assert found[3].startswith("Index Cond"), plan
        assert "Hash Join" not in text, plan
        assert "Merge Join" not in text, plan
