"""Figures: counters, gauges and histograms as plain numbers, added up where facts come in."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from threading import Lock
from typing import NamedTuple, TypeAlias

Labels: TypeAlias = tuple[str, ...]
OTHER = "other"
_DISTINCT_LIMIT = 50


class Histogram:
    """Observations by bucket; `counts` has one more entry than `bounds`, for what is above."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Start with nothing observed."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, values: tuple[float, ...]) -> None:
        """Add observations."""
        bounds, counts = self.bounds, self.counts
        lowest, low = bounds[0], 0
        for value in values:
            if value <= lowest:
                # By far the most: looking for their place would cost as much as all the rest.
                low += 1
            else:
                counts[bisect_left(bounds, value)] += 1
        counts[0] += low
        self.total += sum(values)

    def cumulated(self) -> list[tuple[str, float]]:
        """Return (upper bound, observations up to it), the last without bound."""
        found: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, below))
        return found


class Cell:
    """A number that is counted up: found once, it is changed without another look-up."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        """Start at 0."""
        self.count = 0


class Shown(NamedTuple):
    """One labelled histogram as it was at a scrape."""

    labels: Labels
    buckets: list[tuple[str, float]]
    total: float


class Figures:
    """The numbers of one registry by metric and labels.

    Whoever changes them holds `lock`; reading takes it for as long as it takes to copy.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.lock = Lock()
        self.counters: dict[str, dict[Labels, Cell]] = defaultdict(dict)
        self.gauges: dict[str, dict[Labels, float]] = defaultdict(dict)
        self.histograms: dict[str, dict[Labels, Histogram]] = defaultdict(dict)
        self._distinct: dict[Labels, set[str]] = defaultdict(set)

    def counter(self, name: str, labels: Labels) -> Cell:
        """Return the counter of these labels, which is shown from now on."""
        found = self.counters[name].get(labels)
        if found is None:
            found = self.counters[name][labels] = Cell()
        return found

    def histogram(self, name: str, labels: Labels, bounds: tuple[float, ...]) -> Histogram:
        """Return the histogram of these labels."""
        found = self.histograms[name].get(labels)
        if found is None:
            found = self.histograms[name][labels] = Histogram(bounds)
        return found

    def bounded(self, scope: Labels, value: str) -> str:
        """Return a label value that a user's code makes up: fifty of them, then "other"."""
        known = self._distinct[scope]
        if value not in known:
            if len(known) >= _DISTINCT_LIMIT:
                return OTHER
            known.add(value)
        return value

    def numbers(self, name: str) -> list[tuple[Labels, float]]:
        """Return a counter's or a gauge's samples."""
        with self.lock:
            counted = ((labels, cell.count) for labels, cell in self.counters[name].items())
            return [*counted, *self.gauges[name].items()]

    def shown(self, name: str) -> list[Shown]:
        """Return a histogram's samples."""
        with self.lock:
            return [
                Shown(labels, histogram.cumulated(), histogram.total)
                for labels, histogram in self.histograms[name].items()
            ]
