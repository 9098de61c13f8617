"""Rows: records, history and queue rows as tuples, in the order of their columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from stepgraph.model.history import Failure, HistoryRow
from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Meta, Parent, Record

_NO_META = Meta()
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
        r.entered_version, r.entered_at, r.created_at, r.updated_at, r.due_at, r.next, r.write_id,
        _visited_text(r.visited), meta.reason, meta.failure_type, meta.failure_text,
        meta.trace_origin, meta.trace_parent, _parent_text(meta.parent), r.object, r.is_keyed,
        r.is_announced, r.format, 1 <= r.run_state <= 3, r.run_id,
    )  # fmt: skip


def change_row(r: Record) -> tuple[Any, ...]:
    """Return the columns that a transition changes, then the run's id."""
    meta = r.meta
    return (
        r.status, r.run_state, r.version, r.attempt, r.progress_version, r.entered_version,
        r.entered_at, r.updated_at, r.due_at, r.next, r.write_id, _visited_text(r.visited),
        meta.reason, meta.failure_type, meta.failure_text, r.object, r.is_announced, r.format,
        1 <= r.run_state <= 3, r.run_id,
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
    """Return the columns of a history row."""
    f = h.failure
    failure = (None, None, None, None) if f is None else (
        f.error_type, f.message, f.traceback, f.next_at
    )  # fmt: skip
    return (
        h.run_id, h.version, h.attempt, h.write_id, h.status, h.run_state, h.previous_run_state,
        h.cause, h.at, h.started_at, h.try_number, h.actor, h.reason, h.role, h.instance, h.object,
        *failure,
    )  # fmt: skip


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
        q.attempt, q.body,
    )  # fmt: skip
