"""A flow that a seed draws for the twins: an exchange that does not ask whether an order is covered, so that members fall short,
are called, and default; gross members that open and close, by hand and for hedging; spreads; forced reduction; every command,
right and wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from ciyuan.basics.rows import Row, code_of, kind_word, row
from ciyuan.clearing.messages import (
    ClearingCommand,
    ClearingEvent,
    MemberFlag,
    Standing,
    member_row,
    moves_rows,
)
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import (
    LEFT_BEFORE_SHIFT,
    AmendFlag,
    Effect,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    SessionState,
)
from ciyuan.ledger.messages import AccountFlag, open_row, transfer_row
from tests.clearing.floor import (
    BOTH,
    CALENDAR,
    HOUSE,
    ISSUANCE,
    KIMI,
    MONDAY,
    MONEY,
    RECEIPTS,
    SPOT,
    USD,
    WORLD,
)
from tests.clearing.twins import (
    DEC,
    FURTHER,
    FURTHER_HOUSE,
    FURTHER_RECEIPTS,
    FUTURES,
    GOODS,
    NOV,
    SPREAD,
    TERMS,
    Twins,
    listed,
)

SELL = int(OrderFlag.SIDE_SELL)
CLOSING = (Effect.CLOSE, Effect.CLOSE_TODAY)
ACCOUNTS_OF_A_MEMBER = 3


@dataclass
class Order:
    """An open order of a flow."""

    account: int
    contract: int
    sells: bool
    price: int
    left: int
    effect: Effect


class Flow:
    """Members rich and poor on twins, and moves that a seed chooses."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 (a flow is drawn, not a secret)
        self.twins = Twins(TERMS[seed % len(TERMS)])
        self.time_ns = CALENDAR.ns_at(MONDAY, "08:00")
        self.day = 0
        self.orders: dict[int, Order] = {}
        self.order_count = self.trades = self.key = self.accounts = 0
        self.gross: set[int] = set()
        self.auction = 0
        self._open_house()
        for number in range(1, 8):
            self.join(number)
        self.moves: tuple[Callable[[], object], ...] = (
            *(self.order,) * 16, *(self.deal,) * 24, *(self.fill,) * 16, *(self.cancel,) * 4, *(self.amend,) * 8,
            *(self.spread,) * 8, *(self.forced,) * 4, *(self.money,) * 3, *(self.next_day,) * 3, *(self.review,) * 5,
            *(self.wrong,) * 4, *(self.receipts,) * 2, self.bid, self.collect, self.notice, self.model, self.presence,
            self.limits, self.grade, self.activity,
        )  # fmt: skip
        self.open(MONDAY)

    # --- accounts ---

    def _open_house(self) -> None:
        guarded = AccountFlag.NO_OVERDRAFT
        kinds = (
            (MONEY, 0), (RECEIPTS, 0), *((MONEY, guarded),) * 4, (MONEY, 0), (MONEY, guarded), (RECEIPTS, guarded),
            (FURTHER_RECEIPTS, guarded),
        )  # fmt: skip
        assert len(kinds) == FURTHER_HOUSE
        self.twins.book(open_row(0, number, *kind) for number, kind in enumerate(kinds, start=1))
        self.accounts = FURTHER_HOUSE
        self.move_to(HOUSE.capital, 300 * USD)

    def join(self, number: int) -> None:
        """A member with some money and some receipts; two in seven are gross, and some are poor."""
        guarded, cash = AccountFlag.NO_OVERDRAFT, self.accounts + 1
        time_ns = self.tick()
        self.twins.book(
            open_row(time_ns, cash + place, asset, guarded)
            for place, asset in enumerate((MONEY, RECEIPTS, FURTHER_RECEIPTS))
        )
        self.accounts += ACCOUNTS_OF_A_MEMBER
        is_gross = number % 7 in (2, 5)
        self.gross |= {number} if is_gross else set()
        flags, role = int(MemberFlag.GROSS) * is_gross, 1 + number % 3
        self.twins.tell(member_row(self.tick(), number, cash, cash + 1, int(BOTH), role, flags))
        self.move_to(cash, self.chance.choice((2_000, 30_000, 200_000)) * USD)
        self.key += 1
        self.twins.book([transfer_row(self.tick(), self.key, ISSUANCE, cash + 1, 400, reason=1)])

    def cash(self, number: int) -> int:
        return FURTHER_HOUSE + 1 + ACCOUNTS_OF_A_MEMBER * (number - 1)

    @property
    def members(self) -> range:
        return range(1, (self.accounts - FURTHER_HOUSE) // ACCOUNTS_OF_A_MEMBER + 1)

    def move_to(self, account: int, micro: int) -> None:
        """Negative: away."""
        if micro:
            self.key += 1
            sides = (WORLD, account) if micro > 0 else (account, WORLD)
            self.twins.book([transfer_row(self.tick(), self.key, *sides, abs(micro), reason=2)])

    def tick(self) -> int:
        self.time_ns += 1_000_000_000
        return self.time_ns

    # --- the exchange ---

    def step(self) -> None:
        self.chance.choice(self.moves)()

    def hear(self, *events: Row) -> list[Row]:
        return self.twins.hear(events, at_once=self.chance.random() < 0.7)

    def member(self) -> int:
        """A member that is not in default, if there is one: nobody else's orders are taken."""
        plain = self.twins.plain
        good = [number for number in self.members if plain.standing(number) < Standing.DEFAULTED]
        return self.chance.choice(good or self.members)

    def life_of(self, contract: int) -> int:
        return int(self.twins.plain.life(contract))

    def order(self) -> None:
        """Any order that the exchange would have taken, but for its margin."""
        number, contract = self.member(), self.chance.choice((SPOT, *FUTURES, *FUTURES, SPREAD))
        if contract != SPREAD and self.life_of(contract) > 3:
            return
        sells, lots = self.chance.random() < 0.5, self.chance.randint(1, 9)
        price = self.price_of(contract) + self.chance.randint(-9, 9)
        effect = Effect.NET
        if contract == SPOT and not self.is_covered(number, sells, lots, price):
            return
        if number in self.gross and contract != SPOT:
            effect, lots = self.effect_of(number, contract, sells, lots)
        if lots > 0:
            self.place(Order(number, contract, sells, max(1, price), lots, effect))

    def deal(self) -> None:
        """Two new orders of net members that trade at once; sometimes of more lots than either can bear."""
        contract = self.chance.choice((*FUTURES, *FUTURES, SPOT))
        if self.life_of(contract) > 3:
            return
        buyer, seller = self.chance.sample(self.net_members(), 2)
        lots = self.chance.randint(1, 5 if contract == SPOT else 30)
        price = max(1, self.price_of(contract) + self.chance.randint(-9, 9))
        covered = self.is_covered(buyer, False, lots, price) and self.is_covered(seller, True, lots, price)
        if contract != SPOT or covered:
            bid = self.place(Order(buyer, contract, False, price, lots, Effect.NET))
            ask = self.place(Order(seller, contract, True, price, lots, Effect.NET))
            self.hear(*self.trade(contract, price, lots, self.chance.sample((bid, ask), 2)))

    def net_members(self) -> list[int]:
        """Net members that are not in default, or any if they are too few."""
        net, plain = [number for number in self.members if number not in self.gross], self.twins.plain
        good = [number for number in net if plain.standing(number) < Standing.DEFAULTED]
        return good if len(good) > 1 else net

    def place(self, order: Order) -> int:
        self.order_count += 1
        self.orders[self.order_count] = order
        kind = kind_word(ExchangeEvent.ACCEPTED, SELL * order.sells, order.effect)
        words = (order.account, self.order_count, order.contract, order.price, order.left)
        self.hear(row(kind, self.tick(), words))
        return self.order_count

    def price_of(self, contract: int) -> int:
        return 0 if contract == SPREAD else self.twins.plain.settlement_ticks(contract)

    def is_covered(self, number: int, sells: bool, lots: int, price: int) -> bool:
        ledger = self.twins.plain_ledger
        if sells:
            return ledger.available(self.cash(number) + 1) >= lots
        return ledger.available(self.cash(number)) >= max(1, price) * 1000 * lots

    def effect_of(self, number: int, contract: int, sells: bool, lots: int) -> tuple[Effect, int]:
        """An effect of a gross member's order; one that closes is of lots that no other order closes."""
        hedge = self.chance.choice((Effect.NET, Effect.HEDGE))
        way = self.chance.choice((Effect.OPEN, Effect.OPEN, *CLOSING))
        if way == Effect.OPEN or contract == SPREAD:
            return Effect.OPEN | hedge, lots
        free = self.closable(number, contract, bool(hedge), sells)
        return way | hedge, min(lots, free)

    def closable(self, number: int, contract: int, hedge: bool, sells: bool) -> int:
        held = [at for at in self.twins.plain.positions(number, contract) if at.hedge == hedge]
        lots = sum(at.long if sells else at.short for at in held)
        spoken = sum(
            of.left
            for of in self.orders.values()
            if (of.account, of.contract, of.sells) == (number, contract, sells)
            and of.effect & 3 in CLOSING
            and bool(of.effect & Effect.HEDGE) == hedge
        )
        return lots - spoken

    def fill(self) -> None:
        """Trade two orders that stand against each other, at any price near both."""
        pairs = [
            (buy, sell)
            for buy, bid in self.orders.items()
            for sell, ask in self.orders.items()
            if bid.contract == ask.contract != SPREAD
            and ask.sells > bid.sells
            and (bid.contract != SPOT or bid.price >= ask.price)
        ]
        if not pairs:
            return
        buy, sell = self.chance.choice(pairs)
        bid, ask = self.orders[buy], self.orders[sell]
        low, high = sorted((bid.price, ask.price))
        price, lots = self.chance.randint(low, high), self.chance.randint(1, min(bid.left, ask.left))
        events = self.trade(bid.contract, price, lots, self.chance.sample((buy, sell), 2))
        extra = row(kind_word(ExchangeEvent.LEVEL), self.time_ns, (bid.contract, price, 1, 1, 1))
        self.hear(*events, extra)

    def trade(
        self, contract: int, price: int, lots: int, pair: Sequence[int], far: bool = False
    ) -> list[Row]:
        """The two rows of a trade of two orders, the first of which stood; in a leg, if they are of the spread."""
        self.trades += 1
        rows, time_ns = [], self.tick()
        for order_id, taker in zip(pair, (0, FillFlag.TAKER), strict=True):
            order = self.orders[order_id]
            leg = FillFlag.LEG if order.contract == SPREAD else FillFlag(0)
            if not (leg and not far):
                order.left -= lots
            flags = taker | leg | (SELL if order.sells != (far and bool(leg)) else 0)
            words = (order.account, order_id, contract, price, lots, self.trades)
            rows.append(row(kind_word(ExchangeEvent.FILLED, int(flags), order.effect), time_ns, words))
            if not order.left:
                del self.orders[order_id]
        return rows

    def spread(self) -> None:
        """Two orders of the spread trade in both months; the month in the middle has a price that nobody named."""
        if self.life_of(NOV) > 3:
            return
        of = [order_id for order_id, order in self.orders.items() if order.contract == SPREAD]
        buys = [order_id for order_id in of if not self.orders[order_id].sells]
        sells = [order_id for order_id in of if self.orders[order_id].sells]
        if buys and sells:
            pair = [self.chance.choice(buys), self.chance.choice(sells)]
            lots = self.chance.randint(1, min(self.orders[order_id].left for order_id in pair))
            near = self.price_of(NOV) + self.chance.randint(-3, 3)
            events = self.trade(NOV, max(1, near), lots, pair)
            events += self.trade(DEC, max(1, near + 5), lots, pair, far=True)
            self.hear(*events)

    def cancel(self) -> None:
        if self.orders:
            self.hear(self.cancelled(self.chance.choice(sorted(self.orders))))

    def cancelled(self, order_id: int) -> Row:
        order = self.orders.pop(order_id)
        kind = kind_word(ExchangeEvent.CANCELLED, SELL * order.sells, order.effect)
        return row(kind, self.tick(), (order.account, order_id, order.contract, 1, order.left))

    def amend(self) -> None:
        """Another limit and other lots left; a closing order's are no more."""
        if not self.orders:
            return
        order_id = self.chance.choice(sorted(self.orders))
        order, before = self.orders[order_id], self.orders[order_id].left
        left = self.chance.randint(1, before if order.effect & 3 in CLOSING else before + 3)
        price = max(1, order.price + self.chance.randint(-3, 3))
        if order.contract == SPOT and not self.is_covered(order.account, order.sells, left, price):
            return
        order.left, order.price = left, price
        kind = kind_word(ExchangeEvent.AMENDED, AmendFlag.SIDE_SELL * order.sells, order.effect)
        contract = order.contract | before << LEFT_BEFORE_SHIFT
        self.hear(row(kind, self.tick(), (order.account, order_id, contract, price, left, left)))

    def forced(self) -> None:
        """Forced reduction: a loser's lots against a winner's, of no order."""
        contract = self.chance.choice(FUTURES)
        if self.life_of(contract) > 3:
            return
        held = [at for number in self.members for at in self.twins.plain.positions(number, contract)]
        longs = [at for at in held if self.closable(at.member.number, contract, bool(at.hedge), True) > 0]
        shorts = [at for at in held if self.closable(at.member.number, contract, bool(at.hedge), False) > 0]
        if not longs or not shorts:
            return
        seller, buyer = self.chance.choice(longs), self.chance.choice(shorts)
        lots = self.chance.randint(1, min(seller.long, buyer.short, 3))
        for at, sells in ((seller, True), (buyer, False)):
            lots = min(lots, self.closable(at.member.number, contract, bool(at.hedge), sells))
        self.trades += 1
        time_ns, price, events = self.tick(), self.twins.plain.settlement_ticks(contract), []
        for at, sells in ((buyer, False), (seller, True)):
            effect = (Effect.CLOSE if at.member.is_gross else Effect.NET) | Effect.HEDGE * at.hedge
            flags = int(FillFlag.FORCED | (FillFlag.TAKER if sells else 0)) | SELL * sells
            words = (at.member.number, 0, contract, price, lots, self.trades)
            events.append(row(kind_word(ExchangeEvent.FILLED, flags, int(effect)), time_ns, words))
        self.hear(*events)

    def activity(self) -> None:
        """What a member did in a contract on the day: so many messages, cancels, fills."""
        words = (self.member(), self.chance.choice(FUTURES), 9, self.chance.randint(0, 5), 1, self.day)
        self.hear(row(kind_word(ExchangeEvent.ACTIVITY), self.tick(), words))

    def limits(self) -> None:
        """Other daily limits by notice, or a day locked at its limit."""
        contract = self.chance.choice(FUTURES)
        now = self.price_of(contract)
        if self.chance.random() < 0.5:
            kind = kind_word(ExchangeEvent.LIMITS)
            self.hear(
                row(
                    kind, self.tick(), (contract, now * 4 // 5, now * 6 // 5, self.chance.choice((800, 2000)))
                )
            )
        else:
            self.hear(
                row(
                    kind_word(ExchangeEvent.LIMIT_LOCKED), self.tick(), (contract, 1, 1, 1200, 1700, self.day)
                )
            )

    # --- the day ---

    def open(self, day: int) -> None:
        """Begin a trading day."""
        self.day = day
        self.time_ns = max(self.tick(), CALENDAR.ns_at(day, "09:00"))
        kind = kind_word(ExchangeEvent.SESSION_CHANGED)
        for contract in listed():
            self.hear(row(kind, self.time_ns, (contract.number, SessionState.CONTINUOUS, day)))

    def next_day(self) -> None:
        """Close the day: orders lapse or stay, prices jump; settle, deliver, settle finally, delist; then the next day."""
        ends = {contract.number for contract in listed() if contract.last_day <= self.day}
        for order_id, order in list(self.orders.items()):
            if order.contract in ends or order.contract == SPREAD or self.chance.random() < 0.8:
                self.hear(self.cancelled(order_id))
        closed = kind_word(ExchangeEvent.SESSION_CHANGED)
        for contract in listed():
            if contract.kind != ContractKind.SPREAD and self.life_of(contract.number) <= 3:
                price = max(
                    1,
                    self.price_of(contract.number)
                    + self.chance.choice((40, 150, 300)) * self.chance.choice((-1, 0, 1)),
                )
                words = (contract.number, price, self.day, 1, price * 11 // 10 + 1, max(1, price * 9 // 10))
                self.hear(row(kind_word(ExchangeEvent.SETTLEMENT_PRICE), self.tick(), words))
            self.hear(row(closed, self.tick(), (contract.number, SessionState.CLOSED, self.day)))
        if self.chance.random() < 0.2:
            self.ends()
        self.command(ClearingCommand.SETTLE_DAY, self.day)
        self.ends()
        self.open(CALENDAR.next_business(self.day))

    def ends(self) -> None:
        """Contracts that are settling come to their end: receipts tendered and delivered, the rest settled, delisted."""
        for contract in FUTURES:
            if self.life_of(contract) == 4:
                if contract == GOODS:
                    for number in self.members:
                        lots = self.chance.randint(0, 5)
                        self.command(ClearingCommand.TENDER, number, contract, lots)
                    self.command(ClearingCommand.DELIVER, contract, self.day)
                price = max(1, self.price_of(contract) + self.chance.randint(-20, 20)) * 1000
                rule = self.chance.choice((0, 0, 85))
                self.command(ClearingCommand.FINAL, contract, price, self.day, rule)
            elif self.life_of(contract) == 5 and self.chance.random() < 0.3:
                self.command(ClearingCommand.DELIST, contract)

    # --- commands ---

    def command(self, code: ClearingCommand, *words: int) -> list[Row]:
        return self.twins.tell(row(kind_word(code), self.tick(), words))

    def money(self) -> None:
        number, ledger = self.member(), self.twins.plain_ledger
        if self.chance.random() < 0.6:
            self.move_to(self.cash(number), self.chance.randint(1, 9_000) * USD)
        else:
            free = ledger.available(self.cash(number))
            self.move_to(self.cash(number), -self.chance.randint(0, max(0, free)))

    def collect(self) -> None:
        self.command(ClearingCommand.COLLECT, self.member())

    def review(self) -> None:
        """A review, sometimes much later; slices are traded now and then, against anybody."""
        self.time_ns += self.chance.choice((0, 60, 3_600)) * 10**9
        said = self.command(ClearingCommand.REVIEW)
        for event in said:
            if code_of(event[0]) == ClearingEvent.DEFAULTED:
                for order_id in [key for key, order in self.orders.items() if order.account == event[2]]:
                    self.hear(self.cancelled(order_id))
            if code_of(event[0]) == ClearingEvent.SLICED and self.chance.random() < 0.5:
                self.sliced(event)
            if code_of(event[0]) == ClearingEvent.AUCTION_OPENED:
                self.auction = event[2]
                self.bid()

    def sliced(self, event: Row) -> None:
        """The venue's order for a member in default, filled by another member."""
        _, _, number, contract, lots, limit, *_ = event
        hedge, today = bool(event[0] >> 16 & 2), bool(event[0] >> 16 & 4)
        effect = Effect.NET
        if number in self.gross:
            effect = (Effect.CLOSE_TODAY if today else Effect.CLOSE) | Effect.HEDGE * hedge
            lots = min(abs(lots), self.closable(number, contract, hedge, lots < 0)) * (1 if lots > 0 else -1)
        other = self.chance.choice([who for who in self.net_members() if who != number])
        if lots:
            mine = self.place(Order(number, contract, lots < 0, limit, abs(lots), effect))
            theirs = self.place(Order(other, contract, lots > 0, limit, abs(lots), Effect.NET))
            self.hear(*self.trade(contract, limit, abs(lots), (theirs, mine)))

    def bid(self) -> None:
        """Bids in the last auction, if there was one."""
        number = max(1, self.auction)
        for member in self.members:
            price = self.price_of(NOV) + self.chance.randint(-50, 50)
            self.command(ClearingCommand.BID, member, number, price, self.chance.randint(0, 20))

    def notice(self) -> None:
        rate, first = self.chance.choice((0, 1300, 2200)), self.day + self.chance.randint(0, 2)
        self.command(ClearingCommand.MARGIN_NOTICE, self.chance.choice((0, *FUTURES)), rate, first, first + 3)

    def model(self) -> None:
        """Scenarios for every future, or none at all."""
        if self.chance.random() < 0.3:
            self.command(ClearingCommand.MODEL, 0, 0, self.day)
            return
        for contract in FUTURES:
            moves = [self.chance.randint(-120, 120) for _ in range(32)]
            for said in moves_rows(self.tick(), contract, moves):
                self.twins.tell(said)
            self.command(ClearingCommand.LIQUIDITY, contract, self.chance.randint(0, 9) * USD, 3, USD)
        self.command(ClearingCommand.MODEL, 24, 8, self.day)

    def receipts(self) -> None:
        self.command(ClearingCommand.PLEDGE, self.member(), KIMI, self.chance.randint(0, 30))

    def grade(self) -> None:
        """A member's receipts account of the further grade, the right one or another."""
        number = self.member()
        account = self.cash(number) + self.chance.choice((0, 2, 2))
        self.command(ClearingCommand.RECEIPTS, number, self.chance.choice((KIMI, FURTHER, FURTHER)), account)

    def presence(self) -> None:
        for number in self.members:
            self.command(
                ClearingCommand.PRESENCE, number, self.chance.choice(FUTURES), self.chance.randint(0, 1)
            )

    def wrong(self) -> None:
        """A command that is repeated, out of place, or none at all; and now and then a new member."""
        if self.chance.random() < 0.1 and len(self.members) < 70:
            self.join(len(self.members) + 1)
        code = self.chance.choice((*ClearingCommand, 499))
        words = [self.chance.choice((0, 1, 2, 5, 9, self.day, -1, 2**40)) for _ in range(5)]
        self.twins.tell(row(code, self.tick(), words))
