"""Prometheus: an observer that adds facts up, and shows the sums at a scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from stepgraph.adapters.prometheus.facts import FactBook
from stepgraph.adapters.prometheus.figures import Figures
from stepgraph.adapters.prometheus.metrics import METRICS, Metric
from stepgraph.model.fact import Fact
from stepgraph.ports.observer import Observer

# A registry shows each metric once: a second observer of it adds to the same figures.
_books: WeakKeyDictionary[CollectorRegistry, tuple[Figures, FactBook]] = WeakKeyDictionary()
_FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


@final
class Prometheus(Observer):
    """Metrics of every workflow that it is given to: `build(..., observers=[Prometheus()])`.

    `registry` is what to scrape: its own, unless another is given, such as the client's `REGISTRY`.
    One object serves any number of workflows, event loops and threads; two objects on one registry
    add up. A scrape reads memory only and never waits for a store.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Show everything in `registry`; raises `ValueError` if it has metrics of these names."""
        self.registry = registry if registry is not None else CollectorRegistry()
        found = _books.get(self.registry)
        if found is None:
            figures = Figures()
            self.registry.register(_Scrape(figures))
            found = _books[self.registry] = (figures, FactBook(figures))
        self._lock = found[0].lock
        self._adders = found[1].adders

    def observe(self, fact: Fact, /) -> None:
        """Add a fact up; one of a kind that has no metric is left out."""
        add = self._adders.get(type(fact))
        if add is not None:
            with self._lock:
                add(fact)


class _Scrape(Collector):
    """Shows what was added up so far."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Any]:
        """Name the metrics, so that a clash with others in the registry is found at once."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Any]:
        """Return every metric as it is now."""
        for metric in METRICS:
            family = _family(metric)
            if metric.kind == "histogram":
                for labels, buckets, total in self._figures.shown(metric.name):
                    family.add_metric(labels, buckets, total)
            else:
                for labels, value in self._figures.numbers(metric.name):
                    family.add_metric(labels, value)
            yield family


def _family(metric: Metric) -> Any:
    return _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
