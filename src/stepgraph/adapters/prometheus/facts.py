"""FactBook: what each fact adds to which figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stepgraph.adapters.prometheus.figures import Cell, Figures, Histogram, Labels
from stepgraph.adapters.prometheus.metrics import (
    BATCH_BOUNDS,
    COMMIT_BOUNDS,
    LATENCY_BOUNDS,
    LATENESS_BOUNDS,
)
from stepgraph.model.fact import (
    AttemptFailed,
    BatchCommitted,
    CommitFailed,
    EventsConsumed,
    EventSkipped,
    LagAlert,
    LagMeasured,
    ProcessChanged,
    ProcessFailed,
    QueueCounted,
    RowParked,
    RunsMoved,
    SlotsHeld,
    TimerFired,
)
from stepgraph.model.process_state import ProcessState
from stepgraph.model.run_state import RunState

_STATE_NAMES = {state.value: state.name.replace("_", " ").title() for state in RunState}


class FactBook:
    """Adds facts up. Its methods are called with the lock of the figures held.

    What comes once an event is kept by its labels here, so that it costs one look-up.
    """

    def __init__(self, figures: Figures) -> None:
        """Add to `figures`."""
        self._figures = figures
        self._latencies: dict[Labels, Histogram] = {}
        self._changes: dict[tuple[str, int, int], Cell] = {}
        self._lags = figures.gauges["workflow_process_lag_seconds"]
        self._alerts = figures.gauges["workflow_process_lag_alert"]
        self._batches = figures.histogram("workflow_commit_batch_size", (), BATCH_BOUNDS)
        self._commits = figures.histogram("workflow_commit_seconds", (), COMMIT_BOUNDS)
        self.adders: Mapping[type[Any], Callable[[Any], None]] = {
            RunsMoved: self._moved,
            EventsConsumed: self._consumed,
            EventSkipped: self._skipped,
            AttemptFailed: self._failed,
            RowParked: self._parked,
            ProcessChanged: self._changed,
            ProcessFailed: self._erred,
            SlotsHeld: self._held,
            LagMeasured: self._measured,
            LagAlert: self._alerted,
            QueueCounted: self._counted,
            TimerFired: self._fired,
            BatchCommitted: self._committed,
            CommitFailed: self._refused,
        }

    def _moved(self, fact: RunsMoved) -> None:
        workflow, changes = fact.workflow, self._changes
        for move in fact.moves:
            before, after = move.previous_run_state, move.run_state
            if before != after:
                cell = changes.get((workflow, before, after))
                if cell is None:
                    labels = (workflow, _STATE_NAMES[before], _STATE_NAMES[after])
                    cell = self._figures.counter("workflow_run_state_changes", labels)
                    changes[workflow, before, after] = cell
                cell.count += 1
            if move.error_type:
                self._add("workflow_runs_paused_by_errors", workflow)

    def _consumed(self, fact: EventsConsumed) -> None:
        labels = (fact.workflow, fact.process)
        found = self._latencies.get(labels)
        if found is None:
            found = self._figures.histogram(
                "workflow_process_latency_seconds", labels, LATENCY_BOUNDS
            )
            self._latencies[labels] = found
        found.observe(fact.seconds)

    def _add(self, name: str, *labels: str) -> None:
        self._figures.counter(name, labels).count += 1

    def _set(self, name: str, fact: Any, value: float) -> None:
        self._figures.gauges[name][(fact.workflow, fact.process)] = value

    def _skipped(self, fact: EventSkipped) -> None:
        name = "workflow_process_skipped_events_count"
        self._add(name, fact.workflow, fact.process, fact.reason)

    def _failed(self, fact: AttemptFailed) -> None:
        kind = self._figures.bounded((fact.workflow, fact.process), fact.error_type)
        self._add("workflow_process_failed_attempts", fact.workflow, fact.process, kind)

    def _parked(self, fact: RowParked) -> None:
        self._add("workflow_dead_letters_parked", fact.workflow, fact.process)

    def _changed(self, fact: ProcessChanged) -> None:
        self._set("workflow_process_states", fact, ProcessState[fact.state].value)
        # What did not happen yet is shown as 0: a rate needs a value before the first.
        process = (fact.workflow, fact.process)
        self._lags.setdefault(process, 0.0)
        self._alerts.setdefault(process, 0.0)
        for name in ("workflow_process_error_count", "workflow_dead_letters_parked"):
            self._figures.counter(name, process)
        self._figures.counter("workflow_runs_paused_by_errors", (fact.workflow,))

    def _erred(self, fact: ProcessFailed) -> None:
        self._add("workflow_process_error_count", fact.workflow, fact.process)

    def _held(self, fact: SlotsHeld) -> None:
        self._set("workflow_process_slots", fact, fact.total)
        self._set("workflow_process_slots_held", fact, fact.held)

    def _measured(self, fact: LagMeasured) -> None:
        self._lags[(fact.workflow, fact.process)] = fact.lag_seconds

    def _alerted(self, fact: LagAlert) -> None:
        self._alerts[(fact.workflow, fact.process)] = float(fact.is_raised)

    def _counted(self, fact: QueueCounted) -> None:
        self._set("workflow_queue_due_rows", fact, fact.due)
        self._set("workflow_dead_letters", fact, fact.parked)

    def _fired(self, fact: TimerFired) -> None:
        labels = (fact.workflow, fact.timer)
        found = self._figures.histogram("workflow_timer_lateness_seconds", labels, LATENESS_BOUNDS)
        found.observe((fact.lateness_seconds,))

    def _committed(self, fact: BatchCommitted) -> None:
        self._batches.observe((float(fact.writes),))
        self._commits.observe((fact.seconds,))

    def _refused(self, fact: CommitFailed) -> None:
        self._add("workflow_commit_error_count", fact.error_type)
