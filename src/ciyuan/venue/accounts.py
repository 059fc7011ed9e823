"""The chart of accounts: which ledger account belongs to whom.

The house's accounts come first, in a fixed order, then each participant's purses in the order of participation. Numbers are a
function of the terms and the participant's number, so nothing needs to be looked up or stored.

| account | asset | may be overdrawn |
|---|---|---|
| world | money | yes: the mirror of all money that came in |
| variation, spot money, fees, capital | money | no |
| receivables | money | yes: what members owe the house, and what no layer has covered |
| default fund | money | no |
| issuance, per grade | receipts | yes: the mirror of all receipts in being |
| spot receipts, per grade | receipts | no |
| tokens, per grade | standard tokens | yes: the mirror of all standard tokens in being |

A receipt that is redeemed becomes a million standard tokens of its grade, which the gateway's meter takes from the holder for
what is served, by the grade's conversion vector. To the meter a holder and an issuer are parties apart from those that pay, and
are paid, in money, because a party has one account:

| party of the meter | number | most |
|---|---|---|
| customer that pays in money | participant | 2^24 - 1 |
| customer that pays in the tokens of a grade | 2^24 x (1 + place of the grade) + participant | 2^31 - 1: 127 grades |
| supplier that is paid in money | participant | 2^15 - 1 |
| supplier that is paid in the tokens of a grade | 2^15 + place x (2^15 / grades, rounded down) + participant - 1 | 2^16 - 1 |

So the issuers of a venue of two grades are numbered 16,384 at most.
"""

from dataclasses import dataclass
from enum import IntEnum

from ciyuan.venue.messages import Purse

MONEY = 1
"""Asset number of the venue's currency, in micro-units."""
RECEIPTS_ASSET = 100
"""Asset number of a grade's receipts is this plus the grade's number."""
STANDARD_TOKENS_ASSET = 100_000
"""Asset number of a grade's standard tokens is this plus the grade's number; grades are numbered 65,535 at most."""
HOUSE_MONEY_ACCOUNTS = 7
GRADE_ACCOUNTS = 3
"""The house's accounts of each grade."""
MONEY_PURSES = 4
GRADE_ASSETS = (RECEIPTS_ASSET, STANDARD_TOKENS_ASSET, STANDARD_TOKENS_ASSET)
"""What a participant has of each grade: receipts, standard tokens, standard tokens that it served."""
CUSTOMERS_MAX = 2**24 - 1
"""The largest participant's number of a customer or holder."""
SUPPLIERS_MAX = 2**15 - 1
"""The largest participant's number of a supplier."""


class House(IntEnum):
    """The house's money accounts; the ledger's account numbers."""

    WORLD = 1
    VARIATION = 2
    SPOT_MONEY = 3
    FEES = 4
    CAPITAL = 5
    RECEIVABLES = 6
    DEFAULT_FUND = 7


@dataclass(frozen=True, slots=True)
class ChartOfAccounts:
    """Account numbers as a function of grades (in the order of the terms) and participants (1, 2, 3 ...)."""

    grades: tuple[int, ...]

    def issuance(self, grade: int) -> int:
        """The account that receipts of a grade come from and lapse into."""
        return HOUSE_MONEY_ACCOUNTS + 1 + GRADE_ACCOUNTS * self.grades.index(grade)

    def spot_receipts(self, grade: int) -> int:
        """The house's receipts account in a spot trade of a grade."""
        return self.issuance(grade) + 1

    def tokens(self, grade: int) -> int:
        """The account that a grade's standard tokens come from, and go to when they are burned or lapse."""
        return self.issuance(grade) + 2

    @property
    def purses(self) -> int:
        """Accounts of one participant."""
        return MONEY_PURSES + len(GRADE_ASSETS) * len(self.grades)

    @property
    def house_accounts(self) -> int:
        """Accounts of the house."""
        return HOUSE_MONEY_ACCOUNTS + GRADE_ACCOUNTS * len(self.grades)

    def purse(self, participant: int, purse: int) -> int:
        """The ledger account of a participant's purse."""
        return self.house_accounts + (participant - 1) * self.purses + purse + 1

    def receipts(self, participant: int, grade: int) -> int:
        """The ledger account of a participant's receipts of a grade."""
        return self.purse(participant, Purse.RECEIPTS + self.grades.index(grade))

    def standard_tokens(self, participant: int, grade: int) -> int:
        """The ledger account of the standard tokens that a participant may ask to be served."""
        return self.receipts(participant, grade) + len(self.grades)

    def served(self, participant: int, grade: int) -> int:
        """The ledger account of the standard tokens that a participant has served as an issuer, in the running month."""
        return self.receipts(participant, grade) + 2 * len(self.grades)

    def asset_of_purse(self, purse: int) -> int:
        """The asset that a purse holds."""
        if purse < MONEY_PURSES:
            return MONEY
        group, place = divmod(purse - MONEY_PURSES, len(self.grades))
        return GRADE_ASSETS[group] + self.grades[place]

    # --- the meter's parties ---

    @property
    def issuers_max(self) -> int:
        """The largest participant's number of an issuer whose receipts can be redeemed."""
        return (SUPPLIERS_MAX + 1) // len(self.grades)

    def holder(self, participant: int, grade: int) -> int:
        """The meter's number of the customer that pays in a grade's standard tokens."""
        return (CUSTOMERS_MAX + 1) * (1 + self.grades.index(grade)) + participant

    def issuer(self, participant: int, grade: int) -> int:
        """The meter's number of the supplier that is paid in a grade's standard tokens."""
        return SUPPLIERS_MAX + self.grades.index(grade) * self.issuers_max + participant
