"""Campaigns: many seeds over several processes, and the ledger that their sums come from."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from reliability.config import draw_config
from reliability.goals import GOALS
from reliability.simulate import simulate

LEDGER = Path(__file__).with_name("ledger.jsonl")
_BATCH = 25
_DOUBLED = 100  # every hundredth seed is run twice


@dataclass
class Outcome:
    """What one seed came to, small enough to be sent between processes."""

    seed: int
    digest: str
    violations: list[str]
    goals: set[str]
    commits: int
    calls: int
    injected: Counter[str]
    steps: int
    seconds: float
    is_void: bool


@dataclass
class Sum:
    """What a campaign came to."""

    profile: str
    worlds: int = 0
    void: int = 0
    commits: int = 0
    calls: int = 0
    steps: int = 0
    seconds: float = 0.0
    took: float = 0.0
    doubled: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    goals: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, list[str]]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.worlds += 1
        self.void += outcome.is_void
        self.commits += outcome.commits
        self.calls += outcome.calls
        self.steps += outcome.steps
        self.seconds += outcome.seconds
        self.injected.update(outcome.injected)
        self.goals.update(outcome.goals)
        if outcome.violations:
            self.failed.append((outcome.seed, outcome.violations))

    @property
    def missing(self) -> list[str]:
        """Return the goals that no world has reached."""
        return [goal for goal in GOALS if not self.goals[goal]]


def run_one(seed: int, profile: str = "all") -> Outcome:
    """Live through one seed."""
    config = draw_config(seed, profile)
    result = simulate(config)
    history = result.history
    did_little = len(history.commits) < 10 or len(history.calls) < 3
    missed = bool(config.faults) and not result.injected
    return Outcome(
        seed,
        result.digest,
        result.violations,
        result.goals,
        len(history.commits),
        len(history.calls),
        Counter(result.injected),
        history.steps,
        history.seconds,
        did_little or missed,
    )


def _run_batch(work: tuple[Sequence[int], str]) -> list[Outcome]:
    seeds, profile = work
    return [run_one(seed, profile) for seed in seeds]


def outcomes(seeds: Sequence[int], profile: str, jobs: int) -> Iterator[Outcome]:
    """Run seeds in processes that each live for one batch: memory of dead worlds goes with them."""
    batches = [seeds[i : i + _BATCH] for i in range(0, len(seeds), _BATCH)]
    with get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for found in pool.imap_unordered(_run_batch, [(batch, profile) for batch in batches]):
            yield from found


def run(seeds: Sequence[int], profile: str, jobs: int) -> Sum:
    """Run a campaign."""
    began = time.monotonic()
    total = Sum(profile)
    for outcome in outcomes(seeds, profile, jobs):
        total.add(outcome)
        if outcome.violations:
            print(f"seed {outcome.seed}: {outcome.violations[0]}", flush=True)
        if outcome.seed % _DOUBLED == 0:
            total.doubled += 1
            again = digest_elsewhere(outcome.seed, profile)
            if again != outcome.digest:
                total.failed.append((outcome.seed, [f"not deterministic: {again}"]))
    total.took = time.monotonic() - began
    return total


def digest_elsewhere(seed: int, profile: str) -> str:
    """Return the digest of a seed in another process, with another hash seed."""
    command = [sys.executable, "-m", "reliability", "digest", "--seed", str(seed)]
    done = subprocess.run(  # noqa: S603 -- our own module
        [*command, "--profile", profile],
        env={"PYTHONHASHSEED": str(seed % 1000 + 1), "PATH": ""},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr[-300:]


def write_down(total: Sum, **more: Any) -> None:
    """Append a line to the ledger."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "profile": total.profile,
        "worlds": total.worlds,
        "void": total.void,
        "violations": len(total.failed),
        "commits": total.commits,
        "calls": total.calls,
        "faults": sum(total.injected.values()),
        "fault kinds": len(total.injected),
        "virtual seconds": round(total.seconds),
        "worlds a minute": round(total.worlds / max(total.took, 0.001) * 60),
        "doubled": total.doubled,
        "goals missing": total.missing,
        **more,
    }
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps(line) + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 -- whichever git there is
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip()
