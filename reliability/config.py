"""Config: what kind of world a seed makes. Worlds are small and many rather than few and large."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from reliability.chance import Chance
from reliability.fault import Fault, draw_faults


@dataclass(frozen=True)
class Config:
    """Everything that is decided before a world begins; what shrinks a failure changes this."""

    seed: int
    nodes: tuple[str, ...] = ("worker-0", "worker-1")
    workflows: tuple[str, ...] = ("orders",)
    actors: tuple[str, ...] = ()
    is_mixed: bool = False
    slot_count: int = 2
    parallel_count: int = 1
    concurrency: int = 32
    trigger_count: int = 14
    chaos_seconds: float = 40.0
    settle_seconds: float = 900.0
    has_unstorable: bool = False
    has_custom_delete: bool = False
    faults: tuple[Fault, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def without(self, numbers: frozenset[int]) -> Config:
        """Return this world without some of its faults."""
        kept = tuple(fault for fault in self.faults if fault.number not in numbers)
        return replace(self, faults=kept)


ACTORS = ("triggers", "callbacks", "operator", "feed", "awaiter")


def draw_config(seed: int, profile: str = "all") -> Config:
    """Draw a world. `profile` is "all", or asks for a "mixed", "plain" or "calm" one."""
    chance = Chance(seed)
    random = chance.stream("config")
    nodes = tuple(f"worker-{i}" for i in range(random.choice((1, 2, 2, 3))))
    is_mixed = random.random() < 0.4
    is_calm = random.random() < 0.08
    if profile in ("mixed", "plain"):
        is_mixed, is_calm = profile == "mixed", False
    if profile == "calm":
        is_calm = True
    chaos = random.choice((15.0, 25.0, 40.0))
    actors = ["triggers"]
    actors += [name for name in ACTORS[1:] if random.random() < 0.8]
    faults = draw_faults(chance, nodes, chaos, is_mixed=is_mixed)
    return Config(
        seed=seed,
        nodes=nodes,
        workflows=random.choice((("orders",), ("orders",), ("orders",), ("orders", "orders.1"))),
        actors=tuple(actors),
        is_mixed=is_mixed,
        slot_count=random.choice((1, 2, 2, 4)),
        parallel_count=random.choice((1, 1, 2)),
        concurrency=random.choice((1, 2, 32)),
        trigger_count=random.randrange(8, 24),
        chaos_seconds=chaos,
        has_unstorable=random.random() < 0.3,
        has_custom_delete=random.random() < 0.4,
        faults=() if is_calm else faults,
        options={
            "pause_retry": timedelta(seconds=random.choice((2, 6))),
            "stuck_after": timedelta(seconds=random.choice((1, 4))),
            "stop_within": timedelta(seconds=random.choice((0, 5, 10))),
        },
    )
