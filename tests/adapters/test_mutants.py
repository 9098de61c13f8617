"""Every check of the conformance kit catches an adapter that is broken in its way."""

import asyncio

import pytest

from stepgraph.testing import conformance
from tests.adapters.mutants import MUTANTS as FIRST_MUTANTS
from tests.adapters.retention_mutants import RETENTION_MUTANTS

MUTANTS = FIRST_MUTANTS | RETENTION_MUTANTS

SUITES = [getattr(conformance, name) for name in conformance.__all__]
CHECKS = [
    pytest.param(suite, name, id=f"{suite.__name__}.{name}")
    for suite in SUITES
    for name in vars(suite)
    if name.startswith("test_")
]


def mutant_of(suite, name):
    """Return the broken adapter of a check."""
    fact = name.removeprefix("test_")
    if suite is conformance.ConnectorSuite and f"connector: {fact}" in MUTANTS:
        fact = f"connector: {fact}"
    return MUTANTS[fact]()


@pytest.mark.parametrize(("suite", "name"), CHECKS)
async def test_a_check_catches_its_mutant(suite, name, monkeypatch):
    monkeypatch.setattr(asyncio, "timeout", shortened(asyncio.timeout))
    with pytest.raises((AssertionError, TimeoutError, RuntimeError, IndexError)):
        await getattr(suite(), name)(mutant_of(suite, name))


def shortened(timeout):
    """Let a check that waits for what a mutant lost give up soon."""
    return lambda delay: timeout(min(delay, 0.3))
