"""HistoryRow: one committed version of a run, or one failed attempt at it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Cause = Literal["trigger", "step", "callback", "timeout", "join", "control", "delete"]


class Failure(Struct, frozen=True, gc=False):
    """What a failed attempt raised, cut to what may be kept, and when the next try is due.

    `next_at` is None if no further try is planned.
    """

    error_type: str
    message: str
    traceback: str
    next_at: int | None


class HistoryRow(Struct, frozen=True, gc=False):
    """A row of a run's history; its key is (run_id, version, attempt).

    `attempt` is 0 for a version and n for the n-th failed attempt at `version`; `try_number` is
    the number of the try that this row tells of. `object` is None if it equals the object of the
    version before. The pause that ends a series of failures carries the last `failure` itself.
    """

    run_id: str
    version: int
    attempt: int
    write_id: bytes
    status: int
    run_state: int
    previous_run_state: int
    cause: Cause
    at: int
    started_at: int
    try_number: int = 1
    actor: str = ""
    reason: str = ""
    role: str = ""
    instance: str = ""
    object: bytes | None = None
    failure: Failure | None = None
