"""The pytest plug-in of Stepgraph, apart from the package so that it costs nothing unused.

`stepgraph.testing.pytest_plugin` says what it does. pytest loads it wherever Stepgraph is
installed, so nothing of Stepgraph is imported before a test asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepgraph.testing.clock import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    """Return a clock that stands at 2030-01-01 until the test moves it."""
    from stepgraph.testing.clock import FakeClock

    return FakeClock()


def _open_workflows() -> frozenset[tuple[int, str]]:
    """Return what is open; nothing can be while the engine is not even imported."""
    if "stepgraph.engine.instance" not in sys.modules:
        return frozenset()
    from stepgraph.engine.instance import open_workflows

    return open_workflows()


@pytest.fixture(autouse=True)
def no_workflow_left_open() -> Iterator[None]:
    """Fail a test that leaves a workflow open: its tasks would run into the next test."""
    before = _open_workflows()
    yield
    left = sorted(name for _, name in _open_workflows() - before)
    if left:
        pytest.fail(
            f"left open at the end of the test: {', '.join(left)}."
            " Use `async with workflow:`, `async with Harness(...)`, or `await workflow.stop()`",
            pytrace=False,
        )
