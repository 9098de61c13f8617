"""SVG: a chart as a picture that a page can show, theme and mark."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

from stepgraph.diagram.chart import Chart, ChartStatus, Link
from stepgraph.diagram.layout import Box, Direction, Layout, Line, Sizes, layout_of
from stepgraph.diagram.route import Point, Stroke
from stepgraph.diagram.style import diagram_css
from stepgraph.diagram.words import fitted, text_width

_NAME_SIZE = 13.0
_SMALL_SIZE = 11.0
_MONO_WIDTH = 0.61
_LEAST_WIDTH, _MOST_WIDTH, _HEIGHT = 112.0, 240.0, 50.0
_LABEL_WIDTH, _LABEL_HEIGHT = 190.0, 20.0
_PADDING = 16.0
_CLOCK = 14.0
_HEAD = 8.0
_NO_ID = re.compile("[^A-Za-z0-9._-]")


def draw_svg(chart: Chart, direction: Direction, *, has_style: bool = True) -> str:
    """Return one `svg` element.

    Without the style it is for a page that serves `diagram_css()` itself. Statuses are groups
    with the id `stepgraph-<workflow>-status-<number>`, edges with
    `stepgraph-<workflow>-edge-<from>-<to>-<kind>`; both have the same in data attributes.
    """
    sizes = Sizes(
        {status.number: _status_size(status) for status in chart.statuses},
        tuple(_label_size(link) for link in chart.links),
    )
    layout = layout_of(chart, sizes, direction)
    return _Picture(chart, layout).text(has_style=has_style)


def _status_size(status: ChartStatus) -> tuple[float, float]:
    name = text_width(status.name, _NAME_SIZE)
    step = len(status.step) * _SMALL_SIZE * _MONO_WIDTH + 2 * _SMALL_SIZE * _MONO_WIDTH
    width = max(name, step if status.step else 0.0) + 2 * _PADDING
    return (min(_MOST_WIDTH, max(_LEAST_WIDTH, math.ceil(width))), _HEIGHT)


def _label_size(link: Link) -> tuple[float, float] | None:
    if link.kind == "step":
        return None
    width = text_width(link.names, _SMALL_SIZE) + _PADDING + _clock_room(link)
    return (min(_LABEL_WIDTH, math.ceil(width)), _LABEL_HEIGHT)


def _clock_room(link: Link) -> float:
    return _CLOCK if link.kind == "timeout" else 0.0


class _Picture:
    """Writes the elements of one drawing."""

    def __init__(self, chart: Chart, layout: Layout) -> None:
        self.chart = chart
        self.layout = layout
        self.prefix = "stepgraph-" + _NO_ID.sub("_", chart.name)

    def text(self, *, has_style: bool) -> str:
        width, height = _number(self.layout.width), _number(self.layout.height)
        title, summary = f"{self.prefix}-title", f"{self.prefix}-desc"
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="stepgraph-diagram" role="img"'
            f' aria-labelledby="{title} {summary}"'
            f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        )
        lines = [
            opening,
            f'<title id="{title}">Workflow {escape(self.chart.name)}</title>',
            f'<desc id="{summary}">{escape(self.chart.summary)}</desc>',
        ]
        if has_style:
            lines.append(f"<style>\n{diagram_css()}\n</style>")
        lines.append(f'<rect class="sg-canvas" width="{width}" height="{height}" rx="10"/>')
        edges = list(zip(self.chart.links, self.layout.lines, strict=True))
        # Of the loops of a status the outer ones first: they run behind the labels of the inner.
        edges = [e for e in edges if not e[0].is_loop] + [e for e in edges[::-1] if e[0].is_loop]
        lines += [self._edge(link, line) for link, line in edges]
        lines += [self._start(number) for number in self.layout.dots]
        lines += [self._status(status) for status in self.chart.statuses]
        return "\n".join([*lines, "</svg>"]) + "\n"

    def _edge(self, link: Link, line: Line) -> str:
        kind = escape(link.kind)
        strokes, tip, heading = _shortened(line.strokes)
        parts = [f'<path class="sg-line" d="{_path(strokes)}"/>', _head(tip, heading)]
        begin, following = line.strokes[0].points[0], line.strokes[1].points[0]
        if link.kind == "callback":
            socket = _towards(begin, following, 4.5)
            parts.append(f'<circle class="sg-mark" {_centre(socket)} r="3.5"/>')
        if link.kind == "join":
            x, y = _towards(begin, following, 6)
            parts.append(f'<path class="sg-mark" d="{_diamond(x, y, 5)}"/>')
        if line.label is not None:
            parts.append(_label(link, line.label))
        loop = " sg-loop" if link.is_loop else " sg-backward" if line.is_backward else ""
        return (
            f'<g class="sg-edge sg-{kind}{loop}"'
            f' id="{self.prefix}-edge-{link.before}-{link.after}-{kind}"'
            f' data-from="{link.before}" data-to="{link.after}" data-kind="{kind}">'
            f"<title>{escape(link.sentences)}</title>{''.join(parts)}</g>"
        )

    def _start(self, number: int) -> str:
        dot, port = self.layout.dots[number]
        strokes = (Stroke("M", (dot,)), Stroke("L", (port,)))
        shortened, tip, heading = _shortened(strokes)
        return (
            f'<g class="sg-start-mark"><circle class="sg-dot" {_centre(dot)} r="5"/>'
            f'<path class="sg-line" d="{_path(shortened)}"/>{_head(tip, heading)}</g>'
        )

    def _status(self, status: ChartStatus) -> str:
        box = self.layout.boxes[status.number]
        marks = {
            "sg-start": status.is_start,
            "sg-end": status.is_end,
            "sg-unreachable": not status.is_reachable,
        }
        classes = " ".join(["sg-status", *(name for name, is_on in marks.items() if is_on)])
        parts = [_rectangle("sg-box", box, 10)]
        if status.is_end:
            inner = Box(box.x, box.y, box.width - 7, box.height - 7)
            parts.append(_rectangle("sg-ring", inner, 7))
        room = box.width - 1.5 * _PADDING
        name = escape(fitted(status.name, _NAME_SIZE, room))
        drop = -3.0 if status.step else 4.5
        parts.append(_words("sg-name", box.x, box.y + drop, name))
        if status.step:
            count = int(room / (_SMALL_SIZE * _MONO_WIDTH)) - 2
            step = status.step if len(status.step) <= count else status.step[: count - 1] + "…"
            parts.append(_words("sg-step-name", box.x, box.y + 14, escape(step) + "()"))
        tooltip = f"{status.name}: {status.description}" if status.description else status.name
        return (
            f'<g class="{classes}" id="{self.prefix}-status-{status.number}"'
            f' data-status="{status.number}"><title>{escape(tooltip)}</title>{"".join(parts)}</g>'
        )


def _label(link: Link, box: Box) -> str:
    clock = _clock_room(link)
    room = box.width - _PADDING - clock
    words = escape(fitted(link.names, _SMALL_SIZE, room + 0.5))
    parts = [_rectangle("sg-pill", box, 10)]
    if clock:
        x, y = box.x - box.width / 2 + 13, box.y
        parts.append(f'<circle class="sg-clock" {_centre((x, y))} r="4.5"/>')
        hands = f"M{_number(x)} {_number(y - 2.5)}V{_number(y)}H{_number(x + 2)}"
        parts.append(f'<path class="sg-clock" d="{hands}"/>')
    return "".join([*parts, _words("sg-label", box.x + clock / 2, box.y + 3.8, words)])


def _shortened(strokes: Sequence[Stroke]) -> tuple[list[Stroke], Point, Point]:
    """Return a line that ends where its arrow begins, the arrow's tip, and where it points."""
    *rest, last = strokes
    tip = last.points[-1]
    back = last.points[-2] if len(last.points) > 1 else rest[-1].points[-1]
    heading = _heading(back, tip)
    end = (tip[0] - heading[0] * (_HEAD - 1), tip[1] - heading[1] * (_HEAD - 1))
    return [*rest, Stroke(last.kind, (*last.points[:-1], end))], tip, heading


