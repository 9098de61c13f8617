"""The simulator: the unmodified library in virtual time, under faults, and what checks it."""
