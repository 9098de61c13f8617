"""Prometheus: the engine's facts as metrics, for a scrape."""

from stepgraph.adapters.prometheus.observer import Prometheus

__all__ = ["Prometheus"]
