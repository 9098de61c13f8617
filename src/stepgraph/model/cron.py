"""CronSpec: the slots of a schedule, in a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from stepgraph.errors import DefinitionError
from stepgraph.model.identifier import shown
from stepgraph.model.instant import SECOND, to_datetime, to_instant

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
SPEC_LIMIT: Final = 256
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 0.001, "us": 1.0, "µs": 1.0, "ms": 1_000.0, "s": 1e6, "m": 60e6, "h": 3_600e6
}  # fmt: skip
_WINDOWS: Final = (
    timedelta(minutes=2), timedelta(hours=2), timedelta(days=2), timedelta(days=9),
    timedelta(days=62), timedelta(days=400), timedelta(days=3_300),
)  # fmt: skip
_CENTURY: Final = to_instant(datetime(2130, 1, 1, tzinfo=UTC))
# The longest time without a 29th of February: what does not come within it is refused.
_RARE: Final = (
    to_instant(datetime(2096, 3, 1, tzinfo=UTC)),
    to_instant(datetime(2104, 3, 2, tzinfo=UTC)),
)
_HORIZON: Final = 50  # years that are looked through before a spec counts as one that never comes
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class CronSpec:
    """A schedule as text, and what it means; make one by `parse`.

    Five fields with lists, ranges, steps and names, also `L` and `MON#2`; `@hourly` and its like;
    or `@every 1h30m`. Day and weekday that are both restricted mean either; where one of them
    begins with `*`, both must hold. As in Vixie's cron, a fixed local time that the clocks skip
    comes once, at the first instant after the gap, and one that they repeat comes once, the first
    time; a spec whose minute or hour begins with `*` follows the time that passes: what is skipped
    does not come and what is repeated comes twice. `@every` counts from 1970, so that every
    instance agrees. The arithmetic of the calendar is cronsim's, that of the zones is here.
    """

    spec: str
    zone: str

    @classmethod
    def parse(cls, spec: str, zone: str = "UTC") -> CronSpec:
        """Return the slots that `spec` means in an IANA zone, or raise `DefinitionError`."""
        if not isinstance(spec, str):
            raise DefinitionError(f"the schedule {spec!r} must be a text such as '0 9 * * MON-FRI'")
        if len(spec) > SPEC_LIMIT:
            raise DefinitionError(
                f"the schedule {shown(spec)} has {len(spec)} characters; {SPEC_LIMIT} fit: make"
                " several schedules of it"
            )
        parsed = cls(" ".join(spec.split()), zone)
        _zone(zone)
        if parsed._every is None:
            try:
                CronSim(parsed._fields, datetime(2026, 1, 1, tzinfo=UTC))
            except CronSimError as error:
                raise DefinitionError(f"the schedule {spec!r} cannot be read: {error}") from error
        rare, end = _RARE
        slot = parsed.after(rare)
        if slot is None or slot > end:
            raise DefinitionError(f"the schedule {spec!r} does not come once in eight years")
        return parsed

    @cached_property
    def _every(self) -> int | None:
        """Return the period of an `@every` in microseconds, None for any other spec."""
        word, _, text = self.spec.partition(" ")
        if word != "@every":
            return None
        if _DURATION.fullmatch(text) is None:
            raise DefinitionError(f"the schedule {self.spec!r} needs a duration such as '1h30m'")
        period = round(sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text)))
        if period < SECOND:
            raise DefinitionError(f"the schedule {self.spec!r} comes more than once a second")
        return period

    @cached_property
    def _fields(self) -> str:
        if self.spec.startswith("@"):
            fields = _ALIASES.get(self.spec.lower())
            if fields is None:
                known = ", ".join([*_ALIASES, "@every"])
                raise DefinitionError(f"the schedule {self.spec!r} is none of {known}")
            return fields
        parts = self.spec.replace("?", "*").split()
        if len(parts) != 5:
            raise DefinitionError(
                f"the schedule {self.spec!r} has {len(parts)} fields, not 5: minute, hour, day,"
                " month, weekday"
            )
        return " ".join(parts)

    def after(self, instant: int) -> int | None:
        """Return the first slot after an instant (microseconds), None if none is near."""
        if self._every is not None:
            following = (instant // self._every + 1) * self._every
            return following if following < _CENTURY else None
        zone = _zone(self.zone)
        local = to_datetime(instant).astimezone(zone)
        wall = local.replace(tzinfo=None)
        slots = [self._first(wall, zone, instant)]
        if self._follows_time and not local.fold:
            # The clocks may be about to show again what they show now.
            repeated = _offset(local) - _offset(local.replace(fold=1))
            if repeated > timedelta(0):
                slots.append(self._first(wall - repeated, zone, instant))
        return min((slot for slot in slots if slot is not None), default=None)

    @cached_property
    def _follows_time(self) -> bool:
        minute, hour, *_ = self._fields.split()
        return minute.startswith("*") or hour.startswith("*")

    def _first(self, wall: datetime, zone: ZoneInfo, instant: int) -> int | None:
        """Return the first slot past `instant` that the clocks show after `wall`."""
        for local in CronSim(self._fields, wall):
            if local.year > wall.year + _HORIZON:
                return None
            for slot in self._instants(local, zone):
                if slot > instant:
                    return slot
        return None

    def _instants(self, wall: datetime, zone: ZoneInfo) -> list[int]:
        """Return the slots of a local time: none or one where it is skipped, two where repeated."""
        first = wall.replace(tzinfo=zone)
        second = first.replace(fold=1)
        before, after = _offset(first), _offset(second)
        if before == after:
            return [to_instant(first)]
        if before > after:
            return (
                [to_instant(first), to_instant(second)]
                if self._follows_time
                else [to_instant(first)]
            )
        if self._follows_time:
            return []
        while _offset(first) != _offset(first.replace(fold=1)):
            first += _MINUTE
        return [to_instant(first)]

    def latest(self, instant: int) -> int | None:
        """Return the last slot at or before an instant, None if there is none for nine years."""
        if self._every is not None:
            return instant // self._every * self._every
        for window in _WINDOWS:
            slot = self.after(instant - window // timedelta(microseconds=1))
            if slot is not None and slot <= instant:
                while (following := self.after(slot)) is not None and following <= instant:
                    slot = following
                return slot
        return None


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise DefinitionError(
            f"there is no time zone {name!r}: use an IANA name such as 'Europe/Amsterdam'"
        ) from error
