"""Story: what happened to a run, in the words of an assertion's message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from itertools import groupby
from typing import Any, TypeVar

from stepgraph.model.history_entry import Attempt, HistoryEntry
from stepgraph.model.run import Snapshot
from stepgraph.workflow import Workflow

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)


async def story_of(
    workflow: Workflow[O, S], run: Snapshot[O, S], versions: Sequence[Snapshot[O, S]]
) -> str:
    """Tell a run's path, every version with its object, and every failed attempt.

    Objects are shown: the story is for the eyes of whoever wrote the test.
    """
    path = " -> ".join(status.name for status, _ in groupby(version.status for version in versions))
    entries = {entry.version: entry for entry in await workflow.runs.history(run.id)}
    lines = [f"{run.foreign_id!r}: {path}; now {_state_of(run)} at version {run.version}"]
    lines += [f"  {_line_of(version, entries.get(version.version))}" for version in versions]
    lines += [
        f"  failed: {_failure_of(attempt)}" for attempt in await workflow.runs.attempts(run.id)
    ]
    return "\n".join(lines)


def _state_of(run: Snapshot[Any, Any]) -> str:
    return f"{run.run_state.name} in {run.status.name}" + (f" ({run.reason})" if run.reason else "")


def _line_of(version: Snapshot[Any, Any], entry: HistoryEntry[Any] | None) -> str:
    by = f" by {entry.cause}" if entry is not None else ""
    return (
        f"version {version.version}, {_time(version.updated_at)}{by}: {_state_of(version)},"
        f" {version.object!r}"
    )


def _failure_of(attempt: Attempt) -> str:
    next_at = f"next at {_time(attempt.next_at)}" if attempt.next_at is not None else "no further"
    return (
        f"attempt {attempt.number}, {_time(attempt.at)}:"
        f" {attempt.error_type}: {attempt.message}; {next_at}"
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
