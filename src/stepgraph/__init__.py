"""Durable, event-driven workflows on the database that you already run."""

from stepgraph.builder import Builder
from stepgraph.definition import Definition
from stepgraph.errors import (
    CodecError,
    DeadlineError,
    DefinitionError,
    InputError,
    InvalidTransitionError,
    NotOpenError,
    OutcomeUnknownError,
    RunEndedError,
    RunInProgressError,
    RunNotFoundError,
    SchemaError,
    UnavailableError,
    VersionConflictError,
    WorkflowError,
)
from stepgraph.model.history_entry import Attempt, HistoryEntry
from stepgraph.model.options import Backoff
from stepgraph.model.outcome import Cancel, Outcome, Pause, Repeat, Skip
from stepgraph.model.process_state import ProcessState
from stepgraph.model.run import Run, Snapshot
from stepgraph.model.run_state import RunState
from stepgraph.model.trigger import Trigger, TriggerResult
from stepgraph.workflow import Workflow, serve

__all__ = [
    "Attempt",
    "Backoff",
    "Builder",
    "Cancel",
    "CodecError",
    "DeadlineError",
    "Definition",
    "DefinitionError",
    "HistoryEntry",
    "InputError",
    "InvalidTransitionError",
    "NotOpenError",
    "Outcome",
    "OutcomeUnknownError",
    "Pause",
    "ProcessState",
    "Repeat",
    "Run",
    "RunEndedError",
    "RunInProgressError",
    "RunNotFoundError",
    "RunState",
    "SchemaError",
    "Skip",
    "Snapshot",
    "Trigger",
    "TriggerResult",
    "UnavailableError",
    "VersionConflictError",
    "Workflow",
    "WorkflowError",
    "serve",
]
