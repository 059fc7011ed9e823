"""Receipts (rulebook §9.1): issued against proved capacity, lapsed at the month's end by transfer."""

from collections.abc import Sequence

from ciyuan.venue.books import Answer, Books, Out, key_fault
from ciyuan.venue.messages import Reason, Role, VenueEvent, VenueRefusal


class Receipts:
    """The handlers of CAPACITY, ISSUE and LAPSE."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def prove(self, row: Sequence[int], out: Out) -> Answer:
        """CAPACITY: what a supplier can make of a grade in a month, in receipts; a later word replaces an earlier one."""
        number, grade, month, receipts = row[2:6]
        fault = self._fault(number, grade)
        if fault:
            return fault
        if receipts < 0:
            return VenueRefusal.AMOUNT_NOT_POSITIVE
        if not _is_month(month):
            return VenueRefusal.UNKNOWN_MONTH
        entry = self._books.capacity.setdefault((number, grade, month), [0, 0])
        if receipts < entry[1]:
            return VenueRefusal.OVER_CAPACITY
        entry[0] = receipts
        return VenueEvent.CAPACITY_PROVED

    def issue(self, row: Sequence[int], out: Out) -> Answer:
        """ISSUE: new receipts to their issuer, within its capacity of the month."""
        _, _, key, number, grade, receipts, month, _ = row
        books = self._books
        fault = books.seen(row) or self._fault(number, grade)
        if fault:
            return fault
        if receipts <= 0:
            return VenueRefusal.AMOUNT_NOT_POSITIVE
        entry = books.capacity.get((number, grade, month), [0, 0])
        fault = key_fault(key) or (VenueRefusal.OVER_CAPACITY if entry[1] + receipts > entry[0] else None)
        if fault:
            return fault
        if (grade, month) in books.lapsed:
            return VenueRefusal.UNKNOWN_MONTH
        accounts = books.chart.issuance(grade), books.chart.receipts(number, grade)
        fault = books.transfer(row, *accounts, receipts, Reason.ISSUE)
        if fault is None:
            entry[1] += receipts
        return fault or VenueEvent.ISSUED

    def lapse(self, row: Sequence[int], out: Out) -> Answer:
        """LAPSE: every holder's receipts of a grade go back to where they came from: tokens cannot be stored."""
        _, time_ns, grade, month, *_ = row
        books = self._books
        if grade not in books.chart.grades:
            return VenueRefusal.UNKNOWN_GRADE
        if not _is_month(month):
            return VenueRefusal.UNKNOWN_MONTH
        if (grade, month) in books.lapsed:
            return VenueEvent.REPEATED
        books.lapsed.add((grade, month))
        place = books.chart.grades.index(grade)
        for number in books.participants:
            account = books.chart.receipts(number, grade)
            held = books.ledger.available(account)
            if held > 0:
                key = (month * len(books.chart.grades) + place) * 2**31 + number
                books.lapse(time_ns, key, account, books.chart.issuance(grade), held)
                out.append((int(VenueEvent.LAPSED), time_ns, grade, month, number, held, 0, 0))
        return None

    def _fault(self, number: int, grade: int) -> VenueRefusal | None:
        if number not in self._books.participants:
            return VenueRefusal.UNKNOWN_PARTICIPANT
        if grade not in self._books.chart.grades:
            return VenueRefusal.UNKNOWN_GRADE
        return None if self._books.participants[number][0] & Role.SUPPLIER else VenueRefusal.NOT_PERMITTED


def _is_month(month: int) -> bool:
    """Whether a number is a month, yyyymm."""
    return 190001 <= month <= 999912 and 1 <= month % 100 <= 12
