"""Search: how many seeds it takes to find each planted bug."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context

from reliability.bank.planted import BUGS, Bug, Planting
from reliability.config import draw_config
from reliability.simulate import simulate


@dataclass
class Catch:
    """What found a bug: `seeds` worlds were needed; 0 if none of them found it."""

    name: str
    seeds: int
    invariants: tuple[str, ...]
    is_expected: bool
    text: str


def hunt(bug: Bug, most: int, first: int = 0) -> Catch:
    """Plant a bug, and live through seeds until one of its invariants is broken."""
    other: list[str] = []
    for count in range(1, most + 1):
        planting = Planting()
        bug.plant(planting)
        try:
            violations = simulate(draw_config(first + count - 1, bug.profile)).violations
        finally:
            planting.undo()
        found = [text for text in violations if _invariant(text) in bug.catchers]
        if found:
            names = tuple(sorted({_invariant(text) for text in violations}))
            return Catch(bug.name, count, names, True, found[0])
        other += violations
    names = tuple(sorted({_invariant(text) for text in other}))
    return Catch(bug.name, 0, names, False, other[0] if other else "")


def _invariant(text: str) -> str:
    return text.partition(":")[0].partition(" at ")[0]


def _hunt(work: tuple[str, int]) -> Catch:
    name, most = work
    return hunt(next(bug for bug in BUGS if bug.name == name), most)


def hunt_all(names: Sequence[str], most: int, jobs: int) -> Iterator[Catch]:
    """Hunt every bug, each in a process of its own."""
    wanted = [bug.name for bug in BUGS if not names or bug.name in names]
    with get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap(_hunt, zip(wanted, itertools.repeat(most)))
