"""What the shop asks of the world, played in memory: a bank that is not always there, and a store.

Each of them heeds the key that it is given: a call that is repeated gets the answer of the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class BankAwayError(Exception):
    """The bank does not answer; the charge may have happened."""


@dataclass
class Bank:
    """Charges cards and pays back, each once for each key."""

    away_for: dict[str, int] = field(default_factory=dict)
    declined: set[str] = field(default_factory=set)
    charged: dict[str, tuple[str, int]] = field(default_factory=dict)
    refunded: dict[str, tuple[str, int]] = field(default_factory=dict)

    def charge(self, key: str, order: str, cents: int) -> bool:
        """Return whether the card was charged; the answer gets lost while the bank is away."""
        if order in self.declined:
            return False
        self.charged.setdefault(key, (order, cents))
        if self.away_for.get(order, 0):
            self.away_for[order] -= 1
            raise BankAwayError("no answer")
        return True

    def refund(self, key: str, order: str, cents: int) -> None:
        """Pay back."""
        self.refunded.setdefault(key, (order, cents))

    def balance(self, order: str) -> int:
        """Return what an order's customer has paid in the end."""
        paid = sum(cents for name, cents in self.charged.values() if name == order)
        return paid - sum(cents for name, cents in self.refunded.values() if name == order)


@dataclass
class Warehouse:
    """Knows what there is."""

    stock: dict[str, int]
    taken: set[str] = field(default_factory=set)

    def take(self, key: str, article: str) -> bool:
        """Take one of an article from the shelf, once for each key."""
        if key in self.taken:
            return True
        if self.stock.get(article, 0) <= 0:
            return False
        self.stock[article] -= 1
        self.taken.add(key)
        return True


@dataclass
class Post:
    """Mails to customers, by the key that keeps them from going out twice."""

    sent: dict[str, str] = field(default_factory=dict)

    def send(self, key: str, text: str) -> None:
        """Send once for each key."""
        self.sent.setdefault(key, text)
