"""Options: what may be set, what it is by default, and the one merge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from stepgraph.errors import DefinitionError
from stepgraph.model.instant import LATEST

if TYPE_CHECKING:
    from stepgraph.ports.clock import Clock
    from stepgraph.ports.connector import Connector
    from stepgraph.ports.observer import Observer

Resources: TypeAlias = (
    Mapping[str, object] | Callable[[], AbstractAsyncContextManager[Mapping[str, object]]]
)
HistoryPolicy: TypeAlias = Literal["full", "off"]
_NOTHING = timedelta(0)
_DAY = timedelta(days=1)
_CONCURRENCY_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a failure: exponential with full jitter up to a cap.

    After: Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """

    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=5)
    factor: float = 2.0
    jitter: Literal["full", "none"] = "full"

    def __post_init__(self) -> None:
        """Refuse what cannot be waited for."""
        if not _NOTHING <= self.first <= self.cap <= LATEST or not 1.0 <= self.factor < math.inf:
            raise DefinitionError(
                f"{self!r}: 0 <= first <= cap <= a hundred years and factor >= 1 must hold"
            )

    def delay(self, attempt: int, draw: float) -> timedelta:
        """Return the wait after failed attempt `attempt` (from 1); `draw` is random in [0, 1)."""
        exponent = min(attempt - 1, 64)
        longest = min(self.cap.total_seconds(), self.first.total_seconds() * self.factor**exponent)
        return timedelta(seconds=longest * (draw if self.jitter == "full" else 1.0))


@dataclass(frozen=True, slots=True)
class Retention:
    """How long to keep what is finished; None keeps it for ever.

    `runs` counts from a run's end, `history` from each version and attempt, `events` from the
    sending of an event that nobody has read. For `runs` and `history` a day is the least: what a
    commit left in doubt is settled by them.
    """

    runs: timedelta | None = None
    history: timedelta | None = None
    events: timedelta | None = timedelta(days=7)

    def __post_init__(self) -> None:
        """Refuse what would prune too early."""
        for name, value, least in (
            ("runs", self.runs, _DAY),
            ("history", self.history, _DAY),
            ("events", self.events, timedelta(minutes=1)),
        ):
            if value is not None and (not isinstance(value, timedelta) or value < least):
                raise DefinitionError(
                    f"{name}={value!r} must be None or a timedelta of at least {least}"
                )


class TimeoutOptions(TypedDict, total=False):
    """What functions that a run waits for may set."""

    retry: Backoff | timedelta  # Backoff(); a timedelta is a fixed pause between tries
    pause_after_error_count: int  # 0 = try for ever
    time_limit: timedelta  # 5 minutes for one call
    concurrency: int  # 32 runs at once in one process
    polling_interval: timedelta  # 500 ms; wake-up hints cut it short
    lag_alert: timedelta  # 30 minutes; an older event raises the alert


class HookOptions(TypedDict, total=False):
    """What hooks may set."""

    retry: Backoff | timedelta  # Backoff(); a timedelta is a fixed pause between tries
    max_attempts: int  # 20, then parked in the dead letters
    time_limit: timedelta  # 5 minutes for one call
    concurrency: int  # 32 at once in one process


class ConnectorOptions(HookOptions, total=False):
    """What connectors may set."""

    parallel_count: int  # 1; over how many roles, and so instances, the events are split
    consume_lag: timedelta  # 0; the minimum age of an event before it is handled
    lag_alert: timedelta  # 30 minutes; an older event raises the alert


class StepOptions(TimeoutOptions, total=False):
    """What steps may set."""

    parallel_count: int  # 1; over how many roles, and so instances, the runs are split
    consume_lag: timedelta  # 0; the minimum age of an event before it is handled


class BuildOptions(StepOptions, total=False):
    """What `build()` may set: defaults of all functions, and what belongs to the workflow."""

    max_attempts: int  # 20; for hooks, connectors and deletions
    resources: Resources  # what fills keyword-only parameters
    connectors: Mapping[str, Connector]  # the source of each connector, by its name
    observers: Sequence[Observer]  # are told every fact
    clock: Clock  # the system's
    pause_retry: timedelta | None  # 1 hour; when a run paused by errors is tried again
    stuck_after: timedelta  # 1 minute; when an announced run counts as lost
    history: HistoryPolicy  # "full"
    retention: Retention  # of finished runs and old history: for ever; of unread events: 7 days
    key_retention: timedelta  # 400 days; how long keys, and what a pruned run leaves, are kept
    instance: str  # how this process is called; host name and process id
    stop_within: timedelta  # 30 s for stop() and the end of `async with`


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """Every option of a function, resolved; each kind of function heeds its own ones."""

    retry: Backoff = Backoff()
    pause_after_error_count: int = 0
    time_limit: timedelta = timedelta(minutes=5)
    concurrency: int = 32
    polling_interval: timedelta = timedelta(milliseconds=500)
    lag_alert: timedelta = timedelta(minutes=30)
    parallel_count: int = 1
    consume_lag: timedelta = _NOTHING
    max_attempts: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings:
    """Every option of a workflow as a whole, resolved."""

    connectors: Mapping[str, Connector] = field(default_factory=dict[str, "Connector"])
    resources: Resources = field(default_factory=dict[str, object])
    observers: Sequence[Observer] = ()
    clock: Clock | None = None
    pause_retry: timedelta | None = timedelta(hours=1)
    stuck_after: timedelta = timedelta(minutes=1)
    history: HistoryPolicy = "full"
    retention: Retention = Retention()
    key_retention: timedelta = timedelta(days=400)
    instance: str = ""
    stop_within: timedelta = timedelta(seconds=30)


