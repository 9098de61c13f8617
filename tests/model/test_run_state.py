"""Run states: numbers, words, and which may follow which."""

import pytest

from stepgraph import RunState
from stepgraph.model.run_state import can_change

I, R, P, C, X, D, Q = (
    RunState.INITIATED, RunState.RUNNING, RunState.PAUSED, RunState.COMPLETED,
    RunState.CANCELLED, RunState.DATA_DELETED, RunState.REQUESTED_DATA_DELETED,
)  # fmt: skip
LEGAL = {
    I: {R, P, C, X},
    R: {R, P, C, X},
    P: {R, X},
    C: {Q},
    X: {Q},
    Q: {D},
    D: {Q},
    RunState.UNKNOWN: {I},
}


def test_the_numbers_are_those_of_the_first_readme():
    assert [state.value for state in (I, R, P, C, X, D, Q)] == list(range(1, 8))


@pytest.mark.parametrize("before", RunState)
@pytest.mark.parametrize("after", RunState)
def test_every_change_is_legal_or_not(before, after):
    assert can_change(before, after) is (after in LEGAL[before])


def test_open_and_finished_part_the_states():
    assert [state for state in RunState if state.is_open] == [I, R, P]
    assert [state for state in RunState if state.is_finished] == [C, X, D, Q]