def _heading(begin: Point, end: Point) -> Point:
    far = math.dist(begin, end) or 1.0
    return ((end[0] - begin[0]) / far, (end[1] - begin[1]) / far)


def _towards(begin: Point, end: Point, distance: float) -> Point:
    heading = _heading(begin, end)
    return (begin[0] + heading[0] * distance, begin[1] + heading[1] * distance)


def _head(tip: Point, heading: Point) -> str:
    back = (tip[0] - heading[0] * _HEAD, tip[1] - heading[1] * _HEAD)
    side = (-heading[1] * _HEAD * 0.45, heading[0] * _HEAD * 0.45)
    corners = (tip, (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1]))
    return f'<path class="sg-head" d="M{"L".join(_pair(corner) for corner in corners)}Z"/>'


def _diamond(x: float, y: float, reach: float) -> str:
    corners = ((x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach))
    return f"M{'L'.join(_pair(corner) for corner in corners)}Z"


def _rectangle(name: str, box: Box, radius: int) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    return (
        f'<rect class="{name}" x="{_number(left)}" y="{_number(top)}"'
        f' width="{_number(box.width)}" height="{_number(box.height)}" rx="{radius}"/>'
    )


def _words(name: str, x: float, y: float, words: str) -> str:
    at = f'x="{_number(x)}" y="{_number(y)}"'
    return f'<text class="{name}" {at} text-anchor="middle">{words}</text>'


def _path(strokes: Sequence[Stroke]) -> str:
    return "".join(f"{s.kind}{' '.join(_pair(point) for point in s.points)}" for s in strokes)


def _centre(point: Point) -> str:
    return f'cx="{_number(point[0])}" cy="{_number(point[1])}"'


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    """Return a coordinate to a tenth: the same text on every machine."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")
