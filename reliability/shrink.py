"""Shrink: the smallest world that still breaks the same invariant."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from reliability.config import Config
from reliability.simulate import simulate


def _broken(config: Config) -> set[str]:
    return {text.partition(":")[0].partition(" at ")[0] for text in simulate(config).violations}


def _breaks(config: Config, invariant: str, jobs: Any) -> bool:
    return invariant in jobs.apply(_broken, (config,))


def shrink(config: Config, invariant: str, most: int = 200) -> Config:
    """Drop faults, actors, nodes and runs one by one for as long as `invariant` stays broken."""
    with get_context("fork").Pool(1, maxtasksperchild=10) as jobs:
        tried = 0
        is_smaller = True
        while is_smaller and tried < most:
            is_smaller = False
            for smaller in _smaller(config):
                tried += 1
                if _breaks(smaller, invariant, jobs):
                    config, is_smaller = smaller, True
                    break
                if tried >= most:
                    break
    return config


def _smaller(config: Config) -> list[Config]:
    """Return worlds with one thing less, the largest things first."""
    found = []
    faults = config.faults
    if len(faults) > 3:
        middle = len(faults) // 2
        found += [replace(config, faults=half) for half in (faults[:middle], faults[middle:])]
    found += [config.without(frozenset({fault.number})) for fault in faults]
    found += [
        replace(config, actors=tuple(a for a in config.actors if a != name))
        for name in config.actors
        if name != "triggers"
    ]
    if len(config.workflows) > 1:
        found.append(replace(config, workflows=config.workflows[:1]))
    if len(config.nodes) > 1:
        found.append(replace(config, nodes=config.nodes[:-1]))
    if config.trigger_count > 1:
        found.append(replace(config, trigger_count=config.trigger_count // 2))
        found.append(replace(config, trigger_count=config.trigger_count - 1))
    return found
