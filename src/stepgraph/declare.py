"""Declaring: what a user's function says about itself, read once and checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict, get_args

from stepgraph.destinations import read_annotation, unwrapped
from stepgraph.errors import DefinitionError, InputError
from stepgraph.model.cron import CronSpec
from stepgraph.model.identifier import check_id, check_name
from stepgraph.model.instant import LATEST, to_instant, to_microseconds
from stepgraph.model.options import refuse_unknown
from stepgraph.model.schedule import CatchUp, Overlap, ScheduleOptions

_WORDS = {
    "step": ("run",),
    "timeout": ("run",),
    "callback": ("run", "payload"),
    "join": ("run", "children"),
    "hook": ("change",),
    "connector": ("workflow", "event"),
    "schedule": ("slot",),
}


_DAY = timedelta(days=1)


# The one keyword-only parameter that the engine fills: the name is reserved.
_CONNECTION = "connection"


class FunctionFields(TypedDict):
    """The fields of a `Function`."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    resource_names: tuple[str, ...]
    optional_names: frozenset[str]
    options: Mapping[str, Any]
    description: str
    is_transactional: bool


def read_function(
    kind: str, function: Callable[..., Any], name: str | None, options: Mapping[str, Any]
) -> FunctionFields:
    """Return what every kind of function has in common; raises `DefinitionError`.

    The durable name is `name`, or the function's own.
    """
    plain = unwrapped(function)
    own_name = getattr(plain, "__name__", type(function).__name__)
    names, optional = _resource_names(kind, own_name, function)
    if name is not None:
        check_name(f"name of {own_name}()", name)
    elif kind in ("callback", "timeout", "hook", "schedule"):
        # What a function is called names its stored work, so it must be storable.
        check_name(f"name of a {kind}, which is its function's unless name= is given,", own_name)
    documentation = inspect.getdoc(plain) or ""
    return FunctionFields(
        name=name if name is not None else own_name,
        function=function,
        is_async=is_async(function),
        resource_names=tuple(n for n in names if n != _CONNECTION),
        optional_names=optional,
        options=dict(options),
        description=documentation.partition("\n")[0],
        is_transactional=_CONNECTION in names,
    )


def _resource_names(
    kind: str, name: str, function: Callable[..., Any]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the keyword-only parameters, which are the user's, and those with a default."""
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in positional if p.default is p.empty]
    words = _WORDS[kind]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > len(words) or (len(positional) < len(words) and not takes_any):
        raise DefinitionError(
            f"{name}() has the positional parameters {', '.join(required) or 'none'}: a {kind}"
            f" takes ({', '.join(words)}); put a bare * before what your resources fill"
        )
    own = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    wants_connection = any(parameter.name == _CONNECTION for parameter in own)
    if wants_connection and (kind != "step" or not is_async(function)):
        raise DefinitionError(
            f"{name}() wants 'connection', the transaction of its commit: only steps that are"
            " coroutines get one"
        )
    optional = frozenset(p.name for p in own if p.default is not p.empty)
    return tuple(parameter.name for parameter in own), optional


def read_payload_type(function: Callable[..., Any], status_type: type[Any]) -> Any:
    """Return what a callback's payload is declared as: bytes if nothing is said."""
    plain = unwrapped(function)
    names = list(inspect.signature(function).parameters)
    try:
        annotation = read_annotation(plain, names[1], status_type)
    except Exception as error:  # evaluating an annotation can raise anything
        raise DefinitionError(
            f"cannot read what {getattr(plain, '__name__', plain)}() takes as {names[1]!r}: {error}"
        ) from error
    return bytes if annotation is None else annotation


def read_after(name: str, after: object) -> timedelta | int | Callable[..., Any]:
    """Return when a timeout is due, in the form that is kept; raises `DefinitionError`."""
    if isinstance(after, timedelta):
        if after < timedelta(0):
            raise DefinitionError(f"{name}() is due after={after}: a timeout looks ahead")
        if after > LATEST:
            raise DefinitionError(f"{name}() is due after={after}: more than a hundred years")
        return after
    if isinstance(after, datetime):
        try:
            return to_instant(after)
        except ValueError as error:
            raise DefinitionError(f"{name}() is due after={after!r}: {error}") from error
    if callable(after):
        return after
    raise DefinitionError(
        f"{name}() is due after={after!r}: give a timedelta, an aware datetime, or a function"
    )


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether calling the function gives something to await."""
    call = getattr(function, "__call__", None)
    return inspect.iscoroutinefunction(unwrapped(function)) or inspect.iscoroutinefunction(call)


class ScheduleFields(TypedDict):
    """What a schedule says beside its function."""

    cron: CronSpec
    foreign_id: Any
    status: Any
    catch_up: CatchUp
    overlap: Overlap
    jitter: int


def read_schedule(name: str, spec: str, options: Mapping[str, Any]) -> ScheduleFields:
    """Return what a schedule says, checked; raises `DefinitionError`, or `TypeError` for a typo."""
    refuse_unknown(options, frozenset(ScheduleOptions.__annotations__))
    foreign_id = options.get("foreign_id")
    if foreign_id is None:
        foreign_id = name
    elif not callable(foreign_id):
        try:
            check_id("foreign id", foreign_id)
        except InputError as error:
            raise DefinitionError(f"the schedule {name!r}: {error}") from error
    for word, known in (("catch_up", CatchUp), ("overlap", Overlap)):
        if word in options and options[word] not in get_args(known):
            raise DefinitionError(
                f"the schedule {name!r} has {word}={options[word]!r}: it is one of"
                f" {', '.join(get_args(known))}"
            )
    jitter: Any = options.get("jitter", timedelta(0))
    if not isinstance(jitter, timedelta) or not timedelta(0) <= jitter <= _DAY:
        raise DefinitionError(f"the schedule {name!r} has jitter={jitter!r}: at most a day fits")
    return ScheduleFields(
        cron=CronSpec.parse(spec, options.get("zone", "UTC")),
        foreign_id=foreign_id,
        status=options.get("status"),
        catch_up=options.get("catch_up", "latest"),
        overlap=options.get("overlap", "skip"),
        jitter=to_microseconds(jitter),
    )
