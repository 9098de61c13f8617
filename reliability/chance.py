"""Chance: named streams of random numbers from one seed; a draw in one moves no other."""

from __future__ import annotations

from hashlib import blake2b
from random import Random


class Chance:
    """Everything random in a world comes from here."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def number(self, *name: object) -> int:
        """Return the 64 bits that belong to a name."""
        text = "/".join([str(self.seed), *map(str, name)])
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")

    def stream(self, *name: object) -> Random:
        """Return a stream of its own."""
        return Random(self.number(*name))

    def draw(self, *name: object) -> float:
        """Return the number in [0, 1) that belongs to a name, whenever it is asked for."""
        return self.number(*name) / 2**64
