"""Simulated processes die without closing anything; what they had open is forgotten with them."""

import pytest

from stepgraph.engine import instance

# Kept for ever: to collect a dead process's coroutines would run what a crash does not run.
_dead = []


@pytest.fixture(autouse=True)
def dead_processes_are_forgotten(no_workflow_left_open):
    before = dict(instance._opened)
    yield
    _dead.append(dict(instance._opened))
    instance._opened.clear()
    instance._opened.update(before)
