"""The simulated venue's risk desk: each evening's scenarios, from a past that is a function of the seed."""

import numpy as np
import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.rows import kind_word, row
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent, moves_of
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.simulation.risk_desk import FILTER, FREE_LOTS, RiskDesk, Treasurers
from ciyuan.simulation.scenario import Scenario
from ciyuan.venue.messages import Purse, VenueCommand

FIRST = day_from_iso("2026-09-29")
NEAR, FAR, SPOT = 2, 3, 1


def future(number: int, month: int, last: str) -> Contract:
    days = FIRST, day_from_iso(last)
    return Contract(
        number, f"K.{month}", ContractKind.CASH_FUTURE, 7, 1000, 1000, *days, month, 1000, 950, 500
    )


def receipts() -> Contract:
    days = FIRST, day_from_iso("2026-12-31")
    return Contract(SPOT, "K.SPOT", ContractKind.SPOT, 7, 1000, 1, *days, 0, 1000, 950, 500)


CONTRACTS = (receipts(), future(NEAR, 202610, "2026-10-30"), future(FAR, 202612, "2026-12-31"))


def priced(day: int, **ticks: int) -> np.ndarray:
    kind = kind_word(ExchangeEvent.SETTLEMENT_PRICE)
    numbers = {"near": NEAR, "far": FAR, "spot": SPOT}
    return np.array([row(kind, 1, (numbers[name], price, day, 1, 1, 1)) for name, price in ticks.items()])


def said(desk: RiskDesk, day: int) -> dict[int, list[int]]:
    """The evening's moves by contract."""
    found: dict[int, list[int]] = {}
    for event in desk.rows(1, day):
        if event[0] == ClearingCommand.MOVES:
            found.setdefault(event[2], []).extend(moves_of(event[4:8]))
    return {number: moves[: FILTER.filtered + FILTER.stressed] for number, moves in found.items()}


def test_there_is_no_model_before_every_future_has_a_price():
    desk = RiskDesk(Scenario(), CONTRACTS, FIRST)
    desk.hear(priced(FIRST, near=950, spot=900))
    assert desk.rows(1, FIRST) == []
    desk.hear(priced(FIRST, far=940))
    assert desk.rows(1, FIRST)


def test_an_evenings_rows_are_moves_costs_and_one_model():
    desk = RiskDesk(Scenario(), CONTRACTS, FIRST)
    desk.hear(priced(FIRST, near=950, far=940))
    rows = desk.rows(5, FIRST)
    assert rows[-1][:5] == (ClearingCommand.MODEL, 5, FILTER.filtered, FILTER.stressed, FIRST)
    costs = [entry for entry in rows if entry[0] == ClearingCommand.LIQUIDITY]
    assert [(entry[2], entry[4]) for entry in costs] == [(NEAR, FREE_LOTS), (FAR, FREE_LOTS)]
    moves = said(desk, FIRST)
    assert sorted(moves) == [NEAR, FAR]
    launch = round(950 * np.exp(-0.22)) - 950
    assert moves[NEAR][FILTER.filtered] == launch


def test_months_move_together_and_the_near_one_more():
    desk = RiskDesk(Scenario(), CONTRACTS, FIRST)
    desk.hear(priced(FIRST, near=9500, far=9500))
    moves = said(desk, FIRST)
    near, far = (np.array(moves[number][: FILTER.filtered]) for number in (NEAR, FAR))
    assert np.corrcoef(near, far)[0, 1] > 0.5
    assert near.std() > far.std()


def test_the_past_is_a_function_of_the_seed():
    def evening(seed: int) -> dict[int, list[int]]:
        desk = RiskDesk(Scenario(seed=seed), CONTRACTS, FIRST)
        desk.hear(priced(FIRST, near=950, far=940))
        return said(desk, FIRST)

    assert evening(1) == evening(1)
    assert evening(1) != evening(2)


def test_a_days_move_becomes_a_scenario_and_an_expired_month_goes():
    desk = RiskDesk(Scenario(), CONTRACTS, FIRST)
    desk.hear(priced(FIRST, near=9500, far=9500))
    before = said(desk, FIRST)
    desk.hear(priced(FIRST + 1, near=7000, far=7000))
    after = said(desk, FIRST + 1)
    assert min(after[NEAR]) < min(before[NEAR])
    assert sorted(said(desk, day_from_iso("2026-10-30"))) == [FAR]


@pytest.mark.parametrize("amount", [1, 5_000_000])
def test_what_is_called_is_paid_once(amount: int):
    treasurers = Treasurers()
    call = row(kind_word(ClearingEvent.MARGIN_CALL), 1, (4, amount, 0, 0, 0, FIRST))
    treasurers.hear(np.array([call]))
    assert treasurers.rows(9, 100) == [(VenueCommand.DEPOSIT, 9, 100, 4, Purse.CASH, amount, 0, 0)]
    assert treasurers.rows(9, 101) == []
