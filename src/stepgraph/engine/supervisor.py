"""Supervisor: all consumers of one workflow in this process: start, drain, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from stepgraph.blueprint import blueprint_of
from stepgraph.definition import Definition, Deployment
from stepgraph.engine.announce import Announcer
from stepgraph.engine.callback import Callbacks
from stepgraph.engine.consume import Consumer
from stepgraph.engine.entrance import Entrance
from stepgraph.engine.instance import (
    Instance,
    abandon_instance,
    default_instance_name,
    enter_instance,
    leave_instance,
)
from stepgraph.engine.membership import Membership, Seat
from stepgraph.engine.moves import Moves
from stepgraph.engine.performers.retention import plant
from stepgraph.engine.places import announcer_of, callbacks_of, timetable_of
from stepgraph.engine.plan import Plan
from stepgraph.engine.release import warn_of_others
from stepgraph.engine.stored_definition import stored_body
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.timetable import Timetable
from stepgraph.engine.tracing import Tracing, tracing_of
from stepgraph.engine.trigger import write_of
from stepgraph.errors import DefinitionError, UnavailableError
from stepgraph.model.process_state import ProcessState
from stepgraph.ports.clock import SystemClock
from stepgraph.ports.log import Log

_STOP_MARGIN_SECONDS = 3.0
_CANCEL_SECONDS = 2.0


class Supervisor:
    """The life of one opened workflow; a client is one without consumers."""

    def __init__(
        self,
        definition: Definition[Any, Any],
        deployment: Deployment,
        *,
        is_client: bool,
        workflow: Any,
        announcer: Announcer | None = None,
    ) -> None:
        """Nothing is opened yet; `workflow` is what connectors act through.

        The announcer is the definition's own, unless another is given that knows more than it.
        """
        self._workflow = workflow
        self.definition = definition
        self.deployment = deployment
        self.is_client = is_client
        self.announcer = announcer or announcer_of(definition, deployment)
        self.entrance = Entrance(definition)
        self.instance: Instance
        self.tracing: Tracing | None = None
        self._log = Log()
        self.moves: Moves
        self.callbacks: Callbacks
        self.timetable: Timetable | None = None
        self._membership: Membership | None = None
        self._tasks = Tasks()
        self._consumers: list[Consumer] = []
        self._resources = AsyncExitStack()
        self._is_open = False

    async def open(self) -> None:
        """Connect and open the resources; run the consumers, unless this is a client's."""
        settings = self.deployment.settings
        clock = settings.clock if settings.clock is not None else SystemClock()
        name = settings.instance or default_instance_name()
        self.instance = await enter_instance(self.deployment.record_backend, clock, name)
        self._is_open = True
        self.instance.users[id(self)] = self.definition.name
        try:
            self.instance.observers.add(self.definition.name, settings.observers)
            self._log = self.instance.log.about(self.definition.name, "")
            self.tracing = tracing_of(settings.observers, self._log)
            if self.definition.handlers:
                self.instance.definitions[self.definition.name] = self.definition
            self.moves = Moves(
                self.announcer, clock, self.instance.identity,
                instance=self.instance.id, history=settings.history == "full",
            )  # fmt: skip
            resources = await self._open_resources()
            self.callbacks = callbacks_of(
                self.definition, self.deployment, self.instance,
                moves=self.moves, resources=resources, tracing=self.tracing,
            )  # fmt: skip
            self.timetable = timetable_of(
                self.definition, self.instance, resources, partial(write_of, self), self.tracing
            )
            if not self.is_client:
                await self._run(resources)
        except BaseException:
            await self.close()
            raise

    async def _open_resources(self) -> Mapping[str, object]:
        resources = self.deployment.settings.resources
        if not isinstance(resources, Mapping):
            resources = await self._resources.enter_async_context(resources())
        for function in self.definition.functions:
            for name in function.resource_names:
                if name not in resources and name not in function.optional_names:
                    raise DefinitionError(
                        f"{function.name}() wants {name!r}, and the resources that were opened"
                        f" are {sorted(resources)}: yield it from resources="
                    )
        return resources

    async def _run(self, resources: Mapping[str, object]) -> None:
        membership = await self.instance.membership(self.deployment.role_backend)
        self._membership = membership
        plan = Plan(
            self.definition, self.deployment, self.instance, membership,
            moves=self.moves, resources=resources, tasks=self._tasks, callbacks=self.callbacks,
            workflow=self._workflow, timetable=self.timetable, tracing=self.tracing,
        )  # fmt: skip
        await self._store_definition()
        self._consumers = await plan.consumers()
        self.instance.consumers += self._consumers
        await self._adopt()
        if self.timetable is not None:
            await self.timetable.start()
        queue, slot_count = self.instance.backend.work_queue, self.instance.store.slot_count
        await plant(self.definition.name, queue, slot_count, self.instance.clock.microseconds())
        for consumer in self._consumers:
            consumer.start(self._tasks)
        stop_within = self.deployment.settings.stop_within.total_seconds()
        await membership.seat(
            [
                Seat(c, self.definition.fingerprint, plan.slot_counts[c.name], stop_within)
                for c in self._consumers
            ]
        )
        others = membership.other_releases(self.definition.name, self.definition.fingerprint)
        store = self.instance.backend.definition_store
        await warn_of_others(blueprint_of(self.definition), others, store, self._log)

    async def _store_definition(self) -> None:
        """Keep what this release looks like beside the runs, for whoever acts without its code."""
        stored = stored_body(
            self.definition, self.announcer, started_by=self.instance.id,
            keeps_objects=self.deployment.settings.history == "full",
        )  # fmt: skip
        now = self.instance.clock.microseconds()
        await self.instance.backend.definition_store.keep(self.definition.name, stored, now)

    async def _adopt(self) -> None:
        """Queue runs that came into a status before this release gave it a step."""
        places = self.announcer.places.values()
        consumers = {place.status: place.consumer for place in places if place.consumer}
        lost_runs = self.instance.backend.lost_runs
        while True:
            count = await lost_runs.adopt(
                self.definition.name, consumers, self.instance.clock.microseconds()
            )
            if not count:
                return
            self._log.info("%d runs of %s now have a step", count, self.definition.name)

    async def close(self) -> None:
        """Take no new work, finish what is in hand, stop the rest, free the roles, disconnect."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            await self._drain()
        finally:
            await self._tasks.close()
            for consumer in self._consumers:
                self.instance.reader.remove(consumer.name)
                self.instance.consumers.remove(consumer)
                consumer.shut()
            if self._membership is not None:
                await self._membership.unseat([consumer.name for consumer in self._consumers])
            await self._resources.aclose()
            self.instance.observers.remove(self.definition.name, self.deployment.settings.observers)
            self.instance.users.pop(id(self), None)
            await leave_instance(self.instance)

    async def _drain(self) -> None:
        """Wait for what is in hand, then tell it to stop, then commit what has an answer."""
        stop_within = self.deployment.settings.stop_within.total_seconds()
        seconds = max(0.0, stop_within - _STOP_MARGIN_SECONDS)
        await asyncio.gather(*(consumer.drain(seconds) for consumer in self._consumers))
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                for consumer in self._consumers:
                    await consumer.inbox.emptied()
                await self.instance.committer.drained()
        except TimeoutError:
            left = sum(len(consumer.inbox.in_hand) for consumer in self._consumers)
            text = "%d runs are left in hand at the stop; others will do them"
            self._log.warning(text, left)
        except UnavailableError as error:
            self._log.warning("not everything was committed at the stop", error=error)

    @property
    def consumer_names(self) -> tuple[str, ...]:
        """Return the durable names of the consumers that run here."""
        return tuple(consumer.name for consumer in self._consumers)

    def wake(self) -> None:
        """Have every consumer look for work: a clock was moved."""
        self.instance.reader.sweep_all()
        for consumer in self._consumers:
            consumer.wake()

    def unfinished(self) -> list[str]:
        """Say in words what is under way here; for the test kit."""
        found = [text for consumer in self._consumers for text in consumer.unfinished()]
        if not self.instance.committer.is_idle:
            found.append("commits are under way")
        if self.instance.mover.is_moving:
            found.append("queue rows are being moved")
        return found

    def next_due(self) -> int | None:
        """Return when the next foreign event that is held back is due; for the test kit."""
        found = (consumer.next_due() for consumer in self._consumers)
        return min((due_at for due_at in found if due_at is not None), default=None)

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """Return the background tasks of this workflow and of its instance; for the test kit."""
        return self._tasks.running | self.instance.tasks.running

    async def abandon(self) -> None:
        """End as if the process had died: finish, commit and drain nothing; for the test kit.

        Callers whose write is under way get `OutcomeUnknownError`. Roles are free at once, as
        after the end of the lease.
        """
        self._is_open = False
        await self._tasks.close()
        for consumer in self._consumers:
            self.instance.reader.remove(consumer.name)
        await self._resources.aclose()
        await abandon_instance(self.instance)

    def processes(self) -> Mapping[str, ProcessState]:
        """Return what each background process of this instance does."""
        found: dict[str, ProcessState] = {}
        for consumer in self._consumers:
            found.update(consumer.processes())
        return found
