"""Diagrams of a workflow: Mermaid, DOT, SVG, and text for terminals."""

from __future__ import annotations

from typing import Any, Literal

from stepgraph.blueprint import blueprint_of
from stepgraph.definition import Definition
from stepgraph.diagram.chart import chart_of
from stepgraph.diagram.dot import draw_dot
from stepgraph.diagram.layout import Direction
from stepgraph.diagram.mermaid import draw_mermaid
from stepgraph.diagram.svg import draw_svg
from stepgraph.diagram.text import draw_text
from stepgraph.model.blueprint import Blueprint


def draw(
    definition: Definition[Any, Any] | Blueprint,
    *,
    format: Literal["mermaid", "dot", "svg", "text"] = "mermaid",  # noqa: A002 -- the word of the listing
    direction: Direction = "LR",
) -> str:
    """Return the status graph of a workflow as text; writing it to a file is the caller's.

    `builder.definition()` and `workflow.definition` are definitions. The same definition gives the
    same text everywhere. Every name and description is escaped for the format. `direction` is where
    the flow goes (left to right, top to bottom, and their reverses); "text" has none. Raises
    `ValueError` for another format or direction.
    """
    blueprint = definition if isinstance(definition, Blueprint) else blueprint_of(definition)
    chart = chart_of(blueprint)
    if direction not in ("LR", "TB", "RL", "BT"):
        raise ValueError(f"there is no direction {direction!r}: LR, TB, RL or BT")
    if format == "mermaid":
        return draw_mermaid(chart, direction)
    if format == "dot":
        return draw_dot(chart, direction)
    if format == "svg":
        return draw_svg(chart, direction)
    if format == "text":
        return draw_text(chart)
    raise ValueError(f"there is no format {format!r}: mermaid, dot, svg or text")
