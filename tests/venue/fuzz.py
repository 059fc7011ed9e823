"""A driver that draws from a seed what everybody does on the floor, day after day; the rows that it sent, and what was said,
are kept, and the auditor hears all.

The value of tokens jumps from day to day; in some flows a month is locked at its limit for three days; half of those who are
called do not pay. All commands that may come from outside are sent, good and bad, and now and then one with any words at all.
"""

from collections.abc import Callable

import numpy as np

from ciyuan.basics.rows import Row, row
from ciyuan.clearing.messages import (
    Life,
    Standing,
    bid_row,
    collect_row,
    delist_row,
    liquidity_row,
    margin_notice_row,
    model_row,
    moves_rows,
    pledge_row,
    review_row,
    settle_day_row,
    tender_row,
)
from ciyuan.clearing.messages import deliver_row as deliver_goods_row
from ciyuan.exchange.messages import (
    Effect,
    OrderFlag,
    SessionState,
    amend_row,
    cancel_row,
    close_day_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    notice_row,
    quota_row,
    reduce_row,
    session_row,
)
from ciyuan.exchange.messages import tick_row as bell_row
from ciyuan.gateway.messages import deliver_row, hold_row, parties_word, tick_row, void_row
from ciyuan.index.messages import Leg, correct_row, fix_row, relate_row
from ciyuan.venue.messages import Purse, VenueCommand
from tests.venue.fuzz_floor import (
    CALENDAR,
    CUSTOMERS,
    FAR_GOODS,
    FRONT,
    FUTURES,
    GOODS,
    GROSS,
    KINDS,
    LOCKING,
    MAKERS,
    MINUTE,
    MONTH,
    OUTRIGHT,
    QWEN_SPOT,
    SPECULATORS,
    SPOT,
    SPREAD,
    SUPPLIERS,
    TRADERS,
    UNPAID,
    Floor,
    Played,
)
from tests.venue.market import KIMI, QWEN, SECOND, USD


