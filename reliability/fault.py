"""Faults: what goes wrong in a world, as a list that is drawn before the world begins."""

from __future__ import annotations

from dataclasses import dataclass

from reliability.chance import Chance

SERVERS = ("store", "roles", "stream")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, from `at` until `until` (seconds of the world).

    `node` is a node's name and `server` a server's; empty means any. `amount` is a probability, a
    factor or an offset in seconds, as the kind has it.
    """

    number: int
    kind: str
    at: float
    until: float
    node: str = ""
    server: str = ""
    amount: float = 0.0


NODE_KINDS = ("crash", "pause", "stop")
CALL_KINDS = ("request lost", "answer lost", "late", "slow", "down", "partition")
STORE_KINDS = ("busy", "refused", "hints lost")
CLOCK_KINDS = ("clock", "store clock")
STREAM_KINDS = ("duplicate", "reorder", "delay", "lose", "wipe")
ROLE_KINDS = ("double grant", "forget members")


def draw_faults(
    chance: Chance, nodes: tuple[str, ...], ends_at: float, *, is_mixed: bool
) -> tuple[Fault, ...]:
    """Draw a swarm: a few kinds of faults for this world, each several times."""
    random = chance.stream("nemesis")
    kinds = [*NODE_KINDS, *CALL_KINDS, *STORE_KINDS, *CLOCK_KINDS, *ROLE_KINDS]
    if is_mixed:
        kinds += STREAM_KINDS
    chosen = [kind for kind in kinds if random.random() < (0.6 if kind == "answer lost" else 0.4)]
    found: list[Fault] = []
    for kind in chosen:
        for _ in range(random.randrange(1, 4)):
            at = random.uniform(0.5, ends_at * 0.9)
            found.append(_draw(chance, len(found), kind, at, nodes))
    return tuple(found)


def _draw(chance: Chance, number: int, kind: str, at: float, nodes: tuple[str, ...]) -> Fault:
    random = chance.stream("fault", number)
    node = random.choice(nodes)
    server = random.choice(("store", "store", "", *SERVERS))
    lasts = random.choice((0.2, 2.0, 5.0, 12.0))
    amount = random.choice((0.05, 0.2, 0.6, 1.0))
    if kind == "pause":
        lasts = random.choice((0.5, 4.0, 17.0, 35.0))
    elif kind in ("crash", "stop"):
        lasts = random.choice((0.1, 1.0, 10.0))
    elif kind == "slow":
        amount = random.choice((10.0, 100.0, 1000.0))
        node = random.choice((node, ""))
    elif kind in CLOCK_KINDS:
        amount = random.choice((-300.0, -5.0, -0.01, 0.01, 3.0, 60.0))
        lasts = random.choice((5.0, 30.0))
    elif kind == "answer lost":
        node, server = "", random.choice(("store", "store", "store", "stream", "roles"))
        amount, lasts = random.choice((0.2, 0.4, 0.6)), random.choice((5.0, 12.0))
    elif kind in CALL_KINDS:
        node = random.choice((node, "", ""))
    return Fault(number, kind, at, at + lasts, node, server, amount)
