"""The simulator's commands: run, replay, shrink, bank, small, digest."""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from reliability import campaign, small
from reliability.bank import BUGS, Planting
from reliability.bank.search import hunt_all
from reliability.config import Config, draw_config
from reliability.shrink import shrink
from reliability.simulate import simulate


def main(words: list[str] | None = None) -> int:
    """Do what the command line asks for; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m reliability")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="live through many worlds")
    run.add_argument("--seeds", default="0:500", help="first:last, the last excluded")
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument("--write", action="store_true", help="append the sums to the ledger")
    replay = commands.add_parser("replay", help="live through one world again")
    replay.add_argument("--trace", action="store_true")
    replay.add_argument("--bug", default="", help="plant a bug of the bank")
    replay.add_argument("--without", default="", help="numbers of faults to leave out")
    smaller = commands.add_parser("shrink", help="find the smallest world that still fails")
    smaller.add_argument("--invariant", default="")
    digest = commands.add_parser("digest", help="print the digest of one world")
    bank = commands.add_parser("bank", help="find every planted bug")
    bank.add_argument("--bug", action="append", default=[])
    bank.add_argument("--most", type=int, default=60, help="seeds for each")
    bank.add_argument("--jobs", type=int, default=2)
    commands.add_parser("small", help="go through every schedule of the small worlds")
    for command in (replay, smaller, digest):
        command.add_argument("--seed", type=int, required=True)
    for command in (run, replay, smaller, digest):
        command.add_argument("--profile", default="all", choices=["all", "plain", "mixed", "calm"])
    chosen = parser.parse_args(words)
    actions = {
        "run": _run,
        "replay": _replay,
        "shrink": _shrink,
        "digest": _digest,
        "bank": _bank,
        "small": _small,
    }
    return actions[chosen.command](chosen)


def _run(chosen: argparse.Namespace) -> int:
    first, _, last = chosen.seeds.partition(":")
    total = campaign.run(range(int(first), int(last)), chosen.profile, chosen.jobs)
    print(
        f"{total.worlds} worlds ({total.void} void), {total.commits} commits, {total.calls} calls,"
        f" {sum(total.injected.values())} faults of {len(total.injected)} kinds,"
        f" {total.seconds / 86400:.1f} virtual days,"
        f" {total.worlds / max(total.took, 0.001) * 60:.0f} worlds a minute,"
        f" {total.doubled} doubled, {len(total.failed)} failed"
    )
    for seed, violations in sorted(total.failed):
        print(f"  python -m reliability replay --seed {seed} --trace --profile {chosen.profile}")
        for text in violations[:3]:
            print(f"      {text}")
    if total.missing and total.worlds >= 500:
        print(f"never reached: {', '.join(total.missing)}")
    if chosen.write:
        campaign.write_down(total, seeds=chosen.seeds)
    is_thin = total.worlds >= 500 and (total.missing or total.void * 20 > total.worlds)
    return 1 if total.failed or is_thin else 0


def _config(chosen: argparse.Namespace) -> Config:
    return draw_config(chosen.seed, chosen.profile)


def _describe(config: Config) -> None:
    print(
        f"seed {config.seed}: {len(config.nodes)} workers, workflows {config.workflows},"
        f" {'mixed pair' if config.is_mixed else 'one store'}, {config.slot_count} slots,"
        f" actors {config.actors}, {config.trigger_count} triggers"
    )
    for fault in config.faults:
        print(
            f"  {fault.number}: {fault.kind} {fault.at:.2f}..{fault.until:.2f}"
            f" node={fault.node or 'any'} server={fault.server or 'any'} amount={fault.amount}"
        )


def _replay(chosen: argparse.Namespace) -> int:
    dropped = frozenset(int(number) for number in chosen.without.split(",") if number)
    config = _config(chosen).without(dropped)
    planting = Planting()
    if chosen.bug:
        next(bug for bug in BUGS if bug.name == chosen.bug.replace("_", " ")).plant(planting)
    result = simulate(config, is_traced=chosen.trace)
    planting.undo()
    for line in result.trace:
        print(line)
    _describe(config)
    print(f"digest {result.digest}")
    for text in result.violations:
        print(text)
    return 1 if result.violations else 0


def _shrink(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    invariant = chosen.invariant
    if not invariant:
        violations = simulate(config).violations
        if not violations:
            print("nothing is wrong with this world")
            return 0
        invariant = violations[0].partition(":")[0].partition(" at ")[0]
    config = shrink(config, invariant)
    _describe(config)
    for text in simulate(config).violations:
        print(text)
    return 1


def _digest(chosen: argparse.Namespace) -> int:
    print(simulate(_config(chosen)).digest)
    return 0


def _bank(chosen: argparse.Namespace) -> int:
    began = time.monotonic()
    seeds: list[int] = []
    missed = []
    names = [name.replace("_", " ") for name in chosen.bug]
    for catch in hunt_all(names, chosen.most, chosen.jobs):
        if catch.seeds:
            seeds.append(catch.seeds)
            print(f"{catch.seeds:4}  {catch.name}: {catch.text[:110]}", flush=True)
        else:
            missed.append(catch)
            print(f" MISSED {catch.name}; seen {catch.invariants} {catch.text[:80]}", flush=True)
    print(
        f"{len(seeds)} of {len(seeds) + len(missed)} found, median"
        f" {statistics.median(seeds) if seeds else 0} seeds, {time.monotonic() - began:.0f} s"
    )
    return 1 if missed else 0


def _small(chosen: argparse.Namespace) -> int:
    del chosen
    return small.main()


if __name__ == "__main__":
    sys.exit(main())
