"""DeadLetters: what was parked because it kept failing and there is no run to pause."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast, final

import msgspec

from stepgraph.engine.supervisor import Supervisor
from stepgraph.errors import InputError
from stepgraph.model.identifier import ID_LIMIT, cut_text, shown
from stepgraph.model.instant import to_datetime
from stepgraph.model.queue import ParkedRow, QueueKey
from stepgraph.ports.log import Log

_LIMIT = 10_000
LetterKind: TypeAlias = Literal["hook", "connector", "delete", "callback", "child"]
_KINDS: dict[str, LetterKind] = {
    "hook": "hook",
    "connector": "connector",
    "delete": "delete",
    "inbox": "callback",
    "spawn": "child",
}
_decode_key = msgspec.json.Decoder(tuple[str, int, int, str]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A hook call, connector event, early callback or deletion that failed too often.

    `name` is the hook's or connector's, `subject` the run or foreign id that it is about.
    """

    id: str
    kind: LetterKind
    name: str
    subject: str
    attempts: int
    error: str
    parked_at: datetime


@final
class DeadLetters:
    """Lists, repeats and drops what was parked. Usable while the workflow or a client is open."""

    def __init__(self, workflow: str, supervisor: Callable[[], Supervisor]) -> None:
        """Serve one workflow."""
        self._workflow = workflow
        self._supervisor = supervisor

    async def find(self, *, kind: LetterKind | None = None) -> AsyncIterator[DeadLetter]:
        """Iterate over the letters, oldest first; of one kind, or of all. 10,000 at most."""
        queue = self._supervisor().instance.backend.work_queue
        for parked in await queue.list_parked(None, _LIMIT):
            if parked.row.workflow == self._workflow:
                letter = _letter_of(parked)
                if kind in (None, letter.kind):
                    yield letter

    async def retry(self, id: str) -> None:  # noqa: A002 -- the word of the listing
        """Try once more, with fresh attempts. Raises `InputError` if there is no such letter."""
        instance = self._supervisor().instance
        now = instance.clock.microseconds()
        if not await instance.backend.work_queue.drive([self._key(id)], now):
            raise InputError(f"there is no dead letter {id!r}: it was retried or discarded before")
        instance.wake_all()

    async def discard(
        self,
        id: str,  # noqa: A002 -- the word of the listing
        reason: str,
        *,
        actor: str = "",
    ) -> None:
        """Give up on it for good; the fact is logged on "stepgraph.audit".

        Raises `InputError` if there is no such letter.
        """
        key = self._key(id)
        if not await self._supervisor().instance.backend.work_queue.discard([key]):
            raise InputError(f"there is no dead letter {id!r}: it was retried or discarded before")
        Log("stepgraph.audit", self._workflow, key.consumer).warning(
            "dead letter of %s discarded by %s: %s",
            key.consumer,
            shown(cut_text(actor, ID_LIMIT)) if actor else "nobody",
            ascii(cut_text(reason)),
        )

    def _key(self, letter_id: str) -> QueueKey:
        try:
            key = QueueKey(*_decode_key(base64.urlsafe_b64decode(letter_id)))
        except (ValueError, TypeError, msgspec.DecodeError) as error:
            raise InputError(f"{shown(letter_id)} is no id of a dead letter") from error
        if key.consumer.partition("/")[0] != self._workflow:
            raise InputError(f"{shown(letter_id)} is no id of a dead letter of {self._workflow!r}")
        return key


def _letter_of(parked: ParkedRow) -> DeadLetter:
    row = parked.row
    _, kind, *name = row.consumer.split("/")
    return DeadLetter(
        id=base64.urlsafe_b64encode(msgspec.json.encode(tuple(row.key))).decode(),
        kind=_KINDS.get(kind, cast("LetterKind", kind)),
        name="/".join(name),
        subject=row.run_id or row.foreign_id,
        attempts=row.attempt + 1,
        error=parked.error,
        parked_at=to_datetime(parked.parked_at),
    )
