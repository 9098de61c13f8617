"""Identity: run ids, write ids and random numbers; the only source of chance in the library."""

from __future__ import annotations

import os
import random
import uuid
from itertools import count

_RUN_NAMESPACE = uuid.UUID("6f0c6b5e-6c0f-5b0e-9a37-5d1a3f0f9b11")


def read_seed() -> int:
    """Return 128 bits of the system's randomness; a simulation puts its own source here."""
    return int.from_bytes(os.urandom(16), "big")


class Identity:
    """Makes ids for one instance. Not for use across a fork: make another there.

    Write ids are a random prefix and a counter: unique, and cheap on the hot path. Run ids are
    UUIDv7 (RFC 9562): the millisecond, a counter within it, and 62 random bits.
    """

    def __init__(self, seed: int | None = None) -> None:
        """Draw everything from `seed`, or from the system's randomness if it is None."""
        self._random = random.Random(read_seed() if seed is None else seed)
        self._chance = self._random
        self._prefix = self._random.getrandbits(64).to_bytes(8, "big")
        self._counter = count(1)
        self._millisecond = 0
        self._sequence = 0

    def write_id(self) -> bytes:
        """Return 16 bytes that no other write has."""
        return self._prefix + next(self._counter).to_bytes(8, "big")

    def run_id(self, now: int) -> str:
        """Return a UUIDv7 for the instant `now`, above every earlier one of this instance."""
        millisecond = now // 1000
        if millisecond > self._millisecond:
            self._millisecond = millisecond
            self._sequence = 0
        else:
            self._sequence += 1
            if self._sequence > 0xFFF:
                self._millisecond += 1
                self._sequence = 0
        when, chance = self._millisecond, self._random.getrandbits(62)
        return (
            f"{when >> 16:08x}-{when & 0xFFFF:04x}-{0x7000 | self._sequence:04x}"
            f"-{0x8000 | chance >> 48:04x}-{chance & 0xFFFFFFFFFFFF:012x}"
        )

    def draw(self) -> float:
        """Return a random number in [0, 1): for jitter."""
        return self._chance.random()

    def repeat_draws(self, seed: int) -> None:
        """Draw the numbers of `seed` from now on; ids stay unique."""
        self._chance = random.Random(seed)


def keyed_run_id(workflow: str, foreign_id: str, key: str) -> str:
    """Return the run id that a key makes: the same in every process, for ever."""
    name = _joined(workflow, foreign_id, key)
    return str(uuid.uuid5(_RUN_NAMESPACE, name.hex()))


def _joined(*parts: str) -> bytes:
    """Join texts injectively: each is preceded by its length."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
