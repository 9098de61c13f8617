"""OpenTelemetry: a run's life as one trace."""

from stepgraph.adapters.opentelemetry.observer import OpenTelemetry

__all__ = ["OpenTelemetry"]
