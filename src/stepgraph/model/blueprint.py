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

    def differences(self, other: Blueprint) -> tuple[str, ...]:
        """Say in what objects and graph of the other differ; nothing for functions alone."""
        found: list[str] = []
        mine, theirs = (f"{b.object_type}({b.object_shape})" for b in (self, other))
        if mine != theirs:
            found.append(f"its objects are {theirs}, here {mine}")
        own_ways, other_ways = self._ways(), other._ways()
        for words, ways in (
            ("only there", other_ways - own_ways),
            ("only here", own_ways - other_ways),
        ):
            if ways:
                found.append(f"{words}: {', '.join(sorted(ways))}")
        return tuple(found)

    def _ways(self) -> frozenset[str]:
        """Return the statuses and the transitions, in words."""
        names = {status.number: status.name for status in self.statuses}
        ways = {f"{names[before]} to {names[after]}" for before, after in self.graph.edges}
        return frozenset({*ways, *(f"{name}={number}" for number, name in names.items())})

    @property
    def graph(self) -> StatusGraph:
        """Return which status may follow which."""
        return StatusGraph.of((f.status, after) for f in self.functions for after in f.destinations)
