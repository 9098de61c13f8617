"""WorkName: what names one piece of a run's work towards other systems."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple, Protocol

from stepgraph.model.record import Record


class TellsTime(Protocol):
    """The part of a clock that a run shows its function."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...


class WorkName(NamedTuple):
    """The kind and durable name of a function, and the clock it goes by."""

    kind: str
    name: str
    clock: TellsTime

    def key(self, record: Record) -> str:
        """Return the idempotency key: 32 hex digits over run, progress, kind and name.

        The parts are joined with their lengths, so that no two pieces of work share a key.
        """
        parts = (record.run_id, str(record.progress_version), self.kind, self.name)
        return _digest(parts).hex()

    def child_id(self, record: Record, number: int, workflow: str, foreign_id: str) -> str:
        """Return the id of a child that this work starts: the same at every try of this visit.

        Shaped as a UUID of version 5, made of a name, as the ids of keyed runs are.
        """
        digest = _digest((self.key(record), str(number), workflow, foreign_id))
        text, variant = digest.hex(), "89ab"[digest[8] >> 4 & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _digest(parts: tuple[str, ...]) -> bytes:
    encoded = [part.encode() for part in parts]
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    return blake2b(joined, digest_size=16).digest()
