"""The gate: exchange and clearing house ask the same of every account, whatever is traded, and each is told in time."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import Row, code_of, reason_of
from ciyuan.clearing.messages import (
    ClearingTerms,
    Fees,
    MemberRole,
    PositionLimits,
    collect_row,
    member_row,
)
from ciyuan.exchange.messages import (
    AccountFlag,
    ExchangeCommand,
    ExchangeEvent,
    OrderFlag,
    Permission,
    Refusal,
    SessionState,
    Side,
    amend_row,
    cancel_row,
    kill_row,
    mass_cancel_row,
    order_row,
    quota_row,
    session_row,
    tick_row,
)
from ciyuan.exchange.state import ACCOUNT_COLUMNS, CONTRACT_COLUMNS
from ciyuan.venue.gate import TOLD, Gate
from tests.clearing.floor import BOTH, CONTRACTS, HOUSE, NOV, OCT, SPOT, USD
from tests.venue.chain import ROOM, SPREAD, Chain, spread_of, wide

MONTHS = {contract.number: contract for contract in wide(CONTRACTS)}
LISTED = (*MONTHS.values(), spread_of(MONTHS[OCT], MONTHS[NOV]))
TERMS = (
    ClearingTerms(HOUSE),
    ClearingTerms(HOUSE, futures_fees=Fees(3, 7, 0, 0), spot_fees=Fees(0, 0, 0, 333)),
    ClearingTerms(HOUSE, limits=PositionLimits(12, 12, 12), orders_per_second_max=3, limit_share_bp=1_000),
)
TYPES = (
    *(OrderFlag.LIMIT,) * 6,
    OrderFlag.MARKET,
    OrderFlag.FAK,
    OrderFlag.FOK,
    OrderFlag.POST_ONLY,
    OrderFlag.ICEBERG,
    OrderFlag.STOP,
    OrderFlag.STOP | OrderFlag.MARKET,
    OrderFlag.GTC,
    OrderFlag.GTC | OrderFlag.STOP,
)


class Flow:
    """A chain, and moves on it that a seed chooses. `refused` counts the refusals for what the clearing house says."""

    def __init__(self, terms: ClearingTerms, seed: int) -> None:
        roles = (MemberRole.HEDGER, MemberRole.SPECULATOR, MemberRole.MAKER)
        self.chain = Chain((9_000, 3_000, 50_000), 40, 500, LISTED, roles, terms=terms)
        self.chance = Random(seed)  # noqa: S311 (a flow is drawn, not a secret)
        self.refused: list[Refusal] = []
        seldom = (self.cancel, self.cancel, self.deposit, self.withdraw, self.others, self.next_day)
        self.moves = (*(self.limit,) * 9, *(self.order,) * 9, *(self.amend,) * 5, *seldom)

    def step(self) -> None:
        self.chance.choice(self.moves)()
        self.chain.house.check()

    def member(self) -> int:
        return self.chance.choice(self.chain.members)

    def price(self, contract: int) -> int:
        if contract == SPREAD:
            return self.chance.randint(-30, 30)
        return max(1, self.chain.house.settlement_ticks(contract) + self.chance.randint(-15, 15))

    def limit(self) -> None:
        """A limit order, which is admitted or refused as the textbook has it."""
        chain, member, contract = self.chain, self.member(), self.chance.choice((SPOT, OCT, NOV))
        lots, price = self.chance.choice((-1, 1)) * self.chance.randint(1, 9), self.price(contract)
        lower, upper = chain.exchange.limits(contract)
        price = max(lower, min(upper, price))
        expected = chain.refusal_of(chain.time_ns + 1_000_000, member, contract, lots, price)
        found = chain.order(member, contract, lots, price)
        assert found == (chain.order_count if expected is None else expected)
        if expected is not None:
            self.refused.append(expected)

    def order(self) -> None:
        """An order of any type, in any contract."""
        chance, contract = self.chance, self.chance.choice((SPOT, OCT, NOV, SPREAD))
        kind = chance.choice(TYPES if contract != SPREAD else (OrderFlag.LIMIT, OrderFlag.FAK))
        price, lots = self.price(contract), chance.randint(1, 9)
        self.chain.order_count += 1
        command = order_row(
            self.chain.tick(),
            self.member(),
            self.chain.order_count,
            contract,
            chance.choice(tuple(Side)),
            0 if kind & OrderFlag.MARKET else price,
            lots,
            kind=kind,
            shown_lots=1 + lots // 3 if kind == OrderFlag.ICEBERG else 0,
            trigger_ticks=self.price(contract) if kind & OrderFlag.STOP else 0,
        )
        self.sent(self.chain.say(command))

    def sent(self, said: list[Row]) -> None:
        """Keep the textbook's count of the second's orders: what came to its test was accepted, or refused after it."""
        for event in said:
            code = code_of(event[0])
            late = code == ExchangeEvent.REFUSED and event[7] == Refusal.MARGIN
            if code in (ExchangeEvent.ACCEPTED, ExchangeEvent.AMENDED) or late:
                counted = code != ExchangeEvent.AMENDED or not event[0] >> 16 & 2
                self.chain.sent[event[2], event[1] // 10**9] += counted

    def amend(self) -> None:
        open_orders = self.chain.house.snapshot()["orders"].tolist()
        if open_orders:
            member, order_id, contract, _, price, left, _ = self.chance.choice(open_orders)
            lots = left + self.chance.randint(-3, 3)
            new_price = self.chance.choice((price, self.price(contract)))
            self.sent(self.chain.say(amend_row(self.chain.tick(), member, order_id, new_price, lots)))

    def cancel(self) -> None:
        """Two cancels in a row: the second one may be of what is not open any more."""
        orders = [self.chance.randint(1_000, self.chain.order_count) for _ in range(2)]
        self.chain.say(*(cancel_row(self.chain.tick(), self.member(), order_id) for order_id in orders))

    def others(self) -> None:
        at, member = self.chain.tick(), self.member()
        choices = (mass_cancel_row(at, member), kill_row(at, member, on=False), tick_row(at))
        self.chain.say(self.chance.choice(choices))

    def deposit(self) -> None:
        member = self.member()
        self.chain.deposit(member, self.chance.randint(1, 2_000 * USD))
        self.chain.tell(collect_row(self.chain.tick(), member))

    def withdraw(self) -> None:
        member = self.member()
        excess = self.chain.house.excess_micro(member)
        if excess > 0:
            self.chain.deposit(member, -self.chance.randint(1, excess))

    def next_day(self) -> None:
        """Prices jump far enough to ruin a member."""
        house, chance = self.chain.house, self.chance
        moved = {
            name: max(1, house.settlement_ticks(number) + chance.randint(-300, 300))
            for name, number in (("OCT", OCT), ("NOV", NOV))
        }
        self.chain.next_day(**moved)


@pytest.mark.parametrize("terms", TERMS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=12)
def test_exchange_and_clearing_house_ask_the_same_of_every_account(terms: ClearingTerms, seed: int):
    """Requirements agree after every command, and a limit order is admitted where the textbook admits it (§5.1 to §5.3)."""
    flow = Flow(terms, seed)
    for _ in range(120):
        flow.step()
        assert not flow.chain.differences()


def test_the_flows_reach_what_they_should():
    heard, refused, days = set(), set(), 0
    for seed in range(12):
        flow = Flow(TERMS[seed % 3], seed)
        for _ in range(120):
            flow.step()
        heard |= {code_of(event[0]) for event in flow.chain.heard}
        refused |= set(flow.refused)
        days += flow.chain.house.trading_day
    assert refused == {Refusal.POSITION_LIMIT, Refusal.ORDER_RATE, Refusal.MARGIN}
    assert heard >= {
        ExchangeEvent.AMENDED,
        ExchangeEvent.SPREAD_TRADED,
        ExchangeEvent.TRIGGERED,
        ExchangeEvent.RELOADED,
    }
    assert days


# --- what is told, and when ---


def account_of(chain: Chain, number: int) -> dict[str, int]:
    """An account as the exchange knows it."""
    (found,) = (row for row in chain.exchange.snapshot()["accounts"].tolist() if row[0] == number)
    return dict(zip(ACCOUNT_COLUMNS, found, strict=True))


def contract_of(chain: Chain, number: int) -> dict[str, int]:
    """A contract as the exchange knows it."""
    (found,) = (row for row in chain.exchange.snapshot()["contracts"].tolist() if row[0] == number)
    return dict(zip(CONTRACT_COLUMNS, found, strict=True))


def test_a_member_is_known_as_it_joined():
    terms = ClearingTerms(HOUSE, orders_per_second_max=7)
    chain = Chain(roles=(MemberRole.HEDGER, MemberRole.MAKER, MemberRole.SPECULATOR), terms=terms)
    hedger, maker = account_of(chain, 1), account_of(chain, 2)
    assert hedger["flags"] & 0xFF == AccountFlag.HEDGER
    assert maker["flags"] & 0xFF == 0
    assert (maker["orders_per_second_max"], maker["permissions"]) == (7, Permission.FUTURES | Permission.SPOT)


def test_an_accounts_credit_is_told_before_each_of_its_orders():
    chain = Chain(cash_usd=(1_000, 0))
    assert account_of(chain, 1)["credit_micro"] == 0
    chain.placed(1, SPOT, 100, 1500)
    chain.order(2, OCT, 1, 1500)
    chain.placed(1, SPOT, 100, 1500)
    assert account_of(chain, 1)["credit_micro"] == 1_000 * USD, "what the first order holds backs that order"
    chain.deposit(2, 500 * USD)
    assert account_of(chain, 2)["credit_micro"] == 0
    assert chain.placed(2, OCT, 1, 1500)
    assert account_of(chain, 2)["credit_micro"] == 500 * USD


def test_what_a_better_price_saved_is_no_credit_until_the_order_ends():
    """100 USD buy 50 lots at 2.000; 20 of them come at 1.000, and the 20 USD that this saves stay with the order."""
    chain = Chain(cash_usd=(100, 0), terms=ClearingTerms(HOUSE, spot_fees=Fees(0, 0, 0, 0)))
    chain.deposit(1, 70)
    chain.placed(2, SPOT, -20, 1000)
    bid = chain.placed(1, SPOT, 50, 2000)
    assert chain.order(1, SPOT, 1, 1000) == Refusal.MARGIN
    chain.cancel_of(1, bid)
    assert chain.placed(1, SPOT, 79, 1000)


@pytest.mark.parametrize("amended", [False, True])
def test_receipts_are_told_before_each_sell(amended: bool):
    chain = Chain(receipts=40)
    ask = chain.placed(1, SPOT, -30, 1500)
    chain.issue(1, 5)
    if amended:
        for lots, code in ((46, ExchangeEvent.REFUSED), (45, ExchangeEvent.AMENDED)):
            said = chain.say(amend_row(chain.tick(), 1, ask, 1500, lots))
            assert code in {code_of(event[0]) for event in said}
    else:
        assert chain.order(1, SPOT, -16, 1500) == Refusal.MARGIN
        assert chain.placed(1, SPOT, -15, 1500)
    assert chain.house.open_lots(1, SPOT) == (0, 45)
    assert chain.ledger.account(chain.purse(1)).debits_pending == 45


def test_what_a_lot_asks_is_told_when_it_changes():
    chain = Chain()
    told = [contract_of(chain, OCT)[name] for name in ("margin_lot_micro", "limit_lots", "hedger_limit_lots")]
    assert told == [225 * USD, 10_000, 50_000]
    assert contract_of(chain, SPOT)["limit_lots"] == 0
    chain.placed(1, OCT, 1, 1500)
    chain.close(OCT=2000)
    assert contract_of(chain, OCT)["margin_lot_micro"] == 300 * USD, "before a session opens on it"
    assert not chain.differences()


def test_a_final_settlement_leaves_no_position_behind():
    chain = Chain()
    while chain.day < 20_756:
        chain.next_day()
    chain.trade(1, 2, OCT, 5, 1500)
    chain.trade(1, 2, NOV, 3, 1500)
    chain.close()
    assert chain.house.life(OCT).name == "SETTLING"
    chain.final(OCT, 1_510_000)
    held = {tuple(row[:2]): row[3] - row[4] for row in chain.exchange.snapshot()["positions"].tolist()}
    assert {key: lots for key, lots in held.items() if lots} == {(1, NOV): 3, (2, NOV): -3}
    assert not chain.differences()


def test_what_is_told_is_not_said():
    """Nobody hears the answers to what the clearing house says; those to others' commands everybody does."""
    chain = Chain()
    chain.trade(1, 2, OCT, 5, 1500)
    chain.say(quota_row(chain.tick(), 1, OCT, 9))
    chain.next_day()
    answered = {reason_of(event[0]) for event in chain.said if code_of(event[0]) == ExchangeEvent.SET}
    assert answered == {ExchangeCommand.QUOTA}
    assert not answered & set(TOLD)


