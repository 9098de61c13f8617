"""Routes: the lines of the links, from cell to cell, in coordinates along and across the flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from stepgraph.diagram.column import Column
from stepgraph.diagram.grid import Grid, Way

Point: TypeAlias = tuple[float, float]
_RADIUS = 10.0
_TURN_FIRST = 14.0
TURN_STEP = 8.0
_PORT_STEP = 14.0
_PORT_LEAST = 7.0
_PORT_MARGIN = 10.0
_STUB = 4.0  # a line leaves its status and comes to its goal straight: there the marks sit
_APPROACH = 10.0
_LOOP_FIRST = 27.0
_LOOP_CLEAR = 17.0  # between a status and the label of its loop, so that the arrow is seen
_LOOP_STEP = 4.0
_LOOP_HALF = 14.0
_LOOP_WIDER = 10.0
_EVEN = 0.5


class Stroke(NamedTuple):
    """One piece of a line: to begin at a point, straight to one, or by a cubic curve to the last.

    The letters are those of SVG's path data.
    """

    kind: Literal["M", "L", "C"]
    points: tuple[Point, ...]


def turn_room(count: int) -> float:
    """Return how much of a gap `count` turning lines need."""
    return _TURN_FIRST + TURN_STEP * count if count else 0.0


def loop_height(place: int, label: float) -> float:
    """Return how far the loop at this place stands out, if those within have labels so high."""
    return max(_LOOP_FIRST, label / 2 + _LOOP_CLEAR) + place * (label + _LOOP_STEP)


def loop_strokes(top: Point, place: int, height: float, width: float) -> tuple[Stroke, ...]:
    """Return the line of a loop at the edge of a status, `width` long with its middle at `top`."""
    main, cross = top
    half = min(_LOOP_HALF + _LOOP_WIDER * place, width / 2 - 4)
    reach = cross - height / 0.75  # a cubic goes three quarters of the way to its handles
    begin, end = (main + half, cross), (main - half, cross)
    handles = ((main + half, reach), (main - half, reach))
    return (Stroke("M", (begin,)), Stroke("C", (*handles, end)))


class Router:
    """Draws the lines of a grid whose cells have been placed."""

    def __init__(
        self,
        grid: Grid,
        columns: Sequence[Column],
        positions: Sequence[float],
        started: Sequence[int],
    ) -> None:
        """Route through these columns; the cells `started` are entered from a start's dot too."""
        self._grid = grid
        self._columns = columns
        self._positions = positions
        self._leaving: dict[tuple[int, int], float] = {}
        self._entering: dict[tuple[int, int], float] = {}
        self._turns: dict[tuple[int, bool], float] = {}
        self._spread_ports(started)
        self._nest_turns()

    def start_port(self, cell: int) -> Point:
        """Return where the line from a start's dot comes into a status."""
        return (self._edge(cell, -1), self._positions[cell] + self._entering[cell, -1])

    def strokes(self, place: int) -> tuple[Stroke, ...]:
        """Return the line of a link that is no loop."""
        way = self._grid.ways[place]
        if way is None:
            return ()
        first, last = way.cells[0], way.cells[-1]
        begin = (self._edge(first, 1), self._positions[first] + self._leaving[first, place])
        end = (self._edge(last, -1), self._positions[last] + self._entering[last, place])
        pen = _Pen(begin)
        if way.is_turning:
            self._turn_back(pen, place, way, end)
        else:
            self._go_forward(pen, way, end)
        return tuple(pen.strokes)

    def _edge(self, cell: int, side: int) -> float:
        found = self._grid.cells[cell]
        return self._columns[found.rank].middle + side * found.size.core / 2

    def _go_forward(self, pen: _Pen, way: Way, end: Point) -> None:
        pen.line(self._columns[self._grid.cells[way.cells[0]].rank].end + _STUB)
        for cell in way.cells[1:-1]:
            column = self._columns[self._grid.cells[cell].rank]
            if column.width:  # what is in a gap without labels needs no bend of its own
                pen.curve((column.begin, self._positions[cell]))
                pen.line(column.end)
        goal = self._columns[self._grid.cells[way.cells[-1]].rank].begin - _APPROACH
        pen.curve((goal, end[1]))
        pen.line(end[0])

    def _turn_back(self, pen: _Pen, place: int, way: Way, end: Point) -> None:
        lane = way.cells[2:-2]
        first, last = (self._columns[self._grid.cells[c].rank] for c in (lane[0], lane[-1]))
        pen.corner(first.end + self._turns[place, True], self._positions[lane[0]])
        pen.line(first.begin)
        for cell in lane[1:]:
            column = self._columns[self._grid.cells[cell].rank]
            if column.width:
                pen.curve((column.end, self._positions[cell]))
                pen.line(column.begin)
        pen.corner(last.begin - self._turns[place, False], end[1])
        pen.line(end[0])

    def _spread_ports(self, started: Sequence[int]) -> None:
        """Give the lines at one side of a status a place each, in the order of where they go."""
        leaving: dict[int, list[tuple[float, int]]] = {}
        entering: dict[int, list[tuple[float, int]]] = {}
        for place, way in enumerate(self._grid.ways):
            if way is None:
                continue
            reach = 2 if way.is_turning else 1
            cells = way.cells
            leaving.setdefault(cells[0], []).append((self._positions[cells[reach]], place))
            entering.setdefault(cells[-1], []).append((self._positions[cells[-1 - reach]], place))
        for cell in started:
            entering.setdefault(cell, []).append((self._positions[cell], -1))
        for found, offsets in ((leaving, self._leaving), (entering, self._entering)):
            for cell, lines in found.items():
                self._spread(cell, sorted(lines), offsets)

    def _spread(
        self, cell: int, lines: list[tuple[float, int]], offsets: dict[tuple[int, int], float]
    ) -> None:
        size = self._grid.cells[cell].size
        room = 2 * size.below - 2 * _PORT_MARGIN
        step = min(_PORT_STEP, room / max(1, len(lines) - 1))
        if step < _PORT_LEAST:
            step = 0.0  # so many arrows side by side are a blot: let them meet in one point
        for number, (_, place) in enumerate(lines):
            offsets[cell, place] = (number - (len(lines) - 1) / 2) * step

    def _nest_turns(self) -> None:
        """Turn short ways inside long ones, so that lines which turn in one gap do not meet."""
        found: dict[int, list[tuple[float, int, bool]]] = {}
        for place, way in enumerate(self._grid.ways):
            if way is None or not way.is_turning:
                continue
            for is_source, cell, lane in (
                (True, way.cells[0], way.cells[2]),
                (False, way.cells[-1], way.cells[-3]),
            ):
                height = abs(self._positions[lane] - self._positions[cell])
                key = self._grid.cells[cell].rank + (1 if is_source else -1)
                found.setdefault(key, []).append((height, place, is_source))
        for turns in found.values():
            for is_source in (True, False):
                mine = sorted(turn for turn in turns if turn[2] is is_source)
                for number, (_, place, _) in enumerate(mine):
                    self._turns[place, is_source] = _TURN_FIRST + TURN_STEP * number


