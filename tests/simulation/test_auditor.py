"""The auditor finds each broken law: a small market is played, one event (or one book) is doctored, and the law is named."""

import ast
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT
from ciyuan.clearing.messages import ClearingEvent, Layer
from ciyuan.exchange.messages import FillFlag, amend_row, mass_cancel_row, risk_row
from ciyuan.gateway.leg_prices import LegPrices, Step
from ciyuan.gateway.messages import (
    LimitUnit,
    LimitWindow,
    MeterEvent,
    MeterRefusal,
    close_row,
    deliver_row,
    hold_row,
    leg_used_row,
    limit_row,
    parties_word,
    spender_row,
    void_row,
)
from ciyuan.gateway.usage import Leg
from ciyuan.simulation.audit_books import DeliveryBooks, FuturesBooks, MoneyBooks, TradeBooks
from ciyuan.simulation.auditor import Auditor, check_ledger
from ciyuan.venue.messages import Purse, VenueCommand, VenueEvent
from tests.sources import PACKAGE
from tests.venue.market import (
    ADA,
    BO,
    BUSY,
    DEE,
    EVE,
    KIMI,
    MONTH,
    NOV,
    OCT,
    QWEN,
    QWEN_SPOT,
    SECOND,
    SPOT,
    SPREAD,
    TERMS,
    USD,
    Market,
    matrix,
)
from tests.venue.test_redemption import Redeemers

Events = NDArray[np.int64]
HELD, SETTLED, PRICED, ACCEPTED, FILLED, CANCELLED, AMENDED = 253, 254, 252, 352, 355, 356, 360
NOVATED, VARIATION, FEE, CLOSING = 452, 453, 454, 462
DEPOSITED, WITHDRAWN, MOVED, ISSUED, LAPSED = 652, 653, 654, 656, 657


@cache
def market() -> Market:
    """A market in which everything that the auditor hears of has happened."""
    market = Market().join().listed().receipts().receipts(of=QWEN, count=100).open()
    market.order(ADA, SPOT, -10, 1500)
    market.order(DEE, SPOT, 4, 1510)
    market.order(ADA, QWEN_SPOT, -5, 1500)
    market.order(EVE, QWEN_SPOT, 2, 1500)
    market.order(EVE, OCT, -3, 1500)
    market.order(DEE, OCT, 5, 1500)
    market.tell(mass_cancel_row(market.tick(), DEE))
    for batch in (False, True):
        market.serve(DEE, BO, 1003, 501, 77, batch=batch)
    parties = parties_word(DEE, BO, KIMI)
    market.tell(
        hold_row(market.tick(), 80, parties, 10, 10, SECOND), hold_row(market.tick(), 81, parties, 10, 10)
    )
    market.now += 2 * SECOND
    market.tell(void_row(market.tick(), 81))
    market.ask(VenueCommand.MOVE, 900, EVE, Purse.CASH, 10 * USD, Purse.REVENUE)
    market.ask(VenueCommand.WITHDRAW, 901, EVE, Purse.REVENUE, 4 * USD)
    market.close()
    market.ask(VenueCommand.LAPSE, KIMI, 202610)
    return market


@cache
def busy() -> Market:
    """A market in which a spread traded and an order was amended."""
    market = Market(BUSY).join().open()
    market.order(EVE, SPREAD, -3, -10)
    market.order(DEE, SPREAD, 3, -10)
    market.order(DEE, OCT, 5, 1500)
    market.tell(amend_row(market.tick(), DEE, 3, 1490, 4))
    market.order(EVE, OCT, -1, 1490)
    market.close()
    return market


def heard(events: Events, of: Callable[[], Market] = market) -> Auditor:
    """An auditor of the market that heard these events."""
    auditor = Auditor(of().venue)
    auditor.hear(matrix(of().rows), events)
    return auditor


def events(of: Callable[[], Market] = market) -> Events:
    return matrix(of().said)


