"""Invoices in the shop's own table: one for each order, whatever happens between two transactions."""

import sqlite3

import pytest

from examples.sql.flow import Order, Status, orders
from examples.sql.shop import Shop
from stepgraph.testing import Faults, Harness
from tests.examples.programs import printed_by

LINES = [
    "order-1: CONFIRMED, invoiced at try 1",
    "order-2: REJECTED, 0 cents cannot be invoiced",
    "order-3: CONFIRMED, invoiced at try 3",
]


def test_the_program_invoices_once_also_when_it_is_started_again(tmp_path):
    for _ in range(2):
        lines = printed_by("sql", "--folder", str(tmp_path))
        assert lines[:3] == LINES
        assert sorted(lines[3:]) == ["in the table: Ada, 1250 cents", "in the table: Grace, 990 cents"]


def test_the_program_runs_without_a_folder():
    assert printed_by("sql")[:3] == LINES


async def test_an_order_that_is_wrong_holds_up_nobody(backend, tmp_path):
    shop = Shop(tmp_path / "shop.db")
    resources = {"shop": shop, "accidents": set()}
    async with Harness(orders, backend=backend, resources=resources) as harness:
        assert (await harness.trigger("bad", Order("Alan", -5))).status is Status.REJECTED
        assert (await harness.trigger("good", Order("Ada", 5))).status is Status.CONFIRMED
        assert shop.invoices() == [(1, "Ada", 5)]


async def test_crashes_between_the_row_and_the_answer_write_one_row(tmp_path):
    shop = Shop(tmp_path / "shop.db")
    resources = {"shop": shop, "accidents": set()}
    async with Harness(orders, faults=Faults(crash=0.3, drop=0.1), resources=resources) as harness:
        for number in range(12):
            await harness.trigger(f"o-{number}", Order(f"c-{number}", 1 + number))
    invoices = shop.invoices()
    assert [number for number, _, _ in invoices] == list(range(1, 13))
    assert {cents for _, _, cents in invoices} == set(range(1, 13))


def test_a_key_writes_once_and_a_broken_row_not_at_all(tmp_path):
    shop = Shop(tmp_path / "shop.db")
    assert [shop.write_invoice(key, "Ada", 5) for key in ("a", "b", "a")] == [1, 2, 1]
    with pytest.raises(sqlite3.IntegrityError):
        shop.write_invoice("c", "Ada", 0)
    assert len(shop.invoices()) == 2
