"""Strategies: which of the ready task steps goes next."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

Choice = tuple[int, str]
"""A task's number, and the node that it belongs to."""


class Strategy:
    """First in, first out: what asyncio itself does."""

    name = "fifo"
    is_fifo = True

    def born(self, task: int) -> None:
        """Know a new task."""

    def pick(self, choices: Sequence[Choice]) -> int:
        """Return the place of the step that goes next."""
        return 0


class RandomWalk(Strategy):
    """Any step may be next."""

    name = "random"
    is_fifo = False

    def __init__(self, random: Random) -> None:
        self._random = random

    def pick(self, choices: Sequence[Choice]) -> int:
        return self._random.randrange(len(choices))


class Priorities(Strategy):
    """Probabilistic concurrency testing (Burckhardt and others, 2010).

    Each task has a random priority, and at a few random steps the running one gets the lowest.
    """

    name = "pct"
    is_fifo = False

    def __init__(self, random: Random, depth: int, steps: int) -> None:
        self._random = random
        self._priority: dict[int, float] = {}
        self._changes = sorted(random.randrange(steps) for _ in range(depth))
        self._lowest = 0.0
        self._count = 0

    def born(self, task: int) -> None:
        self._priority[task] = self._random.random()

    def pick(self, choices: Sequence[Choice]) -> int:
        self._count += 1
        best = max(range(len(choices)), key=lambda i: (self._priority.get(choices[i][0], 0.0), -i))
        if self._changes and self._count >= self._changes[0]:
            self._changes.pop(0)
            self._lowest -= 1.0
            self._priority[choices[best][0]] = self._lowest
        return best


class Starvation(Strategy):
    """One node hardly ever gets its turn while another has something to do."""

    name = "starvation"
    is_fifo = False

    def __init__(self, random: Random, node: str) -> None:
        self._random = random
        self._node = node

    def pick(self, choices: Sequence[Choice]) -> int:
        others = [i for i, (_, node) in enumerate(choices) if not node.startswith(self._node)]
        if others and self._random.random() < 0.97:
            return self._random.choice(others)
        return self._random.randrange(len(choices))


def strategy_of(random: Random, steps: int) -> Strategy:
    """Draw a strategy for a world."""
    drawn = random.random()
    if drawn < 0.10:
        return Strategy()
    if drawn < 0.60:
        return RandomWalk(random)
    if drawn < 0.90:
        return Priorities(random, random.randrange(1, 6), steps)
    return Starvation(random, f"worker-{random.randrange(2)}")
