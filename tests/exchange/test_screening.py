"""Every refusal of an order is reached, and of any two at once the one declared first is given (§3.5)."""

from collections.abc import Callable
from itertools import combinations

import pytest

from ciyuan.basics.rows import Row, kind_word
from ciyuan.exchange import (
    ExchangeCommand,
    OrderFlag,
    Refusal,
    SessionState,
    Side,
    cancel_row,
    close_day_row,
    mass_cancel_row,
    order_row,
    session_row,
)
from ciyuan.exchange.machine import Exchange
from tests.exchange.flows import FIRST_DAY, contract

ACCOUNT, USED, ORDER_ID, NUMBER = 1, 4, 7, 1


class Answers:
    """An admission that gives the answers it was told to."""

    def __init__(self) -> None:
        self.first: Refusal | None = None
        self.last: Refusal | None = None

    def permitted(self, account: int, contract_number: int) -> Refusal | None:
        return self.first

    def admit(
        self, time_ns: int, account: int, contract_number: int, is_sell: bool, price_ticks: int, lots: int
    ) -> Refusal | None:
        return self.last


class Desk:
    """An order that is good, on an exchange that takes it; each fault spoils one thing.

    The account's order 4, a FAK of 5 lots at 100 with a least quantity of 2, is on record from today; id 3 is of a past day.
    """

    def __init__(self) -> None:
        self.answers = Answers()
        self.exchange = Exchange([contract(1), contract(2)], self.answers)
        self.now = 0
        self.say(session_row(0, 0, SessionState.CONTINUOUS, FIRST_DAY))
        self.say(order_row(0, ACCOUNT, 3, NUMBER, Side.BUY, 100, 5))
        for state in (SessionState.CLOSING, SessionState.SETTLEMENT):
            self.say(session_row(0, NUMBER, state, FIRST_DAY))
        self.say(close_day_row(0, NUMBER, FIRST_DAY))
        self.say(session_row(0, NUMBER, SessionState.CLOSED, FIRST_DAY))
        self.state = SessionState.CONTINUOUS
        self.say(session_row(0, NUMBER, SessionState.CONTINUOUS, FIRST_DAY + 1))
        self.say(order_row(5, ACCOUNT, USED, NUMBER, Side.BUY, 100, 5, kind=OrderFlag.FAK, min_lots=2))
        self.flags, self.words = int(OrderFlag.FAK), [ACCOUNT, ORDER_ID, NUMBER, 100, 5, 2]
        self.code, self.time_ns = int(ExchangeCommand.ORDER), 5

    def say(self, row: Row) -> list[Row]:
        out: list[Row] = []
        self.exchange.apply_one(row, out)
        return out

    def answer(self) -> Refusal | None:
        """Why the order is refused."""
        if self.state != SessionState.CONTINUOUS:
            self.say(session_row(5, NUMBER, self.state, FIRST_DAY + 1))
        a, b, c, d, e, f = self.words
        before = self.exchange.state_hash()
        (event, *more) = self.say((kind_word(self.code, self.flags), self.time_ns, a, b, c, d, e, f))
        refused = event[0] & 0xFFFF == 354
        assert refused == (self.exchange.state_hash() == before)
        assert not (refused and more)
        return Refusal(event[7]) if refused else None


def word(place: int, value: int) -> Callable[[Desk], None]:
    """Spoil one of the order's words: 0 account, 1 id, 2 contract, 3 price, 4 lots, 5 least lots."""
    return lambda desk: desk.words.__setitem__(place, value)


def flags(value: int) -> Callable[[Desk], None]:
    return lambda desk: setattr(desk, "flags", value)


def known(then: Callable[[Desk], None]) -> Callable[[Desk], None]:
    """The order has the id of the one on record, and differs from it in one thing."""

    def spoil(desk: Desk) -> None:
        desk.words[1] = USED
        then(desk)

    return spoil


