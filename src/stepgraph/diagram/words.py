"""Words: names and times as one line of text that no format can trip over."""

from __future__ import annotations

import re

from stepgraph.model.blueprint import FunctionBlueprint
from stepgraph.model.instant import to_datetime

# Controls of terminals and of writing direction, halves of surrogate pairs, and what XML forbids.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\ufffe\uffff]+"
)
_UNITS = (
    (86_400_000_000, "day"),
    (3_600_000_000, "h"),
    (60_000_000, "min"),
    (1_000_000, "s"),
    (1_000, "ms"),
    (1, "us"),
)
_NARROW = frozenset("fijlrtI.,:;'|!()[]{}·/\\-` ")
_WIDE = frozenset("mwMW@%—…")
_ELLIPSIS = "…"


def plain(text: str, limit: int = 400) -> str:
    """Return a text as one line without controls, cut to `limit` characters."""
    line = " ".join(_UNSAFE.sub(" ", text).split())
    return line if len(line) <= limit else line[: limit - 1] + _ELLIPSIS


def duration_text(microseconds: int) -> str:
    """Return a duration in its two largest units: "2 days", "1 h 30 min", "0 s"."""
    parts: list[str] = []
    for size, unit in _UNITS:
        count, microseconds = divmod(microseconds, size)
        if count:
            is_plural = unit == "day" and count != 1
            parts.append(f"{count} {unit}{'s' if is_plural else ''}")
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"


def time_text(function: FunctionBlueprint) -> str:
    """Return when a timeout is due; empty if only a function can tell."""
    if function.after is not None:
        return f"after {duration_text(function.after)}"
    if function.at is not None:
        return f"at {to_datetime(function.at).isoformat(sep=' ', timespec='minutes')}"
    return ""


def label_of(function: FunctionBlueprint) -> str:
    """Return a function's name, and its time if it has one."""
    return plain(f"{function.name} {time_text(function)}", 60)


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is in a sans serif of `size`: rather too wide than too narrow.

    The drawing must not depend on the fonts of the machine that draws it.
    """
    return size * sum(_character_width(character) for character in text)


def _character_width(character: str) -> float:
    if character in _NARROW:
        return 0.36
    if character in _WIDE:
        return 0.94
    if character > "\u2e7f":
        return 1.05
    return 0.72 if character.isupper() else 0.6


def fitted(text: str, size: float, width: float) -> str:
    """Return a text, cut so that it fits into `width`."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + _ELLIPSIS, size) > width:
        text = text[:-1]
    return text.rstrip() + _ELLIPSIS
