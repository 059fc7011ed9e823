"""Daily and final settlement: money to the micro-dollar, collected before it is paid, and what happens when it is not there."""

import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.rows import Row, code_of, flags_of, reason_of
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingFlag,
    ClearingTerms,
    Fees,
    PositionLimits,
    Reason,
    collect_row,
    statements,
)
from ciyuan.exchange.messages import Refusal
from ciyuan.ledger.messages import Flag
from tests.clearing.floor import (
    CAPITAL,
    FEES,
    HOUSE,
    MONDAY,
    NO_FEES,
    NOV,
    OCT,
    RECEIVABLES,
    SPOT,
    USD,
    VARIATION,
    Floor,
)

FREE = ClearingTerms(HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES)
LAST = day_from_iso("2026-10-30")


def of(events: list[Row], code: int) -> list[Row]:
    return [event for event in events if code_of(event[0]) == code]


def variation(floor: Floor, number: int) -> int:
    return sum(event[4] for event in floor.events(ClearingEvent.VARIATION) if event[2] == number)


def test_a_day_pays_the_change_of_the_price():
    floor = Floor(terms=FREE)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(3, 1, OCT, 4, 1490)
    said = floor.close(OCT=1520)
    amounts = {event[2]: event[4:8] for event in of(said, ClearingEvent.VARIATION)}
    assert amounts == {
        1: (80 * USD, 6, 1520, MONDAY),  # 6 x 1520 - (10 x 1500 - 4 x 1490), a tick being 1 USD a lot
        2: (-200 * USD, -10, 1520, MONDAY),
        3: (120 * USD, 4, 1520, MONDAY),
    }


def test_one_chain_collects_before_it_pays():
    floor = Floor(terms=FREE)
    floor.trade(1, 2, OCT, 10, 1500)
    before = floor.ledger.transfer_count
    floor.close(OCT=1520)
    chain = floor.ledger.transfers[before:].tolist()
    assert [step[3:5] for step in chain] == [
        [floor.cash(2), VARIATION], [VARIATION, floor.cash(1)], [floor.cash(1), FEES], [floor.cash(2), FEES],
    ]  # fmt: skip
    assert [flags_of(step[0]) for step in chain] == [Flag.LINKED, Flag.LINKED, Flag.LINKED, 0]
    assert [Reason(reason_of(step[0])).rule for step in chain] == ["§7.2", "§7.2", "§7.3", "§7.3"]
    assert len({step[1] for step in chain}) == 1


def test_a_round_trip_within_the_day_is_paid_at_its_own_prices():
    floor = Floor(terms=FREE)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(2, 1, OCT, 10, 1517)
    floor.close(OCT=1400)
    assert variation(floor, 1) == 170 * USD == -variation(floor, 2)


def test_fees_are_collected_by_the_day_maker_and_taker_apart():
    floor = Floor(
        terms=ClearingTerms(HOUSE, futures_fees=Fees(1_000, 3_000, 0, 100), spot_fees=Fees(0, 0, 10, 20))
    )
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(1, 2, SPOT, 10, 1500)
    said = floor.close()
    paid = {event[2]: event[3:8] for event in of(said, ClearingEvent.FEE)}
    assert paid[1] == (30_000 + 1_500_000 + 300, 0, 20, 2, MONDAY)
    assert paid[2] == (10_000 + 150, 20, 0, 2, MONDAY)
    assert floor.ledger.posted(FEES) == paid[1][0] + paid[2][0]
    assert not of(floor.next_day(), ClearingEvent.FEE)


def test_the_requirement_is_for_the_next_business_day():
    """30 September is the last day of 12% for November; what is asked for on its evening is October's 15%."""
    floor = Floor(terms=FREE)
    floor.open(MONDAY + 2)
    floor.trade(1, 2, NOV, 10, 1500)
    assert floor.house.margin_lot_micro(NOV) == 180 * USD
    said = floor.close()
    assert floor.house.margin_lot_micro(NOV) == 225 * USD
    assert of(said, ClearingEvent.MARGIN)[0][3] == 2_250 * USD
    assert floor.house.trading_day == MONDAY + 4  # the first of October is a holiday


def ruined(capital_usd: int = 0) -> tuple[Floor, list[Row]]:
    """Member 2 has 3,000 USD, is short 10 lots at 1.500, and the price goes to 2.000: 5,000 USD lost."""
    floor = Floor(cash_usd=(100_000, 3_000, 100_000), capital_usd=capital_usd, terms=FREE)
    floor.trade(1, 2, OCT, 10, 1500)
    return floor, floor.close(OCT=2000)


