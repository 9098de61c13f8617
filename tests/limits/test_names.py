"""Names, statuses, graphs and specs: what a definition may be called and how large it may be."""

from enum import IntEnum
from typing import Any

import pytest

from stepgraph import Builder, DefinitionError, Skip
from stepgraph.model.cron import CronSpec
from stepgraph.model.graph import EDGE_LIMIT, STATUS_LIMIT, StatusGraph
from tests.flows import Order, Status
from tests.limits.corpus import FITTING


def named_workflow(name: Any):
    Builder(name, Order, Status)


def named_connector(name: Any):
    Builder("orders", Order, Status).add_connector(name, lambda workflow, event: None)


def named_callback(name: Any):
    Builder("orders", Order, Status).add_callback(
        Status.CREATED, lambda run, payload: Skip(), to=Status.PAID, name=name
    )


def named_hook(name: Any):
    Builder("orders", Order, Status).on(name=name)(lambda change: None)


SURFACES = [named_workflow, named_connector, named_callback, named_hook]


@pytest.mark.parametrize("declare", SURFACES)
@pytest.mark.parametrize("name", ["a", "x" * 63, "x" * 64, "A.b_c-9", "...", "-"])
def test_a_name_that_fits_is_taken(declare, name):
    declare(name)


BAD = {
    "empty": "",
    "65": "x" * 65,
    "a million": "x" * 1_000_000,
    "newline at the end": "orders\n",
    "nul": "a\x00",
    "surrogate": "a\ud800",
    "digits of another script": "\u0661",
    "number": 7,
    **{k: v for k, v in FITTING.items() if k not in ("one letter", "capitals", "digits", "none")},
}


@pytest.mark.parametrize("declare", SURFACES)
@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_a_name_that_does_not_fit_is_refused(declare, name):
    if isinstance(name, str) and len(name) == 255:
        name += " "
    with pytest.raises(DefinitionError, match=r"must be 1 to 64 of A-Z a-z 0-9 \. _ -") as caught:
        declare(name)

    assert len(str(caught.value)) < 250
    assert str(caught.value).isascii()


@pytest.mark.parametrize("number", [-(2**31), -(2**31) + 1, -1, 0, 2**31 - 2, 2**31 - 1])
def test_a_status_of_32_bits_is_taken(number):
    Builder("orders", Order, IntEnum("Numbers", {"ONE": number}))


@pytest.mark.parametrize("number", [-(2**31) - 1, 2**31, 10**1_000])
def test_a_larger_status_is_refused(number):
    with pytest.raises(DefinitionError, match=r"Numbers\.ONE is .* 32 bits: give it") as caught:
        Builder("orders", Order, IntEnum("Numbers", {"ONE": number}))

    assert len(str(caught.value)) < 250


def test_a_status_is_no_bool_and_has_one_name():
    assert type(IntEnum("Claims", {"IS": True}).IS.value) is int  # an IntEnum sees to it itself
    with pytest.raises(DefinitionError, match="are both 1"):
        Builder("orders", Order, IntEnum("Twins", {"ONE": 1, "UNO": 1}))
    with pytest.raises(DefinitionError, match="no members"):
        Builder("orders", Order, IntEnum("Nothing", {}))
    with pytest.raises(DefinitionError, match="no IntEnum"):
        Builder("orders", Order, Order)


@pytest.mark.parametrize("more", [-1, 0])
def test_a_graph_of_the_limits_is_taken(more):
    count = STATUS_LIMIT + more
    assert len(StatusGraph.of((n, n + 1) for n in range(count - 1)).statuses) == count
    edges = [(n, m) for n in range(100) for m in range(101)][: EDGE_LIMIT + more]
    assert len(StatusGraph.of(edges).edges) == EDGE_LIMIT + more


def test_a_larger_graph_is_refused():
    with pytest.raises(DefinitionError, match=f"{STATUS_LIMIT + 1} statuses; at most {STATUS_LIMIT}"):
        StatusGraph.of((n, n + 1) for n in range(STATUS_LIMIT))
    edges = [(n, m) for n in range(101) for m in range(100)][: EDGE_LIMIT + 1]
    with pytest.raises(DefinitionError, match=f"{EDGE_LIMIT + 1} edges; at most {EDGE_LIMIT}"):
        StatusGraph.of(edges)


@pytest.mark.parametrize("size", [255, 256])
def test_a_schedule_of_the_limit_is_taken(size):
    spec = "0 9 * * 1-5"
    assert CronSpec.parse(spec + " " * (size - len(spec))).after(0) is not None


@pytest.mark.parametrize("size", [257, 1_000_000])
def test_a_longer_schedule_is_refused(size):
    with pytest.raises(DefinitionError, match=f"has {size} characters; 256 fit") as caught:
        CronSpec.parse("0 9 * * 1-5".ljust(size))

    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("spec", ["@every 1s", "@every 1000ms", "0 0 29 2 *"])
def test_a_schedule_that_comes_at_most_each_second_is_taken(spec):
    assert CronSpec.parse(spec).after(0) is not None


@pytest.mark.parametrize("spec", ["@every 0s", "@every 999ms", "@every -1s", "0 0 30 2 *", "", "*", "\x00 * * * *"])
def test_a_schedule_that_never_or_always_comes_is_refused(spec):
    with pytest.raises(DefinitionError, match="the schedule"):
        CronSpec.parse(spec)