def places(code: int, found: Events) -> list[int]:
    rows: list[int] = np.flatnonzero(found[:, 0] & CODE_MASK == code).tolist()
    return rows


def changed(code: int, word: int, by: int, nth: int = 0) -> Callable[[Events], Events]:
    """Add to a word of the nth event of a code."""

    def doctor(found: Events) -> Events:
        found[places(code, found)[nth], word] += by
        return found

    return doctor


def doubled(code: int, nth: int = 0) -> Callable[[Events], Events]:
    """Say the nth event of a code twice."""

    def doctor(found: Events) -> Events:
        place = places(code, found)[nth]
        return np.insert(found, place, found[place], axis=0)

    return doctor


def dropped(*codes: int, nth: int | None = None) -> Callable[[Events], Events]:
    """Leave out the nth event of the codes, or all of them."""

    def doctor(found: Events) -> Events:
        rows = sorted(place for code in codes for place in places(code, found))
        return np.delete(found, rows if nth is None else rows[nth], axis=0)

    return doctor


def fewer_lots(found: Events) -> Events:
    """Both sides of the future's trade say one lot less."""
    for place in places(FILLED, found):
        if found[place, 4] == OCT:
            found[place, 6] -= 1
            found[place, 0] &= ~(8 << FLAG_SHIFT)
    return dropped(CANCELLED, VARIATION, FEE, CLOSING)(found)


def one_sided(found: Events) -> Events:
    """The buyer's side of the future's trade is not said, nor what became of its order."""
    return dropped(CANCELLED, VARIATION, FEE, CLOSING)(dropped(FILLED, nth=-1)(found))


DOCTORED = [
    ("a token is metered once", doubled(SETTLED)),
    ("a token is metered once", dropped(HELD, nth=0)),
    ("a request is held once", doubled(HELD)),
    ("a request keeps its parties", changed(SETTLED, 3, 1 << 16)),
    ("a delivery is rated by a list in force", dropped(PRICED)),
    ("a delivery is rated by a list in force", changed(PRICED, 7, 10**15, nth=1)),
    ("every metered token is billed once", changed(SETTLED, 7, 1)),
    ("every metered token is billed once", changed(SETTLED, 7, -1, nth=1)),
    ("every token delivered is metered once", changed(SETTLED, 4, 1)),
    ("every token delivered is metered once", changed(SETTLED, 6, -1)),
    ("every token delivered is metered once", changed(SETTLED, 5, 5)),
    ("every delivery is answered once", dropped(SETTLED)),
    ("every metered token is billed once", changed(SETTLED, 0, 1 << FLAG_SHIFT)),
    ("every metered token is billed once", changed(PRICED, 4, 1000, nth=1)),
    ("only an accepted order trades", dropped(ACCEPTED, nth=0)),
    ("only an accepted order trades", changed(FILLED, 2, 1)),
    ("an order trades its own side and contract", changed(FILLED, 0, 1 << FLAG_SHIFT, nth=1)),
    ("an order trades its own side and contract", changed(FILLED, 4, 1)),
    ("no fill is worse than its order's price", changed(FILLED, 5, -1)),
    ("no fill is worse than its order's price", changed(FILLED, 5, 11, nth=1)),
    ("no order is filled beyond its lots", changed(FILLED, 6, 7)),
    ("no order is filled beyond its lots", changed(FILLED, 6, -4)),
    ("only an accepted order trades", doubled(FILLED, nth=1)),
    ("what is taken back is what was left", changed(CANCELLED, 6, 1)),
    ("what is taken back is what was left", doubled(CANCELLED)),
    ("long and short lots are equal", one_sided),
    ("the clearing house holds what was filled", fewer_lots),
    ("every purse is what its events make it", changed(DEPOSITED, 5, 1)),
    ("every purse is what its events make it", changed(WITHDRAWN, 5, 1)),
    ("every purse is what its events make it", changed(MOVED, 6, -1)),
    ("every purse is what its events make it", dropped(MOVED)),
    ("every purse is what its events make it", doubled(DEPOSITED, nth=2)),
    ("fees are those of the fills", dropped(FEE)),
    ("every purse is what its events make it", dropped(FEE, CLOSING)),
    ("fees are those of the fills", changed(FEE, 3, -1)),
    ("fees are those of the fills", doubled(FEE)),
    ("variation is what the price moved", changed(VARIATION, 4, 1)),
    ("variation is of the position held", changed(VARIATION, 5, 1)),
    ("variation is at the settlement price", changed(VARIATION, 6, 1)),
    ("every purse is what its events make it", changed(NOVATED, 6, 1)),
    ("receipts are what trades and redemptions make them", changed(ISSUED, 5, 1)),
    ("receipts are what trades and redemptions make them", dropped(LAPSED, nth=1)),
    ("receipts are what trades and redemptions make them", changed(ISSUED, 4, QWEN - KIMI)),
]


