"""The register: members, markets and positions as rows of flat integer matrices (`columns.py`), and what looks at them.

A view (`RowMember`, `RowMarket`, `RowPosition`) has the attributes that `positions.py` names, each a word of its row, so all that
is shared of the clearing house reads and writes the same memory as the compiled loops. Rows are found by number, not searched:
members by participant, positions by participant and place. The matrices double when they are full, and then change their
place; views know only their row's number, so they hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from ciyuan.basics.calendar import Calendar
from ciyuan.clearing.books import Books
from ciyuan.clearing.columns import (
    COLD_COLUMNS,
    COLD_WIDTH,
    HOT_COLUMNS,
    HOT_WIDTH,
    KNOWN,
    LADDER,
    LINE_WORDS,
    LONG_LOTS,
    LOOKS,
    MARKET_COLUMNS,
    MARKET_WIDTH,
    MEMBER_COLUMNS,
    MEMBER_TOP,
    MEMBER_WIDTH,
    POSITIONS,
    Matrix,
    Tables,
    Words,
    directory_of,
    lines,
)
from ciyuan.clearing.marking import (
    FOUND_WORDS,
    NEXT_LADDER,
    TERM_WORDS,
    gained_micro,
    look_over,
    net_lots,
    open_lots,
    reckon_market,
    suspend_all,
)
from ciyuan.clearing.messages import ClearingTerms, Fees
from ciyuan.clearing.positions import Market, Member, Position, not_open
from ciyuan.clearing.teller import LedgerBooks
from ciyuan.exchange.contract import Contract

FIRST_MEMBERS, FIRST_POSITIONS = 64, 256
"""Rows that a new register has room for."""


class Register:
    """The matrices of one clearing house. `places` is how many a member has: two a market."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        listed = sorted(contract.number for contract in contracts if not contract.is_spread)
        self.rows = {number: row for row, number in enumerate(listed)}
        self.places = 2 * len(listed)
        top = max((contract.number for contract in contracts), default=0)
        legs = np.full((top + 1, 2), -1, dtype=np.int64)
        for contract in contracts:
            near, far = (
                (contract.near, contract.far) if contract.is_spread else (contract.number, contract.number)
            )
            legs[contract.number, 0] = self.rows.get(near, -1)
            legs[contract.number, 1] = self.rows.get(far, -1) if contract.is_spread else -1
        tables = Tables(
            scalars=np.array([1, 0, 0], dtype=np.int64),
            members=lines(FIRST_MEMBERS, MEMBER_WIDTH),
            markets=lines(max(1, len(listed)), MARKET_WIDTH),
            hot=lines(FIRST_POSITIONS, HOT_WIDTH),
            cold=lines(FIRST_POSITIONS, COLD_WIDTH),
            slots=np.zeros(FIRST_MEMBERS * self.places, dtype=np.int32),
            legs=legs,
        )
        self._take(tables)

    def _take(self, tables: Tables) -> None:
        self.tables = tables
        self.directory = directory_of(tables)
        self.scalar_words = tables.scalars.data
        self.member_words = tables.members.reshape(-1).data
        self.market_words = tables.markets.reshape(-1).data
        self.hot_words = tables.hot.reshape(-1).data
        self.cold_words = tables.cold.reshape(-1).data
        self.slot_words = tables.slots.data

    @property
    def positions(self) -> int:
        """Rows of positions in use, row 0 among them."""
        return self.scalar_words[POSITIONS]

    @property
    def top(self) -> int:
        """The highest participant that is a member."""
        return self.scalar_words[MEMBER_TOP]

    def numbers(self) -> Words:
        """Participants that are members, in order."""
        return np.flatnonzero(self.tables.members[: self.top + 1, KNOWN])

    def slots_of(self, number: int) -> Sequence[int]:
        """The rows of a member's positions, by place; 0 where it has none."""
        return self.slot_words[number * self.places : (number + 1) * self.places]

    def add_member(self, number: int) -> None:
        """Make a participant a member, with all its words 0."""
        self.reserve_members(number)
        self.member_words[number * MEMBER_WIDTH + KNOWN] = 1
        self.scalar_words[MEMBER_TOP] = max(self.top, number)

    def reserve_members(self, top: int) -> None:
        """Make room for participants up to a number."""
        tables = self.tables
        room = len(tables.members)
        if top >= room:
            while room <= top:
                room *= 2
            members, slots = lines(room, MEMBER_WIDTH), np.zeros(room * self.places, dtype=np.int32)
            members[: len(tables.members)] = tables.members
            slots[: len(tables.slots)] = tables.slots
            self._take(tables._replace(members=members, slots=slots))

    def reserve(self, positions: int) -> None:
        """Make room for so many more positions."""
        tables, used = self.tables, self.positions
        room = len(tables.hot)
        if used + positions > room:
            while room < used + positions:
                room *= 2
            hot, cold = lines(room, HOT_WIDTH), lines(room, COLD_WIDTH)
            hot[:used], cold[:used] = tables.hot[:used], tables.cold[:used]
            self._take(tables._replace(hot=hot, cold=cold))

    def begin(self, number: int, place: int) -> int:
        """A new, flat position's row."""
        self.reserve(1)
        slot = self.positions
        self.scalar_words[POSITIONS] = slot + 1
        self.cold_words[slot * COLD_WIDTH], self.cold_words[slot * COLD_WIDTH + 1] = number, place
        self.slot_words[number * self.places + place] = slot
        return slot


