"""Rows: records, history and queue rows as tuples, and many of them as one array a column."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from stepgraph.model.child_row import ChildRow
from stepgraph.model.history import Failure, HistoryRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Meta, Parent, Record
from stepgraph.model.write import Write

_NO_META = Meta()
_NO_FAILURE = (None, None, None, None)
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


def columns_of(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    """Return rows of `width` columns as one list a column."""
    if not rows:
        return [[] for _ in range(width)]
    return list(zip(*rows, strict=True))


def create_row(w: Write) -> tuple[Any, ...]:
    """Return the columns of a new run."""
    r, meta = w.record, w.record.meta
    return (
        r.run_id, r.workflow, r.foreign_id, r.status, r.run_state, r.version, r.attempt,
        r.progress_version, r.entered_version, r.entered_at, r.created_at, r.updated_at, r.due_at,
        r.next, w.write_id, _visited_text(r.visited), meta.reason, meta.failure_type,
        meta.failure_text, meta.trace_origin, meta.trace_parent, _parent_text(meta.parent),
        r.object, r.is_keyed, r.is_announced, r.format, 1 <= r.run_state <= 3,
    )  # fmt: skip


def change_row(w: Write) -> tuple[Any, ...]:
    """Return what a change compares, then the columns that it sets."""
    r, meta = w.record, w.record.meta
    return (
        r.run_id, w.expected_version, w.expected_attempt, r.status, r.run_state, r.version,
        r.attempt, r.progress_version, r.entered_version, r.entered_at, r.updated_at, r.due_at,
        r.next, w.write_id, _visited_text(r.visited), meta.reason, meta.failure_type,
        meta.failure_text, r.object, r.is_announced, r.format, 1 <= r.run_state <= 3,
    )  # fmt: skip


def record_of(row: Sequence[Any]) -> Record:
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
        _visited_of(visited), meta, value, is_keyed, is_announced, form,
    )  # fmt: skip


def history_row(h: HistoryRow) -> tuple[Any, ...]:
    """Return the columns of a history row."""
    f = h.failure
    failure = _NO_FAILURE if f is None else (f.error_type, f.message, f.traceback, f.next_at)
    return (
        h.run_id, h.version, h.attempt, h.write_id, h.status, h.run_state, h.previous_run_state,
        h.cause, h.at, h.started_at, h.try_number, h.actor, h.reason, h.role, h.instance, h.object,
        *failure,
    )  # fmt: skip


def history_of(row: Sequence[Any]) -> HistoryRow:
    """Return the history row of a row that was read by `HISTORY_COLUMNS`."""
    *columns, error_type, message, trace, next_at = row
    failure = None if error_type is None else Failure(error_type, message, trace, next_at)
    values: Any = (*columns, failure)
    return HistoryRow(*values)


def queue_row(q: QueueRow) -> tuple[Any, ...]:
    """Return the columns of a queue row."""
    return (
        q.consumer, q.slot, q.due_at, q.id, q.workflow, q.foreign_id, q.run_id, q.version,
        q.attempt, q.body,
    )  # fmt: skip


def child_row(c: ChildRow) -> tuple[Any, ...]:
    """Return the columns of a child."""
    return (
        c.run_id, c.parent_run_id, c.progress_version, c.number, c.workflow, c.foreign_id, c.status,
        c.is_cancelled_with_parent, c.run_state, c.is_open, c.in_use_by, c.taken_version,
    )  # fmt: skip