DOCTORED_BUSY = [
    ("what is left of an amended order is what it has not filled", changed(AMENDED, 7, 1)),
    ("what is left of an amended order is what it has not filled", changed(AMENDED, 3, 1)),
    ("what is taken back is what was left", dropped(AMENDED)),
    ("an order trades its own side and contract", changed(FILLED, 4, 2)),
    ("an order trades its own side and contract", changed(FILLED, 4, 1)),
    ("an order trades its own side and contract", changed(FILLED, 0, 1 << FLAG_SHIFT)),
    ("an order trades its own side and contract", changed(FILLED, 6, 1, nth=2)),
    ("no fill is worse than its order's price", changed(FILLED, 5, -1)),
    ("no fill is worse than its order's price", changed(FILLED, 5, -1, nth=3)),
]


def test_a_busy_market_is_found_in_order():
    auditor = heard(events(busy), busy)
    auditor.check()
    assert auditor.trades.position == {(EVE, OCT): -4, (EVE, NOV): 3, (DEE, OCT): 4, (DEE, NOV): -3}
    assert not auditor.trades.open


@pytest.mark.parametrize(("law", "doctor"), DOCTORED_BUSY)
def test_a_doctored_event_of_a_busy_market_is_found(law, doctor):
    with pytest.raises(InvariantBroken) as caught:
        heard(doctor(events(busy)), busy).check()
    assert caught.value.law == law


def test_an_exchange_that_asks_something_else_is_found():
    market = Market().join().open()
    market.order(EVE, OCT, 1, 1500)
    auditor = Auditor(market.venue)
    auditor.hear(matrix(market.rows), matrix(market.said))
    auditor.check()
    market.venue.exchange.apply(matrix([risk_row(market.tick(), OCT, margin_lot_micro=1)]))
    with pytest.raises(InvariantBroken, match="asks what the clearing house asks"):
        auditor.check()


def test_a_share_of_the_default_fund_that_no_event_made_is_found():
    market = Market().join().open()
    auditor = Auditor(market.venue)
    auditor.hear(matrix(market.rows), matrix(market.said))
    auditor.check()
    auditor.money.on_clearing(ClearingEvent.FUND_MOVED, [0, 0, EVE, 5, 5, 5, 0, 0], {}, frozenset())
    auditor.money.on_clearing(
        ClearingEvent.LOSS_COVERED, [0, 0, DEE, Layer.OTHERS_FUND, EVE, 4, 0, 0], {}, frozenset()
    )
    auditor.money.purse[EVE, 0] += 5
    with pytest.raises(InvariantBroken, match="0 there, 1 by events"):
        auditor.check()


