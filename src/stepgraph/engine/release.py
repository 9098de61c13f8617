"""Releases: what else runs under a workflow's name."""

from __future__ import annotations

from collections.abc import Mapping

from stepgraph.engine.stored_definition import read_stored
from stepgraph.errors import SchemaError
from stepgraph.model.blueprint import Blueprint
from stepgraph.ports.definition_store import DefinitionStore
from stepgraph.ports.log import Log

_LIMIT = 100


async def warn_of_others(
    own: Blueprint, others: Mapping[str, str], store: DefinitionStore, log: Log
) -> None:
    """Log a warning for each release with other objects or another graph that is live too.

    `others` are live instances and the fingerprints of their definitions. Two releases side by
    side are what a rolling deploy is; if they stay, two programs use one name.
    """
    if not others:
        return
    stored = {s.fingerprint: s for s in await store.list_definitions(own.workflow, _LIMIT)}
    for fingerprint in dict.fromkeys(others.values()):
        instances = ", ".join(sorted(i for i, found in others.items() if found == fingerprint))
        if fingerprint in stored:
            try:
                other = read_stored(own.workflow, stored[fingerprint]).blueprint
            except SchemaError:
                differences: tuple[str, ...] = ("it is of a later release of stepgraph",)
            else:
                differences = own.differences(other)
        else:
            differences = ("nothing is stored about it",)
        if differences:
            log.warning(
                "%s is live with another definition on %s: %s. If no deploy is under way, two"
                " programs use one name: give one of them another",
                own.workflow, instances, "; ".join(differences),
            )  # fmt: skip
