"""The raw limit: the same rows through bare asyncpg, on one connection, in batches.

Two limits. "Plain" is what comes to mind without the engine: a transaction of five statements, each
over arrays. "Statement" is the adapter's own single statement a batch. No engine, no encoding of
objects, no lanes, no queue reading.
"""

from __future__ import annotations

import time

import asyncpg

from benchmarks.transactions import BATCH, transactions
from stepgraph.adapters.postgres.batch import arguments
from stepgraph.adapters.postgres.rows import change_row, columns_of, create_row, history_row, queue_row
from stepgraph.adapters.postgres.statement import (
    CHANGE,
    CHANGE_WIDTH,
    CREATE,
    CREATE_WIDTH,
    HISTORY_COLUMNS,
    HISTORY_WIDTH,
    KEY_WIDTH,
    QUEUE_COLUMNS,
    QUEUE_WIDTH,
    RECORD_COLUMNS,
    unnest,
)

_CREATE = (
    f"insert into run ({RECORD_COLUMNS}, is_open) select * from "
    + unnest("tttiiiiiiiiiitbtttttttbooio") + " as given"
)  # fmt: skip
_CHANGE = (
    "update run set status = g.status, run_state = g.run_state, version = g.version,"
    " progress_version = g.progress_version, entered_version = g.entered_version,"
    " entered_at = g.entered_at, updated_at = g.updated_at, due_at = g.due_at, next = g.next,"
    " write_id = g.write_id, visited = g.visited, object = g.object, is_open = g.is_open,"
    " ended_at = case when g.is_open then null else g.updated_at end from "
    + unnest("tiiiiiiiiiiitbttttboio")
    + " as g (run_id, expected, expected_attempt, status, run_state, version, attempt,"
    " progress_version, entered_version, entered_at, updated_at, due_at, next, write_id, visited,"
    " reason, failure_type, failure_text, object, is_announced, format, is_open)"
    " where run.run_id = g.run_id and run.version = g.expected"
)
_HISTORY = (
    f"insert into history ({HISTORY_COLUMNS}) select * from " + unnest("tiibiiitiiittttbttti") + " as h"
)
_FINISH = (
    "delete from queue using " + unnest("ttiit") + " as k (writer, consumer, slot, due_at, id)"
    " where queue.consumer = k.consumer and queue.slot = k.slot and queue.due_at = k.due_at"
    " and queue.id = k.id"
)
_ENQUEUE = (
    f"insert into queue ({QUEUE_COLUMNS}) select {QUEUE_COLUMNS} from "
    + unnest("ttiittttiib") + f" as q (writer, {QUEUE_COLUMNS})"
)  # fmt: skip


async def raw_runs_per_second(url: str, *, runs: int, order: bytes, is_plain: bool) -> float:
    """Write `runs` runs of three steps; return whole runs per second."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "set search_path to stepgraph; set jit to off; set enable_seqscan to off;"
        "set plan_cache_mode to force_generic_plan"
    )
    batches = [writes for _ in range(runs // BATCH) for writes in transactions(order)]
    ready = [_plain(writes) if is_plain else _statement(writes) for writes in batches]
    started = time.perf_counter()
    for statements in ready:
        if len(statements) == 1:
            await connection.fetch(*statements[0])
            continue
        async with connection.transaction():
            for query, *values in statements:
                await connection.fetch(query, *values)
    seconds = time.perf_counter() - started
    await connection.close()
    return len(batches) / 4 * BATCH / seconds


def _statement(writes) -> list[tuple]:
    is_creating = writes[0].expected_version == 0
    query = CREATE if is_creating else CHANGE
    return [(query, *arguments(writes, (), is_creating=is_creating))]


def _plain(writes) -> list[tuple]:
    writes = sorted(writes, key=lambda w: w.record.run_id)
    history = columns_of([history_row(w.history) for w in writes], HISTORY_WIDTH)
    done = [(w.record.run_id, *key) for w in writes for key in w.finished]
    queued = [(w.record.run_id, *queue_row(row)) for w in writes for row in w.enqueue]
    if writes[0].expected_version == 0:
        first = (_CREATE, *columns_of([create_row(w) for w in writes], CREATE_WIDTH))
    else:
        rows = [change_row(w) for w in writes]
        first = (_CHANGE, *columns_of(rows, CHANGE_WIDTH))
    return [
        first,
        (_HISTORY, *history),
        (_FINISH, *columns_of(done, KEY_WIDTH)),
        (_ENQUEUE, *columns_of(queued, QUEUE_WIDTH)),
    ]
