"""The chart of accounts: which ledger account belongs to whom.

The house's accounts come first, in a fixed order, then each participant's purses in the order of participation. Numbers are a
function of the terms and the participant's number, so nothing needs to be looked up or stored.

| account | asset | may be overdrawn |
|---|---|---|
| world | money | yes: the mirror of all money that came in |
| variation, spot money, fees, capital | money | no |
| receivables | money | yes: what members owe the house after a settlement they could not pay |
| issuance, per grade | receipts | yes: the mirror of all receipts in being |
| spot receipts, per grade | receipts | no |
"""

from dataclasses import dataclass
from enum import IntEnum

from ciyuan.venue.messages import Purse

MONEY = 1
"""Asset number of the venue's currency, in micro-units."""
RECEIPTS_ASSET = 100
"""Asset number of a grade's receipts is this plus the grade's number."""
HOUSE_MONEY_ACCOUNTS = 6
MONEY_PURSES = 3


class House(IntEnum):
    """The house's money accounts; the ledger's account numbers."""

    WORLD = 1
    VARIATION = 2
    SPOT_MONEY = 3
    FEES = 4
    CAPITAL = 5
    RECEIVABLES = 6


@dataclass(frozen=True, slots=True)
class ChartOfAccounts:
    """Account numbers as a function of grades (in the order of the terms) and participants (1, 2, 3 ...)."""

    grades: tuple[int, ...]

    def issuance(self, grade: int) -> int:
        """The account that receipts of a grade come from and lapse into."""
        return HOUSE_MONEY_ACCOUNTS + 1 + 2 * self.grades.index(grade)

    def spot_receipts(self, grade: int) -> int:
        """The house's receipts account in a spot trade of a grade."""
        return self.issuance(grade) + 1

    @property
    def purses(self) -> int:
        """Accounts of one participant."""
        return MONEY_PURSES + len(self.grades)

    @property
    def house_accounts(self) -> int:
        """Accounts of the house."""
        return HOUSE_MONEY_ACCOUNTS + 2 * len(self.grades)

    def purse(self, participant: int, purse: int) -> int:
        """The ledger account of a participant's purse."""
        return self.house_accounts + (participant - 1) * self.purses + purse + 1

    def receipts(self, participant: int, grade: int) -> int:
        """The ledger account of a participant's receipts of a grade."""
        return self.purse(participant, Purse.RECEIPTS + self.grades.index(grade))

    def asset_of_purse(self, purse: int) -> int:
        """The asset that a purse holds."""
        return MONEY if purse < MONEY_PURSES else RECEIPTS_ASSET + self.grades[purse - MONEY_PURSES]
