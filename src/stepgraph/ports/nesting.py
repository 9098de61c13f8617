"""Nesting: how deep JSON goes, and which types can go deep at all."""

from __future__ import annotations

import re
from typing import Any

from msgspec import inspect

DEPTH_LIMIT = 64
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_CLOSING = ord("]")
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ENDLESS = (inspect.AnyType, inspect.CustomType, inspect.RawType)
_PARTS = ("item_type", "item_types", "key_type", "value_type", "types")


def can_nest(as_type: Any) -> bool:
    """Return whether values of a type can be nested without end: it holds itself, or anything."""
    return _can_nest(inspect.type_info(as_type), ())


def _can_nest(info: inspect.Type, around: tuple[Any, ...]) -> bool:
    if isinstance(info, _ENDLESS) or any(info is outer for outer in around):
        return True
    inside = (*around, info)
    fields = getattr(info, "fields", ())
    parts = [getattr(info, name) for name in _PARTS if hasattr(info, name)]
    for part in [*(field.type for field in fields), *parts]:
        kinds = part if isinstance(part, tuple) else (part,)
        if any(_can_nest(kind, inside) for kind in kinds if isinstance(kind, inspect.Type)):
            return True
    return False


def is_too_deep(data: bytes) -> bool:
    """Return whether JSON is nested deeper than is allowed; what is not JSON may be either."""
    if len(data) <= 2 * DEPTH_LIMIT or data.count(b"[") + data.count(b"{") <= DEPTH_LIMIT:
        return False
    # Brackets in texts are taken out only if the quick look, which counts them, says yes.
    return _is_deep(data) and _is_deep(_TEXT.sub(b"", data))


def _is_deep(data: bytes) -> bool:
    """Count what is open at each bracket, and stop where it is too much."""
    depth = 0
    for bracket in data.translate(_ONE_KIND, _NOT_BRACKETS):
        if bracket == _CLOSING:
            depth -= 1
        elif depth == DEPTH_LIMIT:
            return True
        else:
            depth += 1
    return False