def test_a_restored_gate_tells_nothing_twice():
    chain = Chain()
    chain.trade(1, 2, OCT, 5, 1500)
    again = Gate(chain.contracts, chain.exchange, chain.house, lambda told, out: None)
    again.restore(chain.exchange.snapshot()["contracts"])
    before = chain.exchange.snapshot()
    again.renew(chain.tick(), chain.said)
    assert all((before[name] == part).all() for name, part in chain.exchange.snapshot().items())


def test_a_word_that_the_exchange_does_not_take_stops_the_machine():
    """A member beyond the exchange's room: the venue would not have let it in."""
    chain, beyond = Chain(), ROOM.accounts + 1
    joined = chain.house.apply(
        np.array([member_row(chain.tick(), beyond, chain.cash(1), chain.purse(1), BOTH)])
    )
    with pytest.raises(InvariantBroken, match="takes what the clearing house says"):
        chain.gate.hear([tuple(event) for event in joined.tolist()], chain.tick(), [])


def test_runs_of_rows_are_as_good_as_single_ones():
    """Cancels wait for the order that follows them, and go to the exchange with it."""

    def rows(chain: Chain) -> list[Row]:
        orders = [order_row(chain.tick(), 1, n, OCT, Side.BUY, 1490 + n, 2) for n in range(1, 5)]
        spot = [order_row(chain.tick(), 1, 9, SPOT, Side.BUY, 1490, 10)]
        cancels = [cancel_row(chain.tick(), 1, n) for n in (2, 9, 3, 77)]
        return [*orders, *spot, *cancels, order_row(chain.tick(), 2, 1, OCT, Side.SELL, 1490, 9)]

    whole, single = Chain(), Chain()
    said = whole.say(*rows(whole))
    assert [event for one in rows(single) for event in single.say(one)] == said
    assert whole.exchange.state_hash() == single.exchange.state_hash()
    assert whole.house.state_hash() == single.house.state_hash()
    assert len([event for event in said if code_of(event[0]) == ExchangeEvent.CANCELLED]) == 3


