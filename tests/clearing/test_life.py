"""A contract's life: the table, whole, and how sessions, prices and commands turn it."""

from dataclasses import replace

import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import kind_word, row
from ciyuan.clearing.life import NEXT, Turn, after
from ciyuan.clearing.messages import ClearingEvent, Life
from ciyuan.exchange.messages import ExchangeEvent, SessionState
from tests.clearing.floor import MONDAY, NOV, OCT, SPOT, Floor, future, receipts_contract

LAST = day_from_iso("2026-10-30")


@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize("turn", Turn)
def test_the_table_is_all_there_is(life: Life, turn: Turn):
    """Each state has the one turn that leads to the next; any other is a broken invariant."""
    if int(turn) == int(life):
        assert after(life, turn) == life + 1
    else:
        assert (life, turn) not in NEXT
        with pytest.raises(InvariantBroken, match="skipped"):
            after(life, turn)


def lived(floor: Floor, contract: int) -> list[tuple[int, int]]:
    return [
        (event[4], event[3]) for event in floor.events(ClearingEvent.CONTRACT_STATE) if event[2] == contract
    ]


def test_a_future_lives_every_state_once():
    floor = Floor()
    floor.open(LAST)
    floor.trade(1, 2, OCT, 1, 1500)
    assert floor.house.life(OCT) == Life.LAST_DAY
    floor.close()
    assert floor.house.life(OCT) == Life.SETTLING
    assert floor.house.life(NOV) == Life.TRADING
    floor.final(OCT, 1_500_000)
    floor.delist(OCT)
    assert lived(floor, OCT) == [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]


def test_a_contract_that_no_session_opened_still_skips_no_state():
    floor = Floor(contracts=(future(OCT, 202609),))
    floor.house.restore(floor.house.snapshot())
    floor.price(OCT, 1500, day_from_iso("2026-09-30"))
    assert lived(floor, OCT) == [(1, 2), (2, 3), (3, 4)]


def test_a_last_day_without_a_session_ends_with_its_settlement():
    floor = Floor(contracts=(receipts_contract(), future(NOV, 202611), future(OCT, 202610)))
    floor.open(day_from_iso("2026-11-02"))
    floor.close()
    assert lived(floor, OCT) == [(1, 2), (2, 3), (3, 4)]


def test_spot_is_settled_as_it_ends():
    floor = Floor(contracts=(receipts_contract(SPOT),))
    floor.open(day_from_iso("2027-12-31"))
    floor.close()
    assert lived(floor, SPOT)[-2:] == [(Life.LAST_DAY, Life.SETTLING), (Life.SETTLING, Life.SETTLED)]


@pytest.mark.parametrize("state", [SessionState.CLOSED, SessionState.SETTLEMENT])
def test_a_state_without_trading_opens_nothing(state: SessionState):
    floor = Floor(contracts=(replace(future(OCT, 202610), first_day=MONDAY + 1),))
    floor.hear(row(kind_word(ExchangeEvent.SESSION_CHANGED), floor.tick(), (OCT, state, MONDAY + 1)))
    assert (floor.house.life(OCT), floor.house.trading_day) == (Life.LISTED, MONDAY)


def test_before_its_first_day_a_contract_stays_listed():
    late = future(OCT, 202610)
    floor = Floor(contracts=(receipts_contract(), replace(late, first_day=MONDAY + 2)))
    assert floor.house.life(OCT) == Life.LISTED
    floor.open(MONDAY + 2)
    assert floor.house.life(OCT) == Life.TRADING
