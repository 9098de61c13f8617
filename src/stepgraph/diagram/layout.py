"""Layout: where everything in a drawing stands, by the four stages of Sugiyama, Tagawa and Toda.

Cycles are cut, statuses get layers, the order in the layers is chosen so that few lines cross, and
positions so that lines run even. See "Methods for visual understanding of hierarchical system
structures" (1981), and Gansner and others, "A technique for drawing directed graphs" (1993).
The same chart gives the same layout on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from stepgraph.diagram.chart import Chart
from stepgraph.diagram.column import columns_of, total_width
from stepgraph.diagram.cycle import backward_links
from stepgraph.diagram.grid import Grid, Size, grid_of
from stepgraph.diagram.layering import layers_of
from stepgraph.diagram.ordering import ordered
from stepgraph.diagram.placement import placed
from stepgraph.diagram.route import (
    Point,
    Router,
    Stroke,
    loop_height,
    loop_strokes,
    turn_room,
)

Direction: TypeAlias = Literal["LR", "TB", "RL", "BT"]
MARGIN = 20.0
_START_ROOM = 30.0
_ISLAND_GAP = 26.0


class Box(NamedTuple):
    """A rectangle by its middle."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        """Return whether two boxes share more than an edge."""
        return (
            abs(self.x - other.x) * 2 < self.width + other.width - 0.01
            and abs(self.y - other.y) * 2 < self.height + other.height - 0.01
        )


class Line(NamedTuple):
    """The line of one link, and the box of its label, if it has one."""

    strokes: tuple[Stroke, ...]
    label: Box | None
    is_backward: bool


class Layout(NamedTuple):
    """Boxes of statuses by their number, lines in the order of the chart's links, starts' dots."""

    width: float
    height: float
    layers: dict[int, int]
    boxes: dict[int, Box]
    lines: tuple[Line, ...]
    dots: dict[int, tuple[Point, Point]]


class Sizes(NamedTuple):
    """How wide and high the statuses are, by number, and the labels, in the order of the links."""

    statuses: dict[int, tuple[float, float]]
    labels: tuple[tuple[float, float] | None, ...]


def layout_of(chart: Chart, sizes: Sizes, direction: Direction) -> Layout:
    """Return where a chart's parts stand; nothing overlaps, and every link has a line."""
    return _Arrangement(chart, sizes, direction).layout()


