"""Expected: which rows a change of the zoo must queue; not read from the library."""

from __future__ import annotations

from typing import Any

from reliability.flow import HOOKS, TIMEOUTS, Stage
from stepgraph import RunState
from stepgraph.model.topic import (
    delete_consumer,
    hook_consumer,
    timeout_consumer,
    timers_consumer,
)


def rows_of(record: Any, before: Any) -> list[tuple[str, str]]:
    """Return which rows a commit must have queued beside the step's, by this page alone."""
    name = record.workflow
    found: list[tuple[str, str]] = []
    if before is None or before.run_state != record.run_state:
        for hook, states in HOOKS.items():
            if RunState(record.run_state) in states:
                row_id = f"{record.run_id}/{record.version}"
                found.append((hook_consumer(name, hook), row_id))
    is_entry = record.entered_version == record.version and record.run_state in (1, 2)
    if is_entry:
        for timer, after in TIMEOUTS.get(Stage(record.status), {}).items():
            make = timers_consumer if after is None else timeout_consumer
            row_id = f"{record.run_id}/{record.version}/{timer}"
            found.append((make(name, record.status), row_id))
    if record.run_state == RunState.REQUESTED_DATA_DELETED and (
        before is None or before.run_state != record.run_state
    ):
        found.append((delete_consumer(name), record.run_id))
    return found
