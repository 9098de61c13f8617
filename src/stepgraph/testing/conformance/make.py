"""Records, writes and rows with sane values, for checks that care about one thing."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from stepgraph.model.child_row import ChildRow
from stepgraph.model.event import Event
from stepgraph.model.history import HistoryRow
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.record import Meta, Record
from stepgraph.model.schedule import Schedule
from stepgraph.model.slot import slot_of
from stepgraph.model.timeout import Timeout
from stepgraph.model.write import Write

NOW = 1_900_000_000_000_001
_numbers = itertools.count(1)


def make_record(**changes: Any) -> Record:
    """Return the first version of a run; later ones have higher ids."""
    number = next(_numbers)
    run_id = f"01900000-0000-7000-8000-{number:012x}"
    record = Record(
        run_id=run_id,
        workflow="orders",
        foreign_id=f"order-{number}",
        status=1,
        run_state=1,
        version=1,
        attempt=0,
        progress_version=1,
        entered_version=1,
        entered_at=NOW,
        created_at=NOW,
        updated_at=NOW,
        due_at=NOW,
        next="step",
        write_id=number.to_bytes(16, "big"),
        visited=(1,),
        meta=Meta(),
        object=b'{"total":1}',
    )
    return replace(record, **changes)


def make_row(record: Record, **changes: Any) -> QueueRow:
    """Return the queue row of a run's step."""
    row = QueueRow(
        f"{record.workflow}/step/{record.status}",
        slot_of(record.run_id),
        record.due_at,
        record.run_id,
        record.workflow,
        record.foreign_id,
        record.run_id,
        record.version,
        record.attempt,
    )
    return replace(row, **changes)


def make_write(record: Record, *, expected: int = 0, **changes: Any) -> Write:
    """Return the write of a version, with its history; a create if nothing is expected."""
    history = HistoryRow(
        record.run_id,
        record.version,
        0,
        record.write_id,
        record.status,
        record.run_state,
        0,
        "step" if expected else "trigger",
        record.updated_at,
        record.updated_at,
        object=record.object,
    )
    return replace(Write(record.write_id, record, expected, history=history), **changes)


def next_write(record: Record, *finished: QueueKey, **changes: Any) -> Write:
    """Return a write that raises the version of a run by one."""
    write_id = next(_numbers).to_bytes(16, "big")
    fields: dict[str, Any] = {"version": record.version + 1, "attempt": 0, "run_state": 2}
    moved = replace(record, write_id=write_id, **(fields | changes))
    return make_write(moved, expected=record.version, finished=finished)


def make_event(record: Record, **changes: Any) -> Event:
    """Return the event of a record."""
    event = Event(
        "orders/step/1",
        record.workflow,
        record.foreign_id,
        record.run_id,
        record.version,
        created_at=record.updated_at,
    )
    return replace(event, **changes)


def make_timeout(record: Record, **changes: Any) -> Timeout:
    """Return a timer of a run's visit."""
    timeout = Timeout(
        record.workflow,
        record.foreign_id,
        record.run_id,
        record.entered_version,
        "give_up",
        record.status,
        slot_of(record.run_id),
        NOW,
    )
    return replace(timeout, **changes)


def make_schedule(**changes: Any) -> Schedule:
    """Return the first version of a schedule that no code declares."""
    schedule = Schedule(
        "orders", "nightly", "", "@hourly", "UTC", "nightly", "latest", "skip", 0, b"{}", NOW, NOW
    )
    return replace(schedule, **changes)


def make_child(record: Record, number: int, **changes: Any) -> ChildRow:
    """Return an open child of a run, staged at its present visit."""
    visit = record.progress_version
    run_id = f"child-{next(_numbers)}"
    child = ChildRow(run_id, record.run_id, visit, number, "shipping", f"parcel-{number}", 1)
    return replace(child, **changes)