def test_what_a_defaults_events_move_is_booked():
    money = MoneyBooks()
    spot = {SPOT: next(entry for entry in TERMS.contracts if entry.number == SPOT)}
    for code, words in (
        (ClearingEvent.ASSESSED, (EVE, 7)),
        (ClearingEvent.NOT_DELIVERED, (EVE, DEE, OCT, 1, 11)),
        (ClearingEvent.DELIVERED, (DEE, EVE, SPOT, 1500, 2, 0)),
    ):
        money.on_clearing(code, [0, 0, *words, *(0,) * (6 - len(words))], spot, frozenset())
    paid, lots = 2 * 1500 * spot[SPOT].tick_value_micro, 2 * spot[SPOT].lot_mtok
    assert money.purse[EVE, 0] == paid - 7 - 11
    assert money.purse[DEE, 0] == 11 - paid
    assert money.receipts[DEE, spot[SPOT].grade] == lots == -money.receipts[EVE, spot[SPOT].grade]


def test_a_position_that_passed_from_one_to_the_other_is_booked():
    contracts = {contract.number: contract for contract in TERMS.contracts}
    trades, futures = TradeBooks(contracts), FuturesBooks(contracts, TERMS.clearing)
    passed = [ClearingEvent.TRANSFERRED, 1, DEE, EVE, OCT, 1500, 2, 1]
    trades.on_transferred(passed)
    futures.on_transferred(passed)
    assert trades.position == {(DEE, OCT): 2, (EVE, OCT): -2}
    assert futures.basis == {(DEE, OCT, 0): 3000, (EVE, OCT, 0): -3000}


def test_a_rebate_makes_the_days_fee_the_less():
    futures = FuturesBooks({contract.number: contract for contract in TERMS.contracts}, TERMS.clearing)
    futures.fees[EVE] = 10
    futures.on_rebate([ClearingEvent.REBATED, 1, EVE, 4, 1, 1, 1, 0])
    futures.on_fee([ClearingEvent.FEE, 1, EVE, 6, 0, 0, 0, 0])
    assert not futures.fees


def test_a_forced_fill_is_of_no_order_and_free():
    contracts = {contract.number: contract for contract in TERMS.contracts}
    trades, futures = TradeBooks(contracts), FuturesBooks(contracts, TERMS.clearing)
    forced = [FILLED | FillFlag.FORCED << FLAG_SHIFT, 1, EVE, 0, OCT, 1500, 2, 1]
    trades.on_filled(forced)
    futures.on_filled(forced)
    assert trades.position == {(EVE, OCT): 2}
    assert futures.lots == {(EVE, OCT, 0): 2}
    assert not futures.fees


def test_the_market_as_it_was_is_found_in_order():
    auditor = heard(events())
    for _ in range(2):
        auditor.check()
    assert auditor.audits == 2
    assert auditor.asked == 2
    assert set(auditor.participants) == set(range(1, 7))
    assert sum(auditor.deliveries.tokens) == 2 * (1003 + 77 + 501)
    assert not auditor.deliveries.held


@pytest.mark.parametrize(("law", "doctor"), DOCTORED)
def test_a_doctored_event_is_found_and_its_law_named(law, doctor):
    found = doctor(events())
    with pytest.raises(InvariantBroken) as caught:
        heard(found).check()
    assert caught.value.law == law
    assert caught.value.detail


def test_how_events_are_batched_does_not_matter():
    auditor = Auditor(market().venue)
    nothing = np.empty((0, 8), dtype=np.int64)
    for event in events():
        auditor.hear(nothing, event.reshape(1, 8))
    auditor.check()
    whole = heard(events())
    whole.check()
    assert auditor.money.purse == whole.money.purse
    assert auditor.trades.position == whole.trades.position


# --- the ledger's own laws ---


def accounts() -> Events:
    return market().venue.ledger.accounts[1:].copy()


def test_the_ledger_as_it_is_balances():
    check_ledger(accounts())
    assert (accounts()[:, 3] > 0).any()


