"""An order flow: a payment that fails and heals, a ledger that proves nothing is charged twice."""
