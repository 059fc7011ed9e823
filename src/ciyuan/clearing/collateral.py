"""Collateral (§6.5): receipts that a member has pledged stand behind its margin, after a haircut.

| what | is |
|---|---|
| a pledge | a hold of the ledger on the member's receipts; they stay its own, and are neither sold, tendered nor redeemed |
| its value | receipts x settlement price of the grade's spot contract x (1 - haircut), rounded down |
| collateral | the values of a member's pledges, 2^60 micro-units at most |

The spot contract is the first of the grade, by number, that is not delisted. Values are worked out anew whenever a day's
settlement prices are taken, and at each PLEDGE.

In default a pledge is released, and as many whole lots of the spot contract as the defaulter's debt needs beyond its cash are
sold to the members, at the value after the haircut, rounded down to a tick (`realise`). Each buys pro rata to what it can pay
without touching its margin: the smaller of its excess and its cash. So the house has no receipts for a moment longer than it
takes to pass them on, nobody's margin is touched, and whoever buys does so below the market. What nobody can buy is the
defaulter's again.
"""

from collections.abc import Sequence

from ciyuan.basics.money import div_ceil
from ciyuan.clearing.books import Answer, Books, Command, Out, say
from ciyuan.clearing.cashier import Cashier
from ciyuan.clearing.margin import BP
from ciyuan.clearing.messages import (
    LEDGER_KEY_BASE,
    ClearingEvent,
    ClearingRefusal,
    Life,
    Permission,
    Reason,
    Standing,
)
from ciyuan.clearing.positions import Market, Member
from ciyuan.clearing.section import Section, not_a_section
from ciyuan.clearing.settlement import Settlement
from ciyuan.clearing.shares import pro_rata

COLLATERAL_MAX_MICRO = 2**60
"""What receipts count for at most, so that no sum of money that they are a part of overflows."""


def spot_market(books: Books, grade: int) -> Market | None:
    """The contract by which a grade's receipts are valued; None if there is none."""
    found = (
        market
        for market in books.markets_in_order()
        if market.is_spot and market.contract.grade == grade and market.life != Life.DELISTED
    )
    return next(found, None)


