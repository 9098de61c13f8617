"""Definition: what a Builder collected, frozen; and Deployment: where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any, Generic, Literal, TypeVar

from stepgraph.model.graph import StatusGraph
from stepgraph.model.options import WorkflowSettings
from stepgraph.ports.backend import HasEventStreamer, HasRecordStore, HasRoleScheduler
from stepgraph.ports.codec import Codec

O = TypeVar("O")
S = TypeVar("S", bound=IntEnum)


@dataclass(frozen=True, kw_only=True)
class Handler(Generic[S]):
    """One declared function: what calls it, where it goes, and what it asks for."""

    kind: Literal["step"]
    status: S
    name: str
    function: Callable[..., Any]
    is_async: bool
    destinations: tuple[S, ...]
    resource_names: tuple[str, ...]
    optional_names: frozenset[str]
    options: Mapping[str, Any]
    description: str


@dataclass(frozen=True, kw_only=True)
class Definition(Generic[O, S]):
    """A workflow as declared: its types, its graph, its functions. Building does not change it."""

    name: str
    object_type: type[O]
    status_type: type[S]
    codec: Codec
    handlers: tuple[Handler[S], ...]
    graph: StatusGraph

    @property
    def statuses(self) -> tuple[S, ...]:
        """Every status, in the order of the enum."""
        return tuple(self.status_type)

    @property
    def edges(self) -> tuple[tuple[S, S], ...]:
        """Each (from, to) once, in the order of declaration."""
        status = self.status_type
        return tuple((status(before), status(after)) for before, after in self.graph.edges)

    @property
    def starts(self) -> tuple[S, ...]:
        """Statuses that nothing leads to, or the first one declared."""
        return tuple(self.status_type(status) for status in self.graph.starts)

    @property
    def ends(self) -> tuple[S, ...]:
        """Statuses that nothing leads out of: a run that enters one is completed."""
        return tuple(self.status_type(status) for status in self.graph.ends)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash that differs whenever two releases of the code see runs differently."""
        parts = [self.name, *(f"{s.name}={s.value}" for s in self.status_type)]
        parts += [f"{before}>{after}" for before, after in self.graph.edges]
        parts += [f"{h.kind} {h.status.value} {h.name}" for h in self.handlers]
        parts += [f"{self.object_type.__name__}: {_shape(self.object_type)}"]
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _shape(object_type: type[Any]) -> str:
    """Return the fields of a type as text; what has none counts by its name alone."""
    annotations = getattr(object_type, "__annotations__", {})
    return ", ".join(f"{name} {annotation}" for name, annotation in sorted(annotations.items()))


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where a definition runs, and the options that `build()` was given."""

    record_backend: HasRecordStore
    stream_backend: HasEventStreamer | None
    role_backend: HasRoleScheduler
    settings: WorkflowSettings
    defaults: Mapping[str, Any]

    @property
    def is_relayed(self) -> bool:
        """Whether step work is announced over a stream that is not the record store's own."""
        return self.stream_backend is not None
