"""The slots of schedules, also where clocks are set."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from stepgraph import DefinitionError
from stepgraph.model.cron import CronSpec
from stepgraph.model.instant import to_datetime, to_instant


def slots(spec, zone, start, count):
    """The next slots after a local time, as local times with their offset."""
    cron = CronSpec.parse(spec, zone)
    instant = to_instant(datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)))
    found = []
    for _ in range(count):
        instant = cron.after(instant)
        found.append(f"{to_datetime(instant).astimezone(ZoneInfo(zone)):%m-%d %H:%M%z}")
    return found


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("0 9 * * MON-FRI", ["01-01 09:00", "01-02 09:00", "01-05 09:00"]),
        ("*/15 9-17 * * 1-5", ["01-01 09:00", "01-01 09:15", "01-01 09:30"]),
        ("0 0 1,15 * *", ["01-15 00:00", "02-01 00:00", "02-15 00:00"]),
        ("0 0 13 * FRI", ["01-02 00:00", "01-09 00:00", "01-13 00:00"]),
        ("5 4 * JAN,MAR sun", ["01-04 04:05", "01-11 04:05", "01-18 04:05"]),
        ("0 0 ? * 7", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
        ("  @hourly ", ["01-01 01:00", "01-01 02:00", "01-01 03:00"]),
        ("@daily", ["01-02 00:00", "01-03 00:00", "01-04 00:00"]),
        ("@midnight", ["01-02 00:00", "01-03 00:00", "01-04 00:00"]),
        ("@weekly", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
        ("@monthly", ["02-01 00:00", "03-01 00:00", "04-01 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("@annually", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("@every 1h30m", ["01-01 01:30", "01-01 03:00", "01-01 04:30"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00", "02-29 00:00"]),
        ("0 0 L * *", ["01-31 00:00", "02-28 00:00", "03-31 00:00"]),
        ("0 0 */2 * MON", ["01-05 00:00", "01-19 00:00", "02-09 00:00"]),
    ],
)
def test_the_grammar(spec, expected):
    assert [slot[:11] for slot in slots(spec, "UTC", "2026-01-01 00:00", 3)] == expected


@pytest.mark.parametrize(
    "spec",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
        "* * * * 8", "0 0 31 2 *", "0 0 30 2 *", "@every", "@every 0s", "@every 5", "@every -1h",
        "@every 10ms", "@fortnightly", "5-1 * * * *", "*/0 * * * *", "a * * * *", 5, None,
        "@everything 5m", "@every 9999999h", "0 0 * 2 MON#5", "@every 5\u0663m", "0 0 1 1 *" + " " * 256,
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(spec):
    with pytest.raises(DefinitionError):
        CronSpec.parse(spec)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe/Amsterdam ", 5])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(DefinitionError, match="time zone"):
        CronSpec.parse("@daily", zone)


@pytest.mark.parametrize(
    ("spec", "zone", "start", "expected"),
    [
        # The clocks skip 02:00 to 03:00: a fixed time in the gap comes once, right after it.
        ("30 2 * * *", "Europe/Amsterdam", "2026-03-28 12:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        # They repeat 02:00 to 03:00: a fixed time in it comes once, the first time.
        ("30 2 * * *", "Europe/Amsterdam", "2026-10-24 12:00", ["10-25 02:30+0200", "10-26 02:30+0100"]),
        # A wildcard hour follows the time that passes: three hours take three slots.
        ("30 * * * *", "Europe/Amsterdam", "2026-03-29 00:45", ["03-29 01:30+0100", "03-29 03:30+0200"]),
        ("30 * * * *", "Europe/Amsterdam", "2026-10-25 01:45",
         ["10-25 02:30+0200", "10-25 02:30+0100", "10-25 03:30+0100"]),
        # Half an hour is skipped and repeated.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", ["10-04 02:30+1100", "10-05 02:15+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", ["04-05 01:45+1100", "04-06 01:45+1030"]),
        # What follows the time that passes neither loses nor makes up a slot at half an hour.
        ("*/15 2 * * *", "Australia/Lord_Howe", "2026-04-05 01:45",
         ["04-05 02:00+1030", "04-05 02:15+1030", "04-05 02:30+1030"]),
        ("*/15 1-2 * * *", "Australia/Lord_Howe", "2026-04-05 01:30",
         ["04-05 01:45+1100", "04-05 01:30+1030", "04-05 01:45+1030", "04-05 02:00+1030"]),
        ("*/15 2-3 * * *", "Australia/Lord_Howe", "2026-10-04 01:30",
         ["10-04 02:30+1100", "10-04 02:45+1100", "10-04 03:00+1100"]),
        # Midnight itself is skipped: a fixed time comes after it, a wildcard on another day.
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00", ["11-04 01:00-0200", "11-05 00:00-0200"]),
        ("*/30 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00", ["11-05 00:00-0200", "11-05 00:30-0200"]),
        # Winter is the exception in Dublin, and the arithmetic the same.
        ("30 1 * * *", "Europe/Dublin", "2026-03-28 12:00", ["03-29 02:00+0100", "03-30 01:30+0100"]),
        ("30 1 * * *", "Europe/Dublin", "2026-10-24 12:00", ["10-25 01:30+0100", "10-26 01:30+0000"]),
    ],
)  # fmt: skip
def test_when_the_clocks_are_set(spec, zone, start, expected):
    assert slots(spec, zone, start, len(expected)) == expected


def test_a_spec_whose_every_time_is_skipped_is_refused():
    with pytest.raises(DefinitionError, match="eight years"):
        CronSpec.parse("*/5 2 * 3 0L", "Europe/Amsterdam")
    assert CronSpec.parse("*/5 2 * 3 0L", "UTC").after(0) is not None


ZONES = [
    "UTC", "Europe/Amsterdam", "Europe/Dublin", "America/New_York", "America/Sao_Paulo",
    "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca", "Pacific/Auckland", "Asia/Kathmandu",
]  # fmt: skip


def instants_of(wall, place):
    """Every instant at which the clocks show a local time: none in a gap, two in an overlap."""
    found = {wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(i for i in found if i.astimezone(place).replace(tzinfo=None) == wall)


def expected_slots(wall, place, is_fixed):
    """The slots of a local time by the rules of Vixie's cron, found by trying minute by minute."""
    found = instants_of(wall, place)
    if not is_fixed:
        return found
    while not found:
        wall += timedelta(minutes=1)
        found = instants_of(wall, place)
    return found[:1]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "spec",
    ["0 9 * * MON-FRI", "15 2 * * *", "30 1 1,15 * *", "45 23 * 3,4,10,11 *", "0 0-3 * * SUN",
     "*/30 0-3 * * SUN", "*/20 1-2 1-8 4,10 *"],
)  # fmt: skip
def test_ten_years_agree_with_another_library(spec, zone):
    """Slot by slot, on every day of ten years.

    The libraries have rules of their own for days on which clocks are set, so the other one is
    asked for the local times alone, and which instants those are is found by trying.
    """
    place = ZoneInfo(zone)
    cron = CronSpec.parse(spec, zone)
    start, end = datetime(2020, 1, 1), datetime(2030, 1, 1)
    other = croniter(spec, start)
    theirs = set()
    while (wall := other.get_next(datetime)) < end:
        slots = expected_slots(wall, place, is_fixed=not spec.startswith("*"))
        theirs.update(to_instant(slot) for slot in slots)
    ours, instant = set(), to_instant(start.replace(tzinfo=place))
    last = to_instant(end.replace(tzinfo=place))
    while (instant := cron.after(instant)) < last:
        ours.add(instant)
    assert len(ours) > 100
    assert ours == theirs


