"""A small page of runs over the public API: what is where, why, and buttons to act on it."""
