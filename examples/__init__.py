"""Programs to learn from; each is a test too."""
