"""DOT: a chart as input for Graphviz."""

from __future__ import annotations

from stepgraph.diagram.chart import Chart, Link

_STYLES = {
    "step": "solid",
    "callback": "solid",
    "timeout": "dashed",
    "join": "bold",
}


def draw_dot(chart: Chart, direction: str) -> str:
    """Return a digraph; nodes are called n1, n2 and so on, the dots of the starts s1, s2."""
    names = {status.number: f"n{place}" for place, status in enumerate(chart.statuses, 1)}
    lines = [
        f"digraph {_quoted(chart.name)} {{",
        f"    rankdir={direction}",
        '    node [shape=box style=rounded fontname="Helvetica" fontsize=11]',
        '    edge [fontname="Helvetica" fontsize=9]',
    ]
    for status in chart.statuses:
        options = f"label={_quoted(status.name)} tooltip={_quoted(status.description or ' ')}"
        if status.is_end:
            options += " peripheries=2"
        if not status.is_reachable:
            options += ' style="rounded,dashed"'
        lines.append(f"    {names[status.number]} [{options}]")
    for place, number in enumerate(chart.starts, 1):
        lines.append(f'    s{place} [shape=point width=0.12 label=""]')
        lines.append(f"    s{place} -> {names[number]}")
    lines += [f"    {names[k.before]} -> {names[k.after]} [{_options(k)}]" for k in chart.links]
    return "\n".join([*lines, "}"]) + "\n"


def _options(link: Link) -> str:
    tail = " dir=both arrowtail=odot" if link.kind == "callback" else ""
    style = _STYLES.get(link.kind, "solid")
    return f"label={_quoted(link.words)} tooltip={_quoted(link.sentences)} style={style}{tail}"


def _quoted(text: str) -> str:
    """A quoted string: Graphviz reads entities and escapes in it, so neither may come from us."""
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
