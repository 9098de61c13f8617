"""The servers that the tests and benchmarks need: installed, started and stopped, one file each."""

from tools.services.postgres import PostgresService
from tools.services.service import MissingServiceError, Service

SERVICES: dict[str, type[Service]] = {"postgres": PostgresService}

__all__ = ["SERVICES", "MissingServiceError", "PostgresService", "Service"]
