"""Receipts (rulebook §9.1): issued against proved capacity and a bond, lapsed at the month's end by transfer."""

from collections.abc import Sequence

from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import release_row
from ciyuan.venue.bonds import Bonds
from ciyuan.venue.books import Answer, Books, Out, key_fault
from ciyuan.venue.messages import Reason, Role, VenueEvent, VenueRefusal


class Receipts:
    """The handlers of CAPACITY, ISSUE and LAPSE."""

    def __init__(self, books: Books, bonds: Bonds, clearing: ClearingHouse) -> None:
        self._books, self._bonds, self._clearing = books, bonds, clearing

    def prove(self, row: Sequence[int], out: Out) -> Answer:
        """CAPACITY: what a supplier can make of a grade in a month, in receipts; a later word replaces an earlier one."""
        number, grade, month, receipts = row[2:6]
        fault = fault_of_issuer(self._books, number, grade)
        if fault:
            return fault
        if receipts < 0:
            return VenueRefusal.AMOUNT_NOT_POSITIVE
        if not is_month(month):
            return VenueRefusal.UNKNOWN_MONTH
        entry = self._books.capacity.setdefault((number, grade, month), [0, 0, 0])
        if receipts < entry[1]:
            return VenueRefusal.OVER_CAPACITY
        entry[0] = receipts
        return VenueEvent.CAPACITY_PROVED

    def issue(self, row: Sequence[int], out: Out) -> Answer:
        """ISSUE: new receipts to their issuer, within its capacity of the month and its bond."""
        _, time_ns, key, number, grade, receipts, month, _ = row
        books = self._books
        fault = books.seen(row) or fault_of_issuer(books, number, grade)
        if fault:
            return fault
        if receipts <= 0:
            return VenueRefusal.AMOUNT_NOT_POSITIVE
        entry = books.capacity.get((number, grade, month), [0, 0, 0])
        fault = key_fault(key)
        if fault:
            return fault
        if entry[1] + receipts > entry[0] or not self._bonds.covers(number, time_ns, grade, receipts):
            return VenueRefusal.OVER_CAPACITY
        if (grade, month) in books.lapsed:
            return VenueRefusal.UNKNOWN_MONTH
        accounts = books.chart.issuance(grade), books.chart.receipts(number, grade)
        fault = books.transfer(row, *accounts, receipts, Reason.ISSUE)
        if fault is None:
            entry[1] += receipts
        return fault or VenueEvent.ISSUED

    def lapse(self, row: Sequence[int], out: Out) -> Answer:
        """LAPSE: every holder's receipts of a grade go back to where they came from: tokens cannot be stored. So do the
        standard tokens that were not asked for, and those that were served.
        """
        _, time_ns, grade, month, *_ = row
        books = self._books
        if grade not in books.chart.grades:
            return VenueRefusal.UNKNOWN_GRADE
        if not is_month(month):
            return VenueRefusal.UNKNOWN_MONTH
        if (grade, month) in books.lapsed:
            return VenueEvent.REPEATED
        books.lapsed.add((grade, month))
        self._clearing.apply_one(release_row(time_ns, grade), out)
        self._lapse_tokens(time_ns, grade, month, out)
        place = books.chart.grades.index(grade)
        for number in books.participants:
            account = books.chart.receipts(number, grade)
            held = books.ledger.available(account)
            if held > 0:
                key = (month * len(books.chart.grades) + place) * 2**31 + number
                books.lapse(time_ns, key, account, books.chart.issuance(grade), held)
                out.append((int(VenueEvent.LAPSED), time_ns, grade, month, number, held, 0, 0))
        return None

    def _lapse_tokens(self, time_ns: int, grade: int, month: int, out: Out) -> None:
        """Standard tokens that wait in their holders' purses lapse; those that an issuer served are burned."""
        books, chart = self._books, self._books.chart
        for purse, reason, event in (
            (chart.standard_tokens, Reason.TOKENS_LAPSE, VenueEvent.TOKENS_LAPSED),
            (chart.served, Reason.BURN, VenueEvent.SERVED),
        ):
            for number in books.participants:
                held = books.ledger.available(purse(number, grade))
                if held > 0:
                    books.move(time_ns, purse(number, grade), chart.tokens(grade), held, reason)
                    out.append((int(event), time_ns, grade, month, number, held, 0, 0))


def fault_of_issuer(books: Books, number: int, grade: int) -> VenueRefusal | None:
    """Whether a participant cannot issue receipts of a grade, be it one that there is not."""
    if number not in books.participants:
        return VenueRefusal.UNKNOWN_PARTICIPANT
    if grade not in books.chart.grades:
        return VenueRefusal.UNKNOWN_GRADE
    return None if books.participants[number][0] & Role.SUPPLIER else VenueRefusal.NOT_PERMITTED


def is_month(month: int) -> bool:
    """Whether a number is a month, yyyymm."""
    return 190001 <= month <= 999912 and 1 <= month % 100 <= 12
