"""Planted bugs are found, and put back."""

import pytest

from reliability.bank import BUGS, Planting
from reliability.bank.search import hunt
from reliability.checker import ELSEWHERE, TABLE

QUICK = [
    "blind write",
    "two open runs",
    "ack before effect",
    "work row is lost",
    "a change is doubled",
    "relay deletes first",
    "key is shared",
    "callbacks are lost in silence",
    "timers stray",
    "seen version is ignored",
]


def test_the_bank_is_large_and_names_what_should_catch_each():
    names = [bug.name for bug in BUGS]
    known = {*TABLE, *ELSEWHERE}

    assert len(names) == len(set(names)) >= 80
    assert all(bug.catchers and set(bug.catchers) <= known for bug in BUGS)


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found_within_a_few_seeds(name):
    catch = hunt(next(bug for bug in BUGS if bug.name == name), most=6)

    assert catch.seeds, catch.invariants


def test_a_planted_bug_can_be_put_back():
    class Owner:
        fact = "true"

    planting = Planting()
    planting.put(Owner, "fact", "false")
    planting.undo()

    assert Owner.fact == "true"
