"""Places: from a definition to what the engine needs of it, ready to be used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from stepgraph.definition import Definition, Deployment, Handler, TimeoutHandler
from stepgraph.engine.announce import Announcer, Place, TimerPlan
from stepgraph.engine.callback import Callbacks, Listener
from stepgraph.engine.caller import Caller
from stepgraph.engine.instance import Instance
from stepgraph.engine.moves import Moves
from stepgraph.engine.planner import Planner
from stepgraph.engine.timetable import Timetable
from stepgraph.engine.tracing import Tracing
from stepgraph.engine.transition import Call, Transition
from stepgraph.engine.trigger import Wish
from stepgraph.model.instant import to_microseconds
from stepgraph.model.options import OptionKind, StepSettings, resolve_step_settings
from stepgraph.model.topic import (
    hook_consumer,
    join_call_consumer,
    join_consumer,
    step_topic,
    timeout_consumer,
    timers_consumer,
)
from stepgraph.model.work_name import WorkName
from stepgraph.model.write import Write
from stepgraph.ports.schedule_store import ScheduleStore


def announcer_of(definition: Definition[Any, Any], deployment: Deployment) -> Announcer:
    """Return what announces the runs of a workflow."""
    lags = {
        handler.status.value: to_microseconds(
            resolve_step_settings(deployment.defaults, handler.options).consume_lag
        )
        for handler in (*definition.steps, *definition.joins)
    }
    joins = {handler.status.value for handler in definition.joins}
    ends = frozenset(definition.graph.ends)
    is_foreign = deployment.timeout_backend is not None
    buffering = {h.status.value for h in definition.callbacks if h.buffer is not None}
    places = {
        status.value: Place(
            status.value,
            status.name,
            status.value in ends,
            _consumer_of(definition.name, status.value, lags, joins),
            lags.get(status.value, 0),
            tuple(
                _timer_plan(definition.name, handler, is_foreign=is_foreign)
                for handler in definition.timeouts
                if handler.status is status
            ),
            timeout_consumer(definition.name, status.value),
            status.value in buffering,
            join_call_consumer(definition.name, status.value) if status.value in joins else "",
        )
        for status in definition.statuses
    }
    hooks: dict[int, tuple[str, ...]] = {}
    for hook in definition.hooks:
        for run_state in hook.run_states:
            consumer = hook_consumer(definition.name, hook.name)
            hooks[int(run_state)] = (*hooks.get(int(run_state), ()), consumer)
    return Announcer(
        definition.name,
        places,
        slot_count=deployment.record_backend.record_store.slot_count,
        is_relayed=deployment.is_relayed,
        hooks=hooks,
    )


def _consumer_of(
    workflow: str, status: int, lags: Mapping[int, int], joins: Collection[int]
) -> str:
    """Return who is told of a run that comes into a status; nobody if no step or join is there."""
    if status in joins:
        return join_consumer(workflow)
    return step_topic(workflow, status) if status in lags else ""


def _timer_plan(workflow: str, handler: TimeoutHandler[Any], *, is_foreign: bool) -> TimerPlan:
    """A time that is known goes into the commit; a function, or a foreign store, is work."""
    status = handler.status.value
    after = handler.after
    if is_foreign or not handler.is_static:
        return TimerPlan(timers_consumer(workflow, status), handler.name, None, None)
    consumer = timeout_consumer(workflow, status)
    if isinstance(after, timedelta):
        return TimerPlan(consumer, handler.name, to_microseconds(after), None)
    return TimerPlan(consumer, handler.name, None, after if isinstance(after, int) else None)


def settings_of(handler: Handler[Any], deployment: Deployment) -> StepSettings:
    """Return the options of a function that moves runs; a callback's are the workflow's."""
    kind: OptionKind = "timeout" if handler.kind == "timeout" else "step"
    return resolve_step_settings(deployment.defaults, handler.options, kind)


def transition_of(
    handler: Handler[Any],
    settings: StepSettings,
    role: str,
    *,
    definition: Definition[Any, Any],
    deployment: Deployment,
    instance: Instance,
    moves: Moves,
    resources: Mapping[str, object],
) -> Transition:
    """Return what calls a function that moves runs."""
    name = "" if handler.kind in ("step", "join") else handler.name
    call = Call(
        kind=handler.kind,
        status_value=handler.status,
        status_type=definition.status_type,
        object_type=definition.object_type,
        function=handler.function,
        is_async=handler.is_async,
        name=handler.name,
        work_name=WorkName(handler.kind, name, instance.clock),
        destinations={status: status.value for status in handler.destinations},
        resources={n: resources[n] for n in handler.resource_names if n in resources},
        settings=settings,
        role=role,
        children=instance.children.waiting if handler.kind == "join" else None,
    )
    transition = Transition(call, moves, definition.codec, instance.clock, instance.identity)
    pause_retry = deployment.settings.pause_retry
    transition.pause_retry = to_microseconds(pause_retry) if pause_retry is not None else None
    transition.threads = instance.threads
    return transition


def callbacks_of(
    definition: Definition[Any, Any],
    deployment: Deployment,
    instance: Instance,
    *,
    moves: Moves,
    resources: Mapping[str, object],
    tracing: Tracing | None,
) -> Callbacks:
    """Return what delivers callbacks to the runs of a workflow."""
    listeners = [
        Listener(
            handler,
            transition_of(
                handler,
                settings_of(handler, deployment),
                f"{definition.name}/callback",
                definition=definition,
                deployment=deployment,
                instance=instance,
                moves=moves,
                resources=resources,
            ),
        )
        for handler in definition.callbacks
    ]
    return Callbacks(
        definition,
        listeners,
        store=instance.store,
        queue=instance.backend.work_queue,
        committer=instance.committer,
        clock=instance.clock,
        identity=instance.identity,
        wake=instance.wake_all,
        tracing=tracing,
        time_limit_seconds=resolve_step_settings(
            deployment.defaults, {}
        ).time_limit.total_seconds(),
    )


def timetable_of(
    definition: Definition[Any, Any],
    instance: Instance,
    resources: Mapping[str, object],
    create: Callable[[Wish, str], Write],
    tracing: Tracing | None,
) -> Timetable | None:
    """Return what keeps the schedules of a workflow; None where the backend can keep none."""
    store: ScheduleStore | None = getattr(instance.backend, "schedule_store", None)
    if store is None:
        return None
    callers = {s.name: Caller(s, resources, instance.threads) for s in definition.schedules}
    return Timetable(
        definition,
        store,
        instance.store,
        instance.backend.work_queue,
        instance.clock,
        planner=Planner(definition, callers, create, tracing),
        wake=instance.wake_all,
    )
