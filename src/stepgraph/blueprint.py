"""From a definition to its blueprint."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from stepgraph.definition import CallbackHandler, Definition, Handler, TimeoutHandler
from stepgraph.model.blueprint import Blueprint, FunctionBlueprint, StatusBlueprint
from stepgraph.model.instant import to_microseconds


def blueprint_of(definition: Definition[Any, Any]) -> Blueprint:
    """Return what a definition says, without its code."""
    return Blueprint(
        workflow=definition.name,
        fingerprint=definition.fingerprint,
        object_type=definition.object_type.__name__,
        object_shape=definition.object_shape,
        statuses=tuple(StatusBlueprint(s.value, s.name) for s in definition.statuses),
        functions=tuple(_function_of(handler) for handler in definition.handlers),
    )


def _function_of(handler: Handler[Any]) -> FunctionBlueprint:
    after = at = buffer = None
    if isinstance(handler, TimeoutHandler):
        if isinstance(handler.after, timedelta):
            after = to_microseconds(handler.after)
        elif isinstance(handler.after, int):
            at = handler.after
    if isinstance(handler, CallbackHandler) and handler.buffer is not None:
        buffer = to_microseconds(handler.buffer)
    return FunctionBlueprint(
        kind=handler.kind,
        name=handler.name,
        status=handler.status.value,
        destinations=tuple(destination.value for destination in handler.destinations),
        description=handler.description,
        after=after,
        at=at,
        buffer=buffer,
    )
