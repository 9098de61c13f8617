"""Control: pause, resume, retry, cancel and delete, from outside, as one compare-and-swap each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from stepgraph.engine.moves import By, Moves
from stepgraph.engine.snapshot import view_of
from stepgraph.engine.supervisor import Supervisor
from stepgraph.errors import InvalidRunStateError, VersionConflictError, WorkflowError
from stepgraph.model.identifier import cut_text
from stepgraph.model.record import Record
from stepgraph.model.run import Snapshot
from stepgraph.model.run_state import RunState, can_change
from stepgraph.model.write import Committed, Refused, Write

Action: TypeAlias = Literal["pause", "resume", "retry", "cancel", "delete data"]
_TRIES = 20
_GOALS = {
    "pause": RunState.PAUSED,
    "resume": RunState.RUNNING,
    "cancel": RunState.CANCELLED,
    "delete data": RunState.REQUESTED_DATA_DELETED,
}


class Order(NamedTuple):
    """What somebody wants done to a run; `seen` is the version that they saw, None for any."""

    action: Action
    reason: str
    actor: str
    seen: int | None


async def obey(
    supervisor: Supervisor, order: Order, look_up: Callable[[], Any]
) -> Snapshot[Any, Any]:
    """Do what is ordered to the run that `look_up` returns, as it is now or was seen.

    Raises `InvalidRunStateError` if its state does not allow it, and `VersionConflictError` if it
    is not at the version that was seen; then nothing was changed.
    """
    definition = supervisor.definition
    tries = 0
    while True:
        record: Record = await look_up()
        view = view_of(definition, record)
        seen = record.version if order.seen is None else order.seen
        if seen != record.version or tries == _TRIES:
            raise VersionConflictError(seen, view)
        tries += 1
        refusal = _refusal(supervisor, order, record)
        if refusal:
            raise InvalidRunStateError(order.action, view, refusal)
        write = _write(supervisor.moves, order, record)
        result = await supervisor.instance.committer.commit(write)
        if isinstance(result, Committed):
            return view_of(definition, write.record)
        if isinstance(result, Refused):
            raise WorkflowError(f"the store refuses it: {result.error}") from result.error


def _refusal(supervisor: Supervisor, order: Order, record: Record) -> str:
    """Return why the run's state does not allow the action; empty if it does."""
    state = RunState(record.run_state)
    if order.action == "retry":
        if state == RunState.PAUSED:
            return "" if record.meta.failure_type else "it was paused on purpose: resume it"
        place = supervisor.announcer.places.get(record.status)
        if not state.is_open:
            return "it has ended"
        return "" if place is not None and place.consumer else "its status has no step to retry"
    goal = _GOALS[order.action]
    if order.action == "resume" and state == RunState.RUNNING:
        return "it is not paused"
    if can_change(state, goal) and not (order.action == "resume" and state != RunState.PAUSED):
        return ""
    allowed = ", ".join(s.name for s in RunState if can_change(s, goal) and s is not goal)
    return f"only from {allowed} is that possible"


def _write(moves: Moves, order: Order, record: Record) -> Write:
    by = By("control", "", cut_text(order.actor, 255))
    reason = cut_text(order.reason)
    data = record.object  # as it is stored: whoever controls a run need not be able to read it
    if order.action == "pause":
        return moves.paused(record, reason, data, by, ())
    if order.action == "cancel":
        return moves.cancelled(record, reason, data, by, ())
    if order.action == "delete data":
        return moves.deletion_requested(record, reason, by)
    if order.action == "resume" or record.run_state == RunState.PAUSED:
        return moves.resumed(record, by, ())
    return moves.hurried(record, by)
