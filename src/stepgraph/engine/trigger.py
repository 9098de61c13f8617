"""Triggering: from a user's words to the write that makes a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from stepgraph.engine.moves import Creation
from stepgraph.engine.tracing import trace_parent_of
from stepgraph.errors import (
    InputError,
    RefusedError,
    RunInProgressError,
    UnavailableError,
    WorkflowError,
)
from stepgraph.model.identifier import check_id, shown
from stepgraph.model.instant import due_after
from stepgraph.model.record import Meta
from stepgraph.model.write import Busy, Committed, Exists, InProgress, Refused, Result, Write
from stepgraph.ports.identity import keyed_run_id
from stepgraph.ports.transactions import HasTransactions, Transactions

if TYPE_CHECKING:  # the supervisor's schedules trigger
    from stepgraph.engine.instance import Instance
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
    start = supervisor.entrance.check(wish.foreign_id, wish.initial, wish.status, origin)
    now = supervisor.instance.clock.microseconds()
    key = wish.idempotency_key
    run_id = (
        supervisor.instance.identity.run_id(now)
        if key is None
        else keyed_run_id(start.workflow, start.foreign_id, check_id("idempotency key", key))
    )
    due_at = _due_at(wish.after, now)
    meta = Meta(trace_origin=origin, trace_parent=trace_parent_of(supervisor.tracing))
    creation = Creation(
        run_id, start.foreign_id, start.status, start.object, meta, due_at, key is not None
    )
    return supervisor.moves.created(creation)


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


def transactions_of(backend: object) -> Transactions:
    """Return a backend's transactions, or raise `InputError`."""
    if not isinstance(backend, HasTransactions):
        raise InputError(f"{type(backend).__name__} has no transactions to share")
    return backend.transactions


def commit_of(
    instance: Instance, connection: object | None
) -> Callable[[Write], Coroutine[Any, Any, Result]]:
    """Return what makes a create: the committer, or the open transaction of `connection`."""
    if connection is None:
        return instance.committer.commit
    return partial(_write_in, connection, instance.backend)


async def _write_in(connection: object, backend: object, write: Write) -> Result:
    """Make a create in the transaction that is open on the user's connection."""
    try:
        result = await transactions_of(backend).write(connection, write)
    except RefusedError as error:
        raise InputError(f"the store refuses the run: {error}") from error
    if isinstance(result, Busy):
        raise UnavailableError(
            f"{write.record.foreign_id!r} is being triggered by somebody whose transaction began"
            " first: repeat your transaction"
        )
    return result


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
