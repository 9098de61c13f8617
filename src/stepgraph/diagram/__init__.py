"""Diagrams of a workflow: Mermaid, DOT, SVG, and text for terminals."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from stepgraph.blueprint import blueprint_of
from stepgraph.definition import Definition
from stepgraph.diagram.chart import chart_of
from stepgraph.diagram.dot import draw_dot
from stepgraph.diagram.layout import Direction
from stepgraph.diagram.mermaid import draw_mermaid
from stepgraph.diagram.svg import draw_svg
from stepgraph.diagram.text import draw_text
from stepgraph.model.blueprint import Blueprint

Format: TypeAlias = Literal["mermaid", "dot", "svg", "text"]


def draw(
    definition: Definition[Any, Any],
    *,
    format: Format = "mermaid",  # noqa: A002 -- the word of the listing
    direction: Direction = "LR",
) -> str:
    """Return the status graph of a workflow as text; writing it to a file is the caller's.

    `builder.definition()` and `workflow.definition` are definitions. The same definition gives the
    same text everywhere. Every name and description is escaped for the format. `direction` is where
    the flow goes (left to right, top to bottom, and their reverses); "text" has none. Raises
    `ValueError` for another format or direction.
    """
    return draw_blueprint(blueprint_of(definition), format, direction)


def draw_blueprint(
    blueprint: Blueprint, form: Format = "mermaid", direction: Direction = "LR"
) -> str:
    """Return the same for a blueprint: of code that is not here, as it was stored."""
    chart = chart_of(blueprint)
    if direction not in ("LR", "TB", "RL", "BT"):
        raise ValueError(f"there is no direction {direction!r}: LR, TB, RL or BT")
    if form == "mermaid":
        return draw_mermaid(chart, direction)
    if form == "dot":
        return draw_dot(chart, direction)
    if form == "svg":
        return draw_svg(chart, direction)
    if form == "text":
        return draw_text(chart)
    raise ValueError(f"there is no format {form!r}: mermaid, dot, svg or text")
