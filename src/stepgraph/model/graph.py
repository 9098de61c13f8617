"""StatusGraph: which status may follow which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stepgraph.errors import DefinitionError

STATUS_LIMIT = 1_000
EDGE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class StatusGraph:
    """Edges in the order of their declaration, each once; cycles and self loops are fine."""

    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, edges: Iterable[tuple[int, int]]) -> StatusGraph:
        """Return the graph of these edges, refusing one that is larger than a person can want."""
        unique = tuple(dict.fromkeys(edges))
        graph = cls(unique)
        if len(unique) > EDGE_LIMIT:
            raise DefinitionError(f"the graph has {len(unique)} edges; at most {EDGE_LIMIT} fit")
        if len(graph.statuses) > STATUS_LIMIT:
            count = len(graph.statuses)
            raise DefinitionError(f"the graph has {count} statuses; at most {STATUS_LIMIT} fit")
        return graph

    @property
    def statuses(self) -> tuple[int, ...]:
        """Return every status that is in an edge, in the order of its first mention."""
        return tuple(dict.fromkeys(status for edge in self.edges for status in edge))

    @property
    def starts(self) -> tuple[int, ...]:
        """Return the statuses that nothing else leads to, or the first one declared."""
        reached = {after for before, after in self.edges if before != after}
        starts = tuple(dict.fromkeys(before for before, _ in self.edges if before not in reached))
        return starts or tuple(before for before, _ in self.edges[:1])

    @property
    def ends(self) -> tuple[int, ...]:
        """Return the statuses that nothing leads out of."""
        left = {before for before, _ in self.edges}
        return tuple(dict.fromkeys(after for _, after in self.edges if after not in left))

    def after(self, status: int) -> tuple[int, ...]:
        """Return the statuses that may follow one."""
        return tuple(after for before, after in self.edges if before == status)

    def reachable(self, sources: Iterable[int]) -> frozenset[int]:
        """Return these statuses and all that a run which begins in one of them can come to."""
        following = self._neighbours(self.edges)
        return _closure(sources, following)

    @property
    def endless(self) -> tuple[int, ...]:
        """Return the statuses from which no end can be reached: only a cancel ends a run there."""
        leading = self._neighbours((after, before) for before, after in self.edges)
        ending = _closure(self.ends, leading)
        return tuple(status for status in self.statuses if status not in ending)

    @staticmethod
    def _neighbours(edges: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for one, other in edges:
            found.setdefault(one, []).append(other)
        return found


def _closure(sources: Iterable[int], neighbours: dict[int, list[int]]) -> frozenset[int]:
    """Return the sources and all that can be reached from them."""
    found = set(sources)
    waiting = list(found)
    while waiting:
        new = [status for status in neighbours.get(waiting.pop(), ()) if status not in found]
        found.update(new)
        waiting += new
    return frozenset(found)
