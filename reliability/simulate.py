"""Simulate: one seed, from its configuration to its verdict."""

from __future__ import annotations

from reliability.checker import check
from reliability.config import Config
from reliability.world import Result, World, live


def simulate(config: Config, *, is_traced: bool = False) -> Result:
    """Run a world and check its history."""
    world = World(config, is_traced=is_traced)
    live(world)
    violations = [*world.violations, *check(world.history)]
    return Result(
        config.seed,
        world._digest.hexdigest(),  # noqa: SLF001 -- the world's own summary
        violations,
        world.history,
        world.goals,
        world.network.injected,
        world.trace,
    )
