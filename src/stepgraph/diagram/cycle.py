"""Cycles: which links run against the flow, so that the others have an order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def backward_links(
    nodes: Sequence[int], links: Sequence[tuple[int, int]], starts: Iterable[int]
) -> frozenset[int]:
    """Return the places of the links that lead back to where a depth-first walk came from.

    The walk begins at the starts, so that what a reader calls "back" is what is cut. Without these
    links, and without loops, the graph has no cycle.
    """
    leaving: dict[int, list[int]] = {node: [] for node in nodes}
    for place, (before, after) in enumerate(links):
        if before != after:
            leaving[before].append(place)
    backward: set[int] = set()
    on_path: set[int] = set()
    done: set[int] = set()
    for root in (*starts, *nodes):
        if root in done or root not in leaving:
            continue
        on_path.add(root)
        path = [(root, iter(leaving[root]))]
        while path:
            node, left = path[-1]
            place = next(left, -1)
            if place < 0:
                path.pop()
                on_path.discard(node)
                done.add(node)
                continue
            after = links[place][1]
            if after in on_path:
                backward.add(place)
            elif after not in done:
                on_path.add(after)
                path.append((after, iter(leaving[after])))
    return frozenset(backward)
