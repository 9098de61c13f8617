"""Transition: the only place where a user's function meets a run's state.

gate -> guard -> decode -> call -> match the answer -> check the graph -> build the write
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from stepgraph.definition import HandlerKind
from stepgraph.engine.moves import By, Moves
from stepgraph.engine.threads import Threads
from stepgraph.engine.work import Work
from stepgraph.errors import CodecError, InputError, InvalidTransitionError
from stepgraph.model.child import Child
from stepgraph.model.history import Failure
from stepgraph.model.identifier import cut_text
from stepgraph.model.instant import LATEST, to_microseconds
from stepgraph.model.options import StepSettings
from stepgraph.model.outcome import Cancel, Pause, Repeat, Skip
from stepgraph.model.queue import QueueKey
from stepgraph.model.record import Record
from stepgraph.model.run import Run
from stepgraph.model.work_name import WorkName
from stepgraph.model.write import Write
from stepgraph.ports.clock import Clock
from stepgraph.ports.codec import Codec
from stepgraph.ports.identity import Identity

_TRACEBACK_LIMIT = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A user's function, with everything that is known before the first run comes."""

    kind: HandlerKind
    status_value: Any
    status_type: type[Any]
    object_type: type[Any]
    function: Callable[..., Any]
    is_async: bool
    name: str
    work_name: WorkName
    destinations: Mapping[Any, int]
    resources: Mapping[str, object]
    settings: StepSettings
    role: str
    children: Callable[[Record], Awaitable[Sequence[Child]]] | None = None


class FunctionTimeLimitError(TimeoutError):
    """The function ran longer than its time limit; the attempt counts as failed."""


