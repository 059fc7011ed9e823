"""The daily back-test (§6.2): margins noted with the model, held against the loss of two settlements."""

from ciyuan.clearing.backtest import kupiec
from ciyuan.clearing.messages import ClearingEvent
from tests.clearing.floor import DEC, NOV, OCT, USD, Floor
from tests.clearing.test_model import FILTERED, FUTURES, STRESSED, TERMS, modelled, said

LONG, SHORT = 150 * USD, 130 * USD
"""Scenario margins of a lot: (7,500 x 100 + 2,500 x 300) / 10,000 ticks of 1 USD, and 90 and 250 likewise."""


def counts(floor: Floor, contract: int) -> list[tuple[int, ...]]:
    return [event[3:7] for event in floor.events(ClearingEvent.BACKTESTED) if event[2] == contract]


def test_a_margin_is_held_against_what_a_lot_lost_in_two_settlements():
    floor = Floor(terms=TERMS)
    floor.next_day()
    modelled(floor)
    floor.next_day(OCT=1450, NOV=1560)
    assert counts(floor, OCT) == []
    floor.next_day(OCT=1349, NOV=1631)
    assert counts(floor, OCT) == [(1, 1, 0, -151 * USD)], "a long lot lost 151, and had 150"
    assert counts(floor, NOV) == [(1, 0, 1, 131 * USD)], "a short lot lost 131, and had 130"
    assert counts(floor, DEC) == [(1, 0, 0, 0)]


def test_the_margin_itself_is_no_exception_and_each_model_is_held_once():
    floor = Floor(terms=TERMS)
    for price in (1500, 1425, 1350, 1350):
        floor.next_day(OCT=price)
        modelled(floor)
    assert counts(floor, OCT) == [(1, 0, 0, -150 * USD), (2, 0, 0, -75 * USD)]
    assert kupiec(0, 2).p_value > 0.5


def test_a_second_model_of_an_evening_takes_the_firsts_place_and_a_snapshot_keeps_all():
    floor = Floor(terms=TERMS)
    floor.next_day()
    assert said(floor, {contract: [-1, -1] for contract in FUTURES}, 1, 1) is None
    modelled(floor)
    floor.next_day(OCT=1450)
    modelled(floor)
    assert len(floor.house.snapshot()["coverage"]) == 3 * 3
    floor.house.restore(floor.house.snapshot())
    floor.next_day(OCT=1400)
    assert counts(floor, OCT) == [(1, 0, 0, -100 * USD)]


def test_a_contract_without_a_price_waits():
    floor = Floor(terms=TERMS)
    floor.next_day()
    assert len(FILTERED) + len(STRESSED) == 12
    modelled(floor)
    floor.house._books.markets[DEC].priced_day = 0
    assert counts(floor, DEC) == []
