"""Delivery (§9.2): receipts tendered by shorts, assigned to longs, and delivered against payment, in one command.

    TENDER     a short's receipts are held by the ledger, from the first day of the contract's month on, or once trading has ended
    DELIVER    1  every position is marked to the settlement price for the last time, and cleared
               2  the longs are assigned what was tendered: pro rata, what is left over to the oldest position first
               3  shorts and longs are matched, each by number; every pair is a delivery against payment
               4  who fails pays its counterparty, and its lots have been settled in money by step 1
               5  debts are repaid, as far as cash goes

| who fails | of what | pays its counterparty |
|---|---|---|
| a short | lots that it did not tender | what the receipts cost more in the spot market, and `penalty_bp` of the value |
| a long | lots that its cash does not pay, or all of a member in default | `penalty_bp` of the value |

Long and short lots of one member, hedging and speculative, are set off first. The value is that at the settlement price; what
receipts cost more is the spot contract's last settlement price less that price, never below zero. A payer without the cash is
lent it. The releases of the tenders come first; all else is one ledger chain, all or none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ciyuan.basics.calendar import month_of
from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Answer, Books, Command, Handler, Out, say
from ciyuan.clearing.cashier import Cashier
from ciyuan.clearing.collateral import SECTION as PLEDGES
from ciyuan.clearing.collateral import Pledges, can_hold, deliver_against_payment, hold_anew, spot_market
from ciyuan.clearing.life import Turn
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import (
    LEDGER_KEY_BASE,
    ClearingCommand,
    ClearingEvent,
    ClearingFlag,
    ClearingRefusal,
    Life,
    Reason,
)
from ciyuan.clearing.positions import Market, Member, Position
from ciyuan.clearing.section import Section, not_a_section
from ciyuan.clearing.settlement import Settlement
from ciyuan.clearing.tenders import Holder, Lots, Tender, assigned, matched


class Deliveries:
    """The handlers of PLEDGE, TENDER and DELIVER."""

    def __init__(self, books: Books, settlement: Settlement) -> None:
        self._books, self._settlement = books, settlement
        self._pledges = Pledges(books, settlement)
        self.handlers: Mapping[int, Handler] = {
            ClearingCommand.PLEDGE: self._pledges.pledge,
            ClearingCommand.RELEASE: self._release,
            ClearingCommand.TENDER: self._tender,
            ClearingCommand.DELIVER: self._deliver,
        }

    def _release(self, row: Command, out: Out) -> Answer:
        """RELEASE: a grade lapses, and nothing of it is held any more."""
        time_ns, grade = row[1], row[2]
        if grade not in self._books.spot_receipts:
            return ClearingRefusal.UNKNOWN_GRADE
        self._pledges.release(out, time_ns, grade)
        for contract, participant in sorted(self._books.tenders):
            market = self._books.markets[contract]
            if market.contract.grade == grade:
                self._set_tender(out, time_ns, self._books.members[participant], market, 0)
        return None

    # --- tenders ---

    def _tender(self, row: Command, out: Out) -> Answer:
        _, time_ns, number, contract, lots, *_ = row
        member, market = self._books.members.get(number), self._books.markets.get(contract)
        if member is None:
            return ClearingRefusal.UNKNOWN_MEMBER
        if market is None:
            return ClearingRefusal.UNKNOWN_CONTRACT
        answer = self._answer_to_tender(member, market, lots)
        if answer is None:
            self._set_tender(out, time_ns, member, market, lots)
        return answer

    def _answer_to_tender(self, member: Member, market: Market, lots: int) -> Answer:
        tender = self._books.tenders.get((market.number, member.number))
        before = tender.lots if tender else 0
        if tender and lots == before:
            return ClearingEvent.REPEATED
        if member.is_in_default:
            return ClearingRefusal.IN_DEFAULT
        if lots < 0:
            return ClearingRefusal.LOTS_OUT_OF_RANGE
        size, grade = market.contract.lot_mtok, market.contract.grade
        if not can_hold(self._books, member, grade, lots * size, before * size):
            return ClearingRefusal.NOT_COVERED
        if not market.is_physical:
            return ClearingRefusal.NOT_PHYSICAL
        if lots > max(0, -net_lots(member, market)):
            return ClearingRefusal.NOT_SHORT
        if not self._takes_tenders(market):
            return ClearingRefusal.NOT_DELIVERING
        return None if lots != before else ClearingEvent.REPEATED

    def _takes_tenders(self, market: Market) -> bool:
        """From the first day of its month, or once its trading has ended, until it is delivered."""
        begun = month_of(self._books.margin_day) >= market.contract.month
        return market.life == Life.SETTLING or (begun and market.life < Life.SETTLING)

    def _set_tender(self, out: Out, time_ns: int, member: Member, market: Market, lots: int) -> None:
        tender = self._books.tenders.pop((market.number, member.number), None)
        size, grade, key = market.contract.lot_mtok, market.contract.grade, tender.key if tender else 0
        key = hold_anew(self._books, time_ns, Reason.DELIVERY, member, grade, lots * size, key)
        if key:
            self._books.tenders[market.number, member.number] = Tender(lots, key)
        words = (member.number, market.number, lots)
        say(out, ClearingEvent.TENDERED, Reason.DELIVERY, time_ns, words)

    # --- delivery ---

    def _deliver(self, row: Command, out: Out) -> Answer:
        _, time_ns, number, day, *_ = row
        market = self._books.markets.get(number)
        if market is None:
            return ClearingRefusal.UNKNOWN_CONTRACT
        answer = self._answer_to_deliver(market, day)
        if answer is not None:
            return answer
        if market.priced_day > self._books.settled_day:
            market.take_price()
        price_micro, long_lots = (
            market.settle_ticks * market.contract.tick_micro,
            self._books.open_interest(market),
        )
        market.final_micro, market.final_day, market.delivered_day = price_micro, day, day
        Delivery(self._books, market, time_ns, day, out).run()
        # Nothing is left to mark; on a day that is settled already this closes a second statement.
        self._settlement.settle_final(out, time_ns, day, market)
        words = (number, price_micro, day, 0, long_lots)
        say(out, ClearingEvent.FINAL_SETTLED, Reason.DELIVERY, time_ns, words)
        self._books.turn(out, time_ns, market, Turn.FINALLY_SETTLED, day)
        return None

    def _answer_to_deliver(self, market: Market, day: int) -> Answer:
        if market.delivered_day:
            same = day == market.delivered_day
            return ClearingEvent.REPEATED if same else ClearingRefusal.SETTLED_ON_OTHER_DAY
        if market.life < Life.SETTLING:
            return ClearingRefusal.NOT_SETTLING
        if day < self._books.settled_day:
            return ClearingRefusal.DAY_ALREADY_PAST
        if day > self._books.margin_day:
            return ClearingRefusal.DAY_NOT_OPEN
        if not market.is_physical:
            return ClearingRefusal.NOT_PHYSICAL
        offered = any(auction.contract == market.number for auction in self._books.auctions.values())
        return ClearingRefusal.NOT_DELIVERING if offered else None


def net_lots(member: Member, market: Market) -> int:
    """Long less short lots of a member, hedging ones too."""
    found = (member.find(market.number, hedge) for hedge in (0, 1))
    return sum(position.lots for position in found if position is not None)


@dataclass(slots=True)
class Delivery:
    """One delivery of one contract. `run` does all of it."""

    books: Books
    market: Market
    time_ns: int
    day: int
    out: Out

    def run(self) -> None:
        """Mark, assign, deliver, make good, repay; then the chain of it all."""
        positions = [held for held in self.books.positions_of(self.market) if not held.is_flat or held.basis]
        holders = _holders(positions)
        cashier = Cashier(self.books, self.time_ns, self.day, self.out)
        self._mark(cashier, positions)
        longs = [holder for holder in holders if holder.lots > 0]
        shorts = [(holder.number, -holder.lots) for holder in holders if holder.lots < 0]
        tendered = self._take_tenders(shorts)
        parts = assigned(sum(lots for _, lots in tendered), longs) if longs else {}
        unpaid = self._deliver(cashier, tendered, parts)
        self._make_good(cashier, shorts, tendered, longs, parts, unpaid)
        for number in sorted({holder.number for holder in holders}):
            cashier.take_back(self.books.members[number])
        cashier.settle()

    def _mark(self, cashier: Cashier, positions: Sequence[Position]) -> None:
        """The last variation, to the settlement price; losers pay before winners are paid."""
        market, nets = self.market, dict[int, int]()
        self.books.suspend_offsets(market)
        for position in positions:
            number, lots = position.member.number, position.lots
            amount = position.variation_micro(market.settle_ticks)
            nets[number] = nets.get(number, 0) + amount
            position.clear()
            words = (number, market.number, amount, lots, market.final_micro, self.day)
            flags = ClearingFlag.FINAL | ClearingFlag.HEDGE * position.hedge
            say(self.out, ClearingEvent.VARIATION, Reason.FINAL_SETTLEMENT, self.time_ns, words, int(flags))
        if sum(nets.values()):
            raise InvariantBroken("variation sums to zero", f"{market.contract.code}: {nets}")
        members = [(self.books.members[number], nets[number]) for number in sorted(nets)]
        for member, net in members:
            if net < 0:
                cashier.collect(Reason.FINAL_SETTLEMENT, member, -net, self.books.terms.house.variation)
        for member, net in members:
            if net > 0:
                cashier.pay(Reason.FINAL_SETTLEMENT, member, net)
            member.variation_micro += net

    def _take_tenders(self, shorts: Iterable[Lots]) -> list[Lots]:
        """Release the tenders' holds; the lots that each short delivers, by number: at most what it is short."""
        books, number = self.books, self.market.number
        lots_of = {}
        for contract, participant in sorted(books.tenders):
            if contract == number:
                tender = books.tenders.pop((contract, participant))
                books.teller.void(self.time_ns, Reason.DELIVERY, tender.key)
                lots_of[participant] = tender.lots
        found = [(participant, min(lots, lots_of.get(participant, 0))) for participant, lots in shorts]
        return [(participant, lots) for participant, lots in found if lots]

    def _deliver(
        self, cashier: Cashier, tendered: Sequence[Lots], parts: Mapping[int, int]
    ) -> list[tuple[Member, Member, int]]:
        """Deliver against payment what can be paid; returns (long, short, lots) of what cannot."""
        lot_micro = self.market.settle_ticks * self.market.tick_value_micro
        pays, unpaid = dict[int, int](), []
        for number in parts:
            member = self.books.members[number]
            cash = 0 if member.is_in_default else max(0, cashier.available(member.cash))
            pays[number] = cash // lot_micro
        takers = [(number, lots) for number, lots in parts.items() if lots]
        for seller, buyer, lots in matched(tendered, takers):
            done = min(lots, pays[buyer])
            pays[buyer] -= done
            short, long = self.books.members[seller], self.books.members[buyer]
            if done:
                self._exchange(cashier, short, long, done)
            if lots > done:
                unpaid.append((long, short, lots - done))
        return unpaid

    def _exchange(self, cashier: Cashier, short: Member, long: Member, lots: int) -> None:
        market, price = self.market, self.market.settle_ticks
        deliver_against_payment(self.books, cashier, Reason.DELIVERY, short, long, market, price, lots)
        words = (long.number, short.number, market.number, price, lots, self.day)
        say(self.out, ClearingEvent.DELIVERED, Reason.DELIVERY, self.time_ns, words)

    def _make_good(
        self,
        cashier: Cashier,
        shorts: Sequence[Lots],
        tendered: Sequence[Lots],
        longs: Sequence[Holder],
        parts: Mapping[int, int],
        unpaid: Sequence[tuple[Member, Member, int]],
    ) -> None:
        """Who failed pays its counterparty: first the shorts that tendered too little, then the longs that could not pay."""
        gave, members = dict(tendered), self.books.members
        missing = [(number, lots - gave.get(number, 0)) for number, lots in shorts]
        without = [(long.number, long.lots - parts[long.number]) for long in longs]
        dearer = self._dearer_micro()
        for failing, other, lots in matched(_some(missing), _some(without)):
            self._compensate(cashier, members[failing], members[other], lots, dearer)
        for long, short, lots in unpaid:
            self._compensate(cashier, long, short, lots, 0)

    def _dearer_micro(self) -> int:
        """How much more a lot of receipts costs in the spot market than the settlement price, in micro-units."""
        spot = spot_market(self.books, self.market.contract.grade)
        if spot is None:
            return 0
        more = spot.settle_ticks * spot.contract.tick_micro - self.market.final_micro
        return max(0, more) * self.market.contract.lot_mtok

    def _compensate(
        self, cashier: Cashier, failing: Member, other: Member, lots: int, dearer_micro: int
    ) -> None:
        value = lots * self.market.settle_ticks * self.market.tick_value_micro
        amount = lots * dearer_micro + value * self.books.terms.delivery.penalty_bp // BP
        if amount:
            cashier.collect(Reason.PENALTY, failing, amount, self.books.terms.house.variation)
            cashier.pay(Reason.PENALTY, other, amount)
        failing.penalties_micro += amount
        other.penalties_micro -= amount
        words = (failing.number, other.number, self.market.number, lots, amount, self.day)
        say(self.out, ClearingEvent.NOT_DELIVERED, Reason.PENALTY, self.time_ns, words)