class Transition:
    """Turns one piece of work into one write, or into none."""

    def __init__(
        self, call: Call, moves: Moves, codec: Codec, clock: Clock, identity: Identity
    ) -> None:
        """Work for one function of one workflow."""
        self.call = call
        self.pause_retry: int | None = None
        self.threads: Threads | None = None
        self.is_passing: Callable[[BaseException], bool] = _never
        self._moves = moves
        self._codec = codec
        self._clock = clock
        self._identity = identity
        self._resources = dict(call.resources)

    async def run(self, work: Work, record: Record) -> Write | None:
        """Call a step's or join's function for `record` and return the write that it answers.

        None if the work was told to stop (the run moved on, the role is lost, the process stops):
        an interruption is not an attempt. Raises `CodecError` if the object cannot be read, and in
        a transaction what says that it must be repeated; every other error of the function, or an
        answer that it may not give, is a failed attempt.
        """
        run = self._open(record, self.call.work_name)
        load = self.call.children
        # Before the attempt begins: a store that is away is not the function's failure.
        children = None if load is None else await load(record)
        started_at = self._clock.microseconds()
        try:
            work.run = run
            resources = self._resources
            if work.connection is not None:
                resources = resources | {"connection": work.connection}
            if children is not None:
                answer = await self._join(run, children)
            elif self.call.is_async:
                answer = await self.call.function(run, **resources)
            else:
                answer = await self._call_in_thread(run)
            if work.stop_reason:
                return self._stopped(work, record, started_at)
            by = By(self.call.kind, self.call.role, "", started_at)
            write = self._match(answer, run, record, by, work.finished)
            return self._with_children(write, answer, run, record)
        except asyncio.CancelledError as error:
            if not work.stop_reason:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                return self._failed(record, work, error, started_at)
            return self._stopped(work, record, started_at)
        except (Exception, SystemExit) as error:
            if work.connection is not None and self.is_passing(error):
                raise
            if work.stop_reason in ("", "time limit"):
                return self._failed(record, work, error, started_at)
            return None
        finally:
            work.run = None

    async def answer(
        self, record: Record, *arguments: object, key: str = "", finished: tuple[QueueKey, ...] = ()
    ) -> tuple[Write | None, object]:
        """Call the function with the run and `arguments`; return the write and the answer itself.

        The write is None for Skip. Errors of the function, `CodecError` and
        `InvalidTransitionError` are raised as they are. `key` is the caller's part of the
        idempotency key.
        """
        call = self.call
        name = call.work_name
        run = self._open(record, name._replace(name=f"{name.name}/{key}") if key else name)
        by = By(call.kind, call.role, "", self._clock.microseconds())
        if call.is_async:
            answer = await call.function(run, *arguments, **self._resources)
        else:
            answer = await self._call_in_thread(run, *arguments)
        if type(answer) is Skip:
            return None, answer
        write = self._match(answer, run, record, by, finished)
        return self._with_children(write, answer, run, record), answer

    def paused(self, record: Record, error: BaseException, attempt: int) -> Write:
        """Return the write that holds a run because this function failed once too often."""
        now = self._clock.microseconds()
        next_at = now + self.pause_retry if self.pause_retry is not None else None
        by = By(self.call.kind, self.call.role, "", now, attempt)
        return self._moves.paused_by_errors(record, _describe(error, next_at), by, ())

    def _open(self, record: Record, name: WorkName) -> Run[Any, Any]:
        value = self._codec.decode(record.object, self.call.object_type)
        return Run(record, self.call.status_value, value, name)

    async def _join(self, run: Run[Any, Any], children: Sequence[Child]) -> object:
        """Call a join with the children that its run waited for."""
        if self.call.is_async:
            return await self.call.function(run, children, **self._resources)
        return await self._call_in_thread(run, children)

    def _with_children(
        self, write: Write, answer: object, run: Run[Any, Any], record: Record
    ) -> Write:
        """Start in the same write what the function has staged; Skip changes nothing, so drops it.

        A join that goes on has had its children: the next one waits for others.
        """
        if self.call.kind == "join" and type(answer) is self.call.status_type:
            write = replace(write, takes_children=True)
        staged = run.staged
        if not staged or type(answer) is Skip:
            return write
        return self._moves.with_children(write, staged, record.progress_version)

    async def _call_in_thread(self, run: Run[Any, Any], *arguments: object) -> Any:
        if self.threads is None:
            raise RuntimeError("the threads of this instance are closed")
        return await self.threads.call(
            partial(self.call.function, run, *arguments, **self._resources)
        )

    def _match(
        self,
        answer: object,
        run: Run[Any, Any],
        record: Record,
        by: By,
        finished: tuple[QueueKey, ...],
    ) -> Write:
        """Turn an answer into a write. All answers but Skip save the object."""
        call, moves = self.call, self._moves
        if type(answer) is call.status_type:
            status = call.destinations.get(answer)
            if status is None:
                raise self._undeclared(answer)
            data = self._codec.encode(run.object)
            return moves.advanced(record, status, data, by, finished)
        if type(answer) is Skip:
            return moves.skipped(record, finished)
        if isinstance(answer, Pause):
            reason = cut_text(answer.reason)
            data = self._codec.encode(run.object)
            return moves.paused(record, reason, data, by, finished)
        if isinstance(answer, Cancel):
            reason = cut_text(answer.reason)
            data = self._codec.encode(run.object)
            return moves.cancelled(record, reason, data, by, finished)
        if isinstance(answer, Repeat):
            data = self._codec.encode(run.object)
            if call.kind in ("callback", "timeout"):
                return moves.saved(record, data, by, finished)
            if answer.after > LATEST:
                text = f"{self.call.name}() answered Repeat(after={answer.after}): a hundred years"
                raise InvalidTransitionError(f"{text} fit")
            after = to_microseconds(answer.after)
            return moves.repeated(record, after, data, by, finished)
        raise self._undeclared(answer)

    def _undeclared(self, answer: object) -> InvalidTransitionError:
        declared = ", ".join(status.name for status in self.call.destinations) or "no status"
        shown = getattr(answer, "name", type(answer).__name__)
        return InvalidTransitionError(
            f"{self.call.name}() answered {shown}, and declares {declared}:"
            " name it in the return annotation or in to=, or return another answer"
        )

    def _stopped(self, work: Work, record: Record, started_at: int) -> Write | None:
        """Past its time limit a call is a failed attempt; dropped for other reasons it is none."""
        if work.stop_reason != "time limit":
            return None
        limit = self.call.settings.time_limit
        error = FunctionTimeLimitError(f"{self.call.name}() ran longer than its limit of {limit}")
        return self._failed(record, work, error, started_at)

    def failed(self, work: Work, record: Record, error: BaseException) -> Write:
        """Return the write of an attempt that failed before its function was called."""
        return self._failed(record, work, error, self._clock.microseconds())

    def _failed(self, record: Record, work: Work, error: BaseException, started_at: int) -> Write:
        settings = self.call.settings
        attempt = record.attempt + 1
        now = self._clock.microseconds()
        by = By(self.call.kind, self.call.role, "", started_at)
        limit = settings.pause_after_error_count
        if limit and attempt >= limit:
            next_at = now + self.pause_retry if self.pause_retry is not None else None
            failure = _describe(error, next_at)
            return self._moves.paused_by_errors(record, failure, by, work.finished)
        delay = settings.retry.delay(attempt, self._identity.draw())
        failure = _describe(error, now + to_microseconds(delay))
        return self._moves.failed(record, failure, by, work.finished)


def _never(_: BaseException) -> bool:
    return False


def _describe(error: BaseException, next_at: int | None) -> Failure:
    """Describe an error by what may be kept of it; the traceback shows lines, never locals."""
    if isinstance(error, (CodecError, InputError, FunctionTimeLimitError)):
        trace = ""
    else:
        trace = "".join(traceback.format_exception(error))
    return Failure(
        type(error).__name__, cut_text(str(error)), cut_text(trace, _TRACEBACK_LIMIT), next_at
    )
