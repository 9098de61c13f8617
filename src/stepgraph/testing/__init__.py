"""For users and adapter authors: what their tests need; never imported by the rest."""