class Driver(Floor):
    """Draws and sends rows."""

    def __init__(self, seed: int, audit_every: int = 6) -> None:
        super().__init__(seed, audit_every)
        self.requests = 0
        self.held: list[tuple[int, int]] = []
        self.holders: list[tuple[int, int]] = [(4, KIMI)]
        self.speculators, self.traders = list(SPECULATORS), list(TRADERS)
        self.lock_from = self.luck.randint(1, 6) if seed % 6 else 99
        self.moves: tuple[Callable[[], object], ...] = (
            *(self.order,) * 26, *(self.gamble,) * 8, *(self.quote,) * 4, *(self.cross,) * 8, *(self.amend,) * 7,
            *(self.cancel,) * 6, *(self.spread,) * 3, *(self.money,) * 3, *(self.serve,) * 6, *(self.tokens,) * 5,
            *(self.review,) * 4, *(self.bids,) * 3, *(self.desk,) * 3, *(self.receipts,) * 4, *(self.odd,) * 3,
            *(self.gross_close,) * 6, *(self.pawn,) * 5,
        )  # fmt: skip

    def _renew(self) -> None:
        """For a speculator in default another one comes."""
        for number in self.speculators:
            if (
                self.venue.clearing.standing(number) >= Standing.DEFAULTED
                and self.traders[-1] < 30
                and self.luck.random() < 0.5
            ):
                self.speculators.remove(number)
                self.speculators.append(self.traders[-1] + 1)
                self.traders.append(self.traders[-1] + 1)
                self.join_one(self.traders[-1])
                return

    def play(self, days: int, steps: int) -> Played:
        """So many days, of so many moves each."""
        self.join()
        for place in range(days):
            self.play_day(place, steps)
        self.check()
        rows, events = np.concatenate(self.batches), np.concatenate(self.said)
        cuts = tuple(np.cumsum([len(batch) for batch in self.batches]).tolist())
        return Played(self.terms, rows, cuts, events, self.venue.state_hash(), self.counts)

    # --- a day ---

    def play_day(self, place: int, steps: int) -> None:
        """Sessions, moves, close, settlement, and the evening."""
        self.at("08:30")
        self.jump()
        self._open()
        for step in range(steps):
            later = self.now + self.luck.randint(0, 2 * 6 * 60 * MINUTE // steps)
            self.now = max(self.now, min(later, CALENDAR.ns_at(self.day, "15:40")))
            self.pick(self.moves)()
            if step % max(4, steps // 5) == 0:
                self.quote_all()
        locked = self.lock_from <= place < self.lock_from + 3
        if locked:
            self._lock()
        self._close()
        self._evening(place)
        self.day = CALENDAR.next_business(self.day)

    def jump(self) -> None:
        """The value jumps."""
        self.value = max(
            400.0, min(4_000.0, self.value * (1 + self.pick((-0.09, -0.04, 0.0, 0.01, 0.04, 0.09))))
        )

    def _open(self) -> None:
        if self.luck.random() < 0.5:
            self.session(SessionState.AUCTION_ENTRY)
            for _ in range(4):
                self.after()
                self.pick((self.order, self.cross, self.order, self.cancel))()
            if self.luck.random() < 0.5:
                self.session(SessionState.AUCTION_FREEZE)
                self.order()
                self.review()
            self.session(SessionState.AUCTION_MATCH)
        self.session(SessionState.CONTINUOUS)
        self.quote_all()

    def _lock(self) -> None:
        """A month ends the day at its upper limit, with bids and no offer."""
        self.at("15:41")
        upper = self.venue.exchange.limits(LOCKING)[1]
        for number in self.traders:
            self.tell(mass_cancel_row(self.now, number, LOCKING), mass_cancel_row(self.now, number, SPREAD))
        self._trade(6, 1, LOCKING, 1, upper)
        self.tell(self.order_of(7, LOCKING, 3, upper, effect=Effect.OPEN))
        for number in self.traders:
            short = -self.venue.clearing.position(number, LOCKING)
            if short > 0 and number not in GROSS and number not in MAKERS:
                self.tell(self.order_of(number, LOCKING, short, upper))
        self.value = max(self.value, upper * 1.03)

    def _close(self) -> None:
        self.at("15:45")
        for number in OUTRIGHT:
            state = self.venue.exchange.book(number).state
            if state in (SessionState.AUCTION_ENTRY, SessionState.AUCTION_FREEZE):
                self.session(SessionState.AUCTION_MATCH, number)
        for clock, state in (("15:50", SessionState.CLOSING), ("15:51", SessionState.SETTLEMENT)):
            self.at(clock)
            self.session(state)
            if self.luck.random() < 0.5:
                self.pick((self.review, self.review, self.bids, self.money, self.cancel, self.order))()
        if self.luck.random() < 0.8:
            self.tell(reduce_row(self.now, LOCKING))
        self.tell(close_day_row(self.now, 0, self.day))
        self.session(SessionState.CLOSED)

    def _evening(self, place: int) -> None:
        self.at("16:05")
        for grade in (KIMI, QWEN):
            self.tell(*(fix_row(self.now, grade, self.day, leg) for leg in Leg))
        first = self.luck.random() < 0.5
        if first:
            self._ends()
        self.tell(settle_day_row(self.now, self.day))
        self._ends()
        self._pay()
        if self.luck.random() < 0.6:
            self._model()
        for clock in ("16:30", "17:00", "17:40", "18:00", "18:30", "19:30"):
            self.at(clock)
            self.tell(review_row(self.now))
            self.bids()
            if self.luck.random() < 0.3:
                self.pick((self.money, self.desk, self.receipts, self.tokens, self.odd))()
        if place % 6 == 5 and self.luck.random() < 0.7:
            self.tell(self.own(VenueCommand.LAPSE, self.pick((KIMI, QWEN)), MONTH))

    def _ends(self) -> None:
        """Tenders, deliveries and final settlements of what has ended, and of what has not."""
        for contract in (GOODS, FAR_GOODS):
            for number in self.traders:
                lots = -self.venue.clearing.position(number, contract)
                if lots > 0 and self.luck.random() < 0.7:
                    self.tell(tender_row(self.now, number, contract, self.luck.randint(0, lots + 1)))
            if self.luck.random() < 0.6:
                self.tell(deliver_goods_row(self.now, contract, self.day))
        for contract in FUTURES:
            if self.luck.random() < 0.6:
                self.tell(self.own(VenueCommand.FINALISE, contract, self.day))
            if self.luck.random() < 0.2:
                self.tell(delist_row(self.now, contract))

    def _pay(self) -> None:
        """Some pay what they were called for."""
        called, self.called = self.called, {}
        for number, amount in sorted(called.items()):
            if self.luck.random() < (0.15 if number in UNPAID else 0.9):
                part = self.pick((amount, amount, amount // 2 + 1))
                self.tell(self.own(VenueCommand.DEPOSIT, self.key(), number, Purse.CASH, part))

    # --- orders ---

    def effect(self, contract: int) -> Effect:
        """An effect for a gross account."""
        if contract in (SPOT, QWEN_SPOT):
            return Effect.OPEN
        way = self.pick((Effect.OPEN, Effect.OPEN, Effect.OPEN, Effect.CLOSE, Effect.CLOSE_TODAY))
        return way | self.pick((Effect.NET, Effect.HEDGE))

    def order(self) -> None:
        """Anybody's order, near the value, of any type."""
        account, contract, kind = self.pick(self.traders), self.pick(OUTRIGHT), self.pick(KINDS)
        lots = self.luck.randint(1, 12) * self.pick((-1, 1))
        price = self.price_of(contract) + self.luck.randint(-6, 6)
        self.tell(self.order_of(account, contract, lots, price, kind, self.effect(contract)))

    def gamble(self) -> None:
        """A speculator takes about as much as its money backs, with the makers."""
        account, contract = self.pick(self.speculators), self.pick(FUTURES)
        clearing = self.venue.clearing
        if clearing.standing(account) >= Standing.DEFAULTED:
            self.tell(
                self.own(
                    VenueCommand.DEPOSIT, self.key(), self.pick(self.speculators), Purse.CASH, 2_000 * USD
                )
            )
            return
        most = max(0, clearing.excess_micro(account)) // max(1, clearing.margin_lot_micro(contract))
        lots = min(self.pick((20, 60)), max(1, most * self.luck.randint(60, 99) // 100)) * self.pick((-1, 1))
        kind = self.pick((OrderFlag.FAK, OrderFlag.LIMIT))
        price = self.price_of(contract) + 8 * (1 if lots > 0 else -1)
        hedge = self.pick((Effect.NET, Effect.NET, Effect.HEDGE))
        self.tell(self.order_of(account, contract, lots, price, kind, Effect.OPEN | hedge))

    def gross_close(self) -> None:
        """A gross member closes some of what it holds."""
        account, contract = self.pick([who for who in self.traders if who in GROSS]), self.pick(FUTURES)
        held = [at for at in self.venue.clearing.positions(account, contract) if not at.is_flat]
        if not held:
            return self.gamble()
        at = self.pick(held)
        sells = at.long > 0
        all_lots, today = (at.long, at.long_today) if sells else (at.short, at.short_today)
        way = Effect.CLOSE_TODAY if today and self.luck.random() < 0.7 else Effect.CLOSE
        most = today if way == Effect.CLOSE_TODAY else max(1, all_lots - today)
        lots = self.luck.randint(1, most) * (-1 if sells else 1)
        price = self.price_of(contract) + self.luck.randint(0, 6) * (1 if lots > 0 else -1)
        kind = self.pick(
            (OrderFlag.LIMIT, OrderFlag.FAK, OrderFlag.GTC if way == Effect.CLOSE else OrderFlag.LIMIT)
        )
        self.tell(
            self.order_of(
                account, contract, lots, price, kind, way | (Effect.HEDGE if at.hedge else Effect.NET)
            )
        )
        return None

    def pawn(self) -> None:
        """A speculator buys receipts with much of its money, and pledges them."""
        account, clearing = self.pick(self.speculators), self.venue.clearing
        lots = min(40, max(0, clearing.excess_micro(account)) // (2 * self.price_of(SPOT) * 1000))
        if lots:
            self._trade(account, self.pick((1, 3)), SPOT, lots, self.price_of(SPOT))
        self.tell(
            pledge_row(
                self.now, account, KIMI, self.venue.ledger.posted(self.terms.chart.receipts(account, KIMI))
            )
        )
        self.gamble()

    def _trade(self, buyer: int, seller: int, contract: int, lots: int, price: int) -> None:
        hedge = self.pick((Effect.NET, Effect.NET, Effect.HEDGE)) if contract in FUTURES else Effect.NET
        rows = [self.order_of(buyer, contract, lots, price, effect=Effect.OPEN | hedge)]
        rows.append(self.order_of(seller, contract, -lots, price, effect=Effect.OPEN))
        self.luck.shuffle(rows)
        self.tell(*rows)

    def cross(self) -> None:
        """Two orders that meet; receipts are sold by suppliers most of the time."""
        contract = self.pick((*OUTRIGHT, GOODS, SPOT))
        buyer, seller = self.luck.sample(self.traders, 2)
        if contract in (SPOT, QWEN_SPOT):
            seller = self.pick((1, 3, seller))
        self._trade(buyer, seller, contract, self.luck.randint(1, 20), self.price_of(contract))

    def spread(self) -> None:
        """Orders of the spread, now and then against each other."""
        price = self.luck.randint(-16, -6)
        buyer, seller = self.luck.sample(self.traders, 2)
        ways = (Effect.OPEN, Effect.OPEN, Effect.CLOSE, Effect.CLOSE_TODAY)
        kind, lots = self.pick((OrderFlag.LIMIT, OrderFlag.LIMIT, OrderFlag.FAK)), self.luck.randint(1, 5)
        rows = [self.order_of(buyer, SPREAD, lots, price, kind, self.pick(ways))]
        if self.luck.random() < 0.6:
            lots = self.luck.randint(1, 5)
            rows.insert(0, self.order_of(seller, SPREAD, -lots, price, effect=self.pick(ways)))
        self.tell(*rows)

    def quote(self) -> None:
        """A maker renews its quotes in one contract."""
        self.after(MINUTE)
        self.tell(*self._quotes(self.pick(MAKERS), self.pick(OUTRIGHT)))

    def quote_all(self) -> None:
        """The value moves, both makers quote everything, and what they quote is looked at."""
        self.value *= 1 + self.luck.gauss(0, 0.01)
        self.now += SECOND
        self._renew()
        for number in OUTRIGHT:
            state = self.venue.exchange.book(number).state
            if state == SessionState.AUCTION_ENTRY:
                self.session(SessionState.AUCTION_MATCH, number)
            if state in (SessionState.AUCTION_ENTRY, SessionState.BREAK):
                self.session(SessionState.CONTINUOUS, number)
        for maker in MAKERS:
            for contract in FUTURES:
                if self.venue.clearing.life(contract) < Life.SETTLING or self.luck.random() < 0.05:
                    self.now += SECOND
                    self.tell(*self._quotes(maker, contract))
        self.tell(self.own(VenueCommand.SAMPLE, self.pick(OUTRIGHT)))

    def _quotes(self, maker: int, contract: int) -> list[Row]:
        lower, upper = self.venue.exchange.limits(contract)
        middle, size = self.price_of(contract), self.pick((2, 8, 20))
        rows = [mass_cancel_row(self.now, maker, contract)]
        if middle - 4 >= lower:
            rows.append(self.order_of(maker, contract, size, middle - 4, effect=Effect.OPEN))
        if middle + 4 <= upper:
            rows.append(self.order_of(maker, contract, -size, middle + 4, effect=Effect.OPEN))
        return rows

    def amend(self) -> None:
        """Another price and other lots for something that was sent."""
        self.after(SECOND)
        account, order_id = self.pick(self.sent)
        self.tell(
            amend_row(
                self.now,
                account,
                order_id,
                self.price_of(FRONT) + self.luck.randint(-5, 5),
                self.luck.randint(1, 14),
            )
        )

    def cancel(self) -> None:
        """Cancels: of one order, of some in a row, of all in a contract."""
        self.after(SECOND)
        if self.luck.random() < 0.25:
            self.tell(mass_cancel_row(self.now, self.pick(self.traders), self.pick((0, *OUTRIGHT))))
        else:
            some = self.luck.sample(self.sent, min(len(self.sent), self.pick((1, 1, 2, 5, 30))))
            self.tell(*(cancel_row(self.now, *each) for each in some))

    # --- money, receipts, tokens ---

    def money(self) -> None:
        """Deposits, withdrawals, moves, of any size."""
        self.after(MINUTE)
        number = self.pick((*self.traders, *SUPPLIERS, 19))
        free = self.venue.clearing.excess_micro(number) if self.venue.clearing.is_member(number) else 5 * USD
        amount = self.pick((1, 700 * USD, free, free + 1, free // 2, -1))
        command = self.pick(
            (VenueCommand.DEPOSIT, VenueCommand.WITHDRAW, VenueCommand.WITHDRAW, VenueCommand.MOVE)
        )
        self.tell(
            self.own(command, self.key(), number, self.pick((0, 0, 0, 1, 2)), amount, self.pick((0, 1, 2, 5)))
        )
        if self.luck.random() < 0.4:
            self._pay()

    def serve(self) -> None:
        """The gateway: a hold in money or in standard tokens, then its delivery, or neither."""
        self.after(SECOND)
        chart, grade = self.terms.chart, self.pick((KIMI, KIMI, QWEN))
        if self.held and self.luck.random() < 0.55:
            request, parties = self.held.pop(self.luck.randrange(len(self.held)))
            used = self.luck.randint(0, 90_000)
            rows = [
                void_row(self.now, request) if self.luck.random() < 0.1 else
                deliver_row(self.now, request, parties, used, used // 3, used // 4, batch=self.luck.random() < 0.2)
            ]  # fmt: skip
        else:
            self.requests += 1
            customer, supplier = self.pick((*CUSTOMERS, *CUSTOMERS, 8)), self.pick(SUPPLIERS)
            parties = parties_word(customer, supplier, grade)
            if self.luck.random() < 0.6:
                posted = self.venue.ledger.posted
                having = [each for each in self.holders if posted(chart.standard_tokens(*each)) > 0]
                customer, grade = self.pick(having or self.holders)
                parties = parties_word(chart.holder(customer, grade), chart.issuer(supplier, grade), grade)
            self.held.append((self.requests, parties))
            rows = [hold_row(self.now, self.requests, parties, 90_000, 25_000, self.pick((0, 30 * MINUTE)))]
        self.tell(*rows, *([tick_row(self.now)] if self.luck.random() < 0.2 else []))

    def tokens(self) -> None:
        """Receipts redeemed, and issuers replaced."""
        grade, price = self.pick((KIMI, KIMI, QWEN)), self.luck.randint(1, 3) * USD
        failing, other = self.luck.sample(SUPPLIERS, 2)
        if self.luck.random() < 0.65:
            number = self.pick((*self.traders, *SUPPLIERS, 1, 3))
            self.holders.append((number, grade))
            self.tell(self.own(VenueCommand.REDEEM, self.key(), number, grade, self.luck.randint(0, 12),
                               self.pick(SUPPLIERS), MONTH))  # fmt: skip
        else:
            self.tell(self.own(VenueCommand.SUBSTITUTE, self.key(), failing, grade, self.luck.randint(1, 60),
                               other << 32 | MONTH, price))  # fmt: skip

    def receipts(self) -> None:
        """Receipts issued, pledged, tendered; bonds."""
        number, grade = self.pick(self.traders), self.pick((KIMI, KIMI, QWEN))
        held = self.venue.ledger.posted(self.terms.chart.receipts(number, grade))
        choices = (
            pledge_row(self.now, number, grade, self.luck.randint(0, held + 1)),
            pledge_row(self.now, number, grade, held // 2),
            tender_row(self.now, number, self.pick((GOODS, FAR_GOODS)), self.luck.randint(0, 5)),
            self.own(
                VenueCommand.ISSUE, self.key(), self.pick(SUPPLIERS), grade, self.luck.randint(1, 90), MONTH
            ),
            self.own(VenueCommand.BOND, self.key(), self.pick(SUPPLIERS), self.luck.randint(1, 500) * USD),
            self.own(VenueCommand.UNBOND, self.key(), self.pick(SUPPLIERS), self.luck.randint(1, 900) * USD),
            self.own(
                VenueCommand.CAPACITY, self.pick(SUPPLIERS), grade, MONTH, self.luck.randint(700, 5_000)
            ),
        )
        self.tell(self.pick(choices))

    # --- the clearing house's own ---

    def review(self) -> None:
        """A review, after a while; then bids for what it offers."""
        self.after(25 * MINUTE)
        self.tell(review_row(self.now))
        self.bids()
        if self.luck.random() < 0.3:
            self._pay()

    def bids(self) -> None:
        """Bids in the auctions that are or were, good and bad; makers' are such as a loss is made of."""
        for number, lots, settle, closes_ns in self.auctions[-3:]:
            if self.now >= closes_ns and self.luck.random() > 0.02:
                continue
            far = self.pick((30, 60, 85)) if lots > 0 else self.pick((115, 140, 190))
            bidders = [(self.pick(self.traders), self.pick((95, 100, 105, 220))) for _ in range(2)]
            for account, percent in (*bidders, (self.pick(MAKERS), far)):
                size = self.luck.randint(0, abs(lots) + 1)
                self.tell(bid_row(self.now, account, number, settle * percent // 100, size))

    def _model(self) -> None:
        """Another model, or none at all."""
        filtered = self.pick((8, 16))
        for contract in FUTURES:
            said = [self.luck.randint(-140, 140) for _ in range(filtered + 8)]
            cost = liquidity_row(self.now, contract, self.luck.randint(0, 9) * USD, 20, USD)
            self.tell(*moves_rows(self.now, contract, said), cost)
        none = self.luck.random() < 0.3
        self.tell(model_row(self.now, 0 if none else filtered, 0 if none else 8, self.day))

    def desk(self) -> None:
        """Notices, switches, bells, corrections: what operators do."""
        number, contract = self.pick(self.traders), self.pick(FUTURES)
        first = self.day + self.luck.randint(0, 2)
        choices = (
            margin_notice_row(
                self.now, self.pick((0, contract)), self.pick((0, 1_800, 2_600, 4_000)), first, first + 1
            ),
            kill_row(self.now, number, on=self.luck.random() < 0.4),
            quota_row(
                self.now,
                number,
                contract,
                self.luck.randint(0, 60),
                hedge=number in GROSS and self.luck.random() < 0.5,
            ),
            disconnect_row(self.now, number),
            bell_row(self.now),
            collect_row(self.now, number),
            notice_row(self.now, contract, self.pick((0, 800, 1_400))),
            self.own(VenueCommand.SAMPLE, self.pick((*OUTRIGHT, SPREAD))),
            relate_row(self.now, number, self.pick((0, 1))),
            correct_row(self.now, KIMI, self.day - 1, self.pick(tuple(Leg)), self.pick((0, 1))),
            session_row(
                self.now, contract, self.pick((SessionState.BREAK, SessionState.AUCTION_ENTRY)), self.day
            ),
            session_row(self.now, contract, SessionState.CONTINUOUS, self.day),
            session_row(self.now, SPREAD, SessionState.CLOSING, self.day),
            session_row(self.now, 0, SessionState.CONTINUOUS, self.day),
        )
        self.tell(self.pick(choices))

    def odd(self) -> None:
        """What was said before, said again; any command with any words; codes that are not for those outside."""
        if self.luck.random() < 0.4:
            kind, _, *words = self.last
            self.tell(row(kind, self.now, words))
            return
        code = self.pick(
            (
                *range(302, 307),
                *range(310, 317),
                *range(402, 417),
                *range(601, 614),
                0,
                101,
                201,
                401,
                403,
                307,
                501,
            )
        )
        words = [self.pick((0, 1, 2, 4, 9, KIMI, MONTH, self.day, -1, 2**40, 2**62)) for _ in range(6)]
        self.tell(row(code, self.now, words))


def played(seed: int, days: int = 12, steps: int = 90, audit_every: int = 6) -> Played:
    """A flow from a seed."""
    return Driver(seed, audit_every).play(days, steps)
