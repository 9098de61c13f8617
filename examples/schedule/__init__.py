"""Runs that start by the clock: a report on working days, and backups for each customer."""
