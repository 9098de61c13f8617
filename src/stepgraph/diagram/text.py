"""Text: a chart as lines for a terminal."""

from __future__ import annotations

from stepgraph.diagram.chart import Chart, ChartStatus, Link
from stepgraph.diagram.cycle import backward_links

_LINES = {"step": ("──", "──▶"), "callback": ("─○", "──▶"), "timeout": ("┄┄", "┄┄▶")}
_JOIN = ("══", "══▶")


def draw_text(chart: Chart) -> str:
    """Return one block for each status, in the order in which a run may come to them.

    A filled dot marks a start, a ring in a ring an end, a question mark what cannot be reached;
    an arrow that turns closes a cycle.
    """
    order = _order(chart)
    names = {status.number: status.name for status in chart.statuses}
    ways = [(link.before, link.after) for link in chart.links]
    backward = backward_links(order, ways, chart.starts)
    leaving: dict[int, list[tuple[Link, bool]]] = {number: [] for number in order}
    for place, link in enumerate(chart.links):
        leaving[link.before].append((link, place in backward or link.is_loop))
    width = max((len(link.words) for link in chart.links), default=0)
    statuses = {status.number: status for status in chart.statuses}
    lines = [chart.name, ""]
    for number in order:
        lines.append(_headline(statuses[number]))
        links = leaving[number]
        for place, (link, is_back) in enumerate(links, 1):
            corner = "└" if place == len(links) else "├"
            line, arrow = _LINES.get(link.kind, _JOIN)
            turn = " ↺" if is_back else ""
            words = link.words.ljust(width)
            lines.append(f"    {corner}{line} {words} {arrow} {names[link.after]}{turn}")
    return "\n".join(lines) + "\n"


def _headline(status: ChartStatus) -> str:
    mark = "●" if status.is_start else "◎" if status.is_end else " "
    if not status.is_reachable:
        mark = "?"
    return f"  {mark} {status.name}"


def _order(chart: Chart) -> list[int]:
    """Breadth first from the starts, then what cannot be reached."""
    following: dict[int, list[int]] = {}
    for link in chart.links:
        following.setdefault(link.before, []).append(link.after)
    order = list(chart.starts)
    for number in order:
        order += [n for n in dict.fromkeys(following.get(number, ())) if n not in order]
    return [*order, *(s.number for s in chart.statuses if s.number not in order)]
