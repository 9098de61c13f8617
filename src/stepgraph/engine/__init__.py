"""Makes workflows run: one consuming loop, one transition path, one writer."""
