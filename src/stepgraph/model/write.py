"""Write: one compare-and-swap of one run with everything that belongs to it; and its results."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from stepgraph.model.child_row import ChildRow
from stepgraph.model.history import HistoryRow
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.record import Record


class UniqueRow(Struct, frozen=True, gc=False):
    """A name that may be taken once; a second taker's whole write is a Conflict."""

    scope: str
    key: str
    body: bytes = b""


class Write(Struct, frozen=True, gc=False):
    """One atomic write.

    `record` is the whole new row. `expected_version` 0 creates it (its version is then 1); else
    the stored version must equal it. `expected_attempt` is compared only where it is not None: by
    writes that do not raise the version. History, `enqueue` and `unique` rows are written, and
    `finished` rows deleted (before the new ones are inserted), only if the write wins.
    `children` are inserted likewise, where they are not there yet; with `takes_children` those that
    the run had before count as given to its join. `write_id` is the same in every repetition of one
    logical write.
    """

    write_id: bytes
    record: Record
    expected_version: int
    expected_attempt: int | None = None
    history: HistoryRow | None = None
    enqueue: tuple[QueueRow, ...] = ()
    finished: tuple[QueueKey, ...] = ()
    unique: tuple[UniqueRow, ...] = ()
    children: tuple[ChildRow, ...] = ()
    takes_children: bool = False


class Committed(Struct, frozen=True, gc=False):
    """The write happened, now or in an earlier repetition of it."""


class Conflict(Struct, frozen=True, gc=False):
    """Somebody stored first, or a unique row is taken. `record` is what is stored now, if any."""

    record: Record | None


class Exists(Struct, frozen=True, gc=False):
    """A run of this id is there already, written by somebody else's create (a repeated key)."""

    run_id: str


class InProgress(Struct, frozen=True, gc=False):
    """Another open run holds the foreign id."""

    run_id: str


class Busy(Struct, frozen=True, gc=False):
    """The row is locked by somebody and nothing is decided: ask again in a moment."""


class Refused(Struct, frozen=True, gc=False):
    """The store will never take this write; nothing of it happened."""

    error: Exception


COMMITTED = Committed()
BUSY = Busy()
Result: TypeAlias = Committed | Conflict | Exists | InProgress | Busy | Refused
