"""What `build()` finds out before anything is opened: what was declared meets what it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepgraph.definition import Definition
from stepgraph.errors import DefinitionError
from stepgraph.ports.transactions import HasTransactions


def check_graph(definition: Definition[Any, Any]) -> None:
    """Raise `DefinitionError` if nothing leads anywhere: no run could be triggered."""
    if not definition.graph.edges:
        raise DefinitionError(
            f"nothing in {definition.name!r} leads to another status: name a destination in a"
            " function's return annotation, or in to="
        )


def check_resources(definition: Definition[Any, Any], resources: Mapping[str, object]) -> None:
    """Raise `DefinitionError` if a function asks for a resource that is not there."""
    for function in definition.functions:
        for name in function.resource_names:
            if name not in resources and name not in function.optional_names:
                raise DefinitionError(
                    f"{function.name}() wants {name!r}: build(..., resources={{{name!r}: ...}})"
                )


def check_transactions(definition: Definition[Any, Any], backend: object) -> None:
    """Raise `DefinitionError` if a step wants a transaction that the backend cannot share."""
    for step in definition.steps:
        if step.is_transactional and not isinstance(backend, HasTransactions):
            raise DefinitionError(
                f"{step.name}() wants 'connection': {type(backend).__name__} has no transactions"
                " to share"
            )


def check_connectors(definition: Definition[Any, Any], sources: Mapping[str, object]) -> None:
    """Raise `DefinitionError` if a connector has no source, or a source no connector."""
    declared = {connector.name for connector in definition.connectors}
    for name in sorted(declared - set(sources)):
        raise DefinitionError(
            f"the connector {name!r} has no source: build(..., connectors={{{name!r}: ...}})"
        )
    for name in sorted(set(sources) - declared):
        raise DefinitionError(f"there is no connector {name!r}: declare it with @...connector")


def check_schedules(definition: Definition[Any, Any], backend: object) -> None:
    """Raise `DefinitionError` if a schedule can be kept nowhere, or starts where no run can."""
    if definition.schedules and getattr(backend, "schedule_store", None) is None:
        raise DefinitionError(f"{type(backend).__name__} has no schedule_store for the schedules")
    possible = frozenset(definition.graph.statuses) - frozenset(definition.graph.ends)
    for schedule in definition.schedules:
        if schedule.status is not None and schedule.status.value not in possible:
            raise DefinitionError(
                f"the schedule {schedule.name!r} starts in {schedule.status.name}:"
                " nothing leads out of it"
            )
