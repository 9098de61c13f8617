"""Diagrams are the same everywhere, valid, complete, and safe whatever the names are."""

import os
import re
import shutil
import subprocess
from datetime import timedelta
from enum import IntEnum
from html import unescape
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.orders.flow import orders as example_orders
from stepgraph import Builder, Run, draw
from stepgraph.diagram import draw_blueprint
from stepgraph.diagram.chart import chart_of
from stepgraph.diagram.style import _TOKENS
from stepgraph.diagram.svg import draw_svg
from stepgraph.diagram.words import duration_text, plain
from tests.diagram.graphs import DAY, blueprint, fan_out, function, orders, returns, sixty
from tests.flows import Order, Status

GOLDEN = Path(__file__).parent / "golden"
ENDINGS = {"mermaid": "mmd", "dot": "dot", "svg": "svg", "text": "txt"}
GRAPHS = {"orders": orders, "returns": returns, "fan_out": fan_out, "sixty": sixty}
HOSTILE = '"]; %%{init}%% <script>alert(1)</script> & \\N --> [*] #quot; \x1b[31m\nclick n1 `x` --- \u202e'
SVG = "{http://www.w3.org/2000/svg}"


def golden_cases():
    """Every format of every graph, and the upright picture of two."""
    cases = [(name, form, "LR") for name in GRAPHS for form in ENDINGS if (name, form) != ("sixty", "svg")]
    return [*cases, ("orders", "svg", "TB"), ("returns", "svg", "TB")]


@pytest.mark.parametrize(("name", "form", "direction"), golden_cases())
def test_a_drawing_is_what_it_was(name, form, direction):
    """Set STEPGRAPH_GOLDEN=write to accept a change, and look at the pictures before that."""
    path = GOLDEN / f"{name}_{direction}.{ENDINGS[form]}"
    drawn = draw_blueprint(GRAPHS[name](), form=form, direction=direction)
    if os.environ.get("STEPGRAPH_GOLDEN") == "write":
        path.write_text(drawn)

    assert drawn == path.read_text()


def test_a_definition_is_drawn_as_it_was_declared():
    class Parcel(IntEnum):
        HELD = 1
        FREED = 2

    parcels = Builder("parcels", Order, Parcel)

    @parcels.timeout(Parcel.HELD, after=timedelta(hours=36))
    async def free(run: Run[Order, Parcel]) -> Literal[Parcel.FREED]:
        """Nobody objected."""
        return Parcel.FREED

    text = draw(parcels.definition(), format="text")

    assert "timeout free after 1 day 12 h" in text
    assert "Nobody objected." in draw(parcels.definition(), format="svg")
    assert "charge" in draw(example_orders.definition())


def test_a_workflow_that_leads_nowhere_is_drawn():
    ending = Builder("ending", Order, Status)
    ending.add_step(Status.CREATED, lambda run: None, to=[])
    for form in ENDINGS:
        assert "CREATED" in draw(ending.definition(), format=form)


@pytest.mark.parametrize(("option", "value"), [("format", "png"), ("direction", "XY")])
def test_an_unknown_word_is_refused(option, value):
    with pytest.raises(ValueError, match=f"no {option} '{value}'"):
        draw(example_orders.definition(), **{option: value})


def hostile(text=HOSTILE):
    """Names, descriptions and a workflow's name with everything that a format could trip over."""
    named = blueprint(
        text,
        "A B C",
        function("callback", text, 1, 2, description=text),
        function("step", text, 2, 1, description=text),
        function("timeout", text, 1, 1, after=DAY),
        function("join", text, 2, 3),
    )
    return named


@given(st.text(max_size=40))
def test_any_name_gives_well_formed_xml_with_that_name(text):
    root = ElementTree.fromstring(draw_blueprint(hostile(text), form="svg"))

    assert {child.tag for child in root.iter()} <= {SVG + tag for tag in ALLOWED}
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == f"Workflow {plain(text, 80)}"


ALLOWED = ["svg", "title", "desc", "style", "rect", "g", "path", "circle", "text"]


def test_a_picture_runs_nothing_and_loads_nothing():
    svg = draw_blueprint(hostile(), form="svg")
    root = ElementTree.fromstring(svg)

    assert not [a for child in root.iter() for a in child.attrib if a.startswith("on") or "href" in a]
    assert "url(" not in svg
    assert "@import" not in svg
    assert root.get("role") == "img"
    labelled = (root.get("aria-labelledby") or "").split()
    assert set(labelled) <= {child.get("id") for child in root.iter()}


