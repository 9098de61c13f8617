"""Record: a run as it is stored, and Meta: what is said about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

Next = Literal["step", "delay", "retry", "skipped", "no_step", "join", ""]
RECORD_FORMAT = 1


class RunRef(NamedTuple):
    """Where a run is found on every store: partitioned ones need more than its id."""

    workflow: str
    foreign_id: str
    run_id: str


class Parent(Struct, frozen=True, gc=False):
    """Whose child a run is: the parent, its visit (`progress_version`), and the child's number."""

    workflow: str
    foreign_id: str
    run_id: str
    progress_version: int
    number: int


class Meta(Struct, frozen=True, gc=False):
    """What is said about a run beside its place.

    `reason` tells why the run is paused or cancelled, `failure_type` and `failure_text` what its
    last failed attempt raised. What a run is created with stays: `trace_origin`, the line of code
    that triggered it, `trace_parent`, the W3C trace context of the trigger, and `parent`.
    """

    reason: str = ""
    failure_type: str = ""
    failure_text: str = ""
    trace_origin: str = ""
    trace_parent: str = ""
    parent: Parent | None = None

    def saying(self, reason: str, failure_type: str = "", failure_text: str = "") -> Meta:
        """Return what stays of this, with another reason and failure."""
        return Meta(
            reason, failure_type, failure_text, self.trace_origin, self.trace_parent, self.parent
        )


class Record(Struct, frozen=True, gc=False):
    """One row a run. Instants are microseconds since the epoch.

    `version` rises by one with every commit that changes the run; `attempt` counts the failed
    tries of the step at this version. `progress_version` is the version of the last commit that
    made progress (not by pause, resume, control or attempts). `entered_version` and `entered_at`
    belong to the entry into the present status. `next` says what the run waits for, `due_at` from
    when. `visited` holds every status that the run has been in, sorted. `is_announced` marks runs
    whose work was announced over a foreign stream and so may be lost with it.
    """

    run_id: str
    workflow: str
    foreign_id: str
    status: int
    run_state: int
    version: int
    attempt: int
    progress_version: int
    entered_version: int
    entered_at: int
    created_at: int
    updated_at: int
    due_at: int
    next: Next
    write_id: bytes
    visited: tuple[int, ...]
    meta: Meta
    object: bytes
    is_keyed: bool = False
    is_announced: bool = False
    format: int = RECORD_FORMAT

    @property
    def ref(self) -> RunRef:
        """Return where this run is found."""
        return RunRef(self.workflow, self.foreign_id, self.run_id)

    @property
    def is_open(self) -> bool:
        """Return whether the run blocks another run of its foreign id."""
        return 1 <= self.run_state <= 3
