"""Participants and their money: who takes part, what comes in, what goes out, what moves between a participant's purses, its
bond among them.
"""

from collections.abc import Sequence

import numpy as np

from ciyuan.basics.errors import InvariantBroken
from ciyuan.basics.rows import CODE_MASK
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingEvent,
    MemberFlag,
    MemberRole,
    Permission,
    collect_row,
    member_row,
    receipts_row,
)
from ciyuan.exchange.room import Room
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import MeterEvent, PartyRole, enrol_row
from ciyuan.venue.accounts import CUSTOMERS_MAX, SUPPLIERS_MAX, House
from ciyuan.venue.bonds import Bonds
from ciyuan.venue.books import NO_OVERDRAFT, Answer, Books, Out, key_fault, words
from ciyuan.venue.messages import Purse, Reason, Role, VenueEvent, VenueRefusal

MONEY_PURSES = (Purse.CASH, Purse.PREPAID, Purse.REVENUE)
HOUSE = 0
"""The participant's number of the house itself."""
TRADING = int(Role.FUTURES | Role.SPOT)
SETTINGS = int(MemberFlag.GROSS | MemberFlag.CANCEL_ON_DISCONNECT | MemberFlag.SELF_TRADE)
ROLES = int(Role.CUSTOMER | Role.SUPPLIER) | TRADING


