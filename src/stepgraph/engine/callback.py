"""Callbacks: what the outside world tells a run, in the caller's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from stepgraph.definition import CallbackHandler, Definition
from stepgraph.engine.commit import Committer
from stepgraph.engine.snapshot import view_of
from stepgraph.engine.tracing import Tracing, answering
from stepgraph.engine.transition import Transition
from stepgraph.errors import (
    CodecError,
    InputError,
    NotWaitingError,
    PayloadError,
    RunNotFoundError,
    UnavailableError,
    VersionConflictError,
)
from stepgraph.model.identifier import check_id, check_run_id
from stepgraph.model.instant import SECOND, to_microseconds
from stepgraph.model.queue import QueueKey, QueueRow
from stepgraph.model.receipt import CallbackReceipt
from stepgraph.model.record import Record
from stepgraph.model.slot import slot_of
from stepgraph.model.topic import inbox_consumer
from stepgraph.model.write import Committed, Refused, UniqueRow
from stepgraph.ports.clock import Clock
from stepgraph.ports.identity import Identity
from stepgraph.ports.record_store import RecordStore
from stepgraph.ports.work_queue import WorkQueue

PAYLOAD_LIMIT = 1024 * 1024
_TRIES = 5
_WAIT = 60 * SECOND


class Listener(NamedTuple):
    """A callback function, and what calls it."""

    handler: CallbackHandler[Any]
    transition: Transition


class Message(NamedTuple):
    """What is told, to whom: `run_id` and `key` are None where the caller gave none."""

    foreign_id: str
    payload: object
    run_id: str | None
    key: str | None


class InboxBody(msgspec.Struct, frozen=True, array_like=True):
    """A payload that came early: for which callbacks of a status, and until when it is kept."""

    status: int
    names: tuple[str, ...]
    payload: bytes
    key: str | None
    until: int


_encode = msgspec.json.encode
_decode_receipt = msgspec.json.Decoder(tuple[str, int]).decode


class Callbacks:
    """Finds who waits, asks the functions in order, and stores the answer with the key."""

    def __init__(
        self,
        definition: Definition[Any, Any],
        listeners: Sequence[Listener],
        *,
        store: RecordStore,
        queue: WorkQueue,
        committer: Committer,
        clock: Clock,
        identity: Identity,
        wake: Callable[[], None],
        tracing: Tracing | None,
        time_limit_seconds: float,
    ) -> None:
        """Serve the callbacks of one workflow; `wake` tells that a row was put into the queue."""
        self._definition = definition
        self.listeners = listeners
        self._store = store
        self._queue = queue
        self._committer = committer
        self._clock = clock
        self._identity = identity
        self._wake = wake
        self._tracing = tracing
        self._time_limit_seconds = time_limit_seconds

    def find(self, target: object) -> list[Listener]:
        """Return the callbacks of a status, or those that are a function."""
        found = [
            listener
            for listener in self.listeners
            if (listener.handler.status is target or listener.handler.function == target)
        ]
        if not found:
            raise InputError(
                f"{_name_of(target)} is no callback of {self._definition.name!r}: declare it with"
                f" @{self._definition.name}.callback"
            )
        return found

    async def tell(self, message: Message, listeners: Sequence[Listener]) -> CallbackReceipt:
        """Deliver a message, or keep it, or raise; see `Workflow.callback`."""
        check_id("foreign id", message.foreign_id)
        if message.key is not None:
            check_id("idempotency key", message.key)
        asked = [(listener, self.read(listener, message.payload)) for listener in listeners]
        visit = 0
        record: Record | None = None
        for _ in range(_TRIES):
            # In this order: whoever sees the run moved by this key's answer sees the key too.
            record = await self._record(message)
            repeated = await self.repeated(message, listeners)
            if repeated is not None:
                return repeated
            waiting = [a for a in asked if record is not None and is_waiting(a[0], record)]
            if record is None or not waiting or visit not in (0, record.entered_version):
                return await self._keep(message, listeners, record)
            visit = record.entered_version
            receipt = await self.ask(record, waiting, message)
            if receipt is not None:
                return receipt
        if record is None:
            raise RunNotFoundError(message.run_id or message.foreign_id)
        raise VersionConflictError(record.version, view_of(self._definition, record))

    async def ask(
        self,
        record: Record,
        waiting: Sequence[tuple[Listener, object]],
        message: Message,
        finished: tuple[QueueKey, ...] = (),
    ) -> CallbackReceipt | None:
        """Ask callbacks until one does not skip, and store its answer; None if the run moved on."""
        for listener, payload in waiting:
            call = listener.transition.call
            with answering(self._tracing, call, record, "callback", 1) as ending:
                async with asyncio.timeout(self._time_limit_seconds):
                    write, _ = await listener.transition.answer(
                        record, payload, key=message.key or "", finished=finished
                    )
                ending.wrote(call, write, "Skip")
            if write is None:
                continue
            if message.key is not None:
                body = _encode((record.run_id, write.record.version))
                row = UniqueRow(self._scope(listener), _key(message), body)
                write = replace(write, unique=(row,))
            result = await self._committer.commit(write)
            if isinstance(result, Committed):
                return CallbackReceipt(record.run_id, write.record.version, "applied")
            if isinstance(result, Refused):
                raise InputError(f"the store refuses the answer: {result.error}") from result.error
            return None
        return CallbackReceipt(record.run_id, record.version, "skipped")

    async def repeated(
        self, message: Message, listeners: Sequence[Listener]
    ) -> CallbackReceipt | None:
        """Return the answer that this key had before, if it had one."""
        if message.key is None:
            return None
        for listener in dict.fromkeys(map(self._scope, listeners)):
            body = await self._store.find_unique(listener, _key(message))
            if body is not None:
                run_id, version = _decode_receipt(body)
                return CallbackReceipt(run_id, version, "repeated")
        return None

    def _scope(self, listener: Listener) -> str:
        return f"{self._definition.name}/callback/{listener.handler.name}"

    async def _record(self, message: Message) -> Record | None:
        if message.run_id is None:
            return await self._store.latest(self._definition.name, message.foreign_id)
        ref = await self._store.find(check_run_id(message.run_id))
        if ref is None or (ref.workflow, ref.foreign_id) != (
            self._definition.name,
            message.foreign_id,
        ):
            raise RunNotFoundError(message.run_id)
        (record,) = await self._store.lookup_many([ref])
        return record

    def read(self, listener: Listener, payload: object) -> object:
        """Return the payload in the type that the function declares; raises `PayloadError`."""
        handler = listener.handler
        wanted = handler.payload_type
        data = self.encoded(payload)
        if wanted is bytes:
            if not isinstance(payload, (bytes, bytearray, memoryview)):
                raise PayloadError(f"{handler.name}() takes bytes, not {type(payload).__name__}")
            return data
        try:
            return self._definition.codec.decode(data, wanted)
        except CodecError as error:
            why = str(error).removeprefix("the stored object ")
            raise PayloadError(f"the payload of {handler.name}() {why}") from error

    def encoded(self, payload: object) -> bytes:
        """Return a payload as it is stored; raises `PayloadError` for one that is too large."""
        if isinstance(payload, (bytes, bytearray, memoryview)):
            data = bytes(payload)
        else:
            try:
                data = self._definition.codec.encode(payload)
            except InputError as error:
                raise PayloadError(f"the payload cannot be sent: {error}") from error
        if len(data) > PAYLOAD_LIMIT:
            raise PayloadError(
                f"the payload has {len(data)} bytes; {PAYLOAD_LIMIT} fit: store what is large"
                " elsewhere and send its name"
            )
        return data

    async def _keep(
        self, message: Message, listeners: Sequence[Listener], record: Record | None
    ) -> CallbackReceipt:
        """Keep a message that came early, or raise `NotWaitingError`."""
        buffering = [item for item in listeners if item.handler.buffer is not None]
        view = None if record is None else view_of(self._definition, record)
        is_over = record is not None and not record.is_open and message.run_id is not None
        if not buffering or is_over:
            raise NotWaitingError(_label(listeners), message.foreign_id, view)
        now = self._clock.microseconds()
        longest = max(item.handler.buffer for item in buffering if item.handler.buffer is not None)
        body = InboxBody(
            buffering[0].handler.status.value,
            tuple(item.handler.name for item in buffering),
            self.encoded(message.payload),
            message.key,
            now + to_microseconds(longest),
        )
        key = message.key if message.key is not None else self._identity.run_id(now)
        name = _key(message._replace(key=key))
        row = QueueRow(
            inbox_consumer(self._definition.name),
            slot_of(message.foreign_id, self._store.slot_count),
            min(now + _WAIT, body.until),
            name,
            self._definition.name,
            message.foreign_id,
            "",
            0,
            body=_encode(body),
        )
        await self._queue.put([(None, row)])
        # It is kept, so that is the answer; it is looked at within a minute all the same.
        with suppress(UnavailableError):
            await self._hurry(row, buffering, now)
        run_id, version = (record.run_id, record.version) if record is not None else ("", 0)
        return CallbackReceipt(run_id, version, "buffered")

    async def _hurry(self, row: QueueRow, buffering: Sequence[Listener], now: int) -> None:
        """Have a kept message applied at once if its run came between the look and the row.

        One of the two always sees the other.
        """
        came = await self._store.latest(self._definition.name, row.foreign_id)
        if came is not None and any(is_waiting(item, came) for item in buffering):
            await self._queue.put([(row.key, replace(row, due_at=now))])
            self._wake()


def is_waiting(listener: Listener, record: Record) -> bool:
    """Return whether a run waits for a callback: in its status, and neither paused nor over."""
    return record.status == listener.handler.status.value and record.run_state in (1, 2)


def _key(message: Message) -> str:
    """Return a hash of foreign id and key: the callers' words are not kept after the run's data."""
    joined = f"{len(message.foreign_id)}:{message.foreign_id}{message.key}"
    return blake2b(joined.encode(), digest_size=16).hexdigest()


def _name_of(target: object) -> str:
    if isinstance(target, IntEnum):
        return target.name
    return f"{getattr(target, '__name__', target)!s}()"


def _label(listeners: Sequence[Listener]) -> str:
    handler = listeners[0].handler
    names = " or ".join(f"{item.handler.name}()" for item in listeners)
    return f"{names} in {handler.status.name}"
