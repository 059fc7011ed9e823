"""Redemption (rulebook §9.3): receipts become standard tokens, which the gateway's meter takes for what it serves.

    REDEEM        receipts: holder -> issuance      standard tokens: the grade's account -> the holder's purse
    HOLD          tokens of the holder are set aside, by the meter, for what a request may use at most
    DELIVER       tokens: holder -> issuer, what the request used by the grade's conversion vector; the rest is free again
    LAPSE         tokens that wait, and those that were served, -> the grade's account

To the meter it is a delivery like any other, in an asset of its own: a standard token is its micro-unit, and the price list of
an issuer in tokens is the conversion vector. A price of 10^6 micro-units per MTok is one standard token per token; so the charge
is the standard tokens in the usage, exactly, and what is less than one is carried to the holder's next request. A request is held
once, delivered once, expires by itself, and is never served beyond the tokens that are there: the meter's rules, nothing added.

An issuer answers for a month with what it issued, served or not. One that fails is replaced by another (SUBSTITUTE): the other
answers for the receipts from then on, and is paid what it asks for them by the one that failed, from its bond and then from its
cash as far as margin leaves it; and the holders are paid a penalty, pro rata to the standard tokens that wait in their purses, or
if none wait, to the receipts that they hold. All of it is one chain of the ledger: it is done in full, or refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ciyuan.basics.calendar import Calendar, month_of
from ciyuan.basics.errors import InvariantBroken, Malformed
from ciyuan.basics.grade import CENTI, Grade
from ciyuan.basics.rows import CODE_MASK, Row
from ciyuan.basics.tokens import MTOK
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.shares import pro_rata
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import MeterEvent, PartyRole, enrol_row, prices_row
from ciyuan.venue.accounts import CUSTOMERS_MAX
from ciyuan.venue.bonds import BP, Bonds
from ciyuan.venue.books import Answer, Books, Leg, Out, content_of, key_fault, words
from ciyuan.venue.messages import Purse, Reason, VenueEvent, VenueRefusal
from ciyuan.venue.receipts import fault_of_issuer

PICO_PER_CENTI = MTOK // CENTI
"""Pico-units per token of one hundredth of a standard token per token."""
BATCH_MAX = 100
"""The largest batch hundredths that a price list can have."""
PACK = 32
MONTH_MASK = 2**PACK - 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A SUBSTITUTE: `failing` is replaced by `other` for `receipts` of a grade and month, at `price_micro` a receipt."""

    failing: int
    other: int
    grade: int
    receipts: int
    month: int
    price_micro: int

    @property
    def cost_micro(self) -> int:
        """What the other is paid."""
        return self.receipts * self.price_micro


