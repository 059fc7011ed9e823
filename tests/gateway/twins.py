"""Both meters over both ledgers, told the same and compared after every command."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.rows import KIND, Row, code_of
from ciyuan.gateway import MeterEvent, MeterRefusal, PartyRole, enrol_row, parties_word, prices_row
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.plain import PlainMeter
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import AccountFlag, open_row, transfer_row
from ciyuan.ledger.plain import PlainLedger

WORLD, ADA, BOB, EVE, NORTH, SOUTH, EURO, OPEN_ENDED = range(1, 9)
"""Ledger accounts of `a_market`: the world, three customers, two suppliers, one of another asset, one that may be overdrawn."""
USD, EUR = 1, 2
PRICE_IN, PRICE_CACHED, PRICE_OUT = 950_000, 160_000, 4_000_000
"""0.95, 0.16 and 4.00 USD per MTok."""
BEGINNING = 0


def matrix(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.array(rows, dtype=np.int64).reshape(-1, 8)


def listed(rows: NDArray[np.int64]) -> list[list[int]]:
    """Rows as plain integers."""
    plain: list[list[int]] = rows.tolist()
    return plain


def code(event: Sequence[int]) -> MeterEvent:
    return MeterEvent(code_of(event[KIND]))


def refusal(event: Sequence[int]) -> MeterRefusal | None:
    """The refusal that an event is, None for any other event."""
    return MeterRefusal(event[7]) if code(event) == MeterEvent.REFUSED else None


class Twins:
    """A plain meter over a plain ledger and the kernel's over the kernel's."""

    def __init__(self) -> None:
        self.plain = PlainMeter(PlainLedger())
        self.fast = Meter(Ledger())

    def ledger(self, *rows: Sequence[int]) -> list[list[int]]:
        """Put rows to both ledgers."""
        said, same = self.plain.ledger.apply(matrix(rows)), self.fast.ledger.apply(matrix(rows))
        assert np.array_equal(said, same)
        self.check_same()
        return listed(said)

    def say(self, *rows: Sequence[int]) -> list[list[int]]:
        """Put rows to both meters as one batch; returns the events."""
        said, same = self.plain.apply(matrix(rows)), self.fast.apply(matrix(rows))
        assert said.tolist() == same.tolist()
        self.check_same()
        return listed(said)

    def one(self, row: Sequence[int]) -> list[int]:
        """Put one row to both meters; returns its answer, which is the last event."""
        return self.say(row)[-1]

    def refused(self, row: Sequence[int]) -> MeterRefusal | None:
        """Put one row; returns its refusal. A refusal moves no money and changes nothing but the clock and what was due."""
        answer = self.one(row)
        if code(answer) == MeterEvent.REFUSED:
            assert answer[1:7] == list(row[1:7])
        return refusal(answer)

    def check_same(self) -> None:
        """Raise if the twins' states differ, or the books do not balance."""
        assert self.plain.state_hash() == self.fast.state_hash()
        assert self.plain_ledger.state_hash() == self.fast.ledger.state_hash()
        self.plain_ledger.check()

    @property
    def plain_ledger(self) -> PlainLedger:
        assert isinstance(self.plain.ledger, PlainLedger)
        return self.plain.ledger

    def available(self, account: int) -> int:
        return self.fast.ledger.available(account)

    def posted(self, account: int) -> int:
        return self.fast.ledger.posted(account)


def a_market(balance_micro: int = 10**9) -> Twins:
    """Three customers with money, two suppliers, one price list each of grade 1; time 0."""
    twins = Twins()
    guarded = AccountFlag.NO_OVERDRAFT
    flags = {ADA: guarded, BOB: guarded, EVE: guarded, EURO: guarded}
    opened = [
        open_row(0, number, EUR if number == EURO else USD, flags.get(number, 0)) for number in range(1, 9)
    ]
    money = [
        transfer_row(0, 2**61 + account, WORLD, account, balance_micro)
        for account in (ADA, BOB, EVE)
        if balance_micro
    ]
    twins.ledger(*opened, *money)
    customers = [
        enrol_row(0, PartyRole.CUSTOMER, number, account)
        for number, account in ((1, ADA), (2, BOB), (3, EVE))
    ]
    suppliers = [
        enrol_row(0, PartyRole.SUPPLIER, number, account) for number, account in ((1, NORTH), (2, SOUTH))
    ]
    twins.say(*customers, *suppliers, list_row(0, 1), list_row(0, 2))
    return twins


def list_row(
    time_ns: int, supplier: int, valid_from_ns: int = BEGINNING, grade: int = 1, **prices: int
) -> Row:
    """A PRICES row at the usual prices, but for those given."""
    usual = {"price_in": PRICE_IN, "price_cached": PRICE_CACHED, "price_out": PRICE_OUT}
    return prices_row(time_ns, supplier, grade, valid_from_ns=valid_from_ns, **(usual | prices))


def who(customer: int = 1, supplier: int = 1, grade: int = 1) -> int:
    return parties_word(customer, supplier, grade)