@pytest.mark.parametrize("column", [3, 5])
@pytest.mark.parametrize("asset", [1, 100 + KIMI, 100 + QWEN])
def test_an_asset_that_does_not_sum_to_zero_is_found(asset, column):
    doctored = accounts()
    doctored[np.flatnonzero(doctored[:, 0] == asset)[0], column] += 1
    with pytest.raises(InvariantBroken, match=f"every asset sums to zero: asset {asset}"):
        check_ledger(doctored)


@pytest.mark.parametrize("column", [2, 3])
def test_an_overdrawn_account_is_found(column):
    doctored = accounts()
    guarded = int(np.flatnonzero((doctored[:, 1] == 1) & (doctored[:, 0] == 1))[-1])
    doctored[guarded, column] = doctored[guarded, 5] + 1
    doctored[0, 5] += doctored[:, 3][doctored[:, 0] == 1].sum() - doctored[:, 5][doctored[:, 0] == 1].sum()
    with pytest.raises(InvariantBroken) as caught:
        check_ledger(doctored)
    assert caught.value.law == "no account is overdrawn"
    assert str(guarded) in caught.value.detail


def test_an_account_that_may_be_overdrawn_may_be():
    table = np.array([[1, 0, 0, 5, 0, 0, 0, 0], [1, 1, 0, 0, 0, 5, 0, 0]], dtype=np.int64)
    check_ledger(table)
    table[0, 1] = 1
    with pytest.raises(InvariantBroken, match="no account is overdrawn"):
        check_ledger(table)


# --- the books one by one ---


def test_a_carry_is_billed_when_it_comes_to_a_micro_unit():
    books = DeliveryBooks()
    parties = parties_word(4, 2, KIMI)
    books.hear([[PRICED | 50 << 24, 1, 2, KIMI, 600_000, 0, 0, 0]])
    for request, charge in ((1, 0), (2, 1), (3, 0), (4, 1), (5, 1)):
        books.hear([[HELD, 2, request, parties, 1, 0, 0, 1], [SETTLED, 3, request, parties, 1, 0, 0, charge]])
        books.check()
    assert books.charged[4] == books.earned[2] == 3


def test_the_list_in_force_at_the_hold_rates_the_request():
    books = DeliveryBooks()
    parties = parties_word(4, 2, KIMI)
    lists = [
        [PRICED | 50 << 24, 1, 2, KIMI, price, 0, 0, since]
        for price, since in ((3_000_000, 20), (1_000_000, 0))
    ]
    books.hear([*lists, [HELD, 19, 1, parties, 1, 0, 0, 2], [SETTLED, 25, 1, parties, 1, 0, 0, 1]])
    books.hear([[HELD, 20, 2, parties, 1, 0, 0, 4], [SETTLED, 25, 2, parties, 1, 0, 0, 3]])
    books.check()
    assert books.charged[4] == 4