@pytest.mark.parametrize("capital_usd", [0, 10_000])
def test_what_a_loser_lacks_is_lent_out_of_receivables_and_winners_are_paid(capital_usd: int):
    """The house's capital is for the waterfall alone."""
    floor, said = ruined(capital_usd)
    lent, fee = of(said, ClearingEvent.LENT)
    short = 2_000 * USD
    assert lent[2:] == (2, short, short, 0, 0, MONDAY)
    assert fee[2:] == (2, 1, short + 1, 0, 0, MONDAY)
    assert Reason(reason_of(lent[0])).rule == "§10.1"
    assert floor.ledger.posted(CAPITAL) == capital_usd * USD
    assert floor.ledger.posted(RECEIVABLES) == -short - 1
    assert floor.house.owed_micro(2) == short + 1
    assert floor.money(1) == 105_000 * USD - 1


def test_who_cannot_pay_is_called_with_a_deadline_and_may_only_reduce():
    floor, said = ruined()
    calls = {event[2]: event for event in of(said, ClearingEvent.MARGIN_CALL)}
    requirement = 10 * 300 * USD
    owed = 2_000 * USD + 1
    deadline = calls[2][1] + FREE.default.call_ns
    assert calls[2][3:] == (requirement + owed, owed, requirement, deadline, MONDAY)
    assert set(calls) == {2}
    floor.open(MONDAY + 1)
    assert floor.order(2, OCT, -1, 2000) == Refusal.MARGIN
    assert not isinstance(floor.order(2, OCT, 1, 2000), Refusal)
    assert not isinstance(floor.order(1, OCT, -1, 2000), Refusal)


def test_a_later_settlement_does_not_put_the_deadline_off():
    floor, said = ruined()
    (first,) = of(said, ClearingEvent.MARGIN_CALL)
    floor.open(MONDAY + 1)
    (second,) = of(floor.close(OCT=2010), ClearingEvent.MARGIN_CALL)
    assert second[3] > first[3]
    assert second[6] == first[6]


def test_a_debt_is_repaid_to_receivables():
    floor, _ = ruined(capital_usd=500)
    floor.deposit(2, 1_800 * USD)
    said = floor.tell(collect_row(floor.tick(), 2))
    assert [event[3:6] for event in of(said, ClearingEvent.REPAID)] == [(1_800 * USD, 200 * USD + 1, 0)]
    assert floor.ledger.posted(RECEIVABLES) == -200 * USD - 1
    assert of(said, ClearingEvent.MARGIN_CALL)[0][3] == 3_200 * USD + 1
    floor.deposit(2, 3_200 * USD + 1)
    said = floor.tell(collect_row(floor.tick(), 2))
    assert [code_of(event[0]) for event in said] == [
        ClearingEvent.REPAID,
        ClearingEvent.MARGIN,
        ClearingEvent.CALL_MET,
    ]
    assert (floor.house.owed_micro(2), floor.house.excess_micro(2)) == (0, 0)
    assert floor.ledger.posted(RECEIVABLES) == 0
    assert floor.ledger.posted(CAPITAL) == 500 * USD


def test_a_debt_is_repaid_out_of_the_next_gain():
    floor, _ = ruined()
    floor.open(MONDAY + 1)
    said = floor.close(OCT=1700)
    assert [event[3] for event in of(said, ClearingEvent.REPAID)] == [2_000 * USD + 1]
    assert floor.money(2) == 1_000 * USD - 1
    assert floor.ledger.posted(RECEIVABLES) == 0


def test_a_call_that_is_met_is_said_once():
    floor = Floor(cash_usd=(100_000, 3_000), terms=FREE)
    floor.trade(1, 2, OCT, 10, 1500)
    said = floor.next_day(OCT=1600)
    assert [event[3] for event in of(said, ClearingEvent.MARGIN_CALL)] == [400 * USD + 1]
    floor.deposit(2, 1_000 * USD)
    assert [event[2] for event in of(floor.next_day(), ClearingEvent.CALL_MET)] == [2]
    assert not of(floor.next_day(), ClearingEvent.CALL_MET)


def test_large_positions_are_reported():
    """Four fifths of the limit of the day to come, long or short (§5.2)."""
    floor = Floor(terms=ClearingTerms(HOUSE, limits=PositionLimits(10, 10, 5)))
    floor.trade(1, 2, NOV, 8, 1500)
    floor.trade(1, 2, OCT, 7, 1500)
    said = of(floor.close(), ClearingEvent.LARGE_POSITION)
    assert [event[2:6] for event in said] == [(1, NOV, 8, 10), (2, NOV, -8, 10)]


# --- the end of a contract ---


def at_the_end() -> Floor:
    floor = Floor(terms=FREE)
    floor.trade(1, 2, OCT, 7, 1500)
    floor.trade(1, 3, NOV, 2, 1500)
    floor.next_day(OCT=1520)
    floor.open(LAST)
    floor.trade(3, 2, OCT, 3, 1511)
    return floor


