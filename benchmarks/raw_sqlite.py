"""The raw limit: the same rows through the bare sqlite3 module, in one thread, in batches.

What the engine writes for a run is written by itself: one insert and three updates of the record,
four history rows, three queue rows and their deletes, `synchronous=FULL`, in transactions of 400
writes. No engine, no encoding, no event loop: nothing that uses this driver can be faster.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from msgspec.structs import replace

from stepgraph.adapters.sqlite.migrations import migrate
from stepgraph.adapters.sqlite.batch import CHANGE, CREATE, ENQUEUE, FINISH, HISTORY
from stepgraph.adapters.sqlite.rows import change_row, history_row, queue_row, record_row
from stepgraph.testing.conformance.make import make_record, make_row, make_write

BATCH = 400


def raw_runs_per_second(path: Path, *, runs: int, order: bytes) -> float:
    """Write `runs` runs of three steps; return whole runs per second."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = wal", "synchronous = full", "wal_autocheckpoint = 0"):
        connection.execute("pragma " + pragma).fetchall()
    migrate(connection)
    batches = [_rows(order) for _ in range(runs // BATCH)]
    started = time.perf_counter()
    for batch in batches:
        for records, history, finished, queued in batch:
            connection.execute("begin immediate")
            (CHANGE if finished else CREATE).execute(connection, records)
            HISTORY.execute(connection, history)
            FINISH.execute(connection, finished)
            ENQUEUE.execute(connection, queued)
            connection.execute("commit")
        connection.execute("pragma wal_checkpoint(passive)").fetchall()
    seconds = time.perf_counter() - started
    connection.close()
    return len(batches) * BATCH / seconds


def _rows(order: bytes) -> list[tuple[list[tuple], list[tuple], list[tuple], list[tuple]]]:
    """Return the four transactions of one batch of runs, as ready rows."""
    records = [make_record(object=order) for _ in range(BATCH)]
    transactions = []
    before: list = []
    for version in range(1, 5):
        now = [
            replace(r, version=version, status=version, run_state=1 if version == 1 else 2)
            for r in records
        ]
        if version == 4:
            now = [replace(r, run_state=4) for r in now]
        writes = [make_write(r, expected=version - 1) for r in now]
        rows = [make_row(r) for r in now] if version < 4 else []
        changes = (
            [record_row(r) for r in now]
            if version == 1
            else [(*change_row(r), version - 1) for r in now]
        )
        history = [history_row(w.history) for w in writes if w.history is not None]
        transactions.append((changes, history, before, [queue_row(row) for row in rows]))
        before = [row.key for row in rows]
    return transactions
