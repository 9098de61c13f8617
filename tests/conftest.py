"""Fixtures: the backends that the engine's tests run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stepgraph.adapters.memory import Memory
from stepgraph.adapters.sqlite import SQLite


@pytest.fixture(params=["memory", "sqlite"])
def new_backend(request, tmp_path) -> Callable[[], Any]:
    """Return a function that gives further backends over one storage, as processes have them."""
    if request.param == "sqlite":
        return lambda: SQLite(tmp_path / "runs.db")
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
