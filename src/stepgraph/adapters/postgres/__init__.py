"""The PostgreSQL backend: durable and shared, over asyncpg."""

from stepgraph.adapters.postgres.backend import Postgres

__all__ = ["Postgres"]
