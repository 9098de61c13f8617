"""Announcer: which queue rows a stored record causes."""

from __future__ import annotations

from typing import NamedTuple

from stepgraph.model.queue import QueueRow
from stepgraph.model.record import Next
from stepgraph.model.slot import slot_of
from stepgraph.model.topic import relay_consumer, resume_consumer, step_topic


class Place(NamedTuple):
    """What a status means for a run that comes into it; durations in microseconds."""

    status: int
    name: str
    is_terminal: bool
    consumer: str
    consume_lag: int


class Announcer:
    """Turns "this run reached this version" into the rows that make its work happen.

    On a co-located store the row is the step's own work; where events travel over a foreign
    stream it is the outbox row that the relay publishes.
    """

    def __init__(
        self, workflow: str, places: dict[int, Place], *, slot_count: int, is_relayed: bool
    ) -> None:
        """Announce for `workflow`; `places` says for each status what comes next."""
        self.workflow = workflow
        self.places = places
        self.is_relayed = is_relayed
        self._slot_count = slot_count
        self._relay = relay_consumer(workflow)
        self._resume = resume_consumer(workflow)

    def next_of(self, status: int) -> Next:
        """Say what a run that comes into `status` waits for."""
        place = self.places[status]
        if place.is_terminal:
            return ""
        return "step" if place.consumer else "no_step"

    def work_row(
        self, foreign_id: str, run_id: str, status: int, version: int, due_at: int
    ) -> tuple[QueueRow, ...]:
        """Return the row that announces a version of a run, if its status has a step."""
        place = self.places[status]
        consumer = place.consumer
        if not consumer:
            return ()
        row_id, body = run_id, b""
        if self.is_relayed:
            consumer = self._relay
            row_id, body = f"{run_id}/{version}", step_topic(self.workflow, status).encode()
        slot = slot_of(run_id, self._slot_count)
        due_at += place.consume_lag
        return (
            QueueRow(
                consumer, slot, due_at, row_id, self.workflow, foreign_id, run_id, version, 0, body
            ),
        )

    def retry_row(
        self, row: tuple[str, str, int, int], attempt: int, due_at: int
    ) -> tuple[QueueRow, ...]:
        """Return the row of the next try of a step: never over a stream, so nothing can lose it.

        `row` is (foreign id, run id, status, version).
        """
        foreign_id, run_id, status, version = row
        slot = slot_of(run_id, self._slot_count)
        consumer = self.places[status].consumer
        return (
            QueueRow(
                consumer, slot, due_at, run_id, self.workflow, foreign_id, run_id, version, attempt
            ),
        )

    def resume_row(
        self, foreign_id: str, run_id: str, version: int, due_at: int
    ) -> tuple[QueueRow, ...]:
        """Return the row that resumes a run paused by errors."""
        slot = slot_of(run_id, self._slot_count)
        row_id = f"{run_id}/{version}"
        return (
            QueueRow(
                self._resume, slot, due_at, row_id, self.workflow, foreign_id, run_id, version
            ),
        )
