"""Command flows for the exchange's tests: few accounts, prices and lots, so that everything that can meet does.

A move is eight integers of 0..999, which a `Player` makes a command of: what is likely depends on where the market stands.
"""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from ciyuan.basics.rows import Row, kind_word
from ciyuan.basics.rows import row as row_of
from ciyuan.basics.time import NS_PER_MINUTE, NS_PER_SECOND
from ciyuan.exchange import (
    Contract,
    ContractKind,
    ExchangeCommand,
    OrderFlag,
    Refusal,
    SessionState,
    Side,
    cancel_row,
    close_day_row,
    mass_cancel_row,
    order_row,
)
from tests.exchange.naive import NaiveExchange

FIRST_DAY = 20_000
STRANGER, BARRED, POOR = 8, 9, 4
"""Accounts: unknown to the admission; known but not permitted; refused by the admission at the last, for odd lots."""
USUAL_NEXT = {
    SessionState.CLOSED: SessionState.AUCTION_ENTRY,
    SessionState.AUCTION_ENTRY: SessionState.AUCTION_FREEZE,
    SessionState.AUCTION_FREEZE: SessionState.AUCTION_MATCH,
    SessionState.AUCTION_MATCH: SessionState.CONTINUOUS,
    SessionState.CONTINUOUS: SessionState.BREAK,
    SessionState.BREAK: SessionState.CLOSING,
    SessionState.CLOSING: SessionState.SETTLEMENT,
    SessionState.SETTLEMENT: SessionState.CLOSED,
}
OPEN = {SessionState.AUCTION_ENTRY, SessionState.CONTINUOUS}
TYPES = (*[OrderFlag.LIMIT] * 6, OrderFlag.MARKET, OrderFlag.FAK, OrderFlag.FAK, OrderFlag.FOK)

Move = Sequence[int]
moves = st.tuples(*[st.integers(0, 999)] * 8)


def contract(number: int, **given: int) -> Contract:
    """A future of tick 1, start 100, limit 10%; number 3 is spot."""
    listing = {
        "grade": 1,
        "tick_micro": 1000,
        "lot_mtok": 1000,
        "first_day": FIRST_DAY,
        "last_day": FIRST_DAY + 50,
        "month": 0 if number == 3 else 202610 + number,
        "limit_rate_bp": 1000,
        "initial_price_ticks": 100,
        "max_lots_per_order": 8,
    } | given
    kind = ContractKind.SPOT if number == 3 else ContractKind.CASH_FUTURE
    return Contract(number=number, code=f"C{number}", kind=kind, **listing)


CONTRACTS = tuple(contract(number) for number in (1, 2, 3, 4))


class Gate:
    """An admission by account: a stranger, one that is barred, and a poor one that may only have even lots."""

    def permitted(self, account: int, contract_number: int) -> Refusal | None:
        if account == STRANGER:
            return Refusal.UNKNOWN_ACCOUNT
        return Refusal.NOT_PERMITTED if account == BARRED and contract_number == 1 else None

    def admit(
        self, time_ns: int, account: int, contract_number: int, is_sell: bool, price_ticks: int, lots: int
    ) -> Refusal | None:
        if account != POOR or not lots % 2:
            return None
        return (Refusal.POSITION_LIMIT, Refusal.ORDER_RATE, Refusal.MARGIN)[price_ticks % 3]


