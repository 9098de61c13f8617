"""ProcessState: what a background process does."""

from __future__ import annotations

from enum import IntEnum


class ProcessState(IntEnum):
    """The numbers are those of the metric `workflow_process_states`."""

    UNKNOWN = 0
    SHUTDOWN = 1
    RUNNING = 2
    IDLE = 3
