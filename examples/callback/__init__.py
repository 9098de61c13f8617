"""A web hook tells a run what happened outside: a checked payload, and an answer that is true."""