class Membership:
    """The handlers of PARTICIPANT, DEPOSIT, WITHDRAW, MOVE, BOND and UNBOND."""

    def __init__(self, books: Books, bonds: Bonds, meter: Meter, clearing: ClearingHouse, room: Room) -> None:
        self._books, self._bonds = books, bonds
        self._meter = meter
        self._clearing = clearing
        self._traders_max = room.accounts

    def add(self, row: Sequence[int], out: Out) -> Answer:
        """PARTICIPANT: open the purses, enrol with the gateway and the clearing house. Numbers are given in order."""
        _, time_ns, number, roles, group, role, settings, _ = row
        books = self._books
        if number in books.participants:
            same = books.participants[number] == (roles, group or number, role, settings)
            return VenueEvent.REPEATED if same else VenueRefusal.PARTICIPANT_NUMBER_TAKEN
        if number != len(books.participants) + 1:
            return VenueRefusal.PARTICIPANT_NUMBER_NOT_NEXT
        if self._is_beyond(number, roles):
            return VenueRefusal.NOT_PERMITTED
        if roles & ~ROLES or (roles & TRADING and role not in frozenset(MemberRole)):
            return VenueRefusal.UNKNOWN_ROLE
        if settings & ~(SETTINGS if roles & TRADING else 0):
            return VenueRefusal.UNKNOWN_SETTING
        books.participants[number] = (roles, group or number, role, settings)
        for purse in range(books.chart.purses):
            books.open_account(time_ns, books.chart.asset_of_purse(purse), NO_OVERDRAFT)
        self._enrol(time_ns, number, roles, out)
        if roles & TRADING:
            self._join(time_ns, number, out)
        out.append(
            (
                int(VenueEvent.PARTICIPANT_ADDED),
                time_ns,
                number,
                roles,
                group or number,
                role,
                books.chart.purse(number, Purse.CASH),
                settings,
            )
        )
        return None

    def _is_beyond(self, number: int, roles: int) -> bool:
        """Whether a number is too large for one of its roles: the meter's parties and the exchange's accounts are numbered."""
        most = ((Role.CUSTOMER, CUSTOMERS_MAX), (Role.SUPPLIER, SUPPLIERS_MAX), (TRADING, self._traders_max))
        return any(roles & role and number > limit for role, limit in most)

    def _enrol(self, time_ns: int, number: int, roles: int, out: Out) -> None:
        chart = self._books.chart
        for bit, party, purse in (
            (Role.CUSTOMER, PartyRole.CUSTOMER, Purse.PREPAID),
            (Role.SUPPLIER, PartyRole.SUPPLIER, Purse.REVENUE),
        ):
            if roles & bit:
                events = self._meter.apply(
                    np.array([enrol_row(time_ns, party, number, chart.purse(number, purse))], dtype=np.int64)
                )
                _expect(events[-1, 0] & CODE_MASK == MeterEvent.ENROLLED)
                out.extend(tuple(event) for event in events.tolist())

    def _join(self, time_ns: int, number: int, out: Out) -> None:
        chart = self._books.chart
        roles, _, role, settings = self._books.participants[number]
        permissions = (Permission.FUTURES if roles & Role.FUTURES else 0) | (
            Permission.SPOT if roles & Role.SPOT else 0
        )
        first, *others = chart.grades
        said: Out = []
        cash = chart.purse(number, Purse.CASH)
        self._clearing.apply_one(
            member_row(
                time_ns, number, cash, chart.receipts(number, first), int(permissions), role, settings
            ),
            said,
        )
        for grade in others:
            self._clearing.apply_one(
                receipts_row(time_ns, number, grade, chart.receipts(number, grade)), said
            )
        _expect(all(event[0] & CODE_MASK != ClearingEvent.REFUSED for event in said))
        out.extend(said)

    def deposit(self, row: Sequence[int], out: Out) -> Answer:
        """DEPOSIT: money comes in from the world; participant 0 is the house, whose cash is its capital (§10.3)."""
        number, purse, amount = row[3:6]
        if number == HOUSE and purse == Purse.CASH:
            return self._capital(row)
        fault = self._books.seen(row) or self._fault(row, purse)
        if fault:
            return fault
        account, short = self._books.chart.purse(number, purse), self._is_short(number, purse)
        fault = self._books.transfer(row, House.WORLD, account, amount, Reason.DEPOSIT)
        return fault or self._arrived(row, VenueEvent.DEPOSITED, short, out)

    def _capital(self, row: Sequence[int]) -> Answer:
        amount = row[5]
        fault = self._books.seen(row) or (
            VenueRefusal.AMOUNT_NOT_POSITIVE if amount <= 0 else key_fault(row[2])
        )
        if fault:
            return fault
        fault = self._books.transfer(row, House.WORLD, House.CAPITAL, amount, Reason.DEPOSIT)
        return fault or VenueEvent.DEPOSITED

    def withdraw(self, row: Sequence[int], out: Out) -> Answer:
        """WITHDRAW: money goes out, but for what margin claims (§6.1)."""
        number, purse, amount = row[3:6]
        fault = self._books.seen(row) or self._fault(row, purse) or self._claimed(number, purse, amount)
        if fault:
            return fault
        account = self._books.chart.purse(number, purse)
        return (
            self._books.transfer(row, account, House.WORLD, amount, Reason.WITHDRAWAL) or VenueEvent.WITHDRAWN
        )

    def move(self, row: Sequence[int], out: Out) -> Answer:
        """MOVE: money from one purse of a participant to another."""
        number, purse, amount, to_purse = row[3:7]
        fault = (
            self._books.seen(row) or self._fault(row, purse, to_purse) or self._claimed(number, purse, amount)
        )
        if fault:
            return fault
        chart, short = self._books.chart, self._is_short(number, to_purse)
        fault = self._books.transfer(
            row, chart.purse(number, purse), chart.purse(number, to_purse), amount, Reason.MOVE
        )
        return fault or self._arrived(row, VenueEvent.MOVED, short, out)

    def bond(self, row: Sequence[int], out: Out) -> Answer:
        """BOND: a supplier puts up cash for its receipts (§9.1), but for what margin claims."""
        number, amount = row[3:5]
        fault = self._books.seen(row) or self._fault_of_bond(row) or self._claimed(number, Purse.CASH, amount)
        if fault:
            return fault
        chart = self._books.chart
        accounts = chart.purse(number, Purse.CASH), chart.purse(number, Purse.BOND)
        return self._books.transfer(row, *accounts, amount, Reason.BOND) or VenueEvent.BONDED

    def unbond(self, row: Sequence[int], out: Out) -> Answer:
        """UNBOND: it takes back what its receipts do not need."""
        number, amount = row[3:5]
        fault = self._books.seen(row) or self._fault_of_bond(row)
        if fault:
            return fault
        if not self._bonds.is_free(number, row[1], amount):
            return VenueRefusal.OVER_CAPACITY
        chart, short = self._books.chart, self._is_short(number, Purse.CASH)
        accounts = chart.purse(number, Purse.BOND), chart.purse(number, Purse.CASH)
        fault = self._books.transfer(row, *accounts, amount, Reason.BOND)
        return fault or self._arrived(row, VenueEvent.UNBONDED, short, out)

    def _fault_of_bond(self, row: Sequence[int]) -> VenueRefusal | None:
        if row[3] not in self._books.participants:
            return VenueRefusal.UNKNOWN_PARTICIPANT
        if not self._books.participants[row[3]][0] & Role.SUPPLIER:
            return VenueRefusal.NOT_PERMITTED
        return VenueRefusal.AMOUNT_NOT_POSITIVE if row[4] <= 0 else key_fault(row[2])

    def _arrived(self, row: Sequence[int], event: VenueEvent, short: bool, out: Out) -> Answer:
        """Say that money arrived; of what came to a member that was short the clearing house collects what it is owed (§10.1)."""
        out.append(words(row, event=event))
        if short:
            self._clearing.apply_one(collect_row(row[1], row[3]), out)
        return None

    def _is_short(self, number: int, purse: int) -> bool:
        """Whether money that comes into this purse is awaited by the clearing house."""
        if purse != Purse.CASH or not self._is_member(number):
            return False
        return self._clearing.owed_micro(number) > 0 or self._clearing.excess_micro(number) < 0

    def _is_member(self, number: int) -> bool:
        return self._books.participants[number][0] & TRADING != 0

    def _fault(self, row: Sequence[int], *purses: int) -> VenueRefusal | None:
        if row[3] not in self._books.participants:
            return VenueRefusal.UNKNOWN_PARTICIPANT
        if any(purse not in MONEY_PURSES for purse in purses) or len(set(purses)) < len(purses):
            return VenueRefusal.UNKNOWN_PURSE
        return VenueRefusal.AMOUNT_NOT_POSITIVE if row[5] <= 0 else key_fault(row[2])

    def _claimed(self, number: int, purse: int, amount: int) -> VenueRefusal | None:
        """Whether the clearing house needs the money that would leave the cash purse."""
        if purse != Purse.CASH or not self._is_member(number):
            return None
        return VenueRefusal.NEEDED_AS_MARGIN if self._clearing.free_micro(number) < amount else None


def _expect(holds: bool | np.bool_) -> None:
    if not holds:
        raise InvariantBroken(
            "a new participant is taken by every stage",
            "the meter or the clearing house refused its accounts",
        )
