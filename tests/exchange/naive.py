"""An exchange that is obvious: one list of orders, sorted whenever someone asks; every figure worked out anew from what happened.

It shares with the real one the messages only. Its state tables, tie rules and prices are written down a second time, from the
rulebook, in other words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

from ciyuan.basics.rows import Row
from ciyuan.basics.time import NS_PER_MINUTE
from ciyuan.exchange import (
    Admission,
    CancelCause,
    Contract,
    ContractKind,
    ExchangeCommand,
    ExchangeEvent,
    Refusal,
    SessionState,
    SettlementMethod,
)

S = SessionState
ARROWS = """
CLOSED AUCTION_ENTRY CONTINUOUS
AUCTION_ENTRY AUCTION_FREEZE AUCTION_MATCH
AUCTION_FREEZE AUCTION_MATCH
AUCTION_MATCH CONTINUOUS BREAK CLOSING
CONTINUOUS BREAK CLOSING AUCTION_ENTRY
BREAK CONTINUOUS AUCTION_ENTRY CLOSING
CLOSING SETTLEMENT
SETTLEMENT CLOSED
"""
WORDS = [line.split() for line in ARROWS.strip().splitlines()]
NEXT = {SessionState[words[0]]: {SessionState[word] for word in words[1:]} for words in WORDS}
LIMIT_ONLY = {S.AUCTION_ENTRY, S.AUCTION_FREEZE}
CAN_CANCEL = {S.AUCTION_ENTRY, S.CONTINUOUS, S.BREAK}
TYPE_NAMES = {0: "LIMIT", 2: "MARKET", 4: "FAK", 8: "FOK"}


@dataclass
class NaiveOrder:
    account: int
    order_id: int
    contract: int
    flags: int
    sent: tuple[int, int, int]
    limit: int
    number: int
    filled: int = 0
    end: str = ""

    @property
    def sell(self) -> bool:
        return bool(self.flags & 1)

    @property
    def kind(self) -> str:
        return TYPE_NAMES[self.flags & ~1]

    @property
    def left(self) -> int:
        return 0 if self.end else self.sent[1] - self.filled

    def accepts(self, price: int) -> bool:
        return price >= self.limit if self.sell else price <= self.limit


@dataclass
class NaiveMarket:
    contract: Contract
    state: SessionState = S.CLOSED
    day: int = 0
    prices: dict[int, tuple[int, SettlementMethod]] = field(default_factory=dict)
    trades: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    both: list[tuple[int, bool]] = field(default_factory=list)
    closing_ns: int = 0
    orders: list[NaiveOrder] = field(default_factory=list)
    past: dict[int, int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        return self.prices[max(self.prices)][0] if self.prices else self.contract.initial_price_ticks

    @property
    def reference(self) -> int:
        """The last settlement price before the present day."""
        before = [day for day in self.prices if day < self.day]
        return self.prices[max(before)][0] if before else self.contract.initial_price_ticks

    @property
    def limits(self) -> tuple[int, int]:
        rate = Fraction(self.contract.limit_rate_bp * (1 if self.prices else 2), 10_000)
        return max(1, floor(self.settled * (1 - rate))), ceil(self.settled * (1 + rate))


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def brute_auction(orders: Iterable[tuple[bool, int, int]], reference: int) -> tuple[int, int, int] | None:
    """(price, lots, surplus) of (is sell, limit, lots) orders, by trying every order's price; None if nothing would trade."""
    book = list(orders)

    def lots_at(price: int, sell: bool, *, better: bool) -> int:
        """Lots of a side that would trade at a price, or (better) at a worse one too."""
        worse = (price - 1 if sell else price + 1) if better else price
        return sum(
            lots
            for is_sell, limit, lots in book
            if is_sell == sell and (limit <= worse if sell else limit >= worse)
        )

    tried = {}
    for price in {limit for _, limit, _ in book}:
        demand, supply = (lots_at(price, sell, better=False) for sell in (False, True))
        better = max(lots_at(price, sell, better=True) for sell in (False, True))
        tried[price] = (min(demand, supply), demand - supply, better)
    most = max((lots for lots, _, _ in tried.values()), default=0)
    if not most:
        return None
    ties = {price: found for price, found in tried.items() if found[0] == most}
    least = min(abs(surplus) for _, surplus, _ in ties.values())
    ties = {price: found for price, found in ties.items() if abs(found[1]) == least}
    if all(surplus > 0 for _, surplus, _ in ties.values()):
        price = max(ties)
    elif all(surplus < 0 for _, surplus, _ in ties.values()):
        price = min(ties)
    else:
        fair = [price for price, (_, _, better) in ties.items() if better <= most]
        price = min(fair, key=lambda at: (abs(at - reference), -at))
    return price, most, ties[price][1]


