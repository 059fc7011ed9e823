"""Positions (§3.4): net and gross, of today and of earlier days, and profit by entry price."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import kind_word, row
from ciyuan.clearing.messages import ClearingTerms, Fees, MemberFlag, member_row
from ciyuan.clearing.plain import PlainMarket, PlainMember, PlainPosition
from ciyuan.clearing.positions import CLOSE, CLOSE_TODAY, OPEN, Position
from ciyuan.exchange.messages import Effect, ExchangeEvent, FillFlag, OrderFlag
from tests.clearing.floor import BOTH, HOUSE, MONDAY, NO_FEES, OCT, USD, Floor, future
from tests.sources import table, text_of

PAGE = text_of("docs/spec/clearing.md")


def position(flags: int = 0) -> Position:
    member = PlainMember(1)
    member.flags = flags
    return PlainPosition(member, PlainMarket(future(OCT, 202610), NO_FEES, 0), 0)


HEAD = (
    "held",
    "entered at, ticks",
    "closed",
    "at, ticks",
    "realised, tick-lots",
    "then held",
    "carried at, tick-lots",
)


@pytest.mark.parametrize("cells", table(PAGE, *HEAD), ids=lambda cells: cells[0])
def test_profit_by_entry_price_is_as_the_page_says(cells: list[str]):
    held, entered, closed, price, realised, left, carried = cells
    sells = held.endswith("short")
    at = position()
    for entry in entered.split(","):
        at.trade(0, sells, 1, int(entry), MONDAY)
    at.trade(0, not sells, int(closed), int(price), MONDAY)
    assert at.realised == int(realised)
    assert max(at.long, at.short) == int(left)
    assert max(at.long_cost, at.short_cost) == int(carried)


def test_a_net_position_closes_earlier_lots_first_and_then_turns():
    at = position()
    at.trade(0, False, 5, 100, MONDAY)
    at.long_today = 0
    at.trade(0, False, 3, 110, MONDAY + 1)
    assert (at.long, at.long_today, at.since_day) == (8, 3, MONDAY)
    at.trade(0, True, 6, 120, MONDAY + 1)
    assert (at.long, at.long_today) == (2, 2)
    at.trade(0, True, 5, 120, MONDAY + 2)
    assert (at.long, at.short, at.short_today, at.since_day) == (0, 3, 3, MONDAY + 2)
    at.trade(0, False, 3, 90, MONDAY + 2)
    assert at.is_flat
    assert at.since_day == 0


def test_a_gross_position_holds_both_sides_until_it_says_otherwise():
    at = position(int(MemberFlag.GROSS))
    at.trade(OPEN, False, 5, 100, MONDAY)
    at.trade(OPEN, True, 4, 101, MONDAY)
    assert (at.long, at.short, at.worst_lots()) == (5, 4, 5)
    at.trade(CLOSE_TODAY, True, 2, 103, MONDAY)
    assert (at.long, at.long_today, at.short, at.realised) == (3, 3, 4, 6)
    at.long_today = at.short_today = 0
    at.trade(CLOSE, False, 4, 99, MONDAY)
    assert (at.long, at.short, at.realised) == (3, 0, 14)


def test_more_is_not_closed_than_is_held():
    at = position(int(MemberFlag.GROSS))
    at.trade(OPEN, False, 5, 100, MONDAY)
    with pytest.raises(InvariantBroken, match="only what is held is closed"):
        at.trade(CLOSE, True, 6, 100, MONDAY)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 30), st.integers(1, 500), st.booleans()),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 500),
)
def test_any_path_of_marks_and_closes_telescopes(trades: list[tuple[bool, int, int, bool]], last: int):
    """Variation at every mark adds up to the final value less what was paid; so do realised and unrealised profit (rule 15)."""
    at, paid, held, variation = position(), 0, 0, 0
    for sells, lots, price, marks in trades:
        at.trade(0, sells, lots, price, MONDAY)
        signed = -lots if sells else lots
        paid, held = paid + signed * price, held + signed
        if marks:
            variation += at.variation_micro(price)
            at.basis, at.long_today, at.short_today = at.lots * price, 0, 0
    variation += at.variation_micro(last)
    value = at.market.tick_value_micro
    assert at.lots == held
    assert variation == (held * last - paid) * value
    assert at.realised * value + at.unrealised_micro(last) == variation
    assert min(at.long, at.short, at.long_cost, at.short_cost) >= 0
    assert at.long_today <= at.long
    assert at.short_today <= at.short


# --- in the house ---


TERMS = ClearingTerms(HOUSE, futures_fees=Fees(0, 0, 0, 0, today_lot_micro=7))


def gross_floor() -> Floor:
    """A floor on which every member is gross."""
    floor = Floor(terms=TERMS)
    floor.said.clear()
    floor.build()
    for number in floor.members:
        cash, receipts = floor.cash(number), floor.purse(number)
        floor.tell(member_row(floor.tick(), number, cash, receipts, BOTH, flags=int(MemberFlag.GROSS)))
    floor.open(MONDAY)
    return floor


def dealt(floor: Floor, buyer: int, seller: int, lots: int, price: int, buys: int, sells: int) -> None:
    """A trade of two gross members with these effects: orders accepted, then both sides filled."""
    floor.trade_count += 1
    sides = ((buyer, 0, buys), (seller, int(OrderFlag.SIDE_SELL), sells))
    for account, flag, effect in sides:
        kind = kind_word(ExchangeEvent.ACCEPTED, flag, effect)
        floor.hear(row(kind, floor.tick(), (account, floor.trade_count, OCT, price, lots)))
    for account, flag, effect in sides:
        taker = int(FillFlag.TAKER) if flag else 0
        kind = kind_word(ExchangeEvent.FILLED, flag | taker, effect)
        words = (account, floor.trade_count, OCT, price, lots, floor.trade_count)
        floor.hear(row(kind, floor.time_ns, words))


def test_hedging_is_held_apart_from_speculation():
    floor = gross_floor()
    dealt(floor, 1, 2, 5, 1500, Effect.OPEN, Effect.OPEN | Effect.HEDGE)
    dealt(floor, 2, 1, 3, 1490, Effect.OPEN, Effect.OPEN)
    spec, hedge = floor.house.positions(2, OCT)
    assert (spec.long, spec.short, hedge.long, hedge.short) == (3, 0, 0, 5)
    assert floor.house.position(2, OCT) == -2
    assert floor.house.ladder_micro(2) == 8 * floor.house.margin_lot_micro(OCT)
    floor.close(OCT=1510)
    flags = [event[0] >> 16 & 2 for event in floor.events(453) if event[2] == 2]
    assert flags == [0, 2]
    floor.house.check()


def test_closing_todays_lots_has_its_own_fee():
    floor = gross_floor()
    dealt(floor, 1, 2, 5, 1500, Effect.OPEN, Effect.OPEN)
    dealt(floor, 2, 1, 5, 1500, Effect.CLOSE_TODAY, Effect.CLOSE_TODAY)
    floor.close(OCT=1500)
    assert [event[2:4] for event in floor.events(454)] == [(1, 1 + 35), (2, 1 + 35)]
    assert floor.house.position(1, OCT) == 0


def test_closing_orders_of_a_gross_member_ask_for_nothing():
    floor = gross_floor()
    dealt(floor, 1, 2, 5, 1500, Effect.OPEN, Effect.OPEN)
    before = floor.house.ladder_micro(1)
    kind = kind_word(ExchangeEvent.ACCEPTED, int(OrderFlag.SIDE_SELL), Effect.CLOSE_TODAY)
    floor.hear(row(kind, floor.tick(), (1, 99, OCT, 1600, 5)))
    assert floor.house.ladder_micro(1) == before
    assert floor.house.open_lots(1, OCT) == (0, 0)
    assert before == 5 * floor.house.margin_lot_micro(OCT) > USD
