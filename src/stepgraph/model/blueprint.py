"""Blueprint: what a definition says without its code, for whoever has none of it."""

from __future__ import annotations

from msgspec import Struct

from stepgraph.model.graph import StatusGraph


class StatusBlueprint(Struct, frozen=True):
    """A status: its number, which is stored, and its name, which may change."""

    number: int
    name: str


class FunctionBlueprint(Struct, frozen=True, omit_defaults=True):
    """One of the user's functions that moves runs; durations and instants in microseconds.

    A timeout has `after` (from the entry) or `at`; neither means that a function tells its time.
    `buffer` is how long a callback keeps what comes early.
    """

    kind: str
    name: str
    status: int
    destinations: tuple[int, ...] = ()
    description: str = ""
    after: int | None = None
    at: int | None = None
    buffer: int | None = None


class Blueprint(Struct, frozen=True):
    """The graph of a workflow and the functions on it, as plain values.

    `fingerprint` differs whenever two releases of the code see runs differently, `object_shape`
    whenever they read objects differently.
    """

    workflow: str
    fingerprint: str
    object_type: str
    object_shape: str
    statuses: tuple[StatusBlueprint, ...]
    functions: tuple[FunctionBlueprint, ...]

    @property
    def graph(self) -> StatusGraph:
        """Return which status may follow which."""
        return StatusGraph.of((f.status, after) for f in self.functions for after in f.destinations)
