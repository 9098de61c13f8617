"""Grid: statuses, labels and the bends of long links as cells in ranks.

Statuses stand in the odd ranks, one for each layer; the even ranks between and around them are the
gaps, where labels stand and where links that lead back turn. Every link passes through one cell in
each rank between its ends, so that room is kept for it everywhere: no line runs under a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

DUMMY_LIMIT = 6_000
_STRAIGHT = 8.0
_BENT = 2.0


class Size(NamedTuple):
    """Room along the flow (`main`), and across it to both sides of the line.

    `core` is how much of the room along the flow a status itself takes: where lines end.
    """

    main: float
    above: float
    below: float
    core: float = 0.0


class Cell(NamedTuple):
    """A place in a rank: of the status `node`, or of a link that passes."""

    rank: int
    size: Size
    node: int | None
    link: int | None
    is_label: bool = False


class Tie(NamedTuple):
    """Two cells of neighbouring ranks that a line joins; `weight` is how much it wants to be even.

    `first` is in the lower rank.
    """

    first: int
    second: int
    weight: float


class Way(NamedTuple):
    """The cells of one link, from its source to its goal, both included."""

    cells: tuple[int, ...]
    is_backward: bool
    label: int | None

    @property
    def is_turning(self) -> bool:
        """Return whether it turns behind its source, goes back in a lane, and turns again."""
        return self.is_backward and len(self.cells) > 4


class Grid(NamedTuple):
    """All cells, the ties between them, and the way of each link; loops have none."""

    cells: tuple[Cell, ...]
    ties: tuple[Tie, ...]
    ways: tuple[Way | None, ...]
    rank_count: int


_POINT = Size(0.0, 0.0, 0.0)


class _GridBuilder:
    """Collects cells and ties."""

    def __init__(self, nodes: Mapping[int, Size], layers: Mapping[int, int]) -> None:
        self.cells = [Cell(2 * layers[n] + 1, size, n, None) for n, size in nodes.items()]
        self.ties: list[Tie] = []
        self._places = {node: place for place, node in enumerate(nodes)}
        self._passing = 0

    def way(
        self, link: int, ends: tuple[int, int], label: Size | None, *, is_backward: bool
    ) -> Way:
        """Lay the cells of a link; a label stands in the gap before which it leaves its source."""
        before, after = (self._places[node] for node in ends)
        low, high = self.cells[before].rank, self.cells[after].rank
        ranks = range(low + 1, high)
        label_rank = low + 1
        if is_backward:
            ranks = range(low + 1, high - 2, -1)
            label_rank = low - 1
        if self._passing + len(ranks) > DUMMY_LIMIT:
            ranks = range(low + 1, low + 2)  # too many lines for anybody to follow each
        self._passing += len(ranks)
        laid = [before]
        label_cell = None
        for rank in ranks:
            has_label = label is not None and rank == label_rank
            size = label if has_label and label is not None else _POINT
            if has_label:
                label_cell = len(self.cells)
            laid.append(len(self.cells))
            self.cells.append(Cell(rank, size, None, link, has_label))
        laid.append(after)
        for one, other in pairwise(laid):
            self._tie(one, other)
        return Way(tuple(laid), is_backward, label_cell)

    def _tie(self, one: int, other: int) -> None:
        first, second = self.cells[one], self.cells[other]
        if abs(first.rank - second.rank) != 1:
            return
        inner = (first.node is None) + (second.node is None)
        weight = _STRAIGHT if inner == 2 else _BENT if inner else 1.0
        self.ties.append(
            Tie(one, other, weight) if first.rank < second.rank else Tie(other, one, weight)
        )


def grid_of(
    nodes: Mapping[int, Size],
    layers: Mapping[int, int],
    links: Sequence[tuple[int, int]],
    labels: Sequence[Size | None],
    backward: frozenset[int],
) -> Grid:
    """Return the grid of these nodes in these layers; `labels` stand beside the links."""
    builder = _GridBuilder(nodes, layers)
    ways = tuple(
        None
        if link[0] == link[1]
        else builder.way(place, link, labels[place], is_backward=place in backward)
        for place, link in enumerate(links)
    )
    rank_count = max((cell.rank for cell in builder.cells), default=0) + 2
    return Grid(tuple(builder.cells), tuple(builder.ties), ways, rank_count)
