"""What happens when nothing happens: a trial that lapses after two weeks, and a reminder before."""
