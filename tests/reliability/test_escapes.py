"""Nothing in the core asks the machine for time, chance or threads but through the ports."""

import ast
from pathlib import Path

import pytest

SOURCE = Path("src/stepgraph")
# The last two carry calls from threads of the user's onto the loop; no core file uses them.
PORTS = (
    "ports/clock.py",
    "ports/identity.py",
    "engine/threads.py",
    "engine/bridge.py",
    "engine/loop_thread.py",
)
MODULES = {"time", "random", "secrets", "threading", "uuid", "concurrent.futures"}
CALLS = ("os.urandom", "datetime.now", "asyncio.to_thread", ".run_in_executor", "datetime.utcnow")


def escapes(path, text):
    """Return what a file of the core asks for that a simulation could not give."""
    if path.endswith(PORTS):
        return []
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [f"{path}: import {a.name}" for a in node.names if a.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found.append(f"{path}: from {node.module}")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [f"{path}: {called}" for name in CALLS if f".{called}".endswith(f".{name.strip('.')}")]
        elif isinstance(node, ast.For | ast.comprehension):
            over = node.iter
            is_set = isinstance(over, ast.Set | ast.SetComp) or (
                isinstance(over, ast.Call) and ast.unparse(over.func) in ("set", "frozenset")
            )
            found += [f"{path}: goes through a set"] if is_set else []
    return found


def test_the_core_has_no_escape():
    core = [p for p in sorted(SOURCE.rglob("*.py")) if "adapters" not in p.parts or "memory" in p.parts]

    assert [e for path in core for e in escapes(str(path), path.read_text())] == []


@pytest.mark.parametrize(
    "planted",
    [
        "import time",
        "from random import random",
        "import threading",
        "os.urandom(8)",
        "datetime.now(UTC)",
        "asyncio.to_thread(f)",
        "loop.run_in_executor(None, f)",
        "for x in {1, 2}: pass",
        "y = [x for x in set(z)]",
    ],
)
def test_a_planted_escape_is_found(planted):
    assert escapes("src/stepgraph/engine/planted.py", planted)


def test_sorted_sets_are_no_escape():
    assert escapes("src/stepgraph/x.py", "for x in sorted(set(z)): pass") == []
