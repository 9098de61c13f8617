"""Trials lapse, are extended, or become subscriptions."""

from examples.timeout.flow import Status, Trial, end_of_trial, lapse, trials
from stepgraph.testing import Harness, make_run
from tests.examples.programs import printed_by


def test_the_program_lets_three_weeks_pass():
    assert printed_by("timeout") == [
        "ada: SUBSCRIBED, subscribed on 13 January",
        "alan: LAPSED, lapsed on 15 January",
        "grace: LAPSED, lapsed on 22 January",
        "ada@example.com: four days left on 11 January",
        "alan@example.com: four days left on 11 January",
        "grace@example.com: four days left on 11 January",
    ]


async def test_a_timer_is_gone_with_the_status(backend, fake_clock):
    from datetime import timedelta

    outbox = []
    options = {"backend": backend, "clock": fake_clock, "resources": {"outbox": outbox}}
    async with Harness(trials, **options) as harness:
        await harness.trigger("ada", Trial("ada@example.com"))
        await harness.advance(timedelta(days=1))
        await harness.callback("ada", Status.TRYING)
        await harness.advance(timedelta(days=30))

        assert outbox == []
        assert (await harness.latest("ada")).status is Status.SUBSCRIBED


async def test_one_function_alone():
    run = make_run(Trial("a@example.com", extra_days=2), Status.TRYING)
    assert (end_of_trial(run) - run.entered_at).days == 16
    assert await lapse(run) is Status.LAPSED
