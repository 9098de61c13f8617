"""Runs beside your own SQL table: a write that may be repeated and still happens once."""
