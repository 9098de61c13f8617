"""Declarations: the functions that a Builder has collected so far, each checked as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import IntEnum
from typing import Any, Generic, Literal, TypeVar

from stepgraph.declare import read_after, read_function, read_payload_type, read_schedule
from stepgraph.definition import (
    CallbackHandler,
    ConnectorHandler,
    Handler,
    Hook,
    JoinHandler,
    ScheduleHandler,
    TimeoutHandler,
)
from stepgraph.destinations import read_destinations
from stepgraph.errors import DefinitionError
from stepgraph.model.instant import LATEST
from stepgraph.model.options import resolve_step_settings
from stepgraph.model.run_state import RunState
from stepgraph.ports.codec import Codec

S = TypeVar("S", bound=IntEnum)


class Declarations(Generic[S]):
    """What the decorators of a Builder add to; every refusal is a `DefinitionError`."""

    def __init__(self, status_type: type[S], codec: Codec) -> None:
        """Collect for a workflow with these statuses, whose payloads `codec` reads."""
        self.handlers: list[Handler[S]] = []
        self.hooks: list[Hook] = []
        self.connectors: list[ConnectorHandler] = []
        self.schedules: list[ScheduleHandler] = []
        self._status_type = status_type
        self._codec = codec

    def add_step(
        self,
        status: S,
        function: Callable[..., Any],
        to: S | Iterable[S] | None,
        options: Mapping[str, Any],
    ) -> None:
        """Declare the step of a status."""
        common = read_function("step", function, None, options)
        self._check_status("step", common["name"], status)
        self._check_free(status)
        resolve_step_settings({}, options)
        destinations = read_destinations(function, self._status_type, to)
        self.handlers.append(Handler(status=status, destinations=destinations, **common))

    def add_callback(
        self,
        status: S,
        function: Callable[..., Any],
        to: S | Iterable[S] | None,
        name: str | None,
        buffer: timedelta | None,
    ) -> None:
        """Declare a callback of a status."""
        common = read_function("callback", function, name, {})
        self._check_status("callback", common["name"], status)
        self._check_new("callback", common["name"], status)
        if buffer is not None and not timedelta(0) < buffer <= LATEST:
            raise DefinitionError(
                f"{common['name']}() has buffer={buffer}: it must be positive, and a hundred years"
                " at most"
            )
        payload_type = read_payload_type(function, self._status_type)
        if payload_type is not bytes:
            self._codec.check_type(payload_type)
        self.handlers.append(
            CallbackHandler(
                status=status,
                destinations=read_destinations(function, self._status_type, to),
                payload_type=payload_type,
                buffer=buffer,
                **common,
            )
        )

    def add_timeout(
        self,
        status: S,
        function: Callable[..., Any],
        after: object,
        goal: tuple[S | Iterable[S] | None, str | None],
        options: Mapping[str, Any],
    ) -> None:
        """Declare a timeout; `goal` is its destinations and its name."""
        to, name = goal
        common = read_function("timeout", function, name, options)
        self._check_status("timeout", common["name"], status)
        self._check_new("timeout", common["name"], status)
        resolve_step_settings({}, options, "timeout")
        self.handlers.append(
            TimeoutHandler(
                status=status,
                destinations=read_destinations(function, self._status_type, to),
                after=read_after(common["name"], after),
                **common,
            )
        )

    def add_join(
        self,
        status: S,
        function: Callable[..., Any],
        until: Literal["all", "any"],
        to: S | Iterable[S] | None,
        options: Mapping[str, Any],
    ) -> None:
        """Declare the join of a status."""
        common = read_function("join", function, None, options)
        self._check_status("join", common["name"], status)
        self._check_free(status)
        if until not in ("all", "any"):
            raise DefinitionError(f'{common["name"]}() joins until={until!r}: "all" or "any"')
        resolve_step_settings({}, options)
        destinations = read_destinations(function, self._status_type, to)
        self.handlers.append(
            JoinHandler(status=status, destinations=destinations, until=until, **common)
        )

    def _check_free(self, status: S) -> None:
        """Refuse a second step of a status, or a join beside one: who would move the run?"""
        for h in self.handlers:
            if h.status is status and h.kind in ("step", "join"):
                raise DefinitionError(
                    f"{status.name} already has the {h.kind} {h.name}(): a status has one step,"
                    " or one join in its place"
                )

    def _check_status(self, kind: str, name: str, status: S) -> None:
        if type(status) is not self._status_type:
            raise DefinitionError(
                f"{name}() is a {kind} of {status!r}, which is not a {self._status_type.__name__}"
            )

    def _check_new(self, kind: str, name: str, status: S) -> None:
        if any((h.kind, h.name, h.status) == (kind, name, status) for h in self.handlers):
            raise DefinitionError(
                f"{status.name} already has a {kind} called {name!r}: give one of them a name="
            )

    def add_hook(
        self,
        function: Callable[..., Any],
        run_states: frozenset[RunState],
        name: str | None,
        options: Mapping[str, Any],
    ) -> None:
        """Declare a hook."""
        common = read_function("hook", function, name, options)
        resolve_step_settings({}, options, "hook")
        for place, hook in enumerate(self.hooks):
            if hook.name == common["name"]:
                if hook.function != function or hook.options != common["options"]:
                    raise DefinitionError(
                        f"there is a hook called {hook.name!r} already: give one of them a name="
                    )
                # One function under several decorators is one hook for all their run states.
                common_states = hook.run_states | run_states
                self.hooks[place] = Hook(run_states=common_states, **common)
                return
        self.hooks.append(Hook(run_states=run_states, **common))

    def add_connector(
        self, name: str, function: Callable[..., Any], options: Mapping[str, Any]
    ) -> None:
        """Declare a connector."""
        common = read_function("connector", function, name, options)
        resolve_step_settings({}, options, "connector")
        if any(connector.name == name for connector in self.connectors):
            raise DefinitionError(f"there is a connector called {name!r} already")
        self.connectors.append(ConnectorHandler(**common))

    def add_schedule(
        self, function: Callable[..., Any], spec: str, options: Mapping[str, Any]
    ) -> None:
        """Declare a schedule."""
        common = read_function("schedule", function, options.get("name"), {})
        name = common["name"]
        if any(schedule.name == name for schedule in self.schedules):
            raise DefinitionError(
                f"there is a schedule called {name!r} already: give one of them a name="
            )
        own = read_schedule(name, spec, options)
        if own["status"] is not None:
            self._check_status("schedule", name, own["status"])
        self.schedules.append(ScheduleHandler(**common, **own))
