"""Who should hold which role: rendezvous hashing with bounded load.

Every member computes the same answer from the same standing, so nobody has to lead. Highest random
weight hashing (Thaler and Ravishankar, 1998) moves little when members come and go; the bound
(after Mirrokni, Thorup and Zadimoghaddam, 2018) keeps the spread at one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b


def assign(candidates: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the preferred member of each unit of work.

    `candidates` maps a unit to the members that can hold it. Units are placed in the order of
    their names, each with its highest-scored candidate that has room; the room of a member is its
    fair share, rounded up.
    """
    members = {member for able in candidates.values() for member in able}
    if not members:
        return {}
    share = -(-len(candidates) // len(members))
    load = dict.fromkeys(members, 0)
    preferred: dict[str, str] = {}
    for unit in sorted(candidates):
        able = candidates[unit]
        if not able:
            continue
        free = [member for member in able if load[member] < share]
        least = min(load[member] for member in able)
        pool = free or [member for member in able if load[member] == least]
        chosen = max(pool, key=lambda member: (_score(unit, member), member))
        load[chosen] += 1
        preferred[unit] = chosen
    return preferred


def _score(unit: str, member: str) -> bytes:
    joined = f"{len(unit)}:{unit}{member}".encode()
    return blake2b(joined, digest_size=8).digest()
