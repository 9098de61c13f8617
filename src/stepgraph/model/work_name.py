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
        encoded = [part.encode() for part in parts]
        joined = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
        return blake2b(joined, digest_size=16).hexdigest()
