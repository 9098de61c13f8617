"""Texts that break what is careless with them; and what every limit's test asks of a client."""

from __future__ import annotations

# What may stand in a foreign id or a key, and must come back as it was.
FITTING = {
    "one letter": "a",
    "a blank": " ",
    "blanks around": " a ",
    "capitals": "A",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "right to left": "\u202eabc\u202c\u200f",
    "zero width": "a\u200bb\ufeff",
    "four bytes": "\U0001f600" * 63,
    "255 bytes": "x" * 255,
    "255 bytes of two": "\u00e9" * 127 + "x",
    "a path": "../../etc/passwd",
    "slashes and colons": "a/b:c::d//",
    "length prefix": "3:abc",
    "sql": "'; drop table run; --",
    "like": "%_%",
    "wildcards": "*.>#",
    "hash tag": "{a}",
    "markup": "<img src=x onerror=alert(1)>",
    "format": "%s %d {0} {__class__}",
    "json": '{"a": [1]}',
    "digits": "007",
    "none": "None",
    "noncharacter": "\uffff\U0010ffff",
}
# What may not, and what the error says.
UNFIT = {
    "empty": ("", "0 bytes"),
    "256 bytes": ("x" * 256, "256 bytes; 1 to 255"),
    "256 bytes of four": ("\U0001f600" * 64, "256 bytes; 1 to 255"),
    "a million": ("x" * 1_000_000, "1000000 bytes; 1 to 255"),
    "nul": ("a\x00b", "control character"),
    "newline": ("a\nb", "control character"),
    "escape": ("\x1b[31m", "control character"),
    "delete": ("a\x7f", "control character"),
    "c1": ("a\x85b", "control character"),
    "lone surrogate": ("a\ud800", "lone surrogate"),
    "bytes": (b"a", "must be a str, not bytes"),
    "number": (7, "must be a str, not int"),
    "none in a list": ([None], "must be a str, not list"),
}


def fitting(*more):
    """Return pytest's parameters of the texts that fit."""
    return {"argvalues": [*FITTING.values(), *more], "ids": [*FITTING, *map(str, range(len(more)))]}


def unfit():
    """Return pytest's parameters of the texts that do not, with the words of their error."""
    return {"argvalues": list(UNFIT.values()), "ids": list(UNFIT)}


async def nothing_is_written(client) -> bool:
    """Return whether the store has no run, no history and no queue row of this workflow."""
    backend = client.opened().instance.backend
    parked = await backend.work_queue.list_parked(None, 10)
    return await client.runs.count() == 0 and not parked
