"""Every limit, at one below it, at it, and one above; and texts that mean harm."""
