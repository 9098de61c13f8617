"""One commit call: many writes in few statements, and who of them won."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import chain

from stepgraph.adapters.sqlite.rows import (
    change_row,
    child_row,
    failure_row,
    history_row,
    queue_row,
    record_of,
    record_row,
)
from stepgraph.adapters.sqlite.statement import ManyRows, placeholders
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record
from stepgraph.model.write import COMMITTED, Conflict, Exists, InProgress, Result, Write

_TOGETHER = 256

RECORD_COLUMNS = (
    "run_id, workflow, foreign_id, status, run_state, version, attempt, progress_version,"
    " entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited,"
    " reason, failure_type, failure_text, trace_origin, trace_parent, parent, object, is_keyed,"
    " is_announced, format"
)
CREATE = ManyRows(
    """
insert into run (workflow, foreign_id, status, run_state, version, attempt, progress_version,
    entered_version, entered_at, created_at, updated_at, due_at, next, write_id, visited, reason,
    failure_type, failure_text, trace_origin, trace_parent, parent, object, is_keyed,
    is_announced, format, is_open, run_id)
values """,
    placeholders(27),
    " on conflict do nothing",
)
_CHANGED = (
    "status", "run_state", "version", "attempt", "progress_version", "entered_version",
    "entered_at", "updated_at", "due_at", "next", "write_id", "visited", "reason", "failure_type",
    "failure_text", "object", "is_announced", "format",
)  # fmt: skip


def _change(more: str = "") -> ManyRows:
    """Return the statement of transitions, which changes `more` too."""
    changed = [name + " = new.column" + str(n) for n, name in enumerate(_CHANGED, 1)]
    return ManyRows(
        "update run set " + ", ".join(changed) + more + " from (values ",
        placeholders(20),
        ") as new where run.run_id = new.column19 and run.version = new.column20",
    )


# What stays open leaves `is_open` alone: naming it rewrites an index entry at a random place.
CHANGE = _change()
CLOSE = _change(", is_open = 0")
_CHANGE_ATTEMPT = (
    "update run set "
    + ", ".join([name + " = ?" for name in _CHANGED])
    + " where run_id = ? and version = ? and attempt = ?"
)
_OBJECT = "nullif(?, x'')"
HISTORY = ManyRows(
    """
insert into history (run_id, version, attempt, write_id, status, run_state, previous_run_state,
    cause, at, started_at, try_number, actor, reason, role, instance, object)
values """,
    placeholders(16, _OBJECT),
)
_FAILURE = "insert into history values (" + "?, " * 15 + _OBJECT + ", ?, ?, ?, ?)"
ENQUEUE = ManyRows("insert or replace into queue values ", placeholders(10))
# Written out as alternatives: for "in (values ...)" the whole table would be scanned.
FINISH = ManyRows(
    "delete from queue where ",
    "(consumer = ? and slot = ? and due_at = ? and id = ?)",
    separator=" or ",
)
_UNIQUE = "insert into unique_name (scope, key, body, workflow, at) values (?, ?, ?, ?, ?)"
_PRUNED = "select run_id from tombstone where run_id in (select value from json_each(?))"
_CHILD = ManyRows(
    """
insert or ignore into child (run_id, parent_run_id, progress_version, number, workflow, foreign_id,
    status, is_cancelled_with_parent, run_state, is_open, in_use_by, taken_version)
values """,
    placeholders(12),
)
_TAKE_CHILDREN = "update child set taken_version = ? where parent_run_id = ? and taken_version = 0"
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
    pruned = _pruned(connection, writes)
    for place, write in enumerate(writes):
        if pruned and write.record.run_id in pruned:
            results[place] = Exists(write.record.run_id)
        elif write.unique or write.expected_attempt is not None:
            _apply_alone(connection, write, place, results, won)
        else:
            plain.append(place)
    for first in range(0, len(plain), _TOGETHER):
        places = plain[first : first + _TOGETHER]
        chunk = [writes[place] for place in places]
        if _apply_chunk(connection, chunk):
            won += chunk
            continue
        for place in places:
            _settle(connection, writes[place], place, results, won)
    history = [h for w in won if (h := w.history) is not None]
    plain_history = [history_row(h) for h in history if h.failure is None]
    HISTORY.execute(connection, plain_history)
    if len(plain_history) < len(history):
        failures = [failure_row(h, f) for h in history if (f := h.failure) is not None]
        connection.executemany(_FAILURE, failures)
    FINISH.execute(connection, [*chain.from_iterable([w.finished for w in won]), *finished])
    ENQUEUE.execute(connection, [queue_row(row) for w in won for row in w.enqueue])
    for write in won:
        if write.takes_children or write.children:
            _write_children(connection, write)
    return results


def _pruned(connection: sqlite3.Connection, writes: Sequence[Write]) -> set[str]:
    """Return which of these creates are of runs that were there and have been pruned."""
    if not writes or writes[0].expected_version:
        return set()
    keyed = [write.record.run_id for write in writes if write.record.is_keyed]
    if not keyed:
        return set()
    return {row[0] for row in connection.execute(_PRUNED, (json.dumps(keyed),))}


def _write_children(connection: sqlite3.Connection, write: Write) -> None:
    """Mark the children that a run had as given to its join, then insert those that it starts."""
    if write.takes_children:
        connection.execute(_TAKE_CHILDREN, (write.record.version, write.record.run_id))
    _CHILD.execute(connection, [child_row(child) for child in write.children])


def _apply_chunk(connection: sqlite3.Connection, chunk: Sequence[Write]) -> bool:
    """Apply the runs of a chunk, all creates or all changes; return whether all of them won."""
    if chunk[0].expected_version == 0:
        rows = [record_row(w.record) for w in chunk]
        return CREATE.execute(connection, rows) == len(chunk)
    rows = [(*change_row(w.record), w.expected_version) for w in chunk if w.record.is_open]
    ends = [(*change_row(w.record), w.expected_version) for w in chunk if not w.record.is_open]
    return CHANGE.execute(connection, rows) + CLOSE.execute(connection, ends) == len(chunk)


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
        changed = CREATE.execute(connection, [record_row(write.record)])
    elif write.expected_attempt is None:
        names = (*change_row(write.record), write.expected_version)
        changed = (CHANGE if write.record.is_open else CLOSE).execute(connection, [names])
    else:
        names = (*change_row(write.record), write.expected_version, write.expected_attempt)
        changed = connection.execute(_CHANGE_ATTEMPT, names).rowcount
    if not changed:
        results[place] = _lost(connection, write)
        return
    by = (write.record.workflow, write.record.updated_at)
    connection.executemany(_UNIQUE, [(r.scope, r.key, r.body, *by) for r in write.unique])
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