def both(*faults: Callable[[Desk], None]) -> Callable[[Desk], None]:
    def spoil(desk: Desk) -> None:
        for fault in faults:
            fault(desk)

    return spoil


def state(value: SessionState) -> Callable[[Desk], None]:
    return lambda desk: setattr(desk, "state", value)


def says(name: str, refusal: Refusal) -> Callable[[Desk], None]:
    return lambda desk: setattr(desk.answers, name, refusal)


R = Refusal
FAULTS: dict[Refusal, tuple[str, Callable[[Desk], None]]] = {
    R.UNKNOWN_COMMAND: ("code", lambda desk: setattr(desk, "code", 399)),
    R.TIME_BACKWARDS: ("time", lambda desk: setattr(desk, "time_ns", 4)),
    R.UNKNOWN_ACCOUNT: ("first", says("first", R.UNKNOWN_ACCOUNT)),
    R.NOT_PERMITTED: ("first", says("first", R.NOT_PERMITTED)),
    R.UNKNOWN_CONTRACT: ("contract", word(2, 77)),
    R.WRONG_STATE: ("state", state(SessionState.BREAK)),
    R.TYPE_NOT_IN_STATE: ("state type", state(SessionState.AUCTION_ENTRY)),
    R.TYPE_UNKNOWN: ("type least", both(flags(OrderFlag.FAK | OrderFlag.FOK), word(5, 0))),
    R.ORDER_ID_NOT_POSITIVE: ("id", word(1, 0)),
    R.PRICE_NOT_POSITIVE: ("price", word(3, 0)),
    R.PRICE_ON_MARKET_ORDER: ("price type least", both(flags(OrderFlag.MARKET), word(5, 0))),
    R.LOTS_NOT_POSITIVE: ("lots least", both(word(4, 0), word(5, 0))),
    R.MIN_LOTS_NOT_ALLOWED: ("least", word(5, -1)),
    R.LOTS_OVER_MAXIMUM: ("lots", word(4, 9)),
    R.PRICE_LIMIT: ("price", word(3, 200)),
    R.ID_OF_PAST_DAY: ("id", word(1, 3)),
    R.ID_USED_WITH_OTHER_SIDE: ("id side", known(flags(OrderFlag.FAK | OrderFlag.SIDE_SELL))),
    R.ID_USED_WITH_OTHER_TYPE: ("id type least", known(both(flags(OrderFlag.LIMIT), word(5, 0)))),
    R.ID_USED_WITH_OTHER_CONTRACT: ("id contract state", known(word(2, 2))),
    R.ID_USED_WITH_OTHER_PRICE: ("id price", known(word(3, 101))),
    R.ID_USED_WITH_OTHER_LOTS: ("id lots", known(word(4, 6))),
    R.ID_USED_WITH_OTHER_MIN_LOTS: ("id least", known(word(5, 1))),
    R.POSITION_LIMIT: ("last", says("last", R.POSITION_LIMIT)),
    R.ORDER_RATE: ("last", says("last", R.ORDER_RATE)),
    R.MARGIN: ("last", says("last", R.MARGIN)),
}
"""What each refusal of an order comes from, and what of the order that spoils."""

OF_OTHER_COMMANDS: dict[Refusal, Row] = {
    R.UNUSED_WORD_NOT_ZERO: (int(ExchangeCommand.CANCEL), 5, ACCOUNT, USED, 1, 0, 0, 0),
    R.UNKNOWN_ORDER: cancel_row(5, ACCOUNT, 99),
    R.ORDER_NOT_OPEN: cancel_row(5, ACCOUNT, USED),
    R.UNKNOWN_STATE: (int(ExchangeCommand.SESSION), 5, NUMBER, 9, FIRST_DAY + 1, 0, 0, 0),
    R.WRONG_DAY: session_row(5, NUMBER, SessionState.BREAK, FIRST_DAY + 2),
    R.DAY_NOT_CLOSED: session_row(5, NUMBER, SessionState.CLOSED, FIRST_DAY + 1),
}
"""A command for each refusal that no order meets."""


