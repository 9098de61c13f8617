"""RowPlan: the consumers whose rows are done one by one: timers, hooks, inbox, deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from stepgraph.definition import Definition, Deployment, Handler, TimeoutHandler
from stepgraph.engine.callback import Callbacks
from stepgraph.engine.caller import Caller
from stepgraph.engine.handlers.row import Performer
from stepgraph.engine.instance import Instance
from stepgraph.engine.moves import Moves
from stepgraph.engine.performers.connector import ConnectorPerformer
from stepgraph.engine.performers.delete import DeletePerformer
from stepgraph.engine.performers.hook import HookPerformer
from stepgraph.engine.performers.inbox import InboxPerformer
from stepgraph.engine.performers.pull import PullPerformer
from stepgraph.engine.performers.retention import RetentionPerformer
from stepgraph.engine.performers.schedule import SchedulePerformer
from stepgraph.engine.performers.spawn import SpawnPerformer, SpawnTools
from stepgraph.engine.performers.timeout import TimeoutPerformer
from stepgraph.engine.performers.timer import TimersPerformer
from stepgraph.engine.places import settings_of
from stepgraph.engine.stored_definition import StoredMoves
from stepgraph.engine.timetable import Timetable
from stepgraph.engine.tracing import Tracing
from stepgraph.engine.transition import Transition
from stepgraph.model.options import StepSettings, resolve_step_settings
from stepgraph.model.topic import (
    connector_consumer,
    delete_consumer,
    hook_consumer,
    inbox_consumer,
    pull_consumer,
    retention_consumer,
    schedule_consumer,
    schedules_consumer,
    spawn_consumer,
    timeout_consumer,
    timers_consumer,
)
from stepgraph.ports.connector import Connector


class Row(NamedTuple):
    """One consumer of rows: its durable name, what people call it, and what its rows mean.

    `source` is the outside stream that it reads beside its rows, if any. `takes_handed` is False
    where rows must come from the store, by its clock; `is_in_order` where those of one run are done
    one by one, in the order of its versions.
    """

    consumer: str
    process: str
    settings: StepSettings
    performer: Performer
    source: Connector | None = None
    takes_handed: bool = True
    is_in_order: bool = False


class RowPlan:
    """Names every consumer of rows that a definition needs."""

    def __init__(
        self,
        definition: Definition[Any, Any],
        deployment: Deployment,
        instance: Instance,
        *,
        moves: Moves,
        resources: Mapping[str, object],
        callbacks: Callbacks,
        workflow: Any,
        transition_of: Callable[[Handler[Any], StepSettings, str], Transition],
        timetable: Timetable | None,
        is_anybody_able: Callable[[str], bool],
        tracing: Tracing | None,
    ) -> None:
        """Plan for `definition`."""
        self._definition = definition
        self._deployment = deployment
        self._instance = instance
        self._moves = moves
        self._resources = resources
        self._callbacks = callbacks
        self._workflow = workflow
        self._transition_of = transition_of
        self._timetable = timetable
        self._is_anybody_able = is_anybody_able
        self._tracing = tracing
        self._settings = replace(resolve_step_settings(deployment.defaults, {}), parallel_count=1)

    def rows(self) -> Iterator[Row]:
        """Return the rows of the plan."""
        yield from self._timeouts()
        yield from self._hooks()
        yield from self._connectors()
        yield from self._schedules()
        name, instance = self._definition.name, self._instance
        clock = instance.clock
        if any(handler.buffer is not None for handler in self._definition.callbacks):
            inbox = InboxPerformer(
                self._callbacks,
                instance.store,
                clock,
                listeners=tuple(self._callbacks.listeners),
                max_attempts=self._settings.max_attempts,
            )
            yield Row(inbox_consumer(name), "inbox-consumer", self._settings, inbox)
        pull = PullPerformer(instance.backend.work_queue, clock)
        yield Row(pull_consumer(name), "pull-consumer", self._settings, pull)
        yield Row(spawn_consumer(name), "spawn-consumer", self._settings, self._spawn())
        backend = instance.backend
        delete = DeletePerformer(
            self._definition,
            self._moves,
            (backend.history_store, backend.child_store),
            clock,
            max_attempts=self._settings.max_attempts,
        )
        yield Row(delete_consumer(name), "delete-consumer", self._settings, delete)
        stream = self._deployment.stream_backend
        prune = RetentionPerformer(
            name,
            self._deployment.settings,
            store=instance.backend.retention_store,
            queue=instance.backend.work_queue,
            streamer=stream.event_streamer if stream is not None else None,
            clock=clock,
        )
        yield Row(retention_consumer(name), "retention-consumer", StepSettings(), prune)

    def _spawn(self) -> SpawnPerformer:
        instance = self._instance
        moves = StoredMoves(
            instance.backend.definition_store,
            instance.clock,
            instance.identity,
            instance=instance.id,
            slot_count=instance.store.slot_count,
        )
        tools = SpawnTools(
            instance.store,
            instance.backend.child_store,
            instance.backend.work_queue,
            instance.committer,
            moves,
            instance.clock,
        )
        return SpawnPerformer(tools, self._settings.max_attempts)

    def _timeouts(self) -> Iterator[Row]:
        """Two consumers for each status with timeouts: one finds out when, one does."""
        name, clock = self._definition.name, self._instance.clock
        handlers: dict[int, list[TimeoutHandler[Any]]] = {}
        for handler in self._definition.timeouts:
            handlers.setdefault(handler.status.value, []).append(handler)
        for status, found in handlers.items():
            consumer = timeout_consumer(name, status)
            settings = settings_of(found[0], self._deployment)
            settings = replace(settings, parallel_count=1)
            transitions = {
                handler.name: (
                    handler,
                    self._transition_of(handler, settings_of(handler, self._deployment), consumer),
                )
                for handler in found
            }
            label = found[0].status.name
            fire = TimeoutPerformer(
                transitions,
                clock=clock,
                max_attempts=settings.pause_after_error_count,
                process=f"{label}-timeout-consumer",
                observe=self._instance.observers.teller(name),
                tracing=self._tracing,
            )
            process = f"{label}-timeout-consumer"
            yield Row(consumer, process, settings, fire, takes_handed=False)
            find_out = TimersPerformer(
                self._definition,
                transitions,
                consumer=consumer,
                threads=self._instance.threads,
                clock=clock,
                max_attempts=settings.pause_after_error_count,
            )
            process = f"{label}-timeout-auto-inserter-consumer"
            yield Row(timers_consumer(name, status), process, settings, find_out)

    def _hooks(self) -> Iterator[Row]:
        name = self._definition.name
        for hook in self._definition.hooks:
            settings = resolve_step_settings(self._deployment.defaults, hook.options, "hook")
            settings = replace(settings, parallel_count=1)
            caller = Caller(hook, self._resources, self._instance.threads)
            history = self._instance.backend.history_store
            tell = HookPerformer(
                self._definition, caller, history, settings.max_attempts, self._tracing
            )
            process = f"{hook.name}-hook-consumer"
            yield Row(hook_consumer(name, hook.name), process, settings, tell, is_in_order=True)

    def _connectors(self) -> Iterator[Row]:
        name = self._definition.name
        for connector in self._definition.connectors:
            settings = resolve_step_settings(
                self._deployment.defaults, connector.options, "connector"
            )
            caller = Caller(connector, self._resources, self._instance.threads)
            hand_over = ConnectorPerformer(
                caller, self._workflow, settings.max_attempts, self._tracing
            )
            process = f"{connector.name}-connector-to-{name}-consumer"
            source = self._deployment.settings.connectors[connector.name]
            consumer = connector_consumer(name, connector.name)
            yield Row(consumer, process, settings, hand_over, source)

    def _schedules(self) -> Iterator[Row]:
        """One consumer for each declared schedule, and one for all that no code declares."""
        if self._timetable is None:
            return
        name, instance = self._definition.name, self._instance
        decide = SchedulePerformer(
            self._timetable, instance.committer, instance.clock, self._is_anybody_able
        )
        yield Row(schedules_consumer(name), "schedule-consumer", self._settings, decide)
        for schedule in self._definition.schedules:
            consumer = schedule_consumer(name, schedule.name, schedule.fingerprint)
            process = f"{schedule.name}-schedule-consumer"
            yield Row(consumer, process, self._settings, decide)
