"""One folder per technology; no folder knows another."""
