"""Durable, event-driven workflows on the database that you already run."""
