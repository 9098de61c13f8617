"""Triggering: from a user's words to the write that makes a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from stepgraph.definition import Definition
from stepgraph.engine.moves import Creation
from stepgraph.engine.tracing import trace_parent_of
from stepgraph.errors import CodecError, InputError, RunInProgressError, WorkflowError
from stepgraph.model.identifier import check_id, shown
from stepgraph.model.instant import due_after
from stepgraph.model.record import Meta
from stepgraph.model.write import Committed, Exists, InProgress, Refused, Result, Write
from stepgraph.ports.identity import keyed_run_id

if TYPE_CHECKING:  # the supervisor's schedules trigger
    from stepgraph.engine.supervisor import Supervisor

_PACKAGE = str(Path(__file__).parents[1])
# A call that comes from another thread knows its caller's line; the loop's own stack does not.
calling_from: ContextVar[str] = ContextVar("stepgraph_calling_from", default="")


class Wish(Struct, frozen=True, gc=False):
    """One run that somebody wants started."""

    foreign_id: str
    initial: Any
    status: Any
    idempotency_key: str | None
    after: timedelta | datetime | None


def write_of(supervisor: Supervisor, wish: Wish, origin: str) -> Write:
    """Return the write of a wish; raises `InputError` before anything is written."""
    definition = supervisor.definition
    foreign_id = check_id("foreign id", wish.foreign_id)
    status = wish.status if wish.status is not None else supervisor.default_start
    if type(status) is not definition.status_type:
        raise InputError(f"the status {shown(status)} is not a {definition.status_type.__name__}")
    number = int(status)
    place = supervisor.announcer.places[number]
    if place.is_terminal or number not in supervisor.known_statuses:
        raise InputError(
            f"a run cannot start in {status.name}: nothing leads out of it."
            f" Start in one of {[s.name for s in definition.starts]} or another with a step"
        )
    now = supervisor.instance.clock.microseconds()
    key = wish.idempotency_key
    run_id = (
        supervisor.instance.identity.run_id(now)
        if key is None
        else keyed_run_id(definition.name, foreign_id, check_id("idempotency key", key))
    )
    data = encoded_object(definition, wish.initial)
    due_at = _due_at(wish.after, now)
    meta = Meta(trace_origin=origin, trace_parent=trace_parent_of(supervisor.tracing))
    creation = Creation(run_id, foreign_id, number, data, meta, due_at, key is not None)
    return supervisor.moves.created(creation)


def encoded_object(definition: Definition[Any, Any], initial: object) -> bytes:
    """Return an object as it is stored, or raise `InputError`.

    Refused is what a step could not read back: an object of another class, or with wrong fields.
    """
    data = definition.codec.encode(initial)
    object_type = definition.object_type
    if not isinstance(initial, definition.object_class):
        raise InputError(
            f"the object is a {type(initial).__name__}; the runs of {definition.name!r} have a"
            f" {object_type.__name__}"
        )
    try:
        definition.codec.decode(data, object_type)
    except CodecError as error:
        raise InputError(f"the object cannot be read back: {error}") from error
    return data


def _due_at(after: timedelta | datetime | None, now: int) -> int | None:
    """Return when a delayed run starts; what is past is due now."""
    if after is None:
        return None
    if not isinstance(after, timedelta | datetime):
        raise InputError(f"after={shown(after)} is neither a timedelta nor an aware datetime")
    try:
        return due_after(now, after, now)
    except ValueError as error:
        raise InputError(f"after={after!r}: {error}") from error


def run_id_of(write: Write, result: Result) -> str:
    """Return the id of the run that a create led to, or raise what it says."""
    record = write.record
    if isinstance(result, Committed):
        return record.run_id
    if isinstance(result, Exists):
        return result.run_id
    if isinstance(result, InProgress):
        raise RunInProgressError(record.foreign_id, result.run_id)
    if isinstance(result, Refused):
        if isinstance(result.error, WorkflowError):
            raise InputError(f"the store refuses the run: {result.error}") from result.error
        raise result.error
    raise WorkflowError(f"the store answered {result!r} to a create")


def origin_of_caller() -> str:
    """Return file, line and function of the code that triggers, without looking at its values."""
    if origin := calling_from.get():
        return origin
    # A whole stack would cost more than the trigger itself.
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return _line_of(frame.f_code, frame.f_lineno)


@lru_cache(256)
def _line_of(code: CodeType, line: int) -> str:
    return f"{code.co_filename}:{line} {code.co_name}"


def chunks(wishes: Iterable[Wish], size: int) -> Iterable[list[Wish]]:
    """Cut wishes into lists of at most `size`."""
    chunk: list[Wish] = []
    for wish in wishes:
        chunk.append(wish)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
