"""Problem: something that would go wrong with the runs that are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ProblemCode: TypeAlias = Literal["unreachable", "dead_end", "lost_status", "unreadable_object"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What `workflow.check()` found.

    `code` is "unreachable" (no run can come into a status), "dead_end" (no run can end from it),
    "lost_status" (runs are in a status that the code does not have) or "unreadable_object" (stored
    objects are not of the declared type). `text` says which status, why, and what to do;
    `run_count` is how many stored runs it is about.
    """

    code: ProblemCode
    text: str
    run_count: int