class Redemption:
    """The handlers of REDEEM and SUBSTITUTE."""

    def __init__(
        self,
        books: Books,
        bonds: Bonds,
        grades: Sequence[Grade],
        calendar: Calendar,
        meter: Meter,
        clearing: ClearingHouse,
        penalty_bp: int,
    ) -> None:
        self._books, self._bonds, self._calendar = books, bonds, calendar
        self._meter, self._clearing, self._penalty_bp = meter, clearing, penalty_bp
        self._vectors = {grade.number: grade.vector for grade in grades}
        for grade in grades:
            if not 1 <= grade.vector.batch <= BATCH_MAX:
                raise Malformed(f"grade {grade.code}, batch hundredths", found=grade.vector.batch, expected="1 to 100",
                                remedy="A batch is served at a discount: mend the grade's vector.")  # fmt: skip

    # --- redeeming ---

    def redeem(self, row: Sequence[int], out: Out) -> Answer:
        """REDEEM: whole receipts become standard tokens that an issuer of the running month is to serve."""
        _, time_ns, key, number, grade, receipts, issuer, month = row
        books, chart = self._books, self._books.chart
        fault = books.seen(row) or self._fault_of_parties(number, issuer, grade)
        if fault:
            return fault
        if receipts <= 0:
            return VenueRefusal.AMOUNT_NOT_POSITIVE
        fault = key_fault(key)
        if fault:
            return fault
        entry = books.capacity.get((issuer, grade, month), [0, 0, 0])
        if entry[1] - entry[2] < receipts:
            return VenueRefusal.OVER_CAPACITY
        if books.ledger.available(chart.receipts(number, grade)) < receipts:
            return VenueRefusal.INSUFFICIENT_BALANCE
        if not self._is_running(time_ns, grade, month):
            return VenueRefusal.UNKNOWN_MONTH
        purse, of_holder = chart.receipts(number, grade), chart.standard_tokens(number, grade)
        legs: tuple[Leg, ...] = (
            (purse, chart.issuance(grade), receipts, Reason.REDEMPTION),
            (chart.tokens(grade), of_holder, receipts * MTOK, Reason.REDEMPTION),
        )
        fault = _too_large(legs) or books.chain(time_ns, key, legs)
        if fault:
            return fault
        books.keyed[key] = content_of(row)
        entry[2] += receipts
        self._enrol_holder(time_ns, number, grade, out)
        self._enrol_issuer(time_ns, issuer, grade, out)
        return VenueEvent.REDEEMED

    def _fault_of_parties(self, number: int, issuer: int, grade: int) -> VenueRefusal | None:
        if number not in self._books.participants:
            return VenueRefusal.UNKNOWN_PARTICIPANT
        fault = fault_of_issuer(self._books, issuer, grade)
        if fault:
            return fault
        beyond = number > CUSTOMERS_MAX or issuer > self._books.chart.issuers_max
        return VenueRefusal.NOT_PERMITTED if beyond else None

    def _is_running(self, time_ns: int, grade: int, month: int) -> bool:
        """Whether receipts of a month can be redeemed now (§9.1)."""
        running = month_of(self._calendar.day_of(time_ns)) == month
        return running and (grade, month) not in self._books.lapsed

    # --- the meter's parties ---

    def _enrol_holder(self, time_ns: int, number: int, grade: int, out: Out) -> None:
        chart = self._books.chart
        account = chart.standard_tokens(number, grade)
        self._tell(enrol_row(time_ns, PartyRole.CUSTOMER, chart.holder(number, grade), account), out)

    def _enrol_issuer(self, time_ns: int, number: int, grade: int, out: Out) -> None:
        """Enrol an issuer of a grade, with the list by which a charge is the standard tokens used."""
        chart, vector = self._books.chart, self._vectors[grade]
        party = chart.issuer(number, grade)
        self._tell(enrol_row(time_ns, PartyRole.SUPPLIER, party, chart.served(number, grade)), out)
        self._tell(
            prices_row(
                time_ns,
                party,
                grade,
                price_in=vector.input * PICO_PER_CENTI,
                price_cached=vector.cached * PICO_PER_CENTI,
                price_out=vector.output * PICO_PER_CENTI,
                valid_from_ns=0,
                batch_hundredths=vector.batch,
            ),
            out,
        )

    def _tell(self, row: Row, out: Out) -> None:
        """Say something to the meter; what it knows already is not said again."""
        *before, answer = self._meter.apply(np.array([row], dtype=np.int64)).tolist()
        out.extend(tuple(event) for event in before)
        code = answer[0] & CODE_MASK
        if code == MeterEvent.REFUSED:
            raise InvariantBroken(
                "the meter takes the venue's own parties and lists", f"it answered {answer}"
            )
        if code != MeterEvent.REPEATED:
            out.append(tuple(answer))

    # --- who fails ---

    def substitute(self, row: Sequence[int], out: Out) -> Answer:
        """SUBSTITUTE: another issuer answers for some of the receipts of one that fails, at its cost and a penalty."""
        _, time_ns, key, failing, grade, receipts, pair, price = row
        failure = Failure(failing, pair >> PACK, grade, receipts, pair & MONTH_MASK, price)
        books = self._books
        fault = books.seen(row) or self._fault_of_failure(failure)
        if fault:
            return fault
        fault = key_fault(key) or self._fault_of_capacity(failure, time_ns)
        if fault:
            return fault
        holders = self._harmed(failure)
        penalty = failure.cost_micro * self._penalty_bp // BP if holders else 0
        bond, cash = self._means(failing)
        if failure.cost_micro + penalty > bond + cash:
            return VenueRefusal.INSUFFICIENT_BALANCE
        if (grade, failure.month) in books.lapsed:
            return VenueRefusal.UNKNOWN_MONTH
        legs, said = self._payments(failure, time_ns, holders, penalty, bond)
        fault = books.chain(time_ns, key, legs)
        if fault:
            return fault
        books.keyed[key] = content_of(row)
        self._hand_over(failure)
        self._enrol_issuer(time_ns, failure.other, grade, out)
        out.append(words(row, event=VenueEvent.SUBSTITUTED))
        out.extend(said)
        return None

    def _fault_of_failure(self, failure: Failure) -> VenueRefusal | None:
        people = self._books.participants
        if failure.failing not in people or failure.other not in people:
            return VenueRefusal.UNKNOWN_PARTICIPANT
        faults = (
            fault_of_issuer(self._books, number, failure.grade) for number in (failure.failing, failure.other)
        )
        fault = next((fault for fault in faults if fault), None)
        if fault:
            return fault
        if failure.failing == failure.other or failure.other > self._books.chart.issuers_max:
            return VenueRefusal.NOT_PERMITTED
        return VenueRefusal.AMOUNT_NOT_POSITIVE if min(failure.receipts, failure.price_micro) <= 0 else None

    def _fault_of_capacity(self, failure: Failure, time_ns: int) -> VenueRefusal | None:
        """No more than the one that fails still has to serve, nor than the other has capacity and bond for."""
        capacity, grade = self._books.capacity, failure.grade
        mine = capacity.get((failure.failing, grade, failure.month), [0, 0, 0])
        others = capacity.get((failure.other, grade, failure.month), [0, 0, 0])
        left = mine[1] * MTOK - self._served(failure.failing, grade)
        covered = self._bonds.covers(failure.other, time_ns, grade, failure.receipts)
        enough = failure.receipts * MTOK <= left and others[1] + failure.receipts <= others[0] and covered
        return None if enough else VenueRefusal.OVER_CAPACITY

    def _served(self, number: int, grade: int) -> int:
        return self._books.ledger.posted(self._books.chart.served(number, grade))

    def _harmed(self, failure: Failure) -> list[tuple[int, int]]:
        """(holder, weight) of those who are paid the penalty, by number."""
        chart, ledger = self._books.chart, self._books.ledger
        for purse in (chart.standard_tokens, chart.receipts):
            held = [
                (number, ledger.posted(purse(number, failure.grade))) for number in self._books.participants
            ]
            some = [(number, amount) for number, amount in held if amount and number != failure.failing]
            if some:
                return some
        return []

    def _means(self, number: int) -> tuple[int, int]:
        """What an issuer can pay with: its bond, and its cash but for what margin claims (§6.1)."""
        cash = self._books.ledger.available(self._books.chart.purse(number, Purse.CASH))
        if self._clearing.is_member(number):
            cash = min(cash, self._clearing.free_micro(number))
        return self._bonds.held_micro(number), max(0, cash)

    def _payments(
        self, failure: Failure, time_ns: int, holders: Sequence[tuple[int, int]], penalty: int, bond: int
    ) -> tuple[list[Leg], list[Row]]:
        """The legs and the events of all that is paid: the other first, then the holders; from the bond while it lasts."""
        chart, failing = self._books.chart, failure.failing
        parts = pro_rata(penalty, [weight for _, weight in holders])
        due = [(failure.other, Purse.REVENUE, failure.cost_micro, Reason.BUY_IN)]
        due += [
            (number, Purse.CASH, part, Reason.PENALTY)
            for (number, _), part in zip(holders, parts, strict=True)
        ]
        legs: list[Leg] = []
        said: list[Row] = []
        for number, purse, amount, reason in due:
            account, of_bond = chart.purse(number, purse), min(bond, amount)
            bond -= of_bond
            legs.append((chart.purse(failing, Purse.BOND), account, of_bond, reason))
            legs.append((chart.purse(failing, Purse.CASH), account, amount - of_bond, reason))
            if amount:
                paid = (failing, number, failure.grade, of_bond, amount - of_bond, int(reason))
                said.append((int(VenueEvent.COMPENSATED), time_ns, *paid))
        return legs, said

    def _hand_over(self, failure: Failure) -> None:
        """The other answers for the receipts: for redeemed ones that wait to be served first."""
        capacity, grade, receipts = self._books.capacity, failure.grade, failure.receipts
        mine = capacity[failure.failing, grade, failure.month]
        others = capacity[failure.other, grade, failure.month]
        waiting = max(0, mine[2] - self._served(failure.failing, grade) // MTOK)
        redeemed = min(receipts, waiting)
        mine[1] -= receipts
        mine[2] -= redeemed
        others[1] += receipts
        others[2] += redeemed


def _too_large(legs: Sequence[Leg]) -> VenueRefusal | None:
    """Amounts that no row of the ledger can hold."""
    return VenueRefusal.AMOUNT_OVERFLOW if max(leg[2] for leg in legs) >= 2**63 else None
