"""StoredDefinition: what acting on a workflow's runs needs of its code, kept beside the runs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import msgspec

from stepgraph.blueprint import blueprint_of
from stepgraph.definition import Definition
from stepgraph.engine.announce import Announcer, Place
from stepgraph.engine.moves import Moves
from stepgraph.errors import SchemaError
from stepgraph.model.blueprint import Blueprint
from stepgraph.ports.clock import Clock
from stepgraph.ports.codec import JSONCodec
from stepgraph.ports.definition_store import DefinitionStore, StoredBody
from stepgraph.ports.identity import Identity

_FORMAT = 1


class StoredDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A blueprint, and what happens to a run that comes into a status or a run state.

    Fields that a later release adds are ignored by an earlier one; what an earlier one must not
    ignore raises `format`.
    """

    format: int = _FORMAT
    blueprint: Blueprint
    places: tuple[Place, ...]
    hooks: Mapping[int, tuple[str, ...]]
    is_relayed: bool
    keeps_objects: bool

    def announcer(self, slot_count: int) -> Announcer:
        """Return what announces the runs of the workflow just as its own code does."""
        return Announcer(
            self.blueprint.workflow,
            {place.status: place for place in self.places},
            slot_count=slot_count,
            is_relayed=self.is_relayed,
            hooks=self.hooks,
        )

    def definition(self) -> Definition[Any, Any]:
        """Return a definition with the statuses and the graph, and without any function.

        Objects are read as plain JSON values.
        """
        make: Any = IntEnum  # by its functional form: the members are data here
        members = {status.name: status.number for status in self.blueprint.statuses}
        any_type: Any = Any
        return Definition(
            name=self.blueprint.workflow,
            object_type=any_type,
            status_type=make(f"{self.blueprint.workflow} status", members),
            codec=JSONCodec(),
            handlers=(),
            graph=self.blueprint.graph,
        )


class _Head(msgspec.Struct):
    format: int = 0


_decode_head = msgspec.json.Decoder(_Head).decode
_decode = msgspec.json.Decoder(StoredDefinition).decode


def stored_body(
    definition: Definition[Any, Any],
    announcer: Announcer,
    *,
    keeps_objects: bool,
    started_by: str = "",
) -> StoredBody:
    """Return a definition as it is stored."""
    stored = StoredDefinition(
        blueprint=blueprint_of(definition),
        places=tuple(announcer.places.values()),
        hooks=announcer.hooks,
        is_relayed=announcer.is_relayed,
        keeps_objects=keeps_objects,
    )
    return StoredBody(definition.fingerprint, msgspec.json.encode(stored), started_by)


def read_stored(workflow: str, stored: StoredBody) -> StoredDefinition:
    """Return what was stored; raises `SchemaError` for what only a later release can read."""
    found = _decode_head(stored.body).format
    if found > _FORMAT:
        raise SchemaError(
            f"the newest definition of {workflow!r} is stored in format {found}, and this code"
            f" reads {_FORMAT}: update stepgraph"
        )
    return _decode(stored.body)


class StoredMoves:
    """Moves runs of workflows whose code may not be here, by their newest stored definition."""

    def __init__(
        self,
        store: DefinitionStore,
        clock: Clock,
        identity: Identity,
        *,
        instance: str,
        slot_count: int,
    ) -> None:
        """Read definitions from `store`; the moves are made in the name of `instance`."""
        self._store = store
        self._clock = clock
        self._identity = identity
        self._instance = instance
        self._slot_count = slot_count

    async def of(self, workflow: str) -> Moves | None:
        """Return the moves of a workflow, None if it was never started on this store."""
        newest = await self._store.newest(workflow)
        if newest is None:
            return None
        stored = read_stored(workflow, newest)
        return Moves(
            stored.announcer(self._slot_count),
            self._clock,
            self._identity,
            instance=self._instance,
            history=stored.keeps_objects,
        )