# --- words of rows as attributes ---


class MemberWord:
    """An attribute that is a word of a member's row."""

    def __init__(self, column: int) -> None:
        self._column = column

    def __get__(self, view: "RowMember", owner: object = None) -> int:
        return view.register.member_words[view.base + self._column]

    def __set__(self, view: "RowMember", word: int) -> None:
        view.register.member_words[view.base + self._column] = word


class MarketWord:
    """An attribute that is a word of a market's row."""

    def __init__(self, column: int) -> None:
        self._column = column

    def __get__(self, view: "RowMarket", owner: object = None) -> int:
        return view.register.market_words[view.base + self._column]

    def __set__(self, view: "RowMarket", word: int) -> None:
        view.register.market_words[view.base + self._column] = word


class HotWord:
    """An attribute that is a word of a position's hot row."""

    def __init__(self, column: int) -> None:
        self._column = column

    def __get__(self, view: "RowPosition", owner: object = None) -> int:
        return view.register.hot_words[view.slot * HOT_WIDTH + self._column]

    def __set__(self, view: "RowPosition", word: int) -> None:
        view.register.hot_words[view.slot * HOT_WIDTH + self._column] = word


class LongWord(HotWord):
    """A position's long lots, which are open interest of its market."""

    def __set__(self, view: "RowPosition", word: int) -> None:
        register, at = view.register, view.slot * HOT_WIDTH + self._column
        register.market_words[view.place // 2 * MARKET_WIDTH + LONG_LOTS] += word - register.hot_words[at]
        register.hot_words[at] = word


class ColdWord:
    """An attribute that is a word of a position's cold row."""

    def __init__(self, column: int) -> None:
        self._column = column

    def __get__(self, view: "RowPosition", owner: object = None) -> int:
        return view.register.cold_words[view.slot * COLD_WIDTH + self._column]

    def __set__(self, view: "RowPosition", word: int) -> None:
        view.register.cold_words[view.slot * COLD_WIDTH + self._column] = word


class RowMarket(Market):
    """A market whose words are a row of the register."""

    __slots__ = (
        "base",
        "contract",
        "fees",
        "is_spot",
        "number",
        "register",
        "row",
        "share_bp",
        "tick_value_micro",
    )

    def __init__(self, register: Register, contract: Contract, fees: Fees, share_bp: int) -> None:
        self.register = register
        self.row = register.rows[contract.number]
        self.base = self.row * MARKET_WIDTH
        self.take_listing(contract, fees, share_bp)
        self._list()
        self.begin()

    def _list(self) -> None:
        contract, fees = self.contract, self.fees
        listed = {
            "listed_number": contract.number,
            "listed_spot": int(self.is_spot),
            "listed_tick_value": contract.tick_value_micro,
            "listed_lot_mtok": contract.lot_mtok,
            "fee_maker_lot": fees.maker_lot_micro,
            "fee_taker_lot": fees.taker_lot_micro,
            "fee_maker_ppm": fees.maker_turnover_ppm,
            "fee_taker_ppm": fees.taker_turnover_ppm,
            "fee_today_lot": fees.today_lot_micro,
            "fee_today_ppm": fees.today_turnover_ppm,
        }
        for name, value in listed.items():
            self.register.market_words[self.base + MARKET_COLUMNS.index(name)] = value


class RowMember(Member):
    """A member whose words are a row of the register."""

    __slots__ = ("base", "books", "number", "register")

    def __init__(self, books: "RegisterBooks", number: int) -> None:
        self.books, self.register = books, books.register
        self.number = number
        self.base = number * MEMBER_WIDTH

    @property
    def receipts(self) -> dict[int, int]:  # type: ignore[override]
        """Its receipts accounts by grade."""
        return self.books.receipts.setdefault(self.number, {})

    @property
    def pledged(self) -> dict[int, tuple[int, int]]:  # type: ignore[override]
        """By grade: receipts that are its collateral, and the key of their hold."""
        return self.books.pledged.setdefault(self.number, {})

    def position(self, market: Market, hedge: int = 0) -> Position:
        """The member's position in a market; a flat one is begun if there is none."""
        found = self.find(market.number, hedge)
        if found is not None:
            return found
        place = 2 * self.register.rows[market.number] + hedge
        return RowPosition(self, market, place, self.register.begin(self.number, place))

    def find(self, contract: int, hedge: int = 0) -> Position | None:
        """The member's position in a contract, if one was begun."""
        row = self.register.rows.get(contract)
        if row is None:
            return None
        place = 2 * row + hedge
        slot = self.register.slot_words[self.number * self.register.places + place]
        return RowPosition(self, self.books.markets[contract], place, slot) if slot else None

    def held(self) -> list[Position]:
        """Its positions in futures that are not flat, by contract and hedge."""
        return [found for found in self.all_positions() if not found.is_flat]

    def all_positions(self) -> list[Position]:
        """All its positions, by contract and hedge."""
        markets = self.books.markets_by_row
        return [
            RowPosition(self, markets[place // 2], place, slot)
            for place, slot in enumerate(self.register.slots_of(self.number))
            if slot
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowMember) and (self.number, self.register) == (other.number, other.register)

    def __hash__(self) -> int:
        return self.number


class RowPosition(Position):
    """A position whose words are two rows of the register."""

    __slots__ = ("hedge", "market", "member", "place", "register", "slot")

    def __init__(self, member: RowMember, market: Market, place: int, slot: int) -> None:
        self.register = member.register
        self.member, self.market = member, market
        self.hedge, self.place, self.slot = place & 1, place, slot

    def open_order(self, is_sell: bool, lots: int) -> None:
        """`lots` more are open (negative: no longer). Raises InvariantBroken for more closed than were open."""
        directory, number = self.register.directory, self.member.number
        if not open_lots(directory, number, self.slot, self.place >> 1, is_sell, lots):
            raise not_open(number, self.market.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowPosition) and (self.slot, self.register) == (other.slot, other.register)

    def __hash__(self) -> int:
        return self.slot


for _column, _name in enumerate(MEMBER_COLUMNS):
    setattr(RowMember, _name, MemberWord(_column))
for _column, _name in enumerate(MARKET_COLUMNS):
    setattr(RowMarket, _name, MarketWord(_column))
for _column, _name in enumerate(COLD_COLUMNS[2:], start=2):
    setattr(RowPosition, _name, ColdWord(_column))
for _column, _name in enumerate(HOT_COLUMNS):
    setattr(RowPosition, _name, LongWord(_column) if _name == "long" else HotWord(_column))


# --- members by number ---


class RowMembers(Mapping[int, Member]):
    """The members by participant's number; a view is made when it is asked for, and kept."""

    def __init__(self, books: "RegisterBooks") -> None:
        self._books = books
        self._views: dict[int, Member] = {}

    def __contains__(self, number: object) -> bool:
        register = self._books.register
        return (
            isinstance(number, int)
            and 0 < number <= register.top
            and register.member_words[number * MEMBER_WIDTH + KNOWN] != 0
        )

    def __getitem__(self, number: int) -> Member:
        found = self._views.get(number)
        if found is None:
            if number not in self:
                raise KeyError(number)
            found = self._views[number] = RowMember(self._books, number)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self._books.register.numbers().tolist())

    def __len__(self) -> int:
        return len(self._books.register.numbers())


class MembersInOrder(Sequence[Member]):
    """Members by number, each made when it is come to. `numbers` are theirs."""

    def __init__(self, members: Mapping[int, Member], numbers: Words) -> None:
        self._members, self.numbers = members, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Member]:
        return map(self._members.__getitem__, self.numbers.tolist())

    @overload
    def __getitem__(self, place: int) -> Member: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Member]: ...
    def __getitem__(self, place: int | slice) -> Member | Sequence[Member]:
        if isinstance(place, slice):
            return MembersInOrder(self._members, self.numbers[place])
        return self._members[int(self.numbers[place])]


