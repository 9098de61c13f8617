"""Rows: records, history and queue rows as tuples, in the order of their columns.

The driver binds exact ints, texts and bytearrays at once; for bytes, None and bools it first looks
for an adapter, which costs five times as much. So rows have none of these.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from stepgraph.model.child_row import ChildRow
from stepgraph.model.history import Failure, HistoryRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Meta, Parent, Record

_NO_META = Meta()
_NOTHING = bytearray()
_encode = msgspec.json.Encoder().encode
_decode_parent = msgspec.json.Decoder(tuple[str, str, str, int, int]).decode


@lru_cache(4096)
def _visited_text(visited: tuple[int, ...]) -> str:
    return ",".join(map(str, visited))


@lru_cache(4096)
def _visited_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _parent_text(parent: Parent | None) -> str:
    if parent is None:
        return ""
    p = parent
    return _encode((p.workflow, p.foreign_id, p.run_id, p.progress_version, p.number)).decode()


def record_row(r: Record) -> tuple[Any, ...]:
    """Return the columns of a new run; `run_id` stands last, where an update compares it."""
    meta = r.meta
    return (
        r.workflow, r.foreign_id, r.status, r.run_state, r.version, r.attempt, r.progress_version,
        r.entered_version, r.entered_at, r.created_at, r.updated_at, r.due_at, r.next,
        bytearray(r.write_id), _visited_text(r.visited), meta.reason, meta.failure_type,
        meta.failure_text, meta.trace_origin, meta.trace_parent, _parent_text(meta.parent),
        bytearray(r.object), 1 if r.is_keyed else 0, 1 if r.is_announced else 0, r.format,
        1 if 1 <= r.run_state <= 3 else 0, r.run_id,
    )  # fmt: skip


def change_row(r: Record) -> tuple[Any, ...]:
    """Return the columns that a transition changes but for `is_open`, then the run's id."""
    meta = r.meta
    return (
        r.status, r.run_state, r.version, r.attempt, r.progress_version, r.entered_version,
        r.entered_at, r.updated_at, r.due_at, r.next, bytearray(r.write_id),
        _visited_text(r.visited), meta.reason, meta.failure_type, meta.failure_text,
        bytearray(r.object), 1 if r.is_announced else 0, r.format, r.run_id,
    )  # fmt: skip


def record_of(row: tuple[Any, ...]) -> Record:
    """Return the record of a row that was read by `RECORD_COLUMNS`."""
    (
        run_id, workflow, foreign_id, status, run_state, version, attempt, progress_version,
        entered_version, entered_at, created_at, updated_at, due_at, following, write_id, visited,
        reason, failure_type, failure_text, trace_origin, trace_parent, parent, value, is_keyed,
        is_announced, form,
    ) = row  # fmt: skip
    if reason or failure_type or trace_origin or trace_parent or parent:
        of = Parent(*_decode_parent(parent)) if parent else None
        meta = Meta(reason, failure_type, failure_text, trace_origin, trace_parent, of)
    else:
        meta = _NO_META
    return Record(
        run_id, workflow, foreign_id, status, run_state, version, attempt, progress_version,
        entered_version, entered_at, created_at, updated_at, due_at, following, write_id,
        _visited_of(visited), meta, value, is_keyed == 1, is_announced == 1, form,
    )  # fmt: skip


def history_row(h: HistoryRow) -> tuple[Any, ...]:
    """Return the columns of a history row but for its failure; an empty object stands for none."""
    return (
        h.run_id, h.version, h.attempt, bytearray(h.write_id), h.status, h.run_state,
        h.previous_run_state, h.cause, h.at, h.started_at, h.try_number, h.actor, h.reason, h.role,
        h.instance, _NOTHING if h.object is None else bytearray(h.object),
    )  # fmt: skip


def failure_row(h: HistoryRow, failure: Failure) -> tuple[Any, ...]:
    """Return the columns of a history row that tells of a failure."""
    f = failure
    return (*history_row(h), f.error_type, f.message, f.traceback, f.next_at)


def history_of(row: tuple[Any, ...]) -> HistoryRow:
    """Return the history row of a row that was read in the order of the table's columns."""
    error_type, message, trace, next_at = row[16:20]
    failure = None if error_type is None else Failure(error_type, message, trace, next_at)
    columns: Any = (*row[:16], failure)
    return HistoryRow(*columns)


def queue_row(q: QueueRow) -> tuple[Any, ...]:
    """Return the columns of a queue row."""
    return (
        q.consumer, q.slot, q.due_at, q.id, q.workflow, q.foreign_id, q.run_id, q.version,
        q.attempt, bytearray(q.body) if q.body else _NOTHING,
    )  # fmt: skip


def child_row(c: ChildRow) -> tuple[Any, ...]:
    """Return the columns of a child."""
    return (
        c.run_id, c.parent_run_id, c.progress_version, c.number, c.workflow, c.foreign_id, c.status,
        1 if c.is_cancelled_with_parent else 0, c.run_state, 1 if c.is_open else 0, c.in_use_by,
        c.taken_version,
    )  # fmt: skip


def child_of(row: tuple[Any, ...]) -> ChildRow:
    """Return the child of a row that was read in the order of `child_row`."""
    columns: Any = (*row[:7], row[7] == 1, row[8], row[9] == 1, *row[10:])
    return ChildRow(*columns)
