"""The table of parity names tests that exist, in every row."""

import ast
import re
from functools import cache
from pathlib import Path

PAGE = Path("docs/parity.md")
PROOF = re.compile(r"`([\w/]+\.py)::(\w+)`")
ROWS = [
    line
    for line in PAGE.read_text().splitlines()
    if line.startswith("|") and not re.match(r"\| (---|the reference|weakness) ", line)
]


@cache
def functions_of(path):
    """The names of all functions of a file, those of classes too."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(ast.parse(Path(path).read_text())) if isinstance(node, kinds)}


def missing_of(text):
    """What a text names as proof and is not there."""
    return [
        f"{path}::{name}"
        for path, name in PROOF.findall(text)
        if not name.startswith("test_") or not Path(path).is_file() or name not in functions_of(path)
    ]


def test_every_proof_exists():
    assert missing_of(PAGE.read_text()) == []


def test_every_row_has_a_proof_and_says_why_where_it_differs():
    assert len(ROWS) > 150
    assert [row for row in ROWS if not PROOF.search(row.split(" | ")[-1])] == []
    different = [row for row in ROWS if "ifferent on purpose" in row]
    assert [row for row in different if not re.search(r"\]\([\w/.-]+\.md\)", row)] == []


def test_every_weakness_has_its_row():
    """Of L and N only those whose parts are here."""
    found = {name for row in ROWS for name in re.findall(r"^\| ((?:[A-O]\d+(?:, )?)+)", row) for name in name.split(", ")}
    counts = {"A": 20, "B": 7, "C": 5, "D": 3, "E": 8, "F": 3, "G": 3, "H": 4, "I": 7, "J": 4, "K": 9, "M": 4, "O": 7}
    expected = {f"{letter}{n}" for letter, count in counts.items() for n in range(1, count + 1)}
    assert expected <= found


def test_a_proof_that_does_not_exist_is_found():
    for planted in (
        "`tests/engine/test_steps.py::test_no_such_thing`",
        "`tests/engine/test_nothing.py::test_a_run_goes_through_all_steps`",
        "`tests/engine/test_steps.py::until`",
    ):
        assert missing_of(planted)
