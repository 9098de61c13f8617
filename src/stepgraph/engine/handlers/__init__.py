"""What work means: every handler takes a batch and answers for each piece of it."""
