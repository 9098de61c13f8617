"""Placement: how far above or below each cell stands, so that lines run even."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

from stepgraph.diagram.grid import Cell, Grid

_SWEEPS = 12
_STRAIGHTENINGS = 3
_BETWEEN_STATUSES = 26.0
_BETWEEN_OTHERS = 14.0


def placed(grid: Grid, ranks: Sequence[Sequence[int]]) -> list[float]:
    """Return the position of each cell across the flow; the order in the ranks is kept.

    Each rank in turn is put where the weighted squares of its distances to its neighbours are
    least: an isotonic regression, solved exactly by pooling adjacent violators.
    """
    positions = [0.0] * len(grid.cells)
    for rank in ranks:
        _stack(grid, rank, positions)
    neighbours: list[list[tuple[int, float, bool]]] = [[] for _ in grid.cells]
    for tie in grid.ties:
        neighbours[tie.first].append((tie.second, tie.weight, True))
        neighbours[tie.second].append((tie.first, tie.weight, False))
    for sweep in range(_SWEEPS):
        is_forward = sweep % 2 == 0
        is_last = sweep >= _SWEEPS - 4
        for rank in ranks if is_forward else reversed(ranks):
            wanted: list[tuple[float, float]] = []
            for cell in rank:
                near = [
                    (positions[other], weight)
                    for other, weight, is_behind in neighbours[cell]
                    if is_last or is_behind is not is_forward
                ]
                total = sum(weight for _, weight in near)
                if total:
                    wanted.append((sum(p * weight for p, weight in near) / total, total))
                else:
                    wanted.append((positions[cell], 0.05))
            _settle(grid, rank, wanted, positions)
    for _ in range(_STRAIGHTENINGS):
        _straighten(grid, ranks, positions)
    return positions


def _straighten(grid: Grid, ranks: Sequence[Sequence[int]], positions: list[float]) -> None:
    """Lay the bends of each long link on one line, as far as what stands around leaves room."""
    above: dict[int, int] = {}
    below: dict[int, int] = {}
    for rank in ranks:
        for one, other in pairwise(rank):
            below[one], above[other] = other, one
    for way in grid.ways:
        inner = [c for c in way.cells if grid.cells[c].node is None] if way is not None else []
        run: list[int] = []
        low, high = -inf, inf
        for cell in inner:
            least = most = None
            if cell in above:
                other = above[cell]
                least = positions[other] + _distance(grid.cells[other], grid.cells[cell])
            if cell in below:
                other = below[cell]
                most = positions[other] - _distance(grid.cells[cell], grid.cells[other])
            new_low = max(low, -inf if least is None else least)
            new_high = min(high, inf if most is None else most)
            if new_low > new_high:
                _lay(run, low, high, positions)
                run = []
                new_low = -inf if least is None else least
                new_high = inf if most is None else most
            low, high = new_low, new_high
            run.append(cell)
        _lay(run, low, high, positions)


def _lay(run: Sequence[int], low: float, high: float, positions: list[float]) -> None:
    """Put a run of cells where most of them are, between `low` and `high`."""
    if len(run) > 1:
        middle = sorted(positions[cell] for cell in run)[len(run) // 2]
        for cell in run:
            positions[cell] = min(max(middle, low), high)


def _stack(grid: Grid, rank: Sequence[int], positions: list[float]) -> None:
    """Put a rank as close as it may stand, around zero."""
    reach = _reach(grid, rank)
    middle = reach[-1] / 2 if reach else 0.0
    for cell, at in zip(rank, reach, strict=True):
        positions[cell] = at - middle


def _reach(grid: Grid, rank: Sequence[int]) -> list[float]:
    """Return how far from the first cell of a rank each must stand at least."""
    reach: list[float] = []
    for place, cell in enumerate(rank):
        if not place:
            reach.append(0.0)
            continue
        reach.append(reach[-1] + _distance(grid.cells[rank[place - 1]], grid.cells[cell]))
    return reach


def _distance(above: Cell, below: Cell) -> float:
    is_status = above.node is not None and below.node is not None
    between = _BETWEEN_STATUSES if is_status else _BETWEEN_OTHERS
    return above.size.below + between + below.size.above


def _settle(
    grid: Grid,
    rank: Sequence[int],
    wanted: Sequence[tuple[float, float]],
    positions: list[float],
) -> None:
    """Put a rank where its cells want to be, as far as they leave each other room."""
    reach = _reach(grid, rank)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for (at, weight), least in zip(wanted, reach, strict=True):
        mean, total, count = at - least, weight, 1
        while pools and pools[-1][0] > mean:
            other, other_total, other_count = pools.pop()
            mean = (mean * total + other * other_total) / (total + other_total)
            total += other_total
            count += other_count
        pools.append((mean, total, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for cell, mean, least in zip(rank, means, reach, strict=True):
        positions[cell] = mean + least
