"""A shop's orders: retried payments, another way to pay, refunds, a deadline, hooks."""
