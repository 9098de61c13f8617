"""Mermaid: a chart as the text of a state diagram."""

from __future__ import annotations

import json
import re

from stepgraph.diagram.chart import Chart

# All else is written by its number: no label can end itself, begin a directive, or be markup.
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _.,()")

# The grammar takes a line that has "direction LR" anywhere, labels included, for that statement.
_DIRECTION = re.compile("d(?=irection)", re.IGNORECASE)


def draw_mermaid(chart: Chart, direction: str) -> str:
    """Return a `stateDiagram-v2` with a title; states are called n1, n2 and so on."""
    names = {status.number: f"n{place}" for place, status in enumerate(chart.statuses, 1)}
    lines = ["---", f"title: {json.dumps(chart.name)}", "---", "stateDiagram-v2"]
    lines.append(f"    direction {direction}")
    lines += [f'    state "{_escaped(s.name)}" as {names[s.number]}' for s in chart.statuses]
    lines += [f"    [*] --> {names[number]}" for number in chart.starts]
    lines += [
        f"    {names[link.before]} --> {names[link.after]} : {_escaped(link.words)}"
        for link in chart.links
    ]
    lines += [f"    {names[s.number]} --> [*]" for s in chart.statuses if s.is_end]
    lost = [names[s.number] for s in chart.statuses if not s.is_reachable]
    if lost:
        lines.append("    classDef unreachable stroke-dasharray: 4 4")
        lines += [f"    class {name} unreachable" for name in lost]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    escaped = "".join(c if c in _SAFE else f"#{ord(c)};" for c in text)
    return _DIRECTION.sub(lambda found: f"#{ord(found[0])};", escaped)
