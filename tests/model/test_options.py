"""The options: their defaults, their merge, and what is refused."""

from datetime import timedelta

import pytest

from stepgraph import Backoff, DefinitionError
from stepgraph.adapters.memory import Memory
from stepgraph.model.options import (
    StepSettings,
    WorkflowSettings,
    resolve_step_settings,
    resolve_workflow_settings,
)
from tests.flows import three_steps

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def test_the_defaults_are_those_of_the_documents():
    step, workflow = StepSettings(), WorkflowSettings()

    assert (step.parallel_count, step.concurrency, step.pause_after_error_count) == (1, 32, 0)
    assert (step.polling_interval, step.consume_lag) == (timedelta(milliseconds=500), timedelta(0))
    assert (step.lag_alert, step.time_limit) == (30 * MINUTE, 5 * MINUTE)
    assert step.retry == Backoff(timedelta(seconds=1), 5 * MINUTE, 2.0, "full")
    assert (workflow.pause_retry, workflow.stuck_after) == (HOUR, MINUTE)


def test_absent_means_inherit_and_present_wins():
    build = {"parallel_count": 4, "pause_after_error_count": 3, "time_limit": HOUR}
    merged = resolve_step_settings(build, {"pause_after_error_count": 0, "concurrency": 7})

    # What is set at one place resets nothing else: back-off and polling are still the library's.
    assert merged.retry == Backoff()
    assert merged.polling_interval == timedelta(milliseconds=500)
    assert (merged.parallel_count, merged.time_limit, merged.concurrency) == (4, HOUR, 7)
    # A function can switch off what the workflow switched on.
    assert merged.pause_after_error_count == 0


@pytest.mark.parametrize(
    ("build", "own", "expected"),
    [
        ({}, {}, 30 * MINUTE),
        ({}, {"consume_lag": HOUR}, HOUR + 30 * MINUTE),
        ({"consume_lag": HOUR}, {}, HOUR + 30 * MINUTE),
        ({"lag_alert": MINUTE}, {"consume_lag": HOUR}, MINUTE),
        ({}, {"consume_lag": HOUR, "lag_alert": 2 * MINUTE}, 2 * MINUTE),
        ({}, {"lag_alert": timedelta(0)}, timedelta(0)),
    ],
)
def test_what_is_held_back_on_purpose_is_not_late(build, own, expected):
    assert resolve_step_settings(build, own).lag_alert == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"parallel_count": 0},
        {"parallel_count": True},
        {"concurrency": 0},
        {"pause_after_error_count": -1},
        {"time_limit": timedelta(0)},
        {"polling_interval": timedelta(0)},
        {"consume_lag": -HOUR},
        {"retry": 5},
    ],
)
def test_a_value_out_of_range_is_refused_at_build(wrong):
    with pytest.raises(DefinitionError):
        three_steps().build(Memory(), **wrong)


def test_a_misspelt_option_is_named():
    with pytest.raises(TypeError, match="did you mean 'parallel_count'"):
        three_steps(paralel_count=2)
    with pytest.raises(TypeError, match="did you mean 'pause_retry'"):
        resolve_workflow_settings({"pause_retri": None})


def note(change):
    """A hook."""


def test_what_a_kind_of_function_does_not_have_is_refused():
    orders = three_steps()
    with pytest.raises(TypeError, match="parallel_count"):
        orders.on(parallel_count=2)(note)


def test_back_off_grows_to_its_cap_with_jitter():
    backoff = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=10))
    whole = [backoff.delay(attempt, 1.0).total_seconds() for attempt in (1, 2, 3, 4, 5, 1000)]

    assert whole == [1, 2, 4, 8, 10, 10]
    assert backoff.delay(4, 0.25) == timedelta(seconds=2)
    assert resolve_step_settings({}, {"retry": MINUTE}).retry.delay(9, 0.0) == MINUTE