class NaiveExchange:
    """The plain twin, by the same commands."""

    def __init__(self, contracts: Iterable[Contract], admission: Admission) -> None:
        self.markets = {contract.number: NaiveMarket(contract) for contract in contracts}
        self.admission = admission
        self.clock = self.arrivals = self.trade_id = 0
        self.out: list[Row] = []

    def apply_one(self, row: Sequence[int]) -> list[Row]:
        self.out = []
        code, flags, reason = row[0] & 0xFFFF, row[0] >> 16 & 0xFF, row[0] >> 24
        heard = {
            ExchangeCommand.ORDER: self.order,
            ExchangeCommand.CANCEL: self.cancel,
            ExchangeCommand.MASS_CANCEL: self.mass_cancel,
            ExchangeCommand.SESSION: self.session,
            ExchangeCommand.CLOSE_DAY: self.close_day,
        }
        known = code in set(ExchangeCommand) and not reason and (not flags or code == ExchangeCommand.ORDER)
        if not known:
            answer: Refusal | str | None = Refusal.UNKNOWN_COMMAND
        elif row[1] < self.clock:
            answer = Refusal.TIME_BACKWARDS
        else:
            self.clock = row[1]
            answer = heard[ExchangeCommand(code)](row)
        if isinstance(answer, Refusal):
            refused = int(ExchangeEvent.REFUSED) + flags * 65536
            self.out.append((refused, row[1], row[2], row[3], row[4], row[5], row[6], int(answer)))
        elif answer == "repeated":
            self.tell(ExchangeEvent.REPEATED, *row[2:8], flags=flags)
        for market in self.markets.values():
            sides = {order.sell for order in self.book(market)}
            market.both.append((self.clock, len(sides) == 2))
        return self.out

    def tell(self, event: ExchangeEvent, *words: int, flags: int = 0) -> None:
        a, b, c, d, e, f = (*(int(word) for word in words), *(0,) * (6 - len(words)))
        self.out.append((event + flags * 65536, self.clock, a, b, c, d, e, f))

    def book(self, market: NaiveMarket, sell: bool | None = None) -> list[NaiveOrder]:
        """Open orders as they would trade: best price first, then time."""
        found = [order for order in market.orders if order.left and sell in {None, order.sell}]
        return sorted(found, key=lambda order: (order.limit if order.sell else -order.limit, order.number))

    def find(self, account: int, order_id: int) -> NaiveOrder | None:
        everything = [order for market in self.markets.values() for order in market.orders]
        return next((o for o in everything if (o.account, o.order_id) == (account, order_id)), None)

    def order(self, row: Sequence[int]) -> Refusal | str | None:
        _, _, account, order_id, number, price, lots, least = row
        flags = row[0] >> 16 & 0xFF
        twin = self.find(account, order_id)
        if twin and (twin.flags, twin.contract, *twin.sent) == (flags, number, price, lots, least):
            return "repeated"
        refusal = self.admission.permitted(account, number) or self.faults(row, twin)
        if refusal:
            return refusal
        market = self.markets[number]
        limit = price or market.limits[0 if flags & 1 else 1]
        refusal = self.admission.admit(row[1], account, number, bool(flags & 1), limit, lots)
        if refusal:
            return refusal
        self.arrivals += 1
        order = NaiveOrder(account, order_id, number, flags, (price, lots, least), limit, self.arrivals)
        self.tell(ExchangeEvent.ACCEPTED, account, order_id, number, limit, lots, least, flags=flags)
        self.trade(market, order)
        market.orders.append(order)
        return None

    def faults(self, row: Sequence[int], twin: NaiveOrder | None) -> Refusal | None:
        """All that is wrong with an order, from which the enum's order picks the first."""
        _, _, account, order_id, number, price, lots, least = row
        flags = row[0] >> 16 & 0xFF
        if number not in self.markets:
            return Refusal.UNKNOWN_CONTRACT
        market = self.markets[number]
        kind = TYPE_NAMES.get(flags & ~1, "?")
        low, high = market.limits
        wrong = {
            Refusal.WRONG_STATE: market.state not in LIMIT_ONLY | {S.CONTINUOUS},
            Refusal.TYPE_NOT_IN_STATE: market.state in LIMIT_ONLY and kind not in {"LIMIT", "?"},
            Refusal.TYPE_UNKNOWN: kind == "?",
            Refusal.ORDER_ID_NOT_POSITIVE: order_id < 1,
            Refusal.PRICE_NOT_POSITIVE: kind != "MARKET" and price < 1,
            Refusal.PRICE_ON_MARKET_ORDER: kind == "MARKET" and price != 0,
            Refusal.LOTS_NOT_POSITIVE: lots < 1,
            Refusal.MIN_LOTS_NOT_ALLOWED: least != 0 and (kind != "FAK" or not 1 <= least <= lots),
            Refusal.LOTS_OVER_MAXIMUM: lots > market.contract.max_lots_per_order,
            Refusal.PRICE_LIMIT: kind != "MARKET" and not low <= price <= high,
            Refusal.ID_OF_PAST_DAY: not twin and order_id <= market.past.get(account, 0),
        }
        if twin:
            wrong[Refusal.ID_USED_WITH_OTHER_SIDE] = twin.flags & 1 != flags & 1
            wrong[Refusal.ID_USED_WITH_OTHER_TYPE] = twin.kind != kind
            wrong[Refusal.ID_USED_WITH_OTHER_CONTRACT] = twin.contract != number
            wrong[Refusal.ID_USED_WITH_OTHER_PRICE] = twin.sent[0] != price
            wrong[Refusal.ID_USED_WITH_OTHER_LOTS] = twin.sent[1] != lots
            wrong[Refusal.ID_USED_WITH_OTHER_MIN_LOTS] = twin.sent[2] != least
        return min((refusal for refusal, is_so in wrong.items() if is_so), default=None)

    def trade(self, market: NaiveMarket, order: NaiveOrder) -> None:
        """What becomes of an accepted order at once."""
        facing = [o for o in self.book(market, sell=not order.sell) if order.accepts(o.limit)]
        own = next((place for place, o in enumerate(facing) if o.account == order.account), None)
        if market.state != S.CONTINUOUS:
            if own is not None:
                self.end(order, CancelCause.SELF_TRADE)
            return
        reach = sum(o.left for o in facing[:own])
        if order.kind == "FOK" and reach < order.sent[1]:
            self.end(order, CancelCause.FOK_NOT_FILLED)
            return
        if reach < order.sent[2]:
            self.end(order, CancelCause.MINIMUM_NOT_FILLED)
            return
        for maker in facing[:own]:
            lots = min(order.left, maker.left)
            if lots:
                self.fill(market, maker, order, maker.limit, lots)
        if order.left and own is not None:
            self.end(order, CancelCause.SELF_TRADE)
        elif order.left and order.kind != "LIMIT":
            self.end(
                order, CancelCause.FAK_REMAINDER if order.kind == "FAK" else CancelCause.MARKET_REMAINDER
            )

    def fill(
        self,
        market: NaiveMarket,
        maker: NaiveOrder,
        taker: NaiveOrder,
        price: int,
        lots: int,
        auction: int = 0,
    ) -> None:
        self.trade_id += 1
        market.trades.setdefault(market.day, []).append((price, lots))
        for order, role in ((maker, 0), (taker, 2)):
            order.filled += lots
            flags = int(order.sell) + role + auction + (8 if order.filled == order.sent[1] else 0)
            words = (order.account, order.order_id, order.contract, price, lots, self.trade_id)
            self.tell(ExchangeEvent.FILLED, *words, flags=flags)

    def end(self, order: NaiveOrder, cause: CancelCause) -> None:
        words = (order.account, order.order_id, order.contract, cause, order.left)
        self.tell(ExchangeEvent.CANCELLED, *words, flags=order.flags & 1)
        order.end = cause.name

    def cancel(self, row: Sequence[int]) -> Refusal | str | None:
        if any(row[4:]):
            return Refusal.UNUSED_WORD_NOT_ZERO
        order = self.find(row[2], row[3])
        if not order:
            stranger = self.admission.permitted(row[2], 0) == Refusal.UNKNOWN_ACCOUNT
            return Refusal.UNKNOWN_ACCOUNT if stranger else Refusal.UNKNOWN_ORDER
        if order.end == "REQUEST":
            return "repeated"
        if self.markets[order.contract].state not in CAN_CANCEL:
            return Refusal.WRONG_STATE
        if not order.left:
            return Refusal.ORDER_NOT_OPEN
        self.end(order, CancelCause.REQUEST)
        return None

    def mass_cancel(self, row: Sequence[int]) -> Refusal | None:
        account, number = row[2:4]
        if any(row[4:]):
            return Refusal.UNUSED_WORD_NOT_ZERO
        if self.admission.permitted(account, number) == Refusal.UNKNOWN_ACCOUNT:
            return Refusal.UNKNOWN_ACCOUNT
        if number and number not in self.markets:
            return Refusal.UNKNOWN_CONTRACT
        if number and self.markets[number].state not in CAN_CANCEL:
            return Refusal.WRONG_STATE
        meant = [self.markets[number]] if number else list(self.markets.values())
        mine = sorted(
            (o for m in meant for o in m.orders if o.left and o.account == account), key=lambda o: o.number
        )
        gone = [order for order in mine if self.markets[order.contract].state in CAN_CANCEL]
        for order in gone:
            self.end(order, CancelCause.MASS_CANCEL)
        self.tell(ExchangeEvent.MASS_CANCELLED, account, number, len(gone), len(mine) - len(gone))
        return None

    def session(self, row: Sequence[int]) -> Refusal | str | None:
        number, state, day = row[2:5]
        if any(row[5:]):
            return Refusal.UNUSED_WORD_NOT_ZERO
        if number and number not in self.markets:
            return Refusal.UNKNOWN_CONTRACT
        if state not in set(S):
            return Refusal.UNKNOWN_STATE
        if number:
            return self.enter(self.markets[number], S(state), day)
        listed = [m for m in self.markets.values() if m.contract.first_day <= day <= m.contract.last_day]
        for market in listed:
            answer = self.enter(market, S(state), day)
            words = (market.contract.number, *row[3:7])
            if isinstance(answer, Refusal):
                self.tell(ExchangeEvent.REFUSED, *words, answer)
            elif answer:
                self.tell(ExchangeEvent.REPEATED, *words)
        return None if listed else Refusal.WRONG_DAY

    def enter(self, market: NaiveMarket, state: SessionState, day: int) -> Refusal | str | None:
        listed = market.contract.first_day <= day <= market.contract.last_day
        if day and (state, day) == (market.state, market.day):
            return "repeated"
        new_day = market.state == S.CLOSED
        if (new_day and not (listed and day > market.day)) or (not new_day and day != market.day):
            return Refusal.WRONG_DAY
        if state not in NEXT[market.state]:
            return Refusal.WRONG_STATE
        if state == S.CLOSED and day not in market.prices:
            return Refusal.DAY_NOT_CLOSED
        market.state, market.day = state, day
        if state == S.CLOSING:
            market.closing_ns = self.clock
        self.tell(ExchangeEvent.SESSION_CHANGED, market.contract.number, state, day)
        if state == S.AUCTION_MATCH:
            self.auction(market)
        return None

    def auction(self, market: NaiveMarket) -> None:
        number = market.contract.number
        found = brute_auction(((o.sell, o.limit, o.left) for o in self.book(market)), market.reference)
        self.tell(ExchangeEvent.AUCTION_PRICED, number, *(found or (0, 0, 0)))
        price, todo, _ = found or (0, 0, 0)
        while todo:
            pair = sorted((self.book(market, sell=side)[0] for side in (False, True)), key=lambda o: o.number)
            lots = min(todo, *(order.left for order in pair))
            todo -= lots
            self.fill(market, pair[0], pair[1], price, lots, auction=4)

    def close_day(self, row: Sequence[int]) -> Refusal | str | None:
        number, day = row[2], row[4]
        if row[3] or any(row[5:]):
            return Refusal.UNUSED_WORD_NOT_ZERO
        if number and number not in self.markets:
            return Refusal.UNKNOWN_CONTRACT
        meant = [m for m in self.markets.values() if number in {0, m.contract.number} and m.day == day > 0]
        due = [market for market in meant if day not in market.prices]
        if not due:
            return "repeated" if meant else Refusal.WRONG_DAY
        ready = [market for market in due if market.state == S.SETTLEMENT]
        for market in ready:
            self.settle(market)
        return None if ready else Refusal.WRONG_STATE

    def settle(self, market: NaiveMarket) -> None:
        price, method = self.settlement(market)
        low, high = market.limits
        price = min(max(price, low), high)
        market.prices[market.day] = (price, method)
        low, high = market.limits
        self.tell(
            ExchangeEvent.SETTLEMENT_PRICE, market.contract.number, price, market.day, method, high, low
        )
        for order in market.orders:
            if order.left:
                self.end(order, CancelCause.DAY_END)
            market.past[order.account] = max(order.order_id, market.past.get(order.account, 0))
        market.orders = []

    def average(self, market: NaiveMarket, day: int) -> int | None:
        """The average price of a day's trades, within its limits; None without a trade."""
        trades = market.trades.get(day, [])
        if not trades:
            return None
        if day in market.prices:
            return market.prices[day][0]
        low, high = market.limits
        mean = half_up(Fraction(sum(price * lots for price, lots in trades), sum(lots for _, lots in trades)))
        return min(max(mean, low), high)

    def settlement(self, market: NaiveMarket) -> tuple[int, SettlementMethod]:
        day = market.day
        traded = self.average(market, day)
        if traded is not None:
            return traded, SettlementMethod.TRADES
        sides = [self.book(market, sell=side) for side in (False, True)]
        if all(sides):
            since = self.clock
            for at, both in reversed(market.both):
                if not both:
                    break
                since = at
            if market.closing_ns - since >= 5 * NS_PER_MINUTE:
                return half_up(Fraction(sides[0][0].limit + sides[1][0].limit, 2)), SettlementMethod.QUOTES
        near = []
        for other in self.markets.values():
            mean, mine, theirs = self.average(other, day), market.contract, other.contract
            over = other.day == day and other.state in {S.CLOSING, S.SETTLEMENT, S.CLOSED}
            if (
                mean is not None
                and over
                and mine.kind == theirs.kind == ContractKind.CASH_FUTURE
                and mine.grade == theirs.grade
            ):
                months = [c.month // 100 * 12 + c.month % 100 for c in (mine, theirs)]
                near.append((abs(months[1] - months[0]), months[1], mean - other.reference))
        if near:
            return market.reference + min(near)[2], SettlementMethod.NEAREST_MONTH
        return market.reference, SettlementMethod.PREVIOUS