@cache
def gateway() -> Market:
    """A market whose deliveries have spenders, limits, and legs at prices of their own, told or not; and closed requests."""
    market = Market().join()
    begins = market.tick()
    prices = LegPrices.of(
        {
            Leg.INPUT: 3_000_000,
            Leg.CACHE_WRITE_SHORT: 3_750_001,
            Leg.OUTPUT: 15_000_000,
            Leg.SEARCHES: 10**10,
        },
        steps=(Step(1_000, LegPrices.of({Leg.INPUT: 6_000_000, Leg.OUTPUT: 22_500_003})),),
    )
    market.tell(*prices.rows(begins, BO, KIMI, begins, {Leg.SEARCHES: 3}))
    market.tell(spender_row(market.tick(), 1, 0, DEE))
    market.tell(limit_row(market.tick(), 1, 1, LimitUnit.MONEY, LimitWindow.DAY, 10**6))
    parties = parties_word(DEE, BO, KIMI)
    for request, tokens in enumerate((999, 1_000, 1_001, 7), 1):
        legs = [(Leg.CACHE_WRITE_SHORT, tokens // 3), (Leg.SEARCHES, 2)] if request < 4 else []
        market.tell(
            hold_row(market.tick(), request, parties, 1_500, 500, 0, 1),
            *(leg_used_row(market.now, request, leg, count) for leg, count in legs),
            deliver_row(market.now, request, parties, tokens, 5, 100 + request, batch=request == 2),
        )
    market.tell(hold_row(market.tick(), 5, parties, 10**8, 0, 0, 1), hold_row(market.now, 6, parties, 9, 9))
    market.tell(leg_used_row(market.tick(), 6, Leg.REASONING, 9), void_row(market.now, 6))
    market.tell(close_row(market.tick(), 1, 7))
    return market


def test_deliveries_with_spenders_and_legs_are_found_in_order():
    codes = gateway().codes()
    assert {MeterEvent.LEG_PRICED, MeterEvent.LEG_TOLD, MeterEvent.LIMIT_SET, MeterEvent.CLOSED} <= set(codes)
    assert gateway().said[-5][7] == MeterRefusal.BUDGET_SPENT
    auditor = heard(events(gateway), gateway)
    auditor.check()
    assert auditor.deliveries.told == {}


DOCTORED_LEGS = [
    ("every metered token is billed once", MeterEvent.LEG_TOLD, 4, 100),
    ("every metered token is billed once", MeterEvent.LEG_PRICED, 5, 10**6),
    ("a part is no more than its whole", MeterEvent.LEG_TOLD, 4, 10**6),
]


@pytest.mark.parametrize(("law", "code", "word", "by"), DOCTORED_LEGS)
def test_a_doctored_leg_is_found(law, code, word, by):
    doctored = changed(code, word, by)(events(gateway))
    with pytest.raises(InvariantBroken, match=law):
        heard(doctored, gateway).check()


def test_every_law_of_the_auditor_is_broken_by_some_test():
    parts = (
        (PACKAGE / "simulation" / name).read_text(encoding="utf-8")
        for name in ("auditor.py", "audit_books.py")
    )
    laws = set()
    for node in ast.walk(ast.parse("\n".join(parts))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("require", "InvariantBroken")
        ):
            law = node.args[node.func.id == "require"]
            if isinstance(law, ast.Constant):
                laws.add(law.value)
    others = {
        "every asset sums to zero",
        "no account is overdrawn",
        "the exchange asks what the clearing house asks",
        "shares of the default fund are what events make them",
    }
    assert laws == {law for law, *_ in (*DOCTORED, *DOCTORED_BUSY, *DOCTORED_LEGS)} | others


def test_a_redemption_a_substitution_and_a_lapse_are_found_in_order():
    """Receipts become tokens, an issuer is replaced at its cost, and the month ends: every purse is what its events make it."""
    market = Redeemers()
    market.ask(VenueCommand.BOND, market.new_key(), ADA, 500 * USD)
    market.ask(VenueCommand.UNBOND, market.new_key(), ADA, 100 * USD)
    assert market.redeem(DEE, 30) == VenueEvent.REDEEMED
    market.ask_for(DEE, 400_000, 50_000, 1_000)
    market.ask(VenueCommand.CAPACITY, BO, KIMI, MONTH, 100)
    assert market.substitute(ADA, BO, 5, 2 * USD) == VenueEvent.SUBSTITUTED
    auditor = Auditor(market.venue)
    auditor.hear(matrix(market.rows), matrix(market.said))
    auditor.check()
    before = len(market.rows), len(market.said)
    market.ask(VenueCommand.LAPSE, KIMI, MONTH)
    auditor.hear(matrix(market.rows[before[0] :]), matrix(market.said[before[1] :]))
    auditor.check()
    assert auditor.money.tokens[DEE, KIMI] == auditor.deliveries.charged[TERMS.chart.holder(DEE, KIMI)] > 0
    auditor.money.tokens[DEE, KIMI] += 1
    with pytest.raises(InvariantBroken, match="redemptions make them"):
        auditor.check()
