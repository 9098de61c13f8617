"""One commit call: many writes in few statements, and who of them won.

Rows go into statements of `CHUNK` rows each. The driver gives up the interpreter's lock for every
statement and has to win it back from the busy event loop after it: one statement a row made the
writer thread wait for two thirds of its time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from stepgraph.adapters.sqlite.rows import (
    change_row,
    history_row,
    queue_row,
    record_of,
    record_row,
)
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record
from stepgraph.model.write import COMMITTED, Conflict, Exists, InProgress, Result, Write

CHUNK = 64


def _values(columns: int, rows: int = CHUNK) -> str:
    """Return so many rows of placeholders."""
    row = "(" + ", ".join("?" * columns) + ")"
    return ", ".join([row] * rows)


RECORD_COLUMNS = (
    "run_id, workflow, foreign_id, status, run_state, version, attempt, progress_version,"
    " entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited,"
    " reason, failure_type, failure_text, trace_origin, trace_parent, parent, object, is_keyed,"
    " is_announced, format"
)
_CREATE_INTO = """
insert into run (workflow, foreign_id, status, run_state, version, attempt, progress_version,
    entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited, reason,
    failure_type, failure_text, trace_origin, trace_parent, parent, object, is_keyed,
    is_announced, format, is_open, run_id)
