"""Metrics: the name, type, labels and meaning of everything that a scrape shows."""

from __future__ import annotations

from typing import Literal, NamedTuple

PROCESS = ("workflow_name", "process_name")
LATENCY_BOUNDS = (0.01, 0.1, 1.0, 5.0, 10.0, 60.0, 300.0)
LATENESS_BOUNDS = (0.1, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0)
COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
BATCH_BOUNDS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)


class Metric(NamedTuple):
    """One metric family. A counter's samples end in "_total", as the format wants it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


METRICS = (
    Metric(
        "workflow_process_lag_seconds", "gauge", PROCESS,
        "Age of the oldest due work of a process whose role is held here; 0 if there is none",
    ),
    Metric(
        "workflow_process_lag_alert", "gauge", PROCESS,
        "1 while the lag is above the process's lag_alert",
    ),
    Metric(
        "workflow_process_states", "gauge", PROCESS,
        "0 unknown, 1 shut down, 2 running (holds a role), 3 idle (another instance holds it)",
    ),
    Metric(
        "workflow_process_latency_seconds", "histogram", PROCESS,
        "From the start of work on an event to the commit of what it led to",
    ),
    Metric(
        "workflow_process_error_count", "counter", PROCESS,
        "Errors of a process itself: the store or the stream was away, or a fault of the engine",
    ),
    Metric(
        "workflow_process_skipped_events_count", "counter", (*PROCESS, "reason"),
        "Events that led to nothing, by reason",
    ),
    Metric(
        "workflow_run_state_changes", "counter",
        ("workflow_name", "previous_run_state", "current_run_state"),
        "Committed changes of run states",
    ),
    Metric(
        "workflow_process_failed_attempts", "counter", (*PROCESS, "error_type"),
        "Attempts of user functions that failed, by the type of the error",
    ),
    Metric(
        "workflow_runs_paused_by_errors", "counter", ("workflow_name",),
        "Runs that were paused because they failed once too often",
    ),
    Metric(
        "workflow_process_slots", "gauge", PROCESS,
        "Slots that a process has, over all instances",
    ),
    Metric(
        "workflow_process_slots_held", "gauge", PROCESS,
        "Slots of a process whose role this instance holds",
    ),
    Metric(
        "workflow_queue_due_rows", "gauge", PROCESS,
        "Due rows in the slots held here, counted every 10 s up to 1,000 a slot",
    ),
    Metric(
        "workflow_dead_letters", "gauge", PROCESS,
        "Dead letters in the slots held here, counted every 10 s up to 1,000 a slot",
    ),
    Metric(
        "workflow_dead_letters_parked", "counter", PROCESS,
        "Rows that became dead letters",
    ),
    Metric(
        "workflow_timer_lateness_seconds", "histogram", ("workflow_name", "timer_name"),
        "From the instant that a timer is due to the call of its function",
    ),
    Metric(
        "workflow_commit_batch_size", "histogram", (),
        "Writes in one call of the record store",
    ),
    Metric(
        "workflow_commit_seconds", "histogram", (),
        "Duration of one call of the record store",
    ),
    Metric(
        "workflow_commit_error_count", "counter", ("error_type",),
        "Calls of the record store that raised",
    ),
)  # fmt: skip
