"""A venue's terms: what it is built from. Its digest is the journal's genesis: another venue cannot replay it."""

from dataclasses import dataclass, field
from hashlib import blake2b

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.grade import Grade
from ciyuan.clearing.messages import ClearingTerms, HouseAccounts
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.room import Room
from ciyuan.index.messages import IndexTerms
from ciyuan.venue.accounts import ChartOfAccounts, House


@dataclass(frozen=True, slots=True)
class VenueTerms:
    """Calendar, grades, contracts, the stages' own terms, and the room that the exchange is built with. `bond_bp` is the bond
    that an issuer needs, in basis points of the value of its receipts (§9.1); 0: none.
    """

    calendar: Calendar
    grades: tuple[Grade, ...]
    contracts: tuple[Contract, ...]
    clearing: ClearingTerms
    index: IndexTerms
    room: Room = field(default_factory=Room)
    bond_bp: int = 0

    @property
    def chart(self) -> ChartOfAccounts:
        """The chart of accounts that follows from the grades."""
        return ChartOfAccounts(tuple(grade.number for grade in self.grades))

    def digest(self) -> str:
        """32 hexadecimal characters over every value of the terms."""
        # A set's own order is no part of its value.
        calendar = (self.calendar.utc_offset_ns, sorted(self.calendar.holidays))
        values = (calendar, self.grades, self.contracts, self.clearing, self.index, self.room, self.bond_bp)
        return blake2b(repr(values).encode(), digest_size=16).hexdigest()


def house_accounts(grades: tuple[Grade, ...]) -> HouseAccounts:
    """The clearing house's ledger accounts in a venue with these grades."""
    chart = ChartOfAccounts(tuple(grade.number for grade in grades))
    spot = tuple((grade.number, chart.spot_receipts(grade.number)) for grade in grades)
    return HouseAccounts(
        int(House.VARIATION),
        int(House.SPOT_MONEY),
        int(House.FEES),
        int(House.CAPITAL),
        int(House.RECEIVABLES),
        int(House.DEFAULT_FUND),
        spot,
    )