def _numbers_of(members: Sequence[Member]) -> Words:
    return np.array([member.number for member in members], dtype=np.int64)


# --- the books ---


class RegisterBooks(Books):
    """Books over a register. `receipts` and `pledged` are the members' by number, `markets_by_row` the register's markets."""

    def __init__(
        self, ledger: LedgerBooks, contracts: Iterable[Contract], calendar: Calendar, terms: ClearingTerms
    ) -> None:
        listed = tuple(contracts)
        self.register = Register(listed)
        self.receipts: dict[int, dict[int, int]] = {}
        self.pledged: dict[int, dict[int, tuple[int, int]]] = {}
        super().__init__(ledger, listed, calendar, terms)
        self.members = RowMembers(self)
        self.markets_by_row = self.markets_in_order()
        self._one_pass = False

    def new_market(self, contract: Contract, fees: Fees) -> Market:
        """A market of a contract, as listed."""
        return RowMarket(self.register, contract, fees, self.terms.limit_share_bp)

    def new_member(self, number: int) -> Member:
        """A new member, with nothing yet."""
        self.register.add_member(number)
        return self.members[number]

    def members_in_order(self) -> Sequence[Member]:
        """All members by number."""
        return self.members_at(self.register.numbers())

    def members_at(self, numbers: Words) -> Sequence[Member]:
        """The members of these numbers."""
        return MembersInOrder(self.members, numbers)

    def members_with_pledges(self) -> Sequence[Member]:
        """The members that have pledged receipts, by number."""
        return [self.members[number] for number, pledged in sorted(self.pledged.items()) if pledged]

    def members_looked_at(self) -> Sequence[Member]:
        """The members whose quotes were looked at since the last settlement, by number."""
        register = self.register
        return self.members_at(np.flatnonzero(register.tables.members[: register.top + 1, LOOKS]))

    def positions_of(self, market: Market) -> list[Position]:
        """All positions in a market, by member and hedge."""
        register, first = self.register, 2 * self.register.rows[market.number]
        slots = register.tables.slots.reshape(-1, register.places)[: register.top + 1, first : first + 2]
        numbers, hedges = np.nonzero(slots)
        found = zip(numbers.tolist(), hedges.tolist(), slots[numbers, hedges].tolist(), strict=True)
        return [self._position(number, first + hedge, slot) for number, hedge, slot in found]

    def all_positions(self) -> list[Position]:
        """All positions, by member, contract and hedge."""
        register = self.register
        slots = register.tables.slots.reshape(-1, register.places)[: register.top + 1]
        numbers, places = np.nonzero(slots)
        found = zip(numbers.tolist(), places.tolist(), slots[numbers, places].tolist(), strict=True)
        return [self._position(number, place, slot) for number, place, slot in found]

    def _position(self, number: int, place: int, slot: int) -> Position:
        member = self.members[number]
        assert isinstance(member, RowMember)  # noqa: S101 - these books make no others
        return RowPosition(member, self.markets_by_row[place // 2], place, slot)

    # --- what is worked out over many rows ---

    def open_interest(self, market: Market) -> int:
        """Long lots of a contract, which are also the short ones."""
        return self.register.market_words[self.register.rows[market.number] * MARKET_WIDTH + LONG_LOTS]

    def running_loss_micro(self, member: Member) -> int:
        """min(0, variation since the last settlement, marked at the last trades), in micro-units."""
        return min(0, gained_micro(self.register.directory, self.register.places, member.number))

    def reckon_all(self, market: Market) -> None:
        """Reckon every charge in a market anew; with a new margin day, all markets' together."""
        if not self._one_pass:
            reckon_market(self.register.directory, self.register.places, self.register.rows[market.number])

    def set_margin_day(self, day: int) -> None:
        """Take the ladder's step, the limits and the present prices as the terms of `day`, in every market."""
        self.take_terms(day)
        self.reckon_every()

    def take_terms(self, day: int) -> None:
        """The same, but for the charges."""
        self._one_pass = True
        super().set_margin_day(day)
        self._one_pass = False

    def net_lots(self, members: Sequence[Member], contracts: Sequence[int]) -> Matrix:
        """(members, contracts): net lots, speculative and hedging together."""
        numbers = members.numbers if isinstance(members, MembersInOrder) else _numbers_of(members)
        lots = np.zeros((len(numbers), len(contracts)), dtype=np.int64)
        columns = np.full(len(self.markets_by_row), -1, dtype=np.int64)
        for column, contract in enumerate(contracts):
            columns[self.register.rows[contract]] = column
        net_lots(self.register.directory, self.register.places, numbers, columns, lots)
        return lots

    def suspend_offsets(self, market: Market | None = None) -> None:
        """Ask the whole ladder again of who has positions, in one market or any, until scenario margin is worked out anew."""
        row = -1 if market is None else self.register.rows[market.number]
        suspend_all(self.register.directory, self.register.places, row)

    def reckon_every(self) -> None:
        """Reckon every charge anew."""
        register, found = self.register, np.zeros((self.register.top + 1, FOUND_WORDS), dtype=np.int64)
        no_events = np.empty((0, LINE_WORDS), dtype=np.int64)
        look_over(register.directory, register.places, self.terms_now(), 0, found, False, no_events, 0, 0)
        register.tables.members[: register.top + 1, LADDER] = found[:, NEXT_LADDER]

    def terms_on(self, day: int) -> Matrix:
        """`terms_now` as they will be on a day that is not taken yet."""
        kept, margin_day = self.register.tables.markets.copy(), self.margin_day
        self.take_terms(day)
        terms = self.terms_now()
        self.register.tables.markets[:], self.margin_day = kept, margin_day
        return terms

    def terms_now(self) -> Matrix:
        """(markets, 8): what a look at all positions needs of each (`marking.look_over`)."""
        terms = np.zeros((len(self.markets_by_row), TERM_WORDS), dtype=np.int64)
        for row, market in enumerate(self.markets_by_row):
            interest = self.open_interest(market)
            limits = market.limit_of(False, interest), market.limit_of(True, interest)
            terms[row] = (
                market.settle_ticks, market.mark_ticks, market.tick_value_micro, market.margin_lot_micro, market.fee_lot_micro,
                *limits, int(market.is_spot),
            )  # fmt: skip
        return terms
