"""A pytest plug-in: `pytest_plugins = ["stepgraph.testing.pytest_plugin"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepgraph.engine.instance import open_instances
from stepgraph.testing.clock import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    """Return a clock that stands at 2030-01-01 until the test moves it."""
    return FakeClock()


@pytest.fixture(autouse=True)
def no_workflow_left_open() -> Iterator[None]:
    """Fail a test that leaves a workflow open: its tasks would run into the next test."""
    before = set(open_instances())
    yield
    left = sorted(set(open_instances()) - before)
    if left:
        pytest.fail(f"left open at the end of the test: {', '.join(left)}; use `async with`")