def independent(one: Refusal, other: Refusal) -> bool:
    return not set(FAULTS[one][0].split()) & set(FAULTS[other][0].split())


def test_the_good_order_is_good():
    assert Desk().answer() is None


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda refusal: refusal.name)
def test_each_fault_is_named(refusal):
    desk = Desk()
    FAULTS[refusal][1](desk)
    assert desk.answer() == refusal


def test_of_two_faults_the_one_declared_first_is_named():
    pairs = [pair for pair in combinations(sorted(FAULTS), 2) if independent(*pair)]
    wrong = []
    for first, second in pairs:
        desk = Desk()
        FAULTS[second][1](desk)
        FAULTS[first][1](desk)
        given = desk.answer()
        if given != first:
            wrong.append(f"{first.name} and {second.name}: {given.name if given else None}")
    assert wrong == []
    assert len(pairs) > 150


@pytest.mark.parametrize("refusal", OF_OTHER_COMMANDS, ids=lambda refusal: refusal.name)
def test_each_fault_of_other_commands_is_named(refusal):
    desk = Desk()
    if refusal == R.DAY_NOT_CLOSED:
        for follows in (SessionState.CLOSING, SessionState.SETTLEMENT):
            desk.say(session_row(5, NUMBER, follows, FIRST_DAY + 1))
    (event,) = desk.say(OF_OTHER_COMMANDS[refusal])
    assert Refusal(event[7]) == refusal


def test_every_refusal_has_a_case():
    assert set(FAULTS) | set(OF_OTHER_COMMANDS) == set(Refusal)


@pytest.mark.parametrize(
    "row",
    [
        *(
            (int(ExchangeCommand.CANCEL), 5, ACCOUNT, 4, *(int(n == place) for n in range(4)))
            for place in range(4)
        ),
        (int(ExchangeCommand.SESSION), 5, NUMBER, SessionState.BREAK, FIRST_DAY + 1, 0, 0, 1),
        (int(ExchangeCommand.MASS_CANCEL), 5, ACCOUNT, 0, 0, 1, 0, 0),
        (int(ExchangeCommand.CLOSE_DAY), 5, NUMBER, 1, FIRST_DAY + 1, 0, 0, 0),
        (int(ExchangeCommand.CLOSE_DAY), 5, NUMBER, 0, FIRST_DAY + 1, 0, 1, 0),
    ],
)
def test_a_word_that_means_nothing_is_refused(row):
    (event,) = Desk().say(row)
    assert Refusal(event[7]) == R.UNUSED_WORD_NOT_ZERO


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        (session_row(5, 77, SessionState.BREAK, FIRST_DAY + 1), R.UNKNOWN_CONTRACT),
        (session_row(5, 0, SessionState.BREAK, FIRST_DAY + 900), R.WRONG_DAY),
        (session_row(5, NUMBER, SessionState.SETTLEMENT, FIRST_DAY + 1), R.WRONG_STATE),
        (close_day_row(5, 77, FIRST_DAY + 1), R.UNKNOWN_CONTRACT),
        (close_day_row(5, NUMBER, FIRST_DAY + 1), R.WRONG_STATE),
        (close_day_row(5, NUMBER, FIRST_DAY), R.WRONG_DAY),
        (close_day_row(5, 0, 0), R.WRONG_DAY),
        (mass_cancel_row(5, ACCOUNT, 77), R.UNKNOWN_CONTRACT),
        ((kind_word(ExchangeCommand.CANCEL, 1), 5, ACCOUNT, USED, 0, 0, 0, 0), R.UNKNOWN_COMMAND),
        ((kind_word(ExchangeCommand.ORDER, 0, 1), 5, ACCOUNT, 9, NUMBER, 100, 1, 0), R.UNKNOWN_COMMAND),
    ],
)
def test_other_commands_are_refused(row, refusal):
    (event,) = Desk().say(row)
    assert Refusal(event[7]) == refusal
    assert event[2:7] == row[2:7]
