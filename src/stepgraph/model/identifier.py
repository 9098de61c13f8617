"""Identifiers: what names, foreign ids, keys and statuses may be; checked once, at the edge."""

from __future__ import annotations

import re
from enum import IntEnum

from stepgraph.errors import DefinitionError, InputError, RunNotFoundError

NAME_LIMIT = 64
ID_LIMIT = 255
TEXT_LIMIT = 1024
_SHOWN = 80
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_STATUS_LEAST, _STATUS_MOST = -(2**31), 2**31 - 1
_CUT = " … [cut]"


def check_name(kind: str, value: str) -> str:
    """Return a name of `kind` as it is, or raise `DefinitionError`."""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise DefinitionError(
            f"the {kind} {shown(value)} must be 1 to {NAME_LIMIT} of A-Z a-z 0-9 . _ -"
        )
    return value


def shown(value: object) -> str:
    """Return a value for an error message: as Python writes it, in plain letters, and cut."""
    # A str is cut first: writing all of a long one only to throw it away would cost a lot.
    text = ascii(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def check_id(kind: str, value: str) -> str:
    """Return a foreign id or a key as it is: it is never normalised, folded or trimmed.

    Raises `InputError` if it is empty, longer than 255 bytes of UTF-8, or has control characters
    or lone surrogates.
    """
    if not isinstance(value, str):
        raise InputError(f"the {kind} must be a str, not {type(value).__name__}: {shown(value)}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        text = f"the {kind} {shown(value)} has a lone surrogate and is no text: decode it anew"
        raise InputError(text) from error
    if not 1 <= size <= ID_LIMIT:
        raise InputError(
            f"the {kind} {shown(value)} has {size} bytes; 1 to {ID_LIMIT} bytes of UTF-8 fit:"
            " use a shorter name, or a hash of it"
        )
    if _CONTROL.search(value) is not None:
        raise InputError(f"the {kind} {shown(value)} has a control character: remove it")
    return value


def check_run_id(value: str) -> str:
    """Return a run id as it is; raises `RunNotFoundError` for a text that can be no run's."""
    if not isinstance(value, str):
        raise InputError(f"the run id must be a str, not {type(value).__name__}: {shown(value)}")
    try:
        return check_id("run id", value)
    except InputError as error:
        raise RunNotFoundError(value) from error


def cut_text(value: object, limit: int = TEXT_LIMIT) -> str:
    """Return text that is kept about a run, cut at a character to `limit` bytes and marked."""
    encoded = str(value).encode(errors="replace")
    if b"\x00" in encoded:
        encoded = encoded.replace(b"\x00", b"?")
    if len(encoded) <= limit:
        return encoded.decode()
    room = limit - len(_CUT.encode())
    return encoded[:room].decode(errors="ignore") + _CUT


def check_statuses(status_type: type[IntEnum]) -> None:
    """Raise `DefinitionError` if a status cannot be stored, or has two names."""
    if not (isinstance(status_type, type) and issubclass(status_type, IntEnum)):
        raise DefinitionError(f"{status_type!r} is no IntEnum: statuses are stored as numbers")
    for name, member in status_type.__members__.items():
        if member.name != name:
            raise DefinitionError(
                f"{status_type.__name__}.{name} and .{member.name} are both {member.value}:"
                " give each status a number of its own"
            )
        if not _STATUS_LEAST <= member.value <= _STATUS_MOST:
            raise DefinitionError(
                f"{status_type.__name__}.{name} is {shown(member.value)}, which does not fit in 32"
                f" bits: give it a number from {_STATUS_LEAST} to {_STATUS_MOST}"
            )
    if not status_type.__members__:
        raise DefinitionError(f"{status_type.__name__} has no members")
