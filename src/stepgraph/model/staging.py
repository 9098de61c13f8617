"""Staging: the children that a function wants started together with its answer."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from stepgraph.errors import InputError
from stepgraph.model.start import Start

STAGED_LIMIT = 8 * 1024 * 1024


class StagedChild(Struct, frozen=True, array_like=True, gc=False):
    """A child that is started if its parent's answer is stored."""

    run_id: str
    number: int
    workflow: str
    foreign_id: str
    status: int
    object: bytes
    origin: str
    is_cancelled_with_parent: bool


class Staging:
    """What one call of a function has staged; bounded in bytes."""

    __slots__ = ("_children", "_size")

    def __init__(self) -> None:
        """Start with nothing."""
        self._children: dict[tuple[str, str], StagedChild] = {}
        self._size = 0

    def add(
        self, start: Start, id_of: Callable[[int], str], *, is_cancelled_with_parent: bool
    ) -> str:
        """Stage one more and return its id, which `id_of` makes of its number from 1."""
        name = (start.workflow, start.foreign_id)
        if name in self._children:
            raise InputError(
                f"{start.foreign_id!r} of {start.workflow!r} is a child of this answer already:"
                " a foreign id has one open run at a time"
            )
        size = self._size + len(start.object) + len(start.foreign_id.encode())
        if size > STAGED_LIMIT:
            raise InputError(
                f"the children of one answer have {size} bytes; {STAGED_LIMIT} fit: start some of"
                " them in a later step, or keep what is large elsewhere"
            )
        number = len(self._children) + 1
        child = StagedChild(
            id_of(number), number, start.workflow, start.foreign_id, start.status, start.object,
            start.origin, is_cancelled_with_parent,
        )  # fmt: skip
        self._size = size
        self._children[name] = child
        return child.run_id

    @property
    def children(self) -> tuple[StagedChild, ...]:
        """Return what was staged, in order."""
        return tuple(self._children.values())
