"""Instants: integer microseconds since the epoch inside, aware UTC datetimes outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
LATEST = timedelta(days=36_525)  # a hundred years: what is meant to come later never comes


def to_instant(moment: datetime) -> int:
    """Return microseconds since the epoch; a naive datetime is a `ValueError`."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: use datetime.now(UTC) or a zoneinfo zone")
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def to_microseconds(duration: timedelta) -> int:
    """Return a duration in microseconds, exactly."""
    return duration // _MICROSECOND


def due_after(start: int, after: timedelta | datetime, now: int) -> int:
    """Return the instant that is `after` a start, or that a datetime names.

    Raises `ValueError` for a naive datetime, and for what is more than a hundred years ahead.
    """
    if isinstance(after, timedelta):
        if after > LATEST:
            raise ValueError("that is more than a hundred years")
        return start + to_microseconds(after)
    due_at = to_instant(after)
    if due_at > now + to_microseconds(LATEST):
        raise ValueError("that is more than a hundred years away")
    return due_at
