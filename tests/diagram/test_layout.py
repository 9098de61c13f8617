"""What every layout keeps, for any graph: room, order, completeness, determinism."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepgraph.diagram.chart import chart_of
from stepgraph.diagram.cycle import backward_links
from stepgraph.diagram.layout import Box, Sizes, layout_of
from stepgraph.diagram.svg import _label_size, _status_size
from tests.diagram.graphs import blueprint, fan_out, function, orders, returns, sixty

DIRECTIONS = ["LR", "TB", "RL", "BT"]
KINDS = st.sampled_from(["step", "step", "callback", "timeout", "join"])


@st.composite
def charts(draw, most=14, links=26):
    """Any graph: cycles, loops, several links between two statuses, statuses without any."""
    count = draw(st.integers(1, most))
    number = st.integers(1, count)
    ways = draw(st.lists(st.tuples(KINDS, number, number), max_size=links))
    names = " ".join(f"S{'X' * (n % 17)}_{n}" for n in range(1, count + 1))
    return chart_of(
        blueprint("any", names, *(function(kind, f"f{kind}", a, b) for kind, a, b in ways))
    )


def laid_out(chart, direction="LR"):
    sizes = Sizes(
        {status.number: _status_size(status) for status in chart.statuses},
        tuple(_label_size(link) for link in chart.links),
    )
    return layout_of(chart, sizes, direction)


def boxes_of(layout):
    return [*layout.boxes.values(), *(line.label for line in layout.lines if line.label is not None)]


def points_on(strokes, parts=20):
    """Points along a line, from its begin to its end."""
    at = strokes[0].points[0]
    for stroke in strokes[1:]:
        handles = (at, *stroke.points)
        for part in range(parts + 1):
            yield bezier(handles, part / parts)
        at = stroke.points[-1]


def bezier(handles, t):
    while len(handles) > 1:
        handles = tuple(
            ((1 - t) * a[0] + t * b[0], (1 - t) * a[1] + t * b[1])
            for a, b in zip(handles, handles[1:], strict=False)
        )
    return handles[0]


@settings(max_examples=60, deadline=None)
@given(charts(), st.sampled_from(DIRECTIONS))
def test_nothing_overlaps_and_all_is_in_view(chart, direction):
    layout = laid_out(chart, direction)
    boxes = boxes_of(layout)

    for place, box in enumerate(boxes):
        assert not [other for other in boxes[place + 1 :] if box.overlaps(other)]
        assert box.width / 2 <= box.x <= layout.width - box.width / 2
        assert box.height / 2 <= box.y <= layout.height - box.height / 2


@settings(max_examples=60, deadline=None)
@given(charts())
def test_links_lead_to_higher_layers_but_those_that_close_a_cycle(chart):
    layout = laid_out(chart)

    for link, line in zip(chart.links, layout.lines, strict=True):
        if link.is_loop:
            continue
        is_forward = layout.layers[link.before] < layout.layers[link.after]
        assert is_forward is not line.is_backward


@settings(max_examples=60, deadline=None)
@given(charts(), st.sampled_from(DIRECTIONS))
def test_every_status_and_link_is_drawn_from_end_to_end(chart, direction):
    layout = laid_out(chart, direction)

    assert set(layout.boxes) == {status.number for status in chart.statuses}
    assert len(layout.lines) == len(chart.links)
    for link, line in zip(chart.links, layout.lines, strict=True):
        touches(layout.boxes[link.before], line.strokes[0].points[0])
        touches(layout.boxes[link.after], line.strokes[-1].points[-1])
        assert (line.label is None) is (link.kind == "step")


def touches(box, point):
    assert abs(point[0] - box.x) <= box.width / 2 + 0.1
    assert abs(point[1] - box.y) <= box.height / 2 + 0.1


@settings(max_examples=60, deadline=None)
@given(charts())
def test_no_line_runs_under_a_status(chart):
    layout = laid_out(chart)

    for line in layout.lines:
        for x, y in points_on(line.strokes):
            inside = [
                box
                for box in layout.boxes.values()
                if abs(x - box.x) < box.width / 2 - 0.1 and abs(y - box.y) < box.height / 2 - 0.1
            ]
            assert not inside


@settings(max_examples=20, deadline=None)
@given(charts())
def test_a_layout_is_the_same_each_time(chart):
    assert laid_out(chart) == laid_out(chart)


@settings(max_examples=100, deadline=None)
@given(charts())
def test_without_the_backward_links_there_is_no_cycle(chart):
    numbers = [status.number for status in chart.statuses]
    links = [(link.before, link.after) for link in chart.links]
    backward = backward_links(numbers, links, chart.starts)
    left = {link for place, link in enumerate(links) if place not in backward and link[0] != link[1]}
    while left:
        free = {n for n in numbers if all(after != n for _, after in left)}
        shorter = {link for link in left if link[0] not in free}
        assert shorter != left
        left = shorter


@pytest.mark.parametrize(("graph", "most"), [(orders, 0), (fan_out, 0), (returns, 9), (sixty, 40)])
def test_few_lines_cross(graph, most):
    layout = laid_out(chart_of(graph()))

    assert crossings(layout) <= most


def crossings(layout):
    """Count pairs of lines that cross, by their straight pieces."""
    pieces = []
    for number, line in enumerate(layout.lines):
        points = list(points_on(line.strokes, 4))
        pieces += [(number, a, b) for a, b in zip(points, points[1:], strict=False) if a != b]
    found = set()
    for place, (one, a, b) in enumerate(pieces):
        for other, c, d in pieces[place + 1 :]:
            if one != other and (one, other) not in found and cross(a, b, c, d):
                found.add((one, other))
    return len(found)


def cross(a, b, c, d):
    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def test_the_largest_graph_is_laid_out():
    ways = [function("step", f"f{n}", n, n % 1000 + 1, (n * 7) % 1000 + 1) for n in range(1, 1001)]
    chart = chart_of(blueprint("large", " ".join(f"S{n}" for n in range(1, 1001)), *ways))

    layout = laid_out(chart)

    assert len(layout.lines) == len(chart.links)


def test_boxes_that_touch_do_not_overlap():
    assert not Box(0, 0, 10, 10).overlaps(Box(10, 0, 10, 10))
    assert Box(0, 0, 10, 10).overlaps(Box(9, 9, 10, 10))
