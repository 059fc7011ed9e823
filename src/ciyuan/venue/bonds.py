"""An issuer's bond (§9.1): what stands behind its receipts beside its proved capacity.

| what | is |
|---|---|
| bond needed | of each grade: receipts x price x `bond_bp` / 10,000, rounded up; over all grades |
| receipts | those issued for the months that have not lapsed, whether redeemed or not |
| price | the last fixing of the grade's standard token, at most 31 days old; else the initial price of its first contract |

It is asked when receipts are issued or taken over, and when bond is taken back; a price that rises asks for no more.
"""

from collections.abc import Mapping

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.money import div_ceil
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.index.machine import Index
from ciyuan.index.messages import Leg
from ciyuan.venue.books import Books
from ciyuan.venue.messages import Purse

BP = 10_000
FIXING_DAYS = 31
"""How many days before the present one a fixing may be of."""
PRICED = frozenset({ContractKind.SPOT, ContractKind.CASH_FUTURE, ContractKind.PHYSICAL_FUTURE})
"""Contracts whose price is one of tokens."""


class Bonds:
    """Says what bond is needed."""

    def __init__(
        self, books: Books, contracts: Mapping[int, Contract], calendar: Calendar, index: Index, bond_bp: int
    ) -> None:
        self._books, self._calendar, self._index = books, calendar, index
        self._bond_bp = bond_bp
        self._initial_micro: dict[int, int] = {}
        for _, contract in sorted(contracts.items()):
            if contract.kind in PRICED:
                price = contract.initial_price_ticks * contract.tick_micro
                self._initial_micro.setdefault(contract.grade, price)

    def price_micro(self, grade: int, time_ns: int) -> int:
        """What a receipt of a grade is worth, in micro-units; 0 if nothing says so."""
        day = self._calendar.day_of(time_ns)
        for before in range(FIXING_DAYS + 1):
            fixing = self._index.fixing(grade, day - before, Leg.STANDARD)
            if fixing is not None and fixing.value_micro is not None:
                return fixing.value_micro
        return self._initial_micro.get(grade, 0)

    def needed_micro(self, number: int, time_ns: int, grade: int = 0, more: int = 0) -> int:
        """The bond that an issuer needs, with `more` receipts of a grade than it has issued."""
        if not self._bond_bp:
            return 0
        receipts = {grade: more} if more else {}
        for (issuer, of, month), (_, issued, _) in self._books.capacity.items():
            if issuer == number and (of, month) not in self._books.lapsed:
                receipts[of] = receipts.get(of, 0) + issued
        return sum(
            div_ceil(count * self.price_micro(of, time_ns) * self._bond_bp, BP)
            for of, count in receipts.items()
        )

    def held_micro(self, number: int) -> int:
        """The bond that an issuer has put up."""
        return self._books.ledger.posted(self._books.chart.purse(number, Purse.BOND))

    def covers(self, number: int, time_ns: int, grade: int, more: int) -> bool:
        """Whether an issuer's bond is enough for `more` receipts of a grade."""
        return self.held_micro(number) >= self.needed_micro(number, time_ns, grade, more)

    def is_free(self, number: int, time_ns: int, amount: int) -> bool:
        """Whether so much of an issuer's bond is needed for nothing."""
        needed = self.needed_micro(number, time_ns)
        return not needed or self.held_micro(number) - amount >= needed