def _holders(positions: Iterable[Position]) -> list[Holder]:
    """Each member's net lots, by number, since the oldest of its positions on that side began; those of 0 are left out."""
    by_member: dict[int, list[Position]] = {}
    for position in positions:
        by_member.setdefault(position.member.number, []).append(position)
    holders = []
    for number, held in sorted(by_member.items()):
        lots = sum(position.lots for position in held)
        if lots:
            holders.append(Holder(number, lots, min(at.since_day for at in held if at.lots * lots > 0)))
    return holders


def _some(lots: Iterable[Lots]) -> list[Lots]:
    return [(number, count) for number, count in lots if count]


# --- snapshot ---


def _tender_rows(books: Books) -> list[tuple[int, ...]]:
    return [(*place, tender.lots, tender.key) for place, tender in sorted(books.tenders.items())]


def _restore_tenders(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for contract, number, lots, key in rows:
        market = books.markets.get(contract)
        if market is None or not market.is_physical or number not in books.members:
            raise not_a_section("tenders", (contract, number), "a physical contract and a member")
        if lots < 1 or not LEDGER_KEY_BASE < key <= books.teller.key:
            raise not_a_section("tenders", (lots, key), "lots, and a key that the clearing house has used")
        books.tenders[contract, number] = Tender(lots, key)


SECTIONS: Sequence[Section] = (Section("tenders", 4, _tender_rows, _restore_tenders), PLEDGES)