OptionKind: TypeAlias = Literal["step", "timeout", "hook", "connector"]
_STEP_NAMES = frozenset(option.name for option in fields(StepSettings))
_WORKFLOW_NAMES = frozenset(option.name for option in fields(WorkflowSettings))
_NAMES: Mapping[str, frozenset[str]] = {
    "step": frozenset(StepOptions.__annotations__),
    "timeout": frozenset(TimeoutOptions.__annotations__),
    "hook": frozenset(HookOptions.__annotations__),
    "connector": frozenset(ConnectorOptions.__annotations__),
}


def resolve_step_settings(
    build: Mapping[str, Any], own: Mapping[str, Any], kind: OptionKind = "step"
) -> StepSettings:
    """Merge library < build < function, where absent means inherit.

    Raises `TypeError` for an option that a function of this kind does not have, and
    `DefinitionError` for a value out of range.
    """
    refuse_unknown(own, _NAMES[kind])
    merged: dict[str, Any] = {name: build[name] for name in build if name in _STEP_NAMES}
    merged |= own
    retry: Any = merged.get("retry")
    if isinstance(retry, timedelta):
        merged["retry"] = Backoff(first=retry, cap=retry, factor=1.0, jitter="none")
    settings = StepSettings(**merged)
    _check_count("parallel_count", settings.parallel_count, 1, 256)
    _check_count("concurrency", settings.concurrency, 1, _CONCURRENCY_LIMIT)
    _check_count("max_attempts", settings.max_attempts, 1, 1_000_000)
    _check_count("pause_after_error_count", settings.pause_after_error_count, 0, 1_000_000)
    for name in ("lag_alert", "consume_lag"):
        _check_duration(name, getattr(settings, name), may_be_zero=True)
    for name in ("time_limit", "polling_interval"):
        _check_duration(name, getattr(settings, name), may_be_zero=False)
    if not isinstance(settings.retry, Backoff):
        raise DefinitionError(f"retry={settings.retry!r} must be a Backoff or a timedelta")
    if "lag_alert" not in merged:
        # What is held back on purpose is not late.
        lag_alert = settings.lag_alert + settings.consume_lag
        settings = replace(settings, lag_alert=lag_alert)
    return settings


def resolve_workflow_settings(build: Mapping[str, Any]) -> WorkflowSettings:
    """Merge library < build for what belongs to the workflow as a whole; raises as the other."""
    refuse_unknown(build, _STEP_NAMES | _WORKFLOW_NAMES)
    settings = WorkflowSettings(**{k: v for k, v in build.items() if k in _WORKFLOW_NAMES})
    _check_duration("stop_within", settings.stop_within, may_be_zero=True)
    _check_duration("stuck_after", settings.stuck_after, may_be_zero=True)
    if settings.pause_retry is not None:
        _check_duration("pause_retry", settings.pause_retry, may_be_zero=True)
    if settings.history not in ("full", "off"):
        raise DefinitionError(f'history={settings.history!r} must be "full" or "off"')
    if not isinstance(settings.retention, Retention):
        raise DefinitionError(f"retention={settings.retention!r} must be a Retention(...)")
    _check_duration("key_retention", settings.key_retention, may_be_zero=False)
    if settings.key_retention < _DAY:
        raise DefinitionError(f"key_retention={settings.key_retention!r} must be a day at least")
    return settings


def refuse_unknown(options: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise `TypeError` for an option that is none of `known`."""
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"there is no option {name!r}{hint}")


def _check_count(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DefinitionError(f"{name}={value!r} must be a whole number from {least} to {most}")


def _check_duration(name: str, value: object, *, may_be_zero: bool) -> None:
    if not isinstance(value, timedelta) or value < _NOTHING or (not value and not may_be_zero):
        kind = "zero or positive" if may_be_zero else "positive"
        raise DefinitionError(f"{name}={value!r} must be a {kind} timedelta")
    if value > LATEST:
        raise DefinitionError(f"{name}={value!r} is more than a hundred years: say less")
