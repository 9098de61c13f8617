"""Layering: how far from the starts each status stands."""

from __future__ import annotations

from collections.abc import Sequence

_PASSES = 8


def layers_of(nodes: Sequence[int], links: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return a layer for each node, from 0, with every link leading to a higher one.

    `links` have no cycle. First each node stands as far left as it can (longest path); then each
    moves within its freedom to where its links are shortest in all, which is what a network
    simplex would do one step at a time.
    """
    entering: dict[int, list[int]] = {node: [] for node in nodes}
    leaving: dict[int, list[int]] = {node: [] for node in nodes}
    for before, after in links:
        entering[after].append(before)
        leaving[before].append(after)
    order = _topological(nodes, entering, leaving)
    layers: dict[int, int] = {}
    for node in order:
        layers[node] = max((layers[before] + 1 for before in entering[node]), default=0)
    for _ in range(_PASSES):
        has_moved = False
        for node in reversed(order):
            if len(leaving[node]) <= len(entering[node]):
                continue
            latest = min(layers[after] for after in leaving[node]) - 1
            has_moved = has_moved or latest != layers[node]
            layers[node] = latest
        if not has_moved:
            break
    least = min(layers.values(), default=0)
    return {node: layer - least for node, layer in layers.items()}


def _topological(
    nodes: Sequence[int], entering: dict[int, list[int]], leaving: dict[int, list[int]]
) -> list[int]:
    missing = {node: len(entering[node]) for node in nodes}
    order = [node for node in nodes if not missing[node]]
    for node in order:
        for after in leaving[node]:
            missing[after] -= 1
            if not missing[after]:
                order.append(after)
    return order
