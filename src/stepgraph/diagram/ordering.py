"""Ordering: which cell of a rank stands above which, so that few lines cross."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

from stepgraph.diagram.grid import Grid

_SWEEPS = 24
_SWAP_LIMIT = 400  # cells; above it neighbours are not tried in both orders
_SWEEP_WORK = 60_000


def ordered(grid: Grid) -> list[list[int]]:
    """Return the cells of each rank from above to below.

    Sweeps to and fro put each cell at the mean of its neighbours in the rank before, then swap
    neighbours where that saves a crossing; the best order of all sweeps is kept.
    """
    ranks: list[list[int]] = [[] for _ in range(grid.rank_count)]
    for place, cell in enumerate(grid.cells):
        ranks[cell.rank].append(place)
    if not grid.ties:
        return ranks
    sides = _Sides(grid)
    best = [list(rank) for rank in ranks]
    least = sides.crossings(best)
    for sweep in range(min(_SWEEPS, 2 + _SWEEP_WORK // len(grid.ties))):
        sides.sweep(ranks, is_forward=sweep % 2 == 0)
        if len(grid.cells) <= _SWAP_LIMIT:
            sides.swap(ranks)
        count = sides.crossings(ranks)
        if count < least:
            least, best = count, [list(rank) for rank in ranks]
        if not least:
            break
    return best


class _Sides:
    """The neighbours of each cell in the rank before it and in the rank behind it."""

    def __init__(self, grid: Grid) -> None:
        self.before: list[list[int]] = [[] for _ in grid.cells]
        self.behind: list[list[int]] = [[] for _ in grid.cells]
        for tie in grid.ties:
            self.before[tie.second].append(tie.first)
            self.behind[tie.first].append(tie.second)

    def sweep(self, ranks: list[list[int]], *, is_forward: bool) -> None:
        """Sort each rank by the means of its neighbours; what has none keeps its place."""
        neighbours = self.before if is_forward else self.behind
        count = len(ranks)
        for rank in range(1, count) if is_forward else range(count - 2, -1, -1):
            fixed = ranks[rank - 1 if is_forward else rank + 1]
            places = {cell: place for place, cell in enumerate(fixed)}
            ranks[rank] = _sorted_by_mean(ranks[rank], neighbours, places)

    def swap(self, ranks: list[list[int]]) -> None:
        """Exchange neighbours as long as that saves a crossing."""
        for number, rank in enumerate(ranks):
            around = (
                (self.before, _places(ranks[number - 1]) if number else {}),
                (self.behind, _places(ranks[number + 1]) if number + 1 < len(ranks) else {}),
            )
            for place in range(len(rank) - 1):
                one, other = rank[place], rank[place + 1]
                saved = sum(
                    _pair(s[one], s[other], places) - _pair(s[other], s[one], places)
                    for s, places in around
                )
                if saved > 0:
                    rank[place], rank[place + 1] = other, one

    def crossings(self, ranks: Sequence[Sequence[int]]) -> int:
        """Return how many pairs of ties cross."""
        total = 0
        for rank, following in pairwise(ranks):
            places = _places(following)
            seen: list[int] = []
            for cell in rank:
                ends = sorted(places[other] for other in self.behind[cell])
                total += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
        return total


def _places(rank: Sequence[int]) -> dict[int, int]:
    return {cell: place for place, cell in enumerate(rank)}


def _pair(first: Sequence[int], second: Sequence[int], places: dict[int, int]) -> int:
    """Return how many ties of two cells cross while the first stands above the second."""
    return sum(places[a] > places[b] for a in first for b in second)


def _sorted_by_mean(
    rank: Sequence[int], neighbours: Sequence[Sequence[int]], places: dict[int, int]
) -> list[int]:
    means = {
        cell: sum(places[other] for other in neighbours[cell]) / len(neighbours[cell])
        for cell in rank
        if neighbours[cell]
    }
    moving = iter(sorted(means, key=means.__getitem__))
    return [next(moving) if cell in means else cell for cell in rank]
