"""Reports are asked for by the clock, on working days, and no slot is lost or doubled."""

from datetime import timedelta

import pytest

from examples.schedule.flow import Report, Status, reports
from stepgraph.testing import Faults, Harness
from tests.examples.programs import printed_by

DAY = timedelta(days=1)


def resources(*outages):
    return {"outbox": [], "holidays": frozenset({"01-01"}), "outages": set(outages)}


def test_the_program_lets_a_week_and_a_half_pass():
    assert printed_by("schedule") == [
        "01 January at 02 January 08:00",
        "02 January at 03 January 08:10",
        "03 January at 04 January 08:00",
        "customer 7 at 07 January 12:00",
        "08 January at 09 January 08:00",
        "customer-7: triggered, next 2030-01-14 12:00:00+00:00",
        "daily: triggered, next 2030-01-10 09:00:00+01:00",
    ]


async def test_two_weeks_have_nine_working_days_after_the_holiday(backend):
    given = resources("08 January")
    async with Harness(reports, backend=backend, resources=given) as harness:
        await harness.advance(14 * DAY)
        assert len(given["outbox"]) == 9
        assert [line for line in given["outbox"] if ":10" in line] == ["08 January at 09 January 08:10"]
        assert (await harness.latest("daily")).status is Status.SENT
        await harness.require("daily", Status.COUNTED, Report("13 January", pages=3))


@pytest.mark.parametrize("seed", range(4))
async def test_crashes_and_repeats_lose_and_double_no_slot(seed):
    given = resources()
    faults = Faults(seed=seed, drop=0.1, repeat=0.3, crash=0.1)
    async with Harness(reports, faults=faults, resources=given) as harness:
        await harness.advance(14 * DAY)
        assert await harness.workflow.runs.count(foreign_id="daily") == 9
    # A mail may go out twice if the process dies between it and the commit; it is never missing.
    assert len(set(given["outbox"])) == 9
