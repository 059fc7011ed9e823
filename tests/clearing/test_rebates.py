"""Market makers' rebates (§7.3)."""

import pytest

from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    Fees,
    MakerTerms,
    presence_row,
)
from tests.clearing.floor import HOUSE, MAKER, OCT, SPECULATOR, USD, Floor

FEES = Fees(0, 0, 100, 200)
TERMS = ClearingTerms(HOUSE, futures_fees=FEES, maker=MakerTerms(presence_bp=8000, rebate_lot_micro=60_000))


def a_floor() -> Floor:
    """Member 2 is a market maker and has sold 10 lots at 1,500 as one: its fee is 1.50 USD."""
    floor = Floor(roles=(SPECULATOR, MAKER, SPECULATOR), terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    return floor


def looked(floor: Floor, met: int, missed: int) -> None:
    for place in range(met + missed):
        assert floor.tell(presence_row(floor.tick(), 2, OCT, met=place < met)) == []


def said(floor: Floor, code: ClearingEvent) -> list[tuple[int, ...]]:
    return [event[2:8] for event in floor.events(code)]


def test_who_met_the_obligation_often_enough_gets_a_part_of_its_fees_back():
    floor = a_floor()
    looked(floor, 8, 2)
    before = floor.money(2)
    floor.close(OCT=1500)
    assert said(floor, ClearingEvent.REBATED) == [(2, 600_000, 8, 10, 10, floor.day)]
    assert said(floor, ClearingEvent.FEE)[1][:2] == (2, 900_000)
    assert floor.money(2) == before - 900_000


def test_one_look_too_few_is_no_rebate():
    floor = a_floor()
    looked(floor, 7, 2)
    floor.close(OCT=1500)
    assert said(floor, ClearingEvent.REBATED) == []
    assert said(floor, ClearingEvent.FEE)[1][:2] == (2, 1_500_000)


def test_nobody_looked_is_no_rebate_and_each_day_counts_anew():
    floor = a_floor()
    looked(floor, 1, 0)
    floor.next_day(OCT=1500)
    assert len(said(floor, ClearingEvent.REBATED)) == 1
    floor.trade(1, 2, OCT, 1, 1500)
    floor.close(OCT=1500)
    assert len(said(floor, ClearingEvent.REBATED)) == 1


def test_a_rebate_is_never_more_than_the_fees():
    terms = ClearingTerms(HOUSE, futures_fees=FEES, maker=MakerTerms(rebate_lot_micro=USD))
    floor = Floor(roles=(SPECULATOR, MAKER, SPECULATOR), terms=terms)
    floor.trade(1, 2, OCT, 10, 1500)
    looked(floor, 1, 0)
    floor.close(OCT=1500)
    assert said(floor, ClearingEvent.REBATED)[0][1] == 1_500_000
    assert [event[0] for event in said(floor, ClearingEvent.FEE)] == [1]


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ((9, OCT, 1), ClearingRefusal.UNKNOWN_MEMBER),
        ((2, 99, 1), ClearingRefusal.UNKNOWN_CONTRACT),
        ((1, OCT, 1), ClearingRefusal.NOT_PERMITTED),
        ((2, OCT, 2), ClearingRefusal.SETTING_UNKNOWN),
    ],
)
def test_a_look_that_cannot_be_is_refused(words: tuple[int, int, int], refusal: ClearingRefusal):
    floor = a_floor()
    row = presence_row(floor.tick(), 2, OCT, met=True)
    assert floor.refusal((*row[:2], *words, *row[5:])) == refusal