class _Arrangement:
    """One layout in the making, along and across the flow until its last step."""

    def __init__(self, chart: Chart, sizes: Sizes, direction: Direction) -> None:
        self.chart = chart
        self.sizes = sizes
        self.direction = direction
        self.is_upright = direction in ("TB", "BT")
        self.links = [(link.before, link.after) for link in chart.links]
        linked = {number for link in self.links for number in link}
        numbers = [status.number for status in chart.statuses]
        self.nodes = [n for n in numbers if n in linked]
        self.islands = [n for n in numbers if n not in linked]
        self.heads: dict[int, float] = {}

    def layout(self) -> Layout:
        backward = backward_links(self.nodes, self.links, self.chart.starts)
        acyclic = [
            link
            for place, link in enumerate(self.links)
            if place not in backward and link[0] != link[1]
        ]
        layers = layers_of(self.nodes, acyclic)
        grid = grid_of(
            {number: self._cell_size(number) for number in self.nodes},
            layers,
            self.links,
            [self._label_size(place) for place in range(len(self.links))],
            backward,
        )
        positions = placed(grid, ordered(grid))
        turns, started = self._gap_rooms(grid)
        columns = columns_of(grid, positions, turns, started) if self.nodes else ()
        started_cells = [p for p, n in enumerate(self.nodes) if n in self.chart.starts]
        router = Router(grid, columns, positions, started_cells)
        boxes: dict[int, Box] = {}
        for place, number in enumerate(self.nodes):
            main, cross = self._oriented(self.sizes.statuses[number])
            boxes[number] = Box(
                columns[grid.cells[place].rank].middle, positions[place], main, cross
            )
        lines = self._lines(grid, router, boxes, [c.middle for c in columns], positions)
        dots = {self.nodes[cell]: self._dot(router.start_port(cell)) for cell in started_cells}
        width = total_width(columns, turns) if columns else 0.0
        boxes |= self._islands(boxes, lines, width)
        return self._finished(layers, boxes, lines, dots)

    def _oriented(self, size: tuple[float, float]) -> tuple[float, float]:
        return (size[1], size[0]) if self.is_upright else size

    def _label_size(self, place: int) -> Size | None:
        label = self.sizes.labels[place]
        if label is None:
            return None
        main, cross = self._oriented(label)
        return Size(main, cross / 2, cross / 2)

    def _cell_size(self, number: int) -> Size:
        """Return the room of a status with its loops, and keep how high they stand."""
        main, cross = self._oriented(self.sizes.statuses[number])
        places = [place for place, link in enumerate(self.links) if link == (number, number)]
        if not places:
            return Size(main, cross / 2, cross / 2, main)
        labels = [label for place in places if (label := self._label_size(place)) is not None]
        high = self.heads[number] = max((2 * label.above for label in labels), default=0.0)
        head = loop_height(len(places) - 1, high) + high / 2
        room = max([main, *(label.main for label in labels)])
        return Size(room, cross / 2 + head, cross / 2, main)

    def _gap_rooms(self, grid: Grid) -> tuple[list[float], list[float]]:
        """Return what turning lines and dots of starts need of each gap."""
        count = [[0, 0] for _ in range(grid.rank_count)]
        for way in grid.ways:
            if way is not None and way.is_backward:
                count[grid.cells[way.cells[0]].rank + 1][0] += 1
                count[grid.cells[way.cells[-1]].rank - 1][1] += 1
        started = [0.0] * grid.rank_count
        for place, number in enumerate(self.nodes):
            if number in self.chart.starts:
                started[grid.cells[place].rank - 1] = _START_ROOM
        return [turn_room(max(pair)) for pair in count], started

    def _dot(self, port: Point) -> tuple[Point, Point]:
        return ((port[0] - _START_ROOM + 6, port[1]), port)

    def _lines(
        self,
        grid: Grid,
        router: Router,
        boxes: dict[int, Box],
        middles: Sequence[float],
        positions: Sequence[float],
    ) -> list[Line]:
        lines: list[Line] = []
        loops: dict[int, int] = {}
        for place, (way, link) in enumerate(zip(grid.ways, self.links, strict=True)):
            if way is None:
                order = loops[link[0]] = loops.get(link[0], -1) + 1
                lines.append(self._loop(place, order, boxes[link[0]]))
                continue
            box = None
            if way.label is not None:
                main, cross = self._oriented(self.sizes.labels[place] or (0.0, 0.0))
                box = Box(middles[grid.cells[way.label].rank], positions[way.label], main, cross)
            lines.append(Line(router.strokes(place), box, way.is_backward))
        return lines

    def _loop(self, place: int, order: int, box: Box) -> Line:
        height = loop_height(order, self.heads[self.links[place][0]])
        top = (box.x, box.y - box.height / 2)
        label = self.sizes.labels[place]
        label_box = None
        if label is not None:
            label_box = Box(top[0], top[1] - height, *self._oriented(label))
        return Line(loop_strokes(top, order, height, box.width), label_box, is_backward=True)

    def _islands(
        self, boxes: dict[int, Box], lines: Sequence[Line], width: float
    ) -> dict[int, Box]:
        """Put statuses without any link beside the rest, in rows as long as it is."""
        drawn = [*boxes.values(), *(line.label for line in lines if line.label is not None)]
        across = max((box.y + box.height / 2 for box in drawn), default=-_ISLAND_GAP)
        across = max([across, *(p[1] for line in lines for s in line.strokes for p in s.points)])
        across += 2 * _ISLAND_GAP if drawn else _ISLAND_GAP
        found: dict[int, Box] = {}
        main, most = 0.0, 0.0
        for number in self.islands:
            size = self._oriented(self.sizes.statuses[number])
            if main and main + size[0] > max(width, 4 * size[0]):
                main, across, most = 0.0, across + most + _ISLAND_GAP, 0.0
            found[number] = Box(main + size[0] / 2, across + size[1] / 2, *size)
            main, most = main + size[0] + _ISLAND_GAP, max(most, size[1])
        return found

    def _finished(
        self,
        layers: dict[int, int],
        boxes: dict[int, Box],
        lines: Sequence[Line],
        dots: dict[int, tuple[Point, Point]],
    ) -> Layout:
        """Move everything into view, and turn it the way the flow should go."""
        corners: list[Point] = []
        for box in [*boxes.values(), *(line.label for line in lines if line.label is not None)]:
            corners += [(box.x - box.width / 2, box.y - box.height / 2)]
            corners += [(box.x + box.width / 2, box.y + box.height / 2)]
        corners += [p for line in lines for stroke in line.strokes for p in stroke.points]
        corners += [(dot[0] - 6, dot[1]) for dot, _ in dots.values()]
        left, right = min(c[0] for c in corners), max(c[0] for c in corners)
        top, bottom = min(c[1] for c in corners), max(c[1] for c in corners)

        def turned(point: Point) -> Point:
            main, cross = point[0] - left + MARGIN, point[1] - top + MARGIN
            if self.direction in ("RL", "BT"):
                main = right - left + 2 * MARGIN - main
            return (cross, main) if self.is_upright else (main, cross)

        def turned_box(box: Box) -> Box:
            return Box(*turned((box.x, box.y)), *self._oriented((box.width, box.height)))

        size = self._oriented((right - left + 2 * MARGIN, bottom - top + 2 * MARGIN))
        return Layout(
            *size,
            layers,
            {number: turned_box(box) for number, box in boxes.items()},
            tuple(
                Line(
                    tuple(Stroke(s.kind, tuple(map(turned, s.points))) for s in line.strokes),
                    turned_box(line.label) if line.label is not None else None,
                    line.is_backward,
                )
                for line in lines
            ),
            {number: (turned(dot), turned(port)) for number, (dot, port) in dots.items()},
        )