def test_ids_name_the_workflow_and_are_unique():
    root = ElementTree.fromstring(draw_blueprint(returns(), form="svg"))
    ids = [child.get("id") for child in root.iter() if child.get("id")]

    assert len(ids) == len(set(ids))
    assert "stepgraph-returns-status-3" in ids
    assert "stepgraph-returns-edge-3-9-timeout" in ids


def test_a_page_can_bring_its_own_style():
    assert "<style>" not in draw_svg(chart_of(orders()), "LR", has_style=False)


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("text", "surface", 4.5), ("text", "accent-tint", 4.5), ("text-3", "surface", 4.5), ("text-3", "accent-tint", 4.5),
        ("callback", "callback-tint", 4.5), ("timer", "timer-tint", 4.5), ("join", "join-tint", 4.5),
        ("edge", "canvas", 3), ("callback", "canvas", 3), ("timer-line", "canvas", 3), ("done", "canvas", 3), ("accent", "canvas", 3),
    ],
)  # fmt: skip
def test_colours_can_be_told_apart(scheme, front, back, least):
    """By the contrast that WCAG 2.2 asks of texts and of lines."""
    dark, light = sorted(luminance(_TOKENS[name][scheme]) for name in (front, back))

    assert (light + 0.05) / (dark + 0.05) >= least


MERMAID = [
    re.compile(line)
    for line in (
        r"---", r'title: "[^\n]*"', r"stateDiagram-v2", r"    direction (LR|TB|RL|BT)",
        r'    state "(?:[A-Za-z0-9 _.,()]|#\d+;)+" as n\d+',
        r"    \[\*\] --> n\d+", r"    n\d+ --> \[\*\]",
        r"    n\d+ --> n\d+ : (?:[A-Za-z0-9 _.,()]|#\d+;)+",
        r"    classDef unreachable stroke-dasharray: 4 4", r"    class n\d+ unreachable",
    )
]  # fmt: skip


@given(st.text(max_size=40))
def test_mermaid_keeps_to_the_grammar_whatever_the_names_are(text):
    for line in draw_blueprint(hostile(text)).splitlines():
        assert any(pattern.fullmatch(line) for pattern in MERMAID), line


def test_a_name_cannot_be_taken_for_a_statement_of_mermaid():
    drawn = draw_blueprint(hostile("direction LR"))

    assert [line for line in drawn.splitlines() if "direction" in line][1:] == ["    direction LR"]


def test_mermaid_draws_every_transition_once():
    drawn = [line for line in draw_blueprint(returns()).splitlines() if re.search(r"n\d+ --> n\d+", line)]

    assert len(drawn) == len(set(drawn)) == len(chart_of(returns()).links)


DOT_TOKENS = re.compile(r'"(?:[^"\\]|\\["\\])*"|[A-Za-z_][\w]*|[\d.]+|->|[{}\[\]=;]|\s+')


@given(st.text(max_size=40))
def test_dot_is_made_of_whole_tokens_whatever_the_names_are(text):
    drawn = draw_blueprint(hostile(text), form="dot")
    outside = re.sub(r'"(?:[^"\\]|\\["\\])*"', "", drawn)

    assert DOT_TOKENS.sub("", drawn) == ""
    assert outside.count("{") == outside.count("}") == 1
    assert not [c for c in drawn if not c.isprintable() and c != "\n"] or not text.isprintable()


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not on this machine")
def test_graphviz_reads_back_the_names():
    command = ["dot", "-Tsvg"]
    drawn = draw_blueprint(hostile("a & b \\N \"q\" <i> &lt; end"), form="dot")

    result = subprocess.run(command, input=drawn, capture_output=True, text=True, check=True)

    assert "step" not in result.stderr
    assert 'callback a & b \\N "q" <i> &lt; end' in unescape(result.stdout).replace("\xa0", " ")


def test_text_has_no_controls():
    text = draw_blueprint(hostile(), form="text")

    assert all(character.isprintable() or character == "\n" for character in text)
    assert "↺" in text


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0 s"), (1, "1 us"), (1_500_000, "1 s 500 ms"), (90 * 60_000_000, "1 h 30 min"),
        (DAY, "1 day"), (2 * DAY + 3, "2 days 3 us"),
    ],
)  # fmt: skip
def test_a_duration_reads_as_people_say_it(microseconds, text):
    assert duration_text(microseconds) == text
