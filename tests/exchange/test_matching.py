"""Matching's own guard. What it does is in the scenarios and against the twin."""

import pytest

from ciyuan.basics.errors import InvariantBroken
from ciyuan.exchange.auction import AuctionPrice
from ciyuan.exchange.book import Order, Participant
from ciyuan.exchange.market import Market
from ciyuan.exchange.matching import fillable, uncross
from tests.exchange.flows import contract


def standing(market, account, is_sell, price, lots, number):
    order = Order(Participant(account), number, 1, is_sell, price, lots, 0, number)
    order.owner.open[number] = order
    (market.sells if is_sell else market.buys).add(order)
    return order


def test_an_account_on_both_sides_of_an_auction_stops_the_machine():
    market = Market(contract(1))
    standing(market, 1, 0, 100, 5, 1)
    standing(market, 1, 1, 100, 5, 2)
    with pytest.raises(InvariantBroken, match="no account's orders cross"):
        uncross(market, AuctionPrice(100, 5, 0), 0, 0, [])


@pytest.mark.parametrize(
    ("price", "lots", "whole"),
    [(101, 3, True), (101, 4, False), (102, 5, True), (103, 6, False), (100, 1, False)],
)
def test_fillable_counts_within_the_limit_and_up_to_its_own_order(price, lots, whole):
    market = Market(contract(1))
    for number, (account, at, some) in enumerate(((2, 101, 3), (3, 102, 2), (1, 102, 9), (2, 103, 9))):
        standing(market, account, 1, at, some, number)
    order = Order(Participant(1), 9, 1, 0, price, lots, 0, 9)
    assert fillable(market.sells, order, lots) == whole
