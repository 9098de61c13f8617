"""The bug bank: known mistakes, planted one at a time; the checker must find each."""

from reliability.bank.planted import BUGS, Bug, Planting

__all__ = ["BUGS", "Bug", "Planting"]
