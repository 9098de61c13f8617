"""Where work comes from: every source is a receiver that feeds an inbox."""