values """
_CREATE_ONCE = " on conflict do nothing"
CREATE = _CREATE_INTO + _values(27, 1) + _CREATE_ONCE
CREATE_CHUNK = _CREATE_INTO + _values(27) + _CREATE_ONCE
_CHANGED = (
    "status", "run_state", "version", "attempt", "progress_version", "entered_version",
    "entered_at", "updated_at", "due_at", "next", "write_id", "visited", "reason", "failure_type",
    "failure_text", "object", "is_announced", "format", "is_open",
)  # fmt: skip
CHANGE = (
    "update run set "
    + ", ".join([name + " = ?" for name in _CHANGED])
    + " where run_id = ? and version = ?"
)
CHANGE_ATTEMPT = CHANGE + " and attempt = ?"
CHANGE_CHUNK = (
    "update run set "
    + ", ".join([name + " = new.column" + str(n) for n, name in enumerate(_CHANGED, 1)])
    + " from (values "
    + _values(21)
    + ") as new where run.run_id = new.column20 and run.version = new.column21"
)
_HISTORY_INTO = "insert into history values "
HISTORY = _HISTORY_INTO + _values(20, 1)
HISTORY_CHUNK = _HISTORY_INTO + _values(20)
_ENQUEUE_INTO = "insert or replace into queue values "
ENQUEUE = _ENQUEUE_INTO + _values(10, 1)
ENQUEUE_CHUNK = _ENQUEUE_INTO + _values(10)
_IS_ROW = "(consumer = ? and slot = ? and due_at = ? and id = ?)"
FINISH = "delete from queue where " + _IS_ROW
# Written out as alternatives: for "in (values ...)" the whole table would be scanned.
FINISH_CHUNK = "delete from queue where " + " or ".join([_IS_ROW] * CHUNK)
_UNIQUE = "insert into unique_name values (?, ?, ?)"
UNIQUE_BODY = "select body from unique_name where scope = ? and key = ?"
LOOKUP = "select " + RECORD_COLUMNS + " from run where run_id = ?"
_RUN_WRITE_ID = "select write_id from run where run_id = ?"
_WRITE_ID = "select write_id from history where run_id = ? and version = ? and attempt = ?"
_OPEN = "select run_id from run where workflow = ? and foreign_id = ? and is_open = 1"


def commit_batch(
    connection: sqlite3.Connection, writes: Sequence[Write], finished: Sequence[QueueKey]
) -> list[Result]:
    """Apply the runs, then the rows of the winners; deletes come before inserts."""
    results: list[Result] = [COMMITTED] * len(writes)
    won: list[Write] = []
    plain: list[int] = []
    for place, write in enumerate(writes):
        if write.unique or write.expected_attempt is not None:
            _apply_alone(connection, write, place, results, won)
        else:
            plain.append(place)
    for first in range(0, len(plain), CHUNK):
        places = plain[first : first + CHUNK]
        chunk = [writes[place] for place in places]
        if _apply_chunk(connection, chunk):
            won += chunk
            continue
        for place in places:
            _settle(connection, writes[place], place, results, won)
    history = [history_row(w.history) for w in won if w.history is not None]
    _execute(connection, (HISTORY, HISTORY_CHUNK), history)
    _execute(connection, (FINISH, FINISH_CHUNK), [*chain(*[w.finished for w in won]), *finished])
    rows = [queue_row(row) for w in won for row in w.enqueue]
    _execute(connection, (ENQUEUE, ENQUEUE_CHUNK), rows)
    return results


def _execute(
    connection: sqlite3.Connection, statements: tuple[str, str], rows: Sequence[tuple[Any, ...]]
) -> int:
    """Execute for all rows, in whole chunks and then one by one; return how many rows changed."""
    one, chunk = statements
    whole = len(rows) - len(rows) % CHUNK
    changed = 0
    for first in range(0, whole, CHUNK):
        names = tuple(chain.from_iterable(rows[first : first + CHUNK]))
        changed += connection.execute(chunk, names).rowcount
    if whole < len(rows):
        changed += connection.executemany(one, rows[whole:]).rowcount
    return changed


def _apply_chunk(connection: sqlite3.Connection, chunk: Sequence[Write]) -> bool:
    """Apply the runs of a chunk, all creates or all changes; return whether all of them won."""
    if chunk[0].expected_version == 0:
        rows = [record_row(w.record) for w in chunk]
        return _execute(connection, (CREATE, CREATE_CHUNK), rows) == len(chunk)
    rows = [(*change_row(w.record), w.expected_version) for w in chunk]
    return _execute(connection, (CHANGE, CHANGE_CHUNK), rows) == len(chunk)


def _settle(
    connection: sqlite3.Connection,
    write: Write,
    place: int,
    results: list[Result],
    won: list[Write],
) -> None:
    """Find out what became of one write of a chunk in which not all won.

    History is asked first: a repeated write that won before bears its id in the run too.
    """
    if _has_won(connection, write):
        return
    row = connection.execute(_RUN_WRITE_ID, (write.record.run_id,)).fetchone()
    if row is not None and row[0] == write.write_id:
        won.append(write)
    else:
        results[place] = _lost(connection, write)


def _apply_alone(
    connection: sqlite3.Connection,
    write: Write,
    place: int,
    results: list[Result],
    won: list[Write],
) -> None:
    """Apply a write that takes names, or that compares the attempt."""
    if _has_won(connection, write):
        return
    if any(connection.execute(UNIQUE_BODY, (r.scope, r.key)).fetchone() for r in write.unique):
        results[place] = Conflict(_look_up(connection, write.record.run_id))
        return
    if write.expected_version == 0:
        changed = connection.execute(CREATE, record_row(write.record)).rowcount
    elif write.expected_attempt is None:
        names = (*change_row(write.record), write.expected_version)
        changed = connection.execute(CHANGE, names).rowcount
    else:
        names = (*change_row(write.record), write.expected_version, write.expected_attempt)
        changed = connection.execute(CHANGE_ATTEMPT, names).rowcount
    if not changed:
        results[place] = _lost(connection, write)
        return
    connection.executemany(_UNIQUE, [(r.scope, r.key, r.body) for r in write.unique])
    won.append(write)


def _lost(connection: sqlite3.Connection, write: Write) -> Result:
    """Say why a write did not happen."""
    record = write.record
    stored = _look_up(connection, record.run_id)
    if write.expected_version:
        return Conflict(stored)
    if stored is not None:
        return Exists(record.run_id)
    row = connection.execute(_OPEN, (record.workflow, record.foreign_id)).fetchone()
    return InProgress(row[0])


def _has_won(connection: sqlite3.Connection, write: Write) -> bool:
    """Return whether history shows that this very write won before."""
    history = write.history
    if history is None:
        return False
    key = (history.run_id, history.version, history.attempt)
    row = connection.execute(_WRITE_ID, key).fetchone()
    return row is not None and row[0] == write.write_id


def _look_up(connection: sqlite3.Connection, run_id: str) -> Record | None:
    row = connection.execute(LOOKUP, (run_id,)).fetchone()
    return record_of(row) if row is not None else None
