"""Plan: the table of a workflow's consumers; a new background process is one more row here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from stepgraph.definition import Definition, Deployment, Handler
from stepgraph.engine.callback import Callbacks
from stepgraph.engine.commit import Committer
from stepgraph.engine.consume import Consumer
from stepgraph.engine.handlers.ended import EndedHandler, EndedTools
from stepgraph.engine.handlers.relay import RelayHandler
from stepgraph.engine.handlers.resume import ResumeHandler
from stepgraph.engine.handlers.row import RowHandler, RowTools
from stepgraph.engine.handlers.step import StepHandler, Tools
from stepgraph.engine.inbox import BATCH, Inbox
from stepgraph.engine.instance import Instance
from stepgraph.engine.membership import Membership
from stepgraph.engine.moves import Moves
from stepgraph.engine.places import announcer_of, transition_of
from stepgraph.engine.receivers.lost import LostReceiver
from stepgraph.engine.receivers.queue import QueueReceiver
from stepgraph.engine.receivers.source import SourceReceiver
from stepgraph.engine.receivers.stream import StreamReceiver
from stepgraph.engine.row_plan import RowPlan
from stepgraph.engine.tasks import Tasks
from stepgraph.engine.timetable import Timetable
from stepgraph.engine.tracing import Tracing, traced
from stepgraph.engine.transactional import TransactionalStep
from stepgraph.engine.transition import Transition
from stepgraph.engine.trigger import transactions_of
from stepgraph.engine.work import Work
from stepgraph.errors import UnavailableError
from stepgraph.model.instant import SECOND, to_microseconds
from stepgraph.model.options import StepSettings, resolve_step_settings
from stepgraph.model.topic import (
    join_call_consumer,
    join_consumer,
    relay_consumer,
    resume_consumer,
    step_topic,
)
from stepgraph.ports.connector import Connector
from stepgraph.ports.lost_runs import LostQuery

_NOT_MINE = 5 * SECOND


class Plan:
    """Makes the consumers of one workflow on one instance."""

    def __init__(
        self,
        definition: Definition[Any, Any],
        deployment: Deployment,
        instance: Instance,
        membership: Membership,
        *,
        moves: Moves,
        resources: Mapping[str, object],
        tasks: Tasks,
        callbacks: Callbacks,
        workflow: Any,
        timetable: Timetable | None,
        tracing: Tracing | None,
    ) -> None:
        """Plan for `definition`; `resources` fill its functions' parameters."""
        self.slot_counts: dict[str, int] = {}
        self._definition = definition
        self._deployment = deployment
        self._instance = instance
        self._membership = membership
        self._moves = moves
        self._resources = resources
        self._tasks = tasks
        self._callbacks = callbacks
        self._workflow = workflow
        self._timetable = timetable
        self._observe = instance.observers.teller(definition.name)
        self._tracing = tracing

    async def consumers(self) -> list[Consumer]:
        """Return all consumers, not started.

        One for each step and join, what looks after children, the resumer, one for each kind of row
        that something waits for, and the relay.
        """
        found = [await self._step(handler) for handler in self._definition.steps]
        found += [self._join(handler) for handler in self._definition.joins]
        found += [self._ended(), self._resumer()]
        found += self._row_consumers()
        if self._deployment.stream_backend is not None:
            found.append(await self._relay())
        return found

    def _row_consumers(self) -> list[Consumer]:
        """Return the consumers whose rows are done one by one, for whatever was declared."""
        plan = RowPlan(
            self._definition,
            self._deployment,
            self._instance,
            moves=self._moves,
            resources=self._resources,
            callbacks=self._callbacks,
            workflow=self._workflow,
            transition_of=self.transition,
            timetable=self._timetable,
            is_anybody_able=partial(self._membership.is_anybody_able, self._definition.name),
            tracing=self._tracing,
        )
        found: list[Consumer] = []
        for row in plan.rows():
            is_split = row.source is not None
            consumer = self._consumer(row.consumer, row.process, row.settings, is_split=is_split)
            receiver = self._instance.reader.receivers[row.consumer]
            receiver.takes_handed, receiver.is_in_order = row.takes_handed, row.is_in_order
            tools = RowTools(
                store=self._instance.store,
                queue=self._instance.backend.work_queue,
                committer=self._instance.committer,
                inbox=consumer.inbox,
                tasks=self._tasks,
                mover=self._instance.mover,
                clock=self._instance.clock,
                identity=self._instance.identity,
                observe=self._observe,
                process_of=consumer.process_of,
                log=self._instance.log.about(self._definition.name, row.process),
            )
            name = (self._definition.name, row.process)
            consumer.handler = RowHandler(name, row.performer, row.settings, tools)
            if row.source is not None:
                consumer.receivers.append(self._source(consumer, row.source, row.settings))
            found.append(consumer)
        return found

    def _source(
        self, consumer: Consumer, connector: Connector, settings: StepSettings
    ) -> SourceReceiver:
        return SourceReceiver(
            consumer.inbox,
            connector,
            consumer=consumer.name,
            workflow=self._definition.name,
            queue=self._instance.backend.work_queue,
            clock=self._instance.clock,
            tasks=self._tasks,
            log=self._instance.log.about(self._definition.name, consumer.name),
            slot_count=self._instance.store.slot_count,
            consume_lag=to_microseconds(settings.consume_lag),
            is_spread=settings.parallel_count > 1,
        )

    def _consumer(
        self, name: str, process_name: str, settings: StepSettings, *, is_split: bool = False
    ) -> Consumer:
        slot_count = self._instance.store.slot_count
        self.slot_counts[name] = slot_count
        consumer = Consumer(
            name,
            self._definition.name,
            Inbox(settings.concurrency + 3 * BATCH),
            self._instance.clock,
            process_name=process_name,
            is_split=is_split,
            group_count=min(settings.parallel_count, slot_count),
            slot_count=slot_count,
            lag_alert=to_microseconds(settings.lag_alert),
            observe=self._observe,
            log=self._instance.log,
        )
        add = partial(QueueReceiver, name, consumer.inbox)
        self._instance.reader.add(name, add, consumer.look_at_queue)
        receiver = self._instance.reader.receiver(name)
        if receiver is not None:
            consumer.receivers.append(receiver)
        return consumer

    async def _step(self, handler: Handler[Any]) -> Consumer:
        name = step_topic(self._definition.name, handler.status.value)
        consumer = self._calls(handler, f"{handler.status.name}-consumer", name)
        if self._deployment.stream_backend is not None:
            settings = resolve_step_settings(self._deployment.defaults, handler.options)
            self._listen(consumer, handler, settings)
        return consumer

    def _join(self, handler: Handler[Any]) -> Consumer:
        name = join_call_consumer(self._definition.name, handler.status.value)
        return self._calls(handler, f"{handler.status.name}-join-consumer", name)

    def _calls(self, handler: Handler[Any], process: str, name: str) -> Consumer:
        """Return the consumer that calls a step, or a join whose children have ended."""
        definition, instance = self._definition, self._instance
        settings = resolve_step_settings(self._deployment.defaults, handler.options)
        transactions = transactions_of(instance.backend) if handler.is_transactional else None
        if transactions is not None:
            concurrency = min(settings.concurrency, transactions.concurrency)
            settings = replace(settings, concurrency=concurrency)
        consumer = self._consumer(name, process, settings, is_split=True)
        transition = self.transition(handler, settings, name)
        tools = Tools(
            store=instance.store,
            committer=instance.committer,
            inbox=consumer.inbox,
            tasks=self._tasks,
            observe=self._observe,
            is_rolling_out=partial(
                self._membership.other_fingerprints, definition.name, name, definition.fingerprint
            ),
            postpone=partial(self._postpone, consumer.inbox),
            process_of=consumer.process_of,
            log=instance.log.about(definition.name, process),
        )
        consumer.handler = StepHandler(definition.name, transition, tools)
        if self._tracing is not None:
            consumer.handler.run = traced(self._tracing, transition, consumer.process_of)
        if transactions is not None:
            transition.is_passing = transactions.is_passing
            limit = settings.time_limit.total_seconds()
            run = consumer.handler.run
            consumer.handler.run = TransactionalStep(run, transition.failed, transactions, limit)
        return consumer

    def _ended(self) -> Consumer:
        definition, instance = self._definition, self._instance
        consumer = self._consumer(join_consumer(definition.name), "join-consumer", _SINGLE)
        tools = EndedTools(
            instance.store,
            instance.backend.child_store,
            instance.committer,
            instance.mover,
            consumer.inbox,
            instance.clock.microseconds,
        )
        joins_any = {h.status.value: h.until == "any" for h in definition.joins}
        announcer = announcer_of(definition, self._deployment)
        consumer.handler = EndedHandler(announcer, joins_any, tools)
        return consumer

    def transition(self, handler: Handler[Any], settings: StepSettings, role: str) -> Transition:
        """Return what calls a function that moves runs."""
        return transition_of(
            handler,
            settings,
            role,
            definition=self._definition,
            deployment=self._deployment,
            instance=self._instance,
            moves=self._moves,
            resources=self._resources,
        )

    def _postpone(self, inbox: Inbox, work: Work) -> None:
        """Put work that another release must do back into the queue for a while, uncounted."""
        self._tasks.start(self._postponed(inbox, work), "postpone")

    async def _postponed(self, inbox: Inbox, work: Work) -> None:
        row = work.row
        try:
            if row is not None:
                due_at = self._instance.clock.microseconds() + _NOT_MINE
                later = type(row)(
                    row.consumer, row.slot, due_at, row.id, row.workflow, row.foreign_id,
                    row.run_id, row.version, row.attempt, row.body,
                )  # fmt: skip
                await self._instance.backend.work_queue.put([(row.key, later)])
        except UnavailableError:
            pass
        finally:
            inbox.release(work)

    def _listen(self, consumer: Consumer, handler: Handler[Any], settings: StepSettings) -> None:
        """Give a step of a mixed pair its stream, and the eye for what the stream lost."""
        backend = self._deployment.stream_backend
        if backend is None:
            return
        streamer = backend.event_streamer

        def open_receiver(slots: tuple[int, ...]) -> Any:
            return streamer.open_receiver(consumer.name, consumer.name, slots)

        stream = StreamReceiver(
            consumer.inbox,
            open_receiver,
            self._tasks,
            self._instance.log.about(self._definition.name, consumer.name),
        )
        stuck_after = self._deployment.settings.stuck_after
        slot_count = self._instance.store.slot_count
        query = LostQuery(self._definition.name, handler.status.value, (), slot_count, 0)
        lost = LostReceiver(
            consumer.inbox,
            self._instance.backend.lost_runs,
            query,
            self._instance.clock,
            stream.low_water,
            stuck_after=to_microseconds(stuck_after),
            period_seconds=max(1.0, min(60.0, stuck_after.total_seconds())),
            limit=settings.concurrency,
            log=self._instance.log.about(self._definition.name, consumer.name),
        )
        self._tasks.start(lost.run(), f"look for lost runs of {consumer.name}")
        consumer.receivers += [stream, lost]

    def _resumer(self) -> Consumer:
        name = resume_consumer(self._definition.name)
        consumer = self._consumer(name, "paused-records-retry-consumer", _SINGLE)
        committer: Committer = self._instance.committer
        consumer.handler = ResumeHandler(
            self._moves, self._instance.store, committer, consumer.inbox
        )
        return consumer

    async def _relay(self) -> Consumer:
        backend = self._deployment.stream_backend
        if backend is None:
            raise RuntimeError("a co-located workflow has no relay")
        await self._instance.open_backend(backend)
        consumer = self._consumer(relay_consumer(self._definition.name), "outbox-consumer", _SINGLE)
        sender = await backend.event_streamer.open_sender()
        now = self._instance.clock.microseconds
        consumer.handler = RelayHandler(sender, self._instance.committer, consumer.inbox, now)
        return consumer


_SINGLE = StepSettings(parallel_count=1, lag_alert=timedelta(minutes=1))
