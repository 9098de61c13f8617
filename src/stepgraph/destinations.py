"""Destinations: where a function says that it goes, read from its return annotation or `to=`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from stepgraph.errors import DefinitionError
from stepgraph.model.outcome import Cancel, Pause, Repeat, Skip

S = TypeVar("S", bound=IntEnum)
_OUTCOMES: tuple[type[Any], ...] = (Pause, Cancel, Skip, Repeat)


class _Found(NamedTuple):
    """What an annotation says: the statuses in it, and whether it names the whole enum."""

    statuses: list[Any]
    is_loose: bool


def read_destinations(
    function: Callable[..., Any], status_type: type[S], to: S | Iterable[S] | None
) -> tuple[S, ...]:
    """Return the statuses that a function may answer, in the order of their declaration.

    They come from `Literal[...]` in the return annotation, or from `to`; where both are there they
    must agree. Only the return annotation is evaluated. Raises `DefinitionError`.
    """
    name = getattr(unwrapped(function), "__qualname__", repr(function)).rpartition(".")[2]
    given = _given(name, status_type, to)
    try:
        annotation = read_annotation(unwrapped(function), "return", status_type)
    except Exception as error:  # evaluating an annotation can raise anything
        if given is not None:
            return given
        raise DefinitionError(
            f"cannot read the annotation of {name}(): {error}; write to=... instead"
        ) from error
    found = _read(name, annotation, status_type)
    declared = tuple(dict.fromkeys(found.statuses))
    if given is None:
        if found.is_loose or (not declared and not _has_outcome(annotation)):
            raise DefinitionError(
                f"{name}() does not say where it goes: annotate -> Literal[...] or pass to="
            )
        return declared
    if declared and not found.is_loose and set(declared) != set(given):
        raise DefinitionError(
            f"{name}() says to={[s.name for s in given]} and is annotated"
            f" {[s.name for s in declared]}: keep one of them"
        )
    return given


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the plain function inside wrappers, partials, methods and callable objects."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = getattr(function, "__wrapped__")
        elif not isinstance(function, types.FunctionType) and callable(function):
            called = type(function).__call__
            if not isinstance(called, types.FunctionType):
                return function
            function = called
        else:
            return function


def _given(name: str, status_type: type[S], to: S | Iterable[S] | None) -> tuple[S, ...] | None:
    if to is None:
        return None
    statuses: list[Any] = [to] if isinstance(to, IntEnum) else list(to)
    for status in statuses:
        _check(name, status, status_type)
    return tuple(dict.fromkeys(statuses))


def _check(name: str, status: object, status_type: type[IntEnum]) -> None:
    """Refuse what only equals a status: numbers and members of other enums do."""
    if type(status) is not status_type:
        shown = f"<{type(status).__name__}.{status.name}: {status.value}>" if isinstance(
            status, IntEnum
        ) else repr(status)  # fmt: skip
        raise DefinitionError(f"{name}() goes to {shown}, which is not a {status_type.__name__}")


def read_annotation(plain: Callable[..., Any], name: str, status_type: type[IntEnum]) -> object:
    """Return one annotation of a plain function, evaluated; None if there is none."""
    annotation = getattr(plain, "__annotations__", {}).get(name, None)
    if not isinstance(annotation, str):
        return annotation
    return _evaluate(annotation, plain, status_type)


def _evaluate(text: str, plain: Callable[..., Any], status_type: type[IntEnum]) -> object:
    """Evaluate an annotation where its function stands: module, closure, and the enum's name."""
    names: dict[str, Any] = {status_type.__name__: status_type}
    closure = inspect.getclosurevars(plain).nonlocals if plain.__closure__ else {}
    names.update(closure)
    module_names = getattr(plain, "__globals__", {})
    # Evaluates the annotation that the user's own source has, as typing.get_type_hints does.
    return eval(text, {**names, **module_names, **closure})


def _read(name: str, annotation: object, status_type: type[IntEnum]) -> _Found:
    """Collect statuses from unions, aliases, Annotated, quoted parts and Literal."""
    annotation = getattr(annotation, "__value__", annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        for status in get_args(annotation):
            _check(name, status, status_type)
        return _Found(list(get_args(annotation)), is_loose=False)
    if origin is Annotated:
        return _read(name, get_args(annotation)[0], status_type)
    if origin in (Union, types.UnionType):
        parts = [_read(name, part, status_type) for part in get_args(annotation)]
        statuses = [status for part in parts for status in part.statuses]
        return _Found(statuses, is_loose=any(part.is_loose for part in parts))
    is_loose = isinstance(annotation, type) and issubclass(annotation, int)
    return _Found([], is_loose=is_loose or annotation is Any)


def _has_outcome(annotation: object) -> bool:
    annotation = getattr(annotation, "__value__", annotation)
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return any(_has_outcome(part) for part in get_args(annotation))
    return any(annotation is outcome for outcome in _OUTCOMES)
