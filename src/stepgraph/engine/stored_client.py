"""A client of a workflow for a process that has none of its code: a web page, a command line."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from stepgraph.definition import Deployment
from stepgraph.engine.instance import default_instance_name, enter_instance, leave_instance
from stepgraph.engine.stored_definition import StoredDefinition, read_stored
from stepgraph.engine.supervisor import Supervisor
from stepgraph.errors import InputError
from stepgraph.model.options import WorkflowSettings
from stepgraph.ports.backend import HasRecordStore
from stepgraph.ports.clock import SystemClock

_OWN_SETTINGS = WorkflowSettings()


@asynccontextmanager
async def open_stored(
    backend: HasRecordStore, workflow: str, settings: WorkflowSettings = _OWN_SETTINGS
) -> AsyncGenerator[Supervisor]:
    """Open a client by the newest stored definition of a workflow, and close it at the end.

    What it pauses, resumes, cancels and reads is as if its own code did: hooks are told, timers
    are kept, steps are announced. Objects are plain JSON values, and there is no callback to tell.
    Raises `InputError` for a workflow that was never started on this store, and `SchemaError` if
    only a later release can read its definition.
    """
    clock = settings.clock if settings.clock is not None else SystemClock()
    name = settings.instance or default_instance_name()
    instance = await enter_instance(backend, clock, name)
    try:
        newest = await backend.definition_store.newest(workflow)
        if newest is None:
            names = ", ".join(await backend.definition_store.list_workflows()) or "none"
            raise InputError(f"no workflow {workflow!r} was started on this store: {names} were")
        client = _client_of(read_stored(workflow, newest), backend, settings)
        await client.open()
        try:
            yield client
        finally:
            await client.close()
    finally:
        await leave_instance(instance)


def _client_of(
    stored: StoredDefinition, backend: HasRecordStore, settings: WorkflowSettings
) -> Supervisor:
    no_roles: Any = backend  # a client holds none
    deployment = Deployment(
        record_backend=backend,
        stream_backend=None,
        role_backend=no_roles,
        timeout_backend=None,
        settings=replace(settings, history="full" if stored.keeps_objects else "off"),
        defaults={},
    )
    announcer = stored.announcer(backend.record_store.slot_count)
    return Supervisor(
        stored.definition(), deployment, is_client=True, workflow=None, announcer=announcer
    )