def value_micro(books: Books, grade: int, receipts: int) -> int:
    """What receipts of a grade count for, in micro-units."""
    market = spot_market(books, grade)
    if market is None:
        return 0
    worth = receipts * market.settle_ticks * market.contract.tick_micro
    return min(COLLATERAL_MAX_MICRO, worth * (BP - books.terms.delivery.haircut_bp) // BP)


def collateral_micro(books: Books, member: Member) -> int:
    """What all that a member has pledged counts for."""
    values = (value_micro(books, grade, receipts) for grade, (receipts, _) in member.pledged.items())
    return min(COLLATERAL_MAX_MICRO, sum(values))


def revalue(books: Books) -> None:
    """Work out every member's collateral anew, at the settlement prices."""
    for member in books.members_with_pledges():
        member.collateral_micro = collateral_micro(books, member)


def can_hold(books: Books, member: Member, grade: int, receipts: int, held: int) -> bool:
    """Whether a member has so many receipts that are not held, beside the `held` that are held for the same already."""
    account = member.receipts.get(grade)
    free = books.teller.ledger.available(account) if account else 0
    return receipts <= free + held


def hold_anew(
    books: Books, time_ns: int, reason: Reason, member: Member, grade: int, receipts: int, key: int
) -> int:
    """Hold so many receipts instead of what the hold `key` (0: none) holds; returns the new hold's key, 0 for none."""
    if key:
        books.teller.void(time_ns, reason, key)
    if not receipts:
        return 0
    return books.teller.hold(time_ns, reason, member.receipts[grade], books.spot_receipts[grade], receipts)


class Pledges:
    """Takes pledges, and turns them into money when their owner is in default."""

    def __init__(self, books: Books, settlement: Settlement) -> None:
        self._books, self._settlement = books, settlement

    def pledge(self, row: Command, out: Out) -> Answer:
        """PLEDGE: so many receipts in all. A call that it meets is met at once."""
        _, time_ns, number, grade, receipts, *_ = row
        if number < 1:
            return ClearingRefusal.PARTICIPANT_NOT_POSITIVE
        member = self._books.members.get(number)
        if member is None:
            return ClearingRefusal.UNKNOWN_MEMBER
        answer = self._answer(member, grade, receipts)
        if answer is not None:
            return answer
        self._set(out, time_ns, member, grade, receipts)
        if member.standing == Standing.CALLED:
            self._settlement.see_margin(out, time_ns, self._books.margin_day, member)
        return None

    def _answer(self, member: Member, grade: int, receipts: int) -> Answer:
        books, before = self._books, member.pledged.get(grade, (0, 0))[0]
        if spot_market(books, grade) is None:
            return ClearingRefusal.UNKNOWN_GRADE
        if receipts == before:
            return ClearingEvent.REPEATED
        if member.is_in_default:
            return ClearingRefusal.IN_DEFAULT
        if receipts < 0:
            return ClearingRefusal.LOTS_OUT_OF_RANGE
        lost = value_micro(books, grade, before) - value_micro(books, grade, receipts)
        needed = receipts < before and books.excess_micro(member) < lost
        covered = can_hold(books, member, grade, receipts, before) and not needed
        return None if covered else ClearingRefusal.NOT_COVERED

    def _set(self, out: Out, time_ns: int, member: Member, grade: int, receipts: int) -> None:
        books = self._books
        _, key = member.pledged.pop(grade, (0, 0))
        key = hold_anew(books, time_ns, Reason.COLLATERAL, member, grade, receipts, key)
        if key:
            member.pledged[grade] = (receipts, key)
        member.collateral_micro = collateral_micro(books, member)
        words = (member.number, grade, receipts, value_micro(books, grade, receipts), 0, books.margin_day)
        say(out, ClearingEvent.PLEDGED, Reason.COLLATERAL, time_ns, words)

    def release(self, out: Out, time_ns: int, grade: int) -> None:
        """Give every pledge of a grade back, needed or not: its receipts lapse (§9.1)."""
        for member in self._books.members_in_order():
            if grade in member.pledged:
                self._set(out, time_ns, member, grade, 0)

    def realise(self, member: Member, time_ns: int, out: Out) -> None:
        """Release what a defaulter has pledged, and sell of it what its debt needs beyond its cash."""
        for grade, (receipts, _) in sorted(member.pledged.items()):
            self._set(out, time_ns, member, grade, 0)
            market = spot_market(self._books, grade)
            if market is not None:
                self._sell(out, time_ns, member, market, receipts)

    def _sell(self, out: Out, time_ns: int, seller: Member, market: Market, receipts: int) -> None:
        """Sell whole lots to the members, pro rata to what each can pay, in one chain."""
        books, day = self._books, self._books.margin_day
        cashier = Cashier(books, time_ns, day, out)
        price = market.settle_ticks * (BP - books.terms.delivery.haircut_bp) // BP
        lot_micro, short = price * market.tick_value_micro, seller.owed_micro - cashier.available(seller.cash)
        if short <= 0 or not lot_micro:
            return
        buyers = [member for member in books.members_in_order() if _may_buy(member, market)]
        rooms = [
            max(0, min(books.excess_micro(member), cashier.available(member.cash))) // lot_micro
            for member in buyers
        ]
        offered = min(receipts // market.contract.lot_mtok, div_ceil(short, lot_micro))
        for buyer, lots in zip(buyers, pro_rata(min(offered, sum(rooms)), rooms), strict=True):
            if lots:
                deliver_against_payment(books, cashier, Reason.COLLATERAL, seller, buyer, market, price, lots)
                words = (buyer.number, seller.number, market.number, price, lots, day)
                say(out, ClearingEvent.DELIVERED, Reason.COLLATERAL, time_ns, words)
        cashier.settle()


def _may_buy(member: Member, market: Market) -> bool:
    permitted = member.permissions & Permission.SPOT != 0 and market.contract.grade in member.receipts
    return permitted and member.standing == Standing.GOOD


def deliver_against_payment(
    books: Books,
    cashier: Cashier,
    reason: Reason,
    seller: Member,
    buyer: Member,
    market: Market,
    price_ticks: int,
    lots: int,
) -> None:
    """Add the steps of a delivery against payment: money and receipts of `lots`, each by way of the house."""
    grade, house_money = market.contract.grade, books.terms.house.spot_money
    money, receipts = price_ticks * market.tick_value_micro * lots, lots * market.contract.lot_mtok
    house_receipts = books.spot_receipts[grade]
    cashier.move(reason, buyer.cash, house_money, money)
    cashier.move(reason, seller.receipts[grade], house_receipts, receipts)
    cashier.move(reason, house_money, seller.cash, money)
    cashier.move(reason, house_receipts, buyer.receipts[grade], receipts)
    buyer.bought_micro += money
    buyer.receipts_bought += receipts
    seller.sold_micro += money
    seller.receipts_sold += receipts


# --- snapshot ---


def _rows(books: Books) -> list[tuple[int, ...]]:
    return [
        (member.number, grade, receipts, key)
        for member in books.members_in_order()
        for grade, (receipts, key) in sorted(member.pledged.items())
    ]


def _restore(books: Books, rows: Sequence[Sequence[int]]) -> None:
    for number, grade, receipts, key in rows:
        member = books.members.get(number)
        if member is None or grade not in member.receipts:
            raise not_a_section("pledges", (number, grade), "a member with receipts of the grade")
        if receipts < 1 or not LEDGER_KEY_BASE < key <= books.teller.key:
            raise not_a_section(
                "pledges", (receipts, key), "receipts, and a key that the clearing house has used"
            )
        member.pledged[grade] = (receipts, key)


SECTION = Section("pledges", 4, _rows, _restore)
