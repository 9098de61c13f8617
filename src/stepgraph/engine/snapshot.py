"""Snapshots: stored runs in the user's types."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeVar, cast

from stepgraph.definition import Definition
from stepgraph.errors import CodecError, DataDeletedError
from stepgraph.model.record import Record
from stepgraph.model.run import Absent, Snapshot
from stepgraph.model.run_state import RunState

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)
DELETED_DATA = b'{"result":"deleted"}'


def snapshot_of(definition: Definition[O, S], record: Record) -> Snapshot[O, S]:
    """Return a stored run in the user's types; raises `CodecError` for what cannot be read.

    The object of a run whose data was deleted whole raises `DataDeletedError` when it is asked for.
    """
    try:
        status = definition.status_type(record.status)
    except ValueError as error:
        raise CodecError(
            f"run {record.run_id} is in status {record.status}, which"
            f" {definition.status_type.__name__} does not have"
        ) from error
    if record.run_state >= RunState.DATA_DELETED and record.object == DELETED_DATA:
        deleted: Any = Absent(DataDeletedError(record.run_id))
        return Snapshot(record, status, deleted)
    value = definition.codec.decode(record.object, definition.object_type)
    return Snapshot(record, status, value)


def view_of(definition: Definition[O, S], record: Record) -> Snapshot[O, S]:
    """Return a stored run even if its object or status cannot be read: for whoever controls it.

    What cannot be read raises only when it is asked for.
    """
    try:
        return snapshot_of(definition, record)
    except CodecError as error:
        unreadable: Any = Absent(error)
        try:
            status = definition.status_type(record.status)
        except ValueError:
            make: Any = IntEnum  # by its functional form: the name is made of the number
            lost = make("LostStatus", {f"LOST_{record.status}": record.status})
            status = cast("S", lost(record.status))
        return Snapshot(record, status, unreadable)
