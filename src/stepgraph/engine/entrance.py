"""Entrance: what a run of a workflow may start with; checked once, before anything is written."""

from __future__ import annotations

from typing import Any

from stepgraph.definition import Definition
from stepgraph.errors import CodecError, InputError
from stepgraph.model.identifier import check_id, shown
from stepgraph.model.start import Start


class Entrance:
    """Checks foreign ids, statuses and objects; every refusal is an `InputError`."""

    def __init__(self, definition: Definition[Any, Any]) -> None:
        """Check for one workflow."""
        self._definition = definition
        self._default = definition.starts[0]
        self._open = frozenset(definition.graph.statuses) - frozenset(definition.graph.ends)

    def check(self, foreign_id: str, initial: object, status: object, origin: str) -> Start:
        """Return what a run starts with; a `status` of None is the first one."""
        definition = self._definition
        check_id("foreign id", foreign_id)
        where: Any = status if status is not None else self._default
        if type(where) is not definition.status_type:
            raise InputError(
                f"the status {shown(where)} is not a {definition.status_type.__name__}"
            )
        number = int(where)
        if number not in self._open:
            raise InputError(
                f"a run cannot start in {where.name}: nothing leads out of it."
                f" Start in one of {[s.name for s in definition.starts]} or another with a step"
            )
        return Start(definition.name, foreign_id, number, self.encoded(initial), origin)

    def encoded(self, initial: object) -> bytes:
        """Return an object as it is stored.

        Refused is what a step could not read back: an object of another class, or wrong fields.
        """
        definition = self._definition
        data = definition.codec.encode(initial)
        if not isinstance(initial, definition.object_class):
            raise InputError(
                f"the object is a {type(initial).__name__}; the runs of {definition.name!r} have a"
                f" {definition.object_type.__name__}"
            )
        try:
            definition.codec.decode(data, definition.object_type)
        except CodecError as error:
            raise InputError(f"the object cannot be read back: {error}") from error
        return data
