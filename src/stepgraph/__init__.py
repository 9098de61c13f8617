"""Durable, event-driven workflows on the database that you already run."""

from stepgraph.builder import Builder
from stepgraph.dead_letters import DeadLetter
from stepgraph.definition import Definition
from stepgraph.diagram import draw
from stepgraph.errors import (
    CodecError,
    DataDeletedError,
    DeadlineError,
    DefinitionError,
    InputError,
    InvalidRunStateError,
    InvalidTransitionError,
    NotOpenError,
    NotWaitingError,
    OutcomeUnknownError,
    PayloadError,
    RunEndedError,
    RunInProgressError,
    RunNotFoundError,
    SchemaError,
    UnavailableError,
    VersionConflictError,
    WorkflowError,
)
from stepgraph.model.change import Change
from stepgraph.model.child import Child
from stepgraph.model.history_entry import Attempt, HistoryEntry
from stepgraph.model.options import Backoff, Retention
from stepgraph.model.outcome import Cancel, Outcome, Pause, Repeat, Skip
from stepgraph.model.problem import Problem
from stepgraph.model.process_state import ProcessState
from stepgraph.model.receipt import CallbackReceipt
from stepgraph.model.run import Run, Snapshot
from stepgraph.model.run_state import RunState
from stepgraph.model.trigger import Trigger, TriggerResult
from stepgraph.ports.connector import ConnectorEvent
from stepgraph.runs import BulkReport
from stepgraph.schedules import ScheduleInfo
from stepgraph.workflow import Workflow, serve

__all__ = [
    "Attempt",
    "Backoff",
    "Builder",
    "BulkReport",
    "CallbackReceipt",
    "Cancel",
    "Change",
    "Child",
    "CodecError",
    "ConnectorEvent",
    "DataDeletedError",
    "DeadLetter",
    "DeadlineError",
    "Definition",
    "DefinitionError",
    "HistoryEntry",
    "InputError",
    "InvalidRunStateError",
    "InvalidTransitionError",
    "NotOpenError",
    "NotWaitingError",
    "Outcome",
    "OutcomeUnknownError",
    "Pause",
    "PayloadError",
    "Problem",
    "ProcessState",
    "Repeat",
    "Retention",
    "Run",
    "RunEndedError",
    "RunInProgressError",
    "RunNotFoundError",
    "RunState",
    "ScheduleInfo",
    "SchemaError",
    "Skip",
    "Snapshot",
    "Trigger",
    "TriggerResult",
    "UnavailableError",
    "VersionConflictError",
    "Workflow",
    "WorkflowError",
    "draw",
    "serve",
]