class Player:
    """Makes commands of moves, with an eye on the naive exchange that hears the same commands."""

    def __init__(self, naive: NaiveExchange) -> None:
        self.naive = naive
        self.now = 10**15
        self.fresh = 0

    def row(self, move: Move) -> Row:
        """The command of a move."""
        what, when, *rest = move
        self.now += (0, NS_PER_SECOND, NS_PER_SECOND, 2 * NS_PER_MINUTE)[when % 4]
        if (
            when > 200
            and what < 900
            and not any(market.state in OPEN for market in self.naive.markets.values())
        ):
            return self.bell(rest) if what % 2 else self.close(rest)
        if what < 690:
            return self.order(rest)
        if what < 890:
            return self.cancel(rest)
        if what < 900:
            return mass_cancel_row(self.now, self.account(rest[0]), rest[1] % 6)
        if what < 960:
            return self.bell(rest)
        if what < 980:
            return self.close(rest)
        return self.junk(rest)

    def cancel(self, draws: Sequence[int]) -> Row:
        """Mostly of an order of the day, open or ended."""
        orders = [order for market in self.naive.markets.values() for order in market.orders]
        if orders and draws[0] < 800:
            order = orders[draws[1] % len(orders)]
            return cancel_row(self.now, order.account, order.order_id)
        return cancel_row(self.now, self.account(draws[0]), self.order_id(draws[1]))

    def account(self, draw: int) -> int:
        return 1 + draw % 4 if draw < 960 else STRANGER + draw % 2

    def order_id(self, draw: int) -> int:
        """An id of late, or (seldom) one that cannot be."""
        return max(1, self.fresh - draw % 25) if draw < 990 else draw - 995

    def order(self, draws: Sequence[int]) -> Row:
        who, which, number, where, much, how = draws
        taking = [market for market, held in self.naive.markets.items() if held.state in OPEN]
        market = taking[number % len(taking)] if taking and number < 900 else 1 + number % 4
        limit_only = self.naive.markets[market].state == SessionState.AUCTION_ENTRY and how < 800
        kind = OrderFlag.LIMIT if limit_only else TYPES[how % len(TYPES)]
        self.fresh += which < 900
        order_id = self.fresh if which < 900 else self.order_id(which * 7 % 1000)
        price = 0 if kind == OrderFlag.MARKET else self.price(where)
        lots = 1 + much % 5 if much < 980 else much - 985
        least = 1 + how // 10 % 4 if kind == OrderFlag.FAK and how % 3 == 0 else 0
        row = order_row(
            self.now,
            self.account(who),
            order_id,
            market,
            Side(where % 2),
            price,
            lots,
            kind=kind,
            min_lots=least,
        )
        if which >= 970:
            return self.again(row, order_id, how)
        if number >= 970:
            return self.spoiled(row, number)
        return row

    def price(self, draw: int) -> int:
        return 100 + draw // 2 % 7 - 3 if draw < 940 else 100 + (draw - 970)

    def again(self, row: Row, order_id: int, how: int) -> Row:
        """The order that had this id, sent again as it was, or with a field that differs."""
        orders = [order for market in self.naive.markets.values() for order in market.orders]
        known = orders[order_id % len(orders)] if orders else None
        if known is None:
            return row
        price, lots, least = known.sent
        flags = known.flags ^ (how % 3 == 0)
        changed = (price + (how % 5 == 0), lots + (how % 7 == 0), least + (how % 4 == 0))
        words = (known.account, known.order_id, known.contract, *changed)
        return row_of(kind_word(ExchangeCommand.ORDER, flags), self.now, words)

    def spoiled(self, row: Row, how: int) -> Row:
        """The order with one word that it should not have."""
        word = (0, 4, 5, 6, 7)[how % 5]
        wrong = row[word] | 2 << 16 | 8 << 16 if word == 0 else (7, -1, 0, 9, 100)[how // 5 % 5]
        return (*row[:word], wrong, *row[word + 1 :])  # type: ignore[return-value]

    def bell(self, draws: Sequence[int]) -> Row:
        """Mostly the usual next state of one or all contracts on the right day; sometimes any."""
        which, odd, state, odd_day, _, _ = draws
        number = which % 5
        market = self.naive.markets[number or 1]
        follows: int = USUAL_NEXT[market.state] if odd < 800 else 1 + state % 9
        if market.state == SessionState.BREAK and state % 3:
            follows = SessionState.CONTINUOUS if state % 3 == 1 else SessionState.AUCTION_ENTRY
        day = (market.day or FIRST_DAY - 1) + 1 if market.state == SessionState.CLOSED else market.day
        words = (number, follows, day if odd_day < 950 else FIRST_DAY + odd_day % 4)
        return row_of(kind_word(ExchangeCommand.SESSION), self.now, words)

    def close(self, draws: Sequence[int]) -> Row:
        which, odd, *_ = draws
        number = which % 6
        market = self.naive.markets.get(number or 1)
        return close_day_row(self.now, number, market.day if market and odd < 950 else FIRST_DAY + odd % 4)

    def junk(self, draws: Sequence[int]) -> Row:
        """What is no command, has a word too many, or comes from the past."""
        one, two, *_ = draws
        words = (1 + one % 4, 1 + two % 8, FIRST_DAY, 0, 0, two % 2)
        codes = (*ExchangeCommand, 299)
        late = NS_PER_SECOND if one % 7 == 0 else 0
        return (codes[one % 6] | (two % 3 == 0) << 24, self.now - late, *words)


def moves_of(seed: int, count: int) -> list[list[int]]:
    """`count` moves of a seed."""
    drawn: list[list[int]] = np.random.default_rng(seed).integers(0, 1000, (count, 8)).tolist()
    return drawn