# --- the breaker's auctions ---


def stopped() -> Chain:
    """October in the breaker's auction: a lot is bid and offered at a price too far from the last."""
    listed = tuple(replace(c, breaker_bp=100, breaker_minutes=5) if c.number == OCT else c for c in LISTED)
    chain = Chain(contracts=listed)
    chain.trade(1, 2, OCT, 1, 1500)
    chain.placed(2, OCT, -1, 1600)
    chain.placed(1, OCT, 1, 1600)
    assert chain.exchange.book(OCT).state == SessionState.AUCTION_ENTRY
    return chain


@pytest.mark.parametrize(
    "state",
    [SessionState.AUCTION_FREEZE, SessionState.AUCTION_MATCH, SessionState.BREAK, SessionState.CLOSING],
)
def test_an_auction_that_a_session_takes_over_is_not_due(state: SessionState):
    chain = stopped()
    chain.say(session_row(chain.tick(), OCT, state, chain.day))
    assert chain.gate.next_due_ns == np.iinfo(np.int64).max
    assert contract_of(chain, OCT)["due_ns"] == 0
    assert chain.house.position(1, OCT) == (1 if state == SessionState.AUCTION_FREEZE else 2)


def test_an_auction_is_held_in_its_place():
    """It ends two minutes after it began, before whatever comes next, be that an order, a cancel or another stage's row."""
    chain = stopped()
    due = chain.gate.next_due_ns
    assert due == chain.time_ns + 120 * 10**9
    chain.time_ns = due + 10**9
    again = Gate(chain.contracts, chain.exchange, chain.house, lambda told, out: None)
    again.restore(chain.exchange.snapshot()["contracts"])
    assert again.next_due_ns == due
    said: list[Row] = []
    chain.gate.ring(due - 1, said)
    assert said == []
    chain.gate.ring(due, said)
    codes = [code_of(event[0]) for event in said]
    assert codes.count(ExchangeEvent.FILLED) == 2
    assert ExchangeEvent.SET not in codes
    assert {event[1] for event in said} == {due}
    assert chain.gate.next_due_ns > due
    assert chain.house.position(1, OCT) == 2
    assert not chain.differences()
    chain.gate.ring(np.iinfo(np.int64).max - 1, said)
    assert len(said) == len(codes)
