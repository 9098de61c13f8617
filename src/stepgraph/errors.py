"""Every exception that Stepgraph raises, in one tree.

WorkflowError
├── DefinitionError            what was declared, or what `build()` was given, cannot work
├── InputError (ValueError)    a name, key, object or payload cannot be stored
│   └── PayloadError           a payload is not what the callback declares
├── NotOpenError               the workflow was used outside `async with`
├── RunNotFoundError (LookupError)
├── RunInProgressError         an open run exists for this foreign id
├── RunEndedError              the run stopped before it came where the caller waited, or is pruned
├── DeadlineError (TimeoutError)
├── NotWaitingError            the run does not wait for this callback
├── InvalidRunStateError       the run's present state does not allow what was asked
├── DataDeletedError           the object was deleted on request
├── InvalidTransitionError     a function answered a status that it does not declare
├── VersionConflictError       the run moved on since the caller looked at it
├── CodecError                 the stored object cannot be read as the declared type
├── SchemaError                the stored schema is not one that this code can use
├── RefusedError               the store refuses a write or a whole batch; nothing of it happened
└── UnavailableError (ConnectionError)
    └── OutcomeUnknownError    the store did not say whether it wrote
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepgraph.model.run import Snapshot
    from stepgraph.model.run_state import RunState


_ID_SHOWN = 255


class WorkflowError(Exception):
    """The root of everything that Stepgraph raises."""


class DefinitionError(WorkflowError):
    """The definition, or what `build()` was given, cannot work."""


class InputError(WorkflowError, ValueError):
    """A foreign id, a key, an object or a payload cannot be stored. Nothing was written."""


class PayloadError(InputError):
    """A callback's payload is not what its function declares. Nothing was written."""


class NotOpenError(WorkflowError):
    """The workflow was used outside `async with workflow` and `async with workflow.client()`."""


class RunNotFoundError(WorkflowError, LookupError):
    """No run has this id."""

    def __init__(self, run_id: str) -> None:
        shown = run_id if len(run_id) <= _ID_SHOWN else f"{run_id[:_ID_SHOWN]}…"
        super().__init__(f"no run has the id {shown!a}: it was never triggered here, or was pruned")
        self.run_id = run_id


class RunInProgressError(WorkflowError):
    """An open run exists for this foreign id; the call created nothing."""

    def __init__(self, foreign_id: str, run_id: str) -> None:
        super().__init__(
            f"{foreign_id!r} already has the open run {run_id}: wait for its end, cancel it,"
            " or trigger with an idempotency key if this is a repeat"
        )
        self.foreign_id = foreign_id
        self.run_id = run_id


class RunEndedError(WorkflowError):
    """The run stopped before it came where the caller waited for it, or is over and pruned.

    `run_state` is how it ended. `run` is the run, or None if it was pruned: then it is not known
    where it has been.
    """

    def __init__(
        self, run_id: str, run_state: RunState, run: Snapshot[Any, Any] | None = None
    ) -> None:
        super().__init__(
            f"run {run_id} ended as {run_state.name} and was pruned:"
            " where it had been is not kept; ask within the retention of runs"
            if run is None
            else f"run {run_id} ended as {run_state.name} in {run.status.name}"
            " without having been where the caller waited for it"
        )
        self.run_id = run_id
        self.run_state = run_state
        self.run = run


class DeadlineError(WorkflowError, TimeoutError):
    """The wait was longer than `within`. The run goes on."""

    def __init__(self, run: Snapshot[Any, Any]) -> None:
        super().__init__(
            f"run {run.id} is {run.run_state.name} in {run.status.name}:"
            " the wait is over, the run goes on"
        )
        self.run = run


class NotWaitingError(WorkflowError):
    """The run does not wait for this callback; nothing was written. Send it again later.

    `run` is the run that was found, or None if the foreign id has none.
    """

    def __init__(self, target: str, foreign_id: str, run: Snapshot[Any, Any] | None) -> None:
        state = (
            "it has no run"
            if run is None
            else f"run {run.id} is {run.run_state.name} in {run.status.name}"
        )
        super().__init__(
            f"{foreign_id!r} does not wait for {target}: {state}."
            " Send it again when it does, or declare buffer= to keep what comes early"
        )
        self.foreign_id = foreign_id
        self.run = run


class InvalidRunStateError(WorkflowError):
    """Pause, resume, retry, cancel or delete is not possible from the run's present state."""

    def __init__(self, action: str, run: Snapshot[Any, Any], why: str) -> None:
        super().__init__(
            f"run {run.id} cannot {action}: it is {run.run_state.name} in {run.status.name}; {why}"
        )
        self.run = run


class DataDeletedError(WorkflowError):
    """The object of this run was deleted on request and is gone for good."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"the object of run {run_id} was deleted on request and is gone for good")
        self.run_id = run_id


class InvalidTransitionError(WorkflowError):
    """A function answered a status that it does not declare. The attempt counts as failed."""


class VersionConflictError(WorkflowError):
    """The run moved on since the caller looked at it; the call changed nothing.

    `run` is the run as it is now.
    """

    def __init__(self, seen: int, run: Snapshot[Any, Any]) -> None:
        super().__init__(
            f"run {run.id} was seen at version {seen} and is at {run.version} now,"
            f" {run.run_state.name} in {run.status.name}: look again and decide anew"
        )
        self.run = run


class CodecError(WorkflowError):
    """The stored object cannot be read as the declared type."""


class SchemaError(WorkflowError):
    """The stored schema is older or newer than this code can use; nothing was changed."""


class RefusedError(WorkflowError):
    """The store refuses a statement of this batch. Nothing of the batch happened."""


class UnavailableError(WorkflowError, ConnectionError):
    """The store or the stream is away; the engine backs off and tries again."""


class OutcomeUnknownError(UnavailableError):
    """The store did not say whether it wrote. Repeating with the same key is safe."""
