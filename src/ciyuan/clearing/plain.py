"""The clearing house in plain Python: members, markets and positions as objects, each fill and each settlement line
by line.

`PlainClearingHouse` is the same machine as `ciyuan.clearing.machine.ClearingHouse`, without its matrices and compiled
loops; tests compare the two, events and state hash, after every command. Here is only where the words are kept; what
they mean is in `positions.py`, what a day's settlement does in `settlement.py`, what an exchange's event does in
`orders.py`.
"""

from collections.abc import Iterable, Sequence

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.books import Books
from ciyuan.clearing.house import House
from ciyuan.clearing.messages import ClearingTerms, Fees
from ciyuan.clearing.orders import Orders
from ciyuan.clearing.positions import (
    MARKET_WORDS,
    MEMBER_WORDS,
    POSITION_WORDS,
    Market,
    Member,
    Position,
)
from ciyuan.clearing.scenario_margin import plain_scenario_margin_micro
from ciyuan.clearing.settlement import Settlement
from ciyuan.clearing.teller import LedgerBooks
from ciyuan.exchange.contract import Contract


class PlainMarket(Market):
    """A market whose words are attributes."""

    __slots__ = (
        *MARKET_WORDS, "contract", "fees", "is_spot", "number", "share_bp", "tick_value_micro",
    )  # fmt: skip

    def __init__(self, contract: Contract, fees: Fees, share_bp: int) -> None:
        for name in MARKET_WORDS:
            setattr(self, name, 0)
        self.take_listing(contract, fees, share_bp)
        self.begin()


class PlainPosition(Position):
    """A position whose words are attributes."""

    __slots__ = (*POSITION_WORDS, "charge_micro", "hedge", "market", "member")

    def __init__(self, member: Member, market: Market, hedge: int) -> None:
        for name in (*POSITION_WORDS, "charge_micro"):
            setattr(self, name, 0)
        self.member, self.market, self.hedge = member, market, hedge


class PlainMember(Member):
    """A member whose words are attributes."""

    __slots__ = (
        *MEMBER_WORDS,
        "ladder_micro",
        "number",
        "pledged",
        "positions",
        "receipts",
        "reserved_micro",
    )

    def __init__(self, number: int) -> None:
        for name in (*MEMBER_WORDS, "ladder_micro", "reserved_micro"):
            setattr(self, name, 0)
        self.number = number
        self.receipts, self.pledged = {}, {}
        self.positions: dict[tuple[int, int], Position] = {}

    def position(self, market: Market, hedge: int = 0) -> Position:
        """The member's position in a market; a flat one is begun if there is none."""
        found = self.positions.get((market.number, hedge))
        if found is None:
            found = self.positions[market.number, hedge] = PlainPosition(self, market, hedge)
        return found

    def find(self, contract: int, hedge: int = 0) -> Position | None:
        """The member's position in a contract, if one was begun."""
        return self.positions.get((contract, hedge))

    def held(self) -> list[Position]:
        """Its positions in futures that are not flat, by contract and hedge."""
        return [found for _, found in sorted(self.positions.items()) if not found.is_flat]

    def all_positions(self) -> list[Position]:
        """All its positions, by contract and hedge."""
        return [found for _, found in sorted(self.positions.items())]


class PlainBooks(Books):
    """Books over plain objects."""

    members: dict[int, Member]

    def new_market(self, contract: Contract, fees: Fees) -> Market:
        """A market of a contract, as listed."""
        return PlainMarket(contract, fees, self.terms.limit_share_bp)

    def new_member(self, number: int) -> Member:
        """A new member, with nothing yet."""
        self.members[number] = member = PlainMember(number)
        return member

    def members_in_order(self) -> list[Member]:
        """All members by number."""
        return [self.members[number] for number in sorted(self.members)]

    def positions_of(self, market: Market) -> list[Position]:
        """All positions in a market, by member and hedge."""
        return [
            found
            for member in self.members_in_order()
            for hedge in (0, 1)
            if (found := member.find(market.number, hedge)) is not None
        ]

    def reckon_all(self, market: Market) -> None:
        """Reckon every charge in a market anew."""
        for position in self.positions_of(market):
            position.reckon()

    def scenario_margins(self, members: Sequence[Member]) -> list[int]:
        """The scenario margin of these members' positions, one by one, scenario by scenario."""
        if self.model is None:
            raise InvariantBroken("scenario margin stands on a model", "none is in force")
        lots: list[list[int]] = self.net_lots(members, self.model_contracts).tolist()
        return [plain_scenario_margin_micro(of_one, self.model) for of_one in lots]

    def all_positions(self) -> list[Position]:
        """All positions, by member, contract and hedge."""
        held: list[Position] = []
        for member in self.members_in_order():
            assert isinstance(member, PlainMember)  # noqa: S101 - these books make no others
            held += member.all_positions()
        return held


class PlainClearingHouse(House):
    """The clearing house of plain objects; see `House` for what it is told and can be asked."""

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        super().__init__(PlainBooks(ledger, contracts, calendar, terms))

    def _parts(self, books: Books) -> tuple[Orders, Settlement]:
        return Orders(books), Settlement(books)

    def _empty_books(self) -> Books:
        old = self._books
        return PlainBooks(old.teller.ledger, old.contracts, old.calendar, old.terms)
