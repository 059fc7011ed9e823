"""Scenario margin in the clearing house (§6.2): the model as it is said, and what it makes of a requirement."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.calendar import day_from_iso
from ciyuan.clearing.messages import (
    SCENARIOS_MAX,
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    ScenarioTerms,
    delist_row,
    liquidity_row,
    margin_notice_row,
    model_row,
    moves_of,
    moves_rows,
)
from ciyuan.clearing.scenario_margin import scenario_margin_micro
from tests.clearing.floor import DEC, HOUSE, MONDAY, NOV, OCT, SPOT, USD, Floor

FUTURES = (OCT, NOV, DEC)
FILTERED, STRESSED = [-100, -20, 0, 10, 50, -5, 5, 30, -60, 90], [-300, 250]
TERMS = ClearingTerms(HOUSE, scenario=ScenarioTerms(floor_bp=5000, stress_weight_bp=2500))


def said(
    floor: Floor, moves: Mapping[int, Sequence[int]], filtered: int, stressed: int
) -> ClearingRefusal | None:
    for contract, of_contract in moves.items():
        for row in moves_rows(floor.tick(), contract, of_contract):
            assert floor.tell(row) == []
    return floor.refusal(model_row(floor.tick(), filtered, stressed, MONDAY))


def modelled(floor: Floor) -> None:
    """All futures move alike, tick by tick."""
    moves = {contract: [*FILTERED, *STRESSED] for contract in FUTURES}
    assert said(floor, moves, len(FILTERED), len(STRESSED)) is None


def test_moves_travel_two_to_a_word():
    moves = [-1, 5, -(2**31) + 1, 2**31 - 1, 0, -7, 3, 9, -300]
    rows = moves_rows(1, OCT, moves)
    found = [move for row in rows for move in moves_of(row[4:8])]
    assert found[: len(moves)] == moves
    assert not any(found[len(moves) :])


def test_without_a_model_the_ladder_is_the_requirement():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    assert floor.house.requirement_micro(1) == floor.house.ladder_micro(1)
    assert floor.house.margin_model == (None, ())


def test_an_outright_is_asked_what_its_scenarios_lose():
    """A hundredth of 10, or of 2, scenarios is less than one: the worst of each counts, 100 and 300 ticks of 1 USD a lot."""
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    modelled(floor)
    long = (7500 * 100 + 2500 * 300) * 10 * USD // 10_000
    short = (7500 * 90 + 2500 * 250) * 10 * USD // 10_000
    assert floor.house.scenario_micro(1) == long == 1_500 * USD
    assert floor.house.scenario_micro(2) == short == 1_300 * USD
    ladder = floor.house.ladder_micro(1)
    assert floor.house.requirement_micro(1) == max(long, ladder // 2)


def test_a_calendar_spread_is_offset_by_the_scenarios_down_to_the_floor():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(2, 1, NOV, 10, 1500)
    before = floor.house.credit_micro(1)
    modelled(floor)
    assert floor.house.scenario_micro(1) == 0
    ladder = floor.house.ladder_micro(1)
    assert floor.house.requirement_micro(1) == ladder - ladder // 2
    assert floor.house.credit_micro(1) == before + ladder // 2


def test_a_scenario_margin_over_the_ladder_is_asked_whole():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    wild = {contract: [-600, 600] for contract in FUTURES}
    assert said(floor, wild, 1, 1) is None
    assert floor.house.requirement_micro(1) == floor.house.scenario_micro(1) > floor.house.ladder_micro(1)
    assert floor.house.credit_micro(1) < floor.house.equity_micro(1)


def test_closing_one_leg_takes_the_offset_away_at_once():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(2, 1, NOV, 10, 1500)
    modelled(floor)
    floor.trade(1, 3, NOV, 1, 1500)
    assert floor.house.requirement_micro(1) == floor.house.ladder_micro(1)


def test_an_order_is_charged_by_the_ladder_beside_the_offset():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(2, 1, NOV, 10, 1500)
    modelled(floor)
    before = floor.house.requirement_micro(1)
    floor.placed(1, DEC, 3, 1490)
    risk = floor.house.risk(DEC)
    assert floor.house.requirement_micro(1) - before == 3 * (risk.margin_lot_micro + risk.fee_lot_micro)


def test_liquidity_and_concentration_are_asked_by_contract():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.tell(liquidity_row(floor.tick(), OCT, 2 * USD, 4, 5 * USD))
    modelled(floor)
    assert floor.house.scenario_micro(1) == 1_500 * USD + 10 * 2 * USD + 6 * 5 * USD


def test_a_model_of_nothing_is_the_ladder_again():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    modelled(floor)
    assert said(floor, {}, 0, 0) is None
    assert floor.house.requirement_micro(1) == floor.house.ladder_micro(1)
    assert floor.house.scenario_micro(1) == 0


def test_a_model_is_whole_or_refused():
    floor = Floor(terms=TERMS)
    modelled(floor)
    before = floor.house.snapshot()
    only_two = {contract: [*FILTERED, *STRESSED] for contract in (OCT, NOV)}
    assert said(floor, only_two, len(FILTERED), len(STRESSED)) == ClearingRefusal.MODEL_INCOMPLETE
    assert said(floor, {DEC: [1] * 8}, 10, 2) == ClearingRefusal.MODEL_INCOMPLETE
    model, contracts = floor.house.margin_model
    assert model is not None
    assert contracts == FUTURES
    assert np.array_equal(before["model"], floor.house.snapshot()["model"])


@pytest.mark.parametrize(("filtered", "stressed"), [(-1, 1), (1, -1), (0, 1), (1, 0), (SCENARIOS_MAX, 1)])
def test_counts_that_cannot_be_are_refused(filtered: int, stressed: int):
    floor = Floor(terms=TERMS)
    refusal = floor.refusal(model_row(floor.tick(), filtered, stressed, MONDAY))
    assert refusal == ClearingRefusal.SCENARIO_OUT_OF_RANGE


def test_moves_of_receipts_or_out_of_place_are_refused():
    floor = Floor(terms=TERMS)
    assert floor.refusal(moves_rows(floor.tick(), SPOT, [1])[0]) == ClearingRefusal.UNKNOWN_CONTRACT
    assert floor.refusal(liquidity_row(floor.tick(), SPOT, 1, 1, 1)) == ClearingRefusal.UNKNOWN_CONTRACT
    assert floor.refusal(liquidity_row(floor.tick(), OCT, -1, 1, 1)) == ClearingRefusal.COST_OUT_OF_RANGE
    (row,) = moves_rows(floor.tick(), OCT, [1])
    for first in (4, -8, SCENARIOS_MAX):
        wrong = (*row[:3], first, *row[4:])
        assert floor.refusal(wrong) == ClearingRefusal.SCENARIO_OUT_OF_RANGE


def test_a_model_that_would_not_be_exact_is_refused():
    floor = Floor(terms=TERMS)
    far = {contract: [2**31 - 1] * 2 for contract in FUTURES}
    assert said(floor, far, 1, 1) == ClearingRefusal.SCENARIO_OUT_OF_RANGE


def test_a_notice_raises_margin_for_its_days_and_takes_offsets_away():
    floor = Floor(terms=TERMS)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(2, 1, NOV, 10, 1500)
    modelled(floor)
    notice = margin_notice_row(floor.tick(), 0, 3000, MONDAY, MONDAY + 1)
    (event,) = floor.tell(notice)
    assert event[0] & 0xFFFF == ClearingEvent.MARGIN_NOTICED
    assert floor.house.margin_lot_micro(OCT) == 1500 * USD * 3000 // 10_000
    assert floor.house.requirement_micro(1) == floor.house.ladder_micro(1) == 20 * 450 * USD
    (again,) = floor.tell(notice)
    assert again[0] & 0xFFFF == ClearingEvent.REPEATED
    floor.close(OCT=1500, NOV=1500)
    assert floor.house.margin_lot_micro(NOV) == 450 * USD
    floor.open(MONDAY + 1)
    floor.close(OCT=1500, NOV=1500)
    assert floor.house.margin_lot_micro(NOV) < 450 * USD


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ((SPOT, 3000, MONDAY, MONDAY), ClearingRefusal.UNKNOWN_CONTRACT),
        ((99, 3000, MONDAY, MONDAY), ClearingRefusal.UNKNOWN_CONTRACT),
        ((OCT, -1, MONDAY, MONDAY), ClearingRefusal.RATE_OUT_OF_RANGE),
        ((OCT, 10_001, MONDAY, MONDAY), ClearingRefusal.RATE_OUT_OF_RANGE),
        ((OCT, 3000, MONDAY, MONDAY - 1), ClearingRefusal.DAYS_OUT_OF_ORDER),
    ],
)
def test_a_notice_that_cannot_be_is_refused(words: tuple[int, int, int, int], refusal: ClearingRefusal):
    floor = Floor()
    assert floor.refusal(margin_notice_row(floor.tick(), *words)) == refusal


def test_a_settled_contract_needs_no_moves():
    floor = Floor(terms=TERMS)
    last = day_from_iso("2026-10-30")
    floor.open(last)
    floor.close(OCT=1500)
    floor.final(OCT, 1_500_000)
    floor.tell(delist_row(floor.tick(), OCT))
    moves = {contract: [*FILTERED, *STRESSED] for contract in (NOV, DEC)}
    assert said(floor, moves, len(FILTERED), len(STRESSED)) is None
    assert floor.house.margin_model[1] == (NOV, DEC)


@settings(max_examples=30, deadline=None)
@given(
    trades=st.lists(
        st.tuples(st.sampled_from(FUTURES), st.permutations((1, 2, 3)), st.integers(1, 40)), max_size=8
    ),
    moves=st.lists(st.tuples(*[st.integers(-400, 400)] * 3), min_size=9, max_size=30),
)
def test_requirements_are_the_models_and_survive_a_snapshot(trades, moves):
    floor = Floor(cash_usd=(10**6,) * 3, terms=TERMS)
    for contract, (buyer, seller, _), lots in trades:
        floor.trade(buyer, seller, contract, lots, 1500)
    columns = {contract: [row[place] for row in moves] for place, contract in enumerate(FUTURES)}
    assert said(floor, columns, len(moves) - 3, 3) is None
    floor.tell(moves_rows(floor.tick(), OCT, [7])[0])
    model, contracts = floor.house.margin_model
    assert model is not None
    for number in floor.members:
        lots = np.array([[floor.house.position(number, contract) for contract in contracts]])
        asked = int(scenario_margin_micro(lots, model)[0])
        ladder = floor.house.ladder_micro(number)
        assert floor.house.scenario_micro(number) == asked
        assert floor.house.requirement_micro(number) == max(asked, -(-ladder * 5000 // 10_000))
    floor.house.check()
    other = Floor(cash_usd=(), terms=TERMS)
    other.ledger = floor.ledger
    other.build()
    other.house.restore(floor.house.snapshot())
    assert other.house.state_hash() == floor.house.state_hash()
    assert [other.house.requirement_micro(n) for n in floor.members] == [
        floor.house.requirement_micro(n) for n in floor.members
    ]


def test_of_several_notices_the_largest_in_force_holds_and_each_is_taken_back_by_itself():
    floor = Floor(terms=TERMS)
    floor.tell(margin_notice_row(floor.tick(), OCT, 3000, MONDAY, MONDAY + 7))
    floor.tell(margin_notice_row(floor.tick(), 0, 2500, MONDAY, MONDAY + 1))
    floor.tell(margin_notice_row(floor.tick(), OCT, 9000, MONDAY + 20, MONDAY + 21))
    assert [floor.house.margin_lot_micro(number) // USD for number in FUTURES] == [450, 375, 375]
    before = floor.house.snapshot()
    floor.house.restore(before)
    assert floor.house.snapshot()["notices"].tolist() == before["notices"].tolist()
    floor.tell(margin_notice_row(floor.tick(), OCT, 0, MONDAY, MONDAY + 7))
    assert [floor.house.margin_lot_micro(number) // USD for number in FUTURES] == [375, 375, 375]
    (again,) = floor.tell(margin_notice_row(floor.tick(), OCT, 0, MONDAY, MONDAY + 7))
    assert again[0] & 0xFFFF == ClearingEvent.REPEATED
    floor.next_day()
    floor.next_day()
    assert floor.house.margin_lot_micro(NOV) < 375 * USD
    assert len(floor.house.snapshot()["notices"]) == 1, "what is past is forgotten"
