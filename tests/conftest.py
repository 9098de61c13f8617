"""Fixtures: the backends that the engine's tests run on, and the servers that they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stepgraph.adapters.memory import Memory
from stepgraph.adapters.postgres import Postgres
from stepgraph.adapters.sqlite import SQLite
from tests.postgres import empty_postgres
from tests.servers import SERVERS


def pytest_terminal_summary(terminalreporter):
    """Name the servers that could not be had, so that nobody takes the rest for everything."""
    if SERVERS.missing:
        terminalreporter.section("NOT TESTED HERE", red=True, bold=True)
        for name, why in sorted(SERVERS.missing.items()):
            terminalreporter.line(f"{name}: {why}", red=True, bold=True)


def pytest_unconfigure():
    """Stop the servers, however the session ended."""
    SERVERS.stop()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def new_backend(request, tmp_path) -> Callable[[], Any]:
    """Return a function that gives further backends over one storage, as processes have them."""
    if request.param == "sqlite":
        return lambda: SQLite(tmp_path / "runs.db")
    if request.param == "postgres":
        url = empty_postgres()
        return lambda: Postgres(url)
    first = Memory()
    return first.twin


@pytest.fixture(params=["memory", "sqlite"])
def any_new_backend(request, tmp_path) -> Callable[[], Callable[[], Any]]:
    """Return a function that gives a `new_backend` over another storage at each call."""

    def fresh() -> Callable[[], Any]:
        if request.param == "memory":
            return Memory().twin
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return lambda: SQLite(folder / "runs.db")

    return fresh


@pytest.fixture
def backend(new_backend):
    """Return one backend."""
    return new_backend()
