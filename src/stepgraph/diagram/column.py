"""Columns: where along the flow each rank stands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from stepgraph.diagram.grid import Grid

_LEAST_GAP = 28.0
_MOST_GAP = 72.0
_SLOPE = 0.12


class Column(NamedTuple):
    """The room of a rank along the flow."""

    begin: float
    end: float

    @property
    def width(self) -> float:
        """Return how wide it is; 0 where nothing stands in a gap."""
        return self.end - self.begin

    @property
    def middle(self) -> float:
        """Return where its cells have their middles."""
        return (self.begin + self.end) / 2


def columns_of(
    grid: Grid, positions: Sequence[float], turns: Sequence[float], started: Sequence[float]
) -> tuple[Column, ...]:
    """Return a column for each rank; steep lines and lines that turn make their gap wider.

    `turns` says how much room the turning lines of each gap need, and `started` how much the dots
    of the starts in it.
    """
    widths = [0.0] * grid.rank_count
    for cell in grid.cells:
        widths[cell.rank] = max(widths[cell.rank], cell.size.main)
    rises = [0.0] * grid.rank_count
    for tie in grid.ties:
        rank = grid.cells[tie.first].rank
        rises[rank] = max(rises[rank], abs(positions[tie.first] - positions[tie.second]))
    columns: list[Column] = []
    at = 0.0
    for rank, width in enumerate(widths):
        columns.append(Column(at, at + width))
        gap = min(_MOST_GAP, _LEAST_GAP + _SLOPE * rises[rank])
        in_gap = rank if rank % 2 == 0 else rank + 1
        room = turns[in_gap] if in_gap < len(turns) else 0.0
        room += started[in_gap] if rank % 2 == 0 and in_gap < len(started) else 0.0
        at += width + max(gap, room + 8 if room else 0.0)
    return _trimmed(columns, turns, started)


def _trimmed(
    columns: Sequence[Column], turns: Sequence[float], started: Sequence[float]
) -> tuple[Column, ...]:
    """Take away the empty gaps before the first status and behind the last."""
    first, second = columns[0], columns[1]
    spare = second.begin - first.begin - turns[0] - started[0]
    shift = max(0.0, spare) if not first.width else 0.0
    moved = [first, *(Column(c.begin - shift, c.end - shift) for c in columns[1:])]
    assert all(a.end <= b.begin + 0.01 for a, b in pairwise(moved))
    return tuple(moved)


def total_width(columns: Sequence[Column], turns: Sequence[float]) -> float:
    """Return how far the drawing reaches along the flow."""
    last = columns[-1]
    return last.end if last.width else columns[-2].end + turns[-1]