def test_the_last_mark_is_the_mean_fixing_though_no_tick():
    floor = at_the_end()
    floor.close(OCT=1510)
    said = floor.final(OCT, 1_512_345)
    last = of(said, ClearingEvent.VARIATION)
    assert {event[2]: event[4] for event in last} == {1: 7 * 2_345_000, 2: -10 * 2_345_000, 3: 3 * 2_345_000}
    assert {flags_of(event[0]) for event in last} == {ClearingFlag.FINAL}
    assert {(event[6], Reason(reason_of(event[0])).rule) for event in last} == {(1_512_345, "§7.4")}
    assert of(said, ClearingEvent.FINAL_SETTLED)[0][2:7] == (OCT, 1_512_345, LAST, 0, 10)
    assert [floor.house.position(number, OCT) for number in floor.members] == [0, 0, 0]
    assert variation(floor, 1) == 7 * 12_345_000
    assert floor.house.position(1, NOV) == 2


def test_the_mean_may_come_before_or_after_the_days_settlement():
    """Money is the same; before, it is a part of the day's statement, after, it closes a second one."""
    after, before = at_the_end(), at_the_end()
    after.close(OCT=1510)
    after.final(OCT, 1_512_345)
    before.price(OCT, 1510)
    before.final(OCT, 1_512_345)
    before.house.check()
    before.close()
    for number in before.members:
        assert after.money(number) == before.money(number)
        assert after.house.requirement_micro(number) == before.house.requirement_micro(number)
    days = [
        [told.trading_day for told in statements(floor.said) if told.participant == 1]
        for floor in (after, before)
    ]
    assert days == [[MONDAY, LAST, LAST], [MONDAY, LAST]]
    for floor in (after, before):
        mine = [told for told in statements(floor.said) if told.participant == 1]
        assert sum(told.variation_micro for told in mine) == 7 * 12_345_000
        assert all(told.explained_micro == told.closing_micro for told in mine)


def test_a_late_final_settlement_leaves_the_trading_day_alone():
    floor = at_the_end()
    floor.close(OCT=1510)
    later = LAST + 4
    floor.open(later)
    floor.final(OCT, 1_512_345, day=LAST)
    assert floor.house.trading_day == later


def test_a_price_by_rule_says_so():
    floor = at_the_end()
    floor.close()
    said = floor.final(OCT, 1_500_000, rule=85)
    rules = {Reason(reason_of(event[0])).rule for event in said if event[0] & 0xFFFF in (453, 458)}
    assert rules == {"§8.5"}
    assert {reason_of(move[0]) for move in floor.ledger.transfers[-3:].tolist()} == {Reason.FINAL_BY_RULE}


def test_nobody_holds_a_contract_and_it_still_ends():
    floor = Floor()
    floor.open(LAST)
    floor.close()
    moves = floor.ledger.transfer_count
    assert of(floor.final(OCT, 1_500_001), ClearingEvent.FINAL_SETTLED)[0][6] == 0
    assert floor.ledger.transfer_count == moves


# --- statements ---


def test_each_statement_opens_where_the_last_one_closed():
    floor = Floor(cash_usd=(100_000, 3_000), capital_usd=5_000)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.trade(1, 2, SPOT, 100, 1500)
    floor.next_day(OCT=2100)
    floor.deposit(2, 9_000 * USD)
    floor.next_day(OCT=2000)
    floor.deposit(1, -1_000 * USD)
    floor.next_day()
    mine = [told for told in statements(floor.said) if told.participant == 2]
    assert [told.opening_micro for told in mine] == [0, *(told.closing_micro for told in mine[:-1])]
    assert [told.transferred_micro for told in mine] == [3_000 * USD, 9_000 * USD, 0]
    assert [told.sold_micro for told in mine] == [150 * USD, 0, 0]
    assert [told.receipts_sold for told in mine] == [100, 0, 0]
    fee = 75 * 10_000 + 7_500
    short = 6_000 * USD - 3_150 * USD + fee
    assert [told.lent_micro for told in mine] == [short, -short, 0]
    assert all(told.explained_micro == told.closing_micro for told in mine)
    assert mine[-1].closing_micro == floor.money(2)


@pytest.mark.parametrize("rich", [True, False])
def test_the_excess_on_the_statement_is_what_admission_sees(rich: bool):
    floor = Floor(cash_usd=(100_000, 100_000 if rich else 3_000), capital_usd=5_000)
    floor.trade(1, 2, OCT, 10, 1500)
    floor.close(OCT=1600)
    for told in statements(floor.said):
        assert told.excess_micro == floor.house.excess_micro(told.participant)
        assert (told.excess_micro < 0) == (told.participant == 2 and not rich)
