"""History: what two witnesses saw. The store's side knows nothing of the engine, nor it of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Commit(NamedTuple):
    """One write that the store applied. Instants `at` are seconds of the world.

    `attempt` above 0 or `is_skip` mark writes that raise no version. `tokens` are the marks that
    user functions left in the object; `origin` is the trigger that made the run. `due_at` and
    `created_at` are microseconds.
    """

    at: float
    workflow: str
    run_id: str
    foreign_id: str
    version: int
    status: int
    run_state: int
    write_id: str
    tokens: tuple[str, ...] = ()
    attempt: int = 0
    is_skip: bool = False
    next: str = ""
    due_at: int = 0
    entered_version: int = 1
    progress_version: int = 1
    created_at: int = 0
    updated_at: int = 0
    actor: str = ""
    cause: str = ""
    origin: str = ""
    key: str = ""
    is_deleted: bool = False


@dataclass
class Call:
    """One call of a step, callback or timeout function. `outcome` is empty while it has none.

    `worker_at` and `store_at` are the most that the two clocks have read so far, in microseconds.
    """

    kind: str
    name: str
    node: str
    run_id: str
    version: int
    attempt: int
    seen: tuple[str, ...]
    token: str
    key: str
    at: float
    workflow: str = "orders"
    status: int = 0
    worker_at: int = 0
    store_at: int = 0
    outcome: str = ""
    ended_at: float = -1.0


class TimerAsked(NamedTuple):
    """What a timer's function asked for: an instant, or None for no timer."""

    run_id: str
    entered_version: int
    name: str
    due_at: int | None


class HookCall(NamedTuple):
    """One call of a hook."""

    at: float
    hook: str
    run_id: str
    version: int
    run_state: int
    record_version: int
    is_ok: bool
    node: str = ""


@dataclass
class Operation:
    """One call of a client: `outcome` is "ok", "fail" (definite) or "info" (may have happened)."""

    number: str
    node: str
    kind: str
    workflow: str
    foreign_id: str
    at: float
    run_id: str = ""
    key: str = ""
    seen: int | None = None
    ended_at: float = -1.0
    outcome: str = ""
    version: int = 0
    error: str = ""
    detail: str = ""
    was_held: bool = False


class SourceCall(NamedTuple):
    """One call of a connector's function."""

    at: float
    event_id: str
    foreign_id: str
    is_ok: bool
    node: str = ""


class Grant(NamedTuple):
    """A role that the role scheduler gave away."""

    at: float
    role: str
    holder: str
    epoch: int


@dataclass
class History:
    """Everything that is checked when a world has ended.

    `delays` holds, by the mark of a call or the number of a trigger, before which instant nothing
    may go on. `refusals` counts how often the store refused a write of (run, version).
    """

    commits: list[Commit] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    timers: list[TimerAsked] = field(default_factory=list)
    hooks: list[HookCall] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    source_events: list[tuple[str, str]] = field(default_factory=list)
    source_calls: list[SourceCall] = field(default_factory=list)
    source_acks: list[tuple[float, str]] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    received: list[tuple[float, str, int]] = field(default_factory=list)
    parked: list[tuple[str, str, int]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    delays: dict[str, int] = field(default_factory=dict)
    refusals: dict[tuple[str, int], int] = field(default_factory=dict)
    canaries: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    is_quiescent: bool = True
    has_faults: bool = False
    has_node_faults: bool = False
    repeat_limit: int = 1
    has_skew: bool = False
    is_mixed: bool = False
    graph: frozenset[tuple[int, int]] = frozenset()
    ends: frozenset[int] = frozenset()
    hooked: dict[str, frozenset[int]] = field(default_factory=dict)
    timeouts: dict[int, dict[str, Any]] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