@pytest.mark.parametrize("zone", ["Europe/Dublin", "America/Sao_Paulo", "Australia/Lord_Howe"])
@pytest.mark.parametrize("spec", ["0 9 * * MON-FRI", "15 2 * * *"])
def test_where_the_other_library_differs_clocks_are_set(spec, zone):
    """Asked in the zone itself, it differs on those days alone, where it repeats or moves a slot."""
    place = ZoneInfo(zone)
    cron = CronSpec.parse(spec, zone)
    start = datetime(2020, 1, 1, tzinfo=place)
    end = to_instant(datetime(2030, 1, 1, tzinfo=place))
    other = croniter(spec, start)
    theirs = set()
    while (slot := to_instant(other.get_next(datetime))) < end:
        theirs.add(slot)
    ours, instant = set(), to_instant(start)
    while (instant := cron.after(instant)) < end:
        ours.add(instant)
    for day in {to_datetime(slot).astimezone(place).date() for slot in ours ^ theirs}:
        midnight = datetime(day.year, day.month, day.day)
        before = midnight.replace(tzinfo=place).utcoffset()
        after = (midnight + timedelta(days=1)).replace(tzinfo=place).utcoffset()
        assert before != after, f"{spec} in {zone} differs on {day}, an ordinary day"
        local = [s for s in ours if to_datetime(s).astimezone(place).date() == day]
        assert len(local) == 1, "a fixed time comes once on such a day"


@settings(max_examples=200, deadline=None)
@given(
    minute=st.integers(0, 59),
    hour=st.sampled_from(["*", "*/6", "2", "1-3"]),
    shift=st.timedeltas(timedelta(0), timedelta(days=2)),
    zone=st.sampled_from(ZONES),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
)
def test_the_next_slot_is_later_and_is_the_last_one_at_its_time(minute, hour, zone, at, shift):
    cron = CronSpec.parse(f"{minute} {hour} * * *", zone)
    instant = to_instant(at.replace(tzinfo=UTC))
    slot = cron.after(instant)

    assert slot > instant
    assert cron.latest(slot) == slot
    assert cron.latest(slot - 1) <= instant
    assert cron.after(slot) > slot
    earlier = instant - shift // timedelta(microseconds=1)
    while (found := cron.after(earlier)) <= instant:
        earlier = found
    assert found == slot, "wherever one begins, the slots are the same"


def test_every_is_the_same_on_every_instance():
    cron = CronSpec.parse("@every 90s")
    assert cron.after(0) == 90_000_000
    assert cron.after(89_999_999) == 90_000_000
    assert cron.after(90_000_000) == 180_000_000
    assert cron.latest(179_999_999) == 90_000_000


ATOMS = st.sampled_from(
    ["*", "?", "0", "5", "7", "59", "60", "-", ",", "/", "L", "LW", "#", "MON", "sun", "JAN", "FEB", "@",
     "every", "daily", "1h", "30m", ".", "1.5s", "\u00b5s", "\u0663", "\u00b2", " ", "  ", "\t", "\n", "\0", "99999999999"]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(
    spec=st.one_of(
        st.text(max_size=300),
        st.lists(ATOMS, max_size=24).map("".join),
        st.lists(st.lists(ATOMS, min_size=1, max_size=4).map("".join), min_size=4, max_size=6).map(" ".join),
        st.text("0123456789.hms", max_size=250).map("@every {}".format),
    ),
    zone=st.one_of(st.sampled_from(ZONES), st.text(max_size=20)),
)
def test_any_text_is_a_schedule_or_a_definition_error(spec, zone):
    try:
        cron = CronSpec.parse(spec, zone)
    except DefinitionError:
        return
    now = to_instant(datetime(2030, 1, 1, tzinfo=UTC))
    slot = cron.after(now)
    assert slot > now
    assert cron.latest(slot) == slot