class _Pen:
    """Writes strokes."""

    def __init__(self, begin: Point) -> None:
        self.at = begin
        self.strokes = [Stroke("M", (begin,))]

    def line(self, main: float) -> None:
        """Go along the flow."""
        if abs(main - self.at[0]) > 0.01:
            self.at = (main, self.at[1])
            self.strokes.append(Stroke("L", (self.at,)))

    def curve(self, to: Point) -> None:
        """Go smoothly to a point, leaving and arriving along the flow."""
        if abs(to[1] - self.at[1]) < _EVEN:
            to = (to[0], self.at[1]) if to[1] == self.at[1] else to
            self.at = to
            self.strokes.append(Stroke("L", (to,)))
            return
        middle = (self.at[0] + to[0]) / 2
        self.strokes.append(Stroke("C", ((middle, self.at[1]), (middle, to[1]), to)))
        self.at = to

    def corner(self, main: float, cross: float) -> None:
        """Go along the flow to `main`, then across it to `cross`, with round corners."""
        rise = cross - self.at[1]
        radius = min(_RADIUS, abs(rise) / 2, abs(main - self.at[0]))
        up = radius if rise > 0 else -radius
        back = radius if main > self.at[0] else -radius
        start = self.at[1]
        self.line(main - back)
        self._bend((main, start), (main, start + up))
        self.strokes.append(Stroke("L", ((main, cross - up),)))
        self.at = (main, cross - up)
        self._bend((main, cross), (main - back, cross))

    def _bend(self, corner: Point, to: Point) -> None:
        """Round a corner: a cubic that is nearly a quarter of a circle."""
        near = tuple((0.45 * a + 0.55 * c for a, c in zip(self.at, corner, strict=True)))
        far = tuple((0.45 * b + 0.55 * c for b, c in zip(to, corner, strict=True)))
        self.strokes.append(Stroke("C", ((near[0], near[1]), (far[0], far[1]), to)))
        self.at = to
