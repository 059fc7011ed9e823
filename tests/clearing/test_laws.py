"""The laws notice what breaks them."""

import pytest

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Books
from ciyuan.clearing.laws import check_books
from ciyuan.clearing.messages import Reason
from ciyuan.clearing.plain import PlainBooks
from ciyuan.clearing.snapshot import restored
from tests.clearing.floor import CALENDAR, CAPITAL, OCT, SPOT, SPOT_MONEY, USD, VARIATION, Floor


def the_books() -> tuple[Floor, Books]:
    floor = Floor(capital_usd=100)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.placed(3, SPOT, 5, 1500)
    books = PlainBooks(floor.ledger, floor.contracts, CALENDAR, floor.terms)
    restored(books, floor.house.snapshot())
    check_books(books)
    return floor, books


def test_lots_that_are_not_matched_are_seen():
    _, books = the_books()
    books.members[1].position(books.markets[OCT]).long += 1
    with pytest.raises(InvariantBroken, match="long and short"):
        check_books(books)


def test_a_requirement_that_has_drifted_is_seen():
    _, books = the_books()
    books.members[1].ladder_micro -= 1
    with pytest.raises(InvariantBroken, match="sum of its charges"):
        check_books(books)


@pytest.mark.parametrize("account", [VARIATION, SPOT_MONEY])
def test_money_that_stays_in_passing_is_seen(account: int):
    floor, books = the_books()
    books.teller.chain(floor.tick(), [(102 | Reason.FEES << 24, CAPITAL, account, 1, 0)])
    with pytest.raises(InvariantBroken, match="passes on"):
        check_books(books)


def test_a_hold_without_an_order_is_seen():
    floor, books = the_books()
    books.teller.hold(floor.tick(), Reason.SPOT_MONEY_HELD, floor.cash(1), SPOT_MONEY, 1)
    books.orders.clear()
    books.members[3].position(books.markets[SPOT]).open_order(False, -5)
    books.members[3].reserved_micro = 0
    with pytest.raises(InvariantBroken, match="open spot orders"):
        check_books(books)


def test_reserved_money_that_has_drifted_is_seen():
    _, books = the_books()
    books.members[3].reserved_micro += 1
    with pytest.raises(InvariantBroken, match="spot buys may cost"):
        check_books(books)


def test_money_that_is_missing_and_not_owed_is_seen():
    floor, books = the_books()
    books.teller.chain(
        floor.tick(), [(102 | Reason.FEES << 24, books.terms.house.receivables, CAPITAL, USD, 0)]
    )
    with pytest.raises(InvariantBroken, match="is owed"):
        check_books(books)
