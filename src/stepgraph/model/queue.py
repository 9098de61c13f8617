"""QueueRow: the only thing that makes work happen."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class QueueKey(NamedTuple):
    """The primary key of a queue row, in the order in which rows are read."""

    consumer: str
    slot: int
    due_at: int
    id: str


class QueueRow(Struct, frozen=True, gc=False):
    """One piece of work that is due at an instant, for one consumer.

    Written by the commit that causes the work, deleted by the commit that the work leads to.
    `id` is unique among one consumer's rows of one instant; for step work it is the run id.
    `version` and `attempt` name the state of the run that the work is about. `body` is what the
    consumer needs and the record does not have; events and rows of step work have none.
    """

    consumer: str
    slot: int
    due_at: int
    id: str
    workflow: str
    foreign_id: str
    run_id: str
    version: int
    attempt: int = 0
    body: bytes = b""

    @property
    def key(self) -> QueueKey:
        """Return the row's primary key."""
        # The generated constructor of a named tuple costs three times as much.
        return tuple.__new__(QueueKey, (self.consumer, self.slot, self.due_at, self.id))


class Want(NamedTuple):
    """What a reader asks of one consumer's queue.

    `after` is the position to start from in microseconds (0 is the very beginning); `limit` is
    how many rows a call may return for this want, all slots together.
    """

    consumer: str
    slots: tuple[int, ...]
    after: int
    limit: int


class ParkedRow(NamedTuple):
    """A row that was given up on, with the error that did it and when."""

    row: QueueRow
    error: str
    parked_at: int
