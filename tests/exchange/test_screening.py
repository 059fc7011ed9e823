"""Every refusal is reached, and of any two at once the one declared first is given (§3.5). On the kernel and on its twin."""

from collections.abc import Callable
from itertools import combinations

import pytest

from ciyuan.basics.rows import CODE_MASK, Row, kind_word
from ciyuan.basics.rows import row as row_of
from ciyuan.basics.time import NS_PER_DAY
from ciyuan.exchange import (
    AccountFlag,
    ContractKind,
    Effect,
    ExchangeCommand,
    ExchangeEvent,
    OrderFlag,
    Permission,
    Refusal,
    SelfTrade,
    SessionState,
    Side,
    account_row,
    amend_row,
    cancel_row,
    close_day_row,
    credit_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    notice_row,
    order_row,
    position_row,
    quota_row,
    reduce_row,
    risk_row,
    session_row,
)
from ciyuan.exchange.room import Room
from ciyuan.exchange.session import TYPE_BITS
from tests.exchange.listings import FIRST_DAY, contract
from tests.exchange.twins import MACHINES

ACCOUNT, GROSS, MAKER, USED, ORDER_ID, FUTURE, OTHER, SPOT, SPREAD = 1, 2, 3, 4, 7, 1, 2, 3, 5
DAY = FIRST_DAY + 1
CONTRACTS = (contract(FUTURE, month=202611), contract(OTHER, month=202612), contract(SPOT, ContractKind.SPOT),
             contract(SPREAD, ContractKind.SPREAD, near=FUTURE, far=OTHER))  # fmt: skip
ROOM = Room(accounts=8, orders=16, ladder_ticks=128)
R, S, F = Refusal, SessionState, OrderFlag


class Desk:
    """An order that is good, on an exchange that takes it; each fault spoils one thing.

    The account's order 4, a FAK of 5 lots at 100 with a least quantity of 2, is on record from today; id 3 is of a past day.
    """

    def __init__(self, kind) -> None:
        self.exchange = kind(CONTRACTS, ROOM)
        self.say(account_row(0, ACCOUNT), account_row(0, GROSS, flags=AccountFlag.GROSS))
        self.say(account_row(0, MAKER, flags=AccountFlag.UNCHECKED))
        self.say(*(credit_row(0, account, 10**9) for account in (ACCOUNT, GROSS)))
        self.say(
            *(risk_row(0, number, margin_lot_micro=10_000, fee_lot_micro=10) for number in (FUTURE, OTHER))
        )
        self.say(
            session_row(0, 0, S.CONTINUOUS, FIRST_DAY), order_row(0, ACCOUNT, 3, FUTURE, Side.BUY, 100, 5)
        )
        self.say(*(session_row(0, 0, state, FIRST_DAY) for state in (S.CLOSING, S.SETTLEMENT)))
        self.say(close_day_row(0, 0, FIRST_DAY), session_row(0, 0, S.CLOSED, FIRST_DAY))
        self.say(session_row(0, 0, S.CONTINUOUS, DAY))
        self.say(order_row(5, ACCOUNT, USED, FUTURE, Side.BUY, 100, 5, kind=F.FAK, min_lots=2))
        self.code, self.time_ns, self.flags, self.effect = int(ExchangeCommand.ORDER), 5, int(F.FAK), 0
        self.words = [ACCOUNT, ORDER_ID, FUTURE, 100, 5, 2]
        self.permissions, self.rate, self.state = Permission.FUTURES | Permission.SPOT, 0, S.CONTINUOUS
        self.is_full, self.before = False, list[Callable[[int], Row]]()

    def say(self, *rows: Row) -> list[Row]:
        out: list[Row] = []
        for row in rows:
            self.exchange.apply_one(row, out)
        return out

    def _set(self) -> None:
        """What the faults ask of account, room and state."""
        account = GROSS if self.words[0] == GROSS else ACCOUNT
        flags, effect = (AccountFlag.GROSS, Effect.OPEN) if account == GROSS else (AccountFlag(0), Effect.NET)
        if self.rate:
            self.say(account_row(5, account, flags=flags, orders_per_second_max=self.rate))
            self.say(order_row(5, account, 90, FUTURE, Side.BUY, 99, 1, kind=F.FAK, effect=effect))
        if self.permissions != Permission.FUTURES | Permission.SPOT:
            self.say(
                account_row(
                    5, account, flags=flags, permissions=self.permissions, orders_per_second_max=self.rate
                )
            )
        if self.is_full:
            self.say(*(order_row(5, MAKER, number, FUTURE, Side.SELL, 108, 1) for number in range(1, 18)))
        self.say(*(make(account) for make in self.before))
        if self.state != S.CONTINUOUS:
            if self.state == S.AUCTION_ENTRY:
                self.say(session_row(5, 0, S.BREAK, DAY))
            self.say(session_row(5, 0, self.state, DAY))

    def answer(self) -> Refusal | None:
        """Why the order is refused."""
        self._set()
        a, b, c, d, e, f = self.words
        before = self.exchange.state_hash()
        event, *more = self.say(
            (kind_word(self.code, self.flags, self.effect), self.time_ns, a, b, c, d, e, f)
        )
        refused = event[0] & CODE_MASK == ExchangeEvent.REFUSED
        assert refused == (self.exchange.state_hash() == before)
        assert not (refused and more)
        return Refusal(event[7]) if refused else None


Fault = Callable[[Desk], None]


def word(place: int, value: int) -> Fault:
    """Spoil one of the order's words: 0 account, 1 id, 2 contract, 3 price, 4 lots, 5 least lots."""
    return lambda desk: desk.words.__setitem__(place, value)


def put(name: str, value: object) -> Fault:
    return lambda desk: setattr(desk, name, value)


def typed(value: OrderFlag) -> Fault:
    return lambda desk: setattr(desk, "flags", desk.flags & ~TYPE_BITS | value)


def also(value: OrderFlag) -> Fault:
    return lambda desk: setattr(desk, "flags", desk.flags | value)


def all_of(*faults: Callable[[Desk], object]) -> Fault:
    def spoil(desk: Desk) -> None:
        for fault in faults:
            fault(desk)

    return spoil


def known(*then: Fault) -> Fault:
    """The order has the id of the one on record, and differs from it in one thing."""
    return all_of(word(1, USED), *then)


def told(row: Callable[[int], Row]) -> Fault:
    """The clearing house says something of the account first."""
    return lambda desk: desk.before.append(row)


FAULTS: dict[Refusal, tuple[str, Fault]] = {
    R.UNKNOWN_COMMAND: ("code", put("code", 399)),
    R.TIME_BACKWARDS: ("time", put("time_ns", 4)),
    R.UNKNOWN_ACCOUNT: ("account", word(0, 6)),
    R.NOT_PERMITTED: ("contract", put("permissions", Permission.SPOT)),
    R.UNKNOWN_CONTRACT: ("contract", word(2, 77)),
    R.WRONG_STATE: ("state", put("state", S.BREAK)),
    R.TYPE_NOT_IN_STATE: ("state type contract", put("state", S.AUCTION_ENTRY)),
    R.TYPE_UNKNOWN: ("type second", all_of(typed(F.FAK | F.FOK), word(5, 0))),
    R.TYPE_NOT_ON_SPREAD: ("contract type second price", all_of(word(2, SPREAD), word(3, 0))),
    R.LIFETIME_NOT_ALLOWED: ("type", also(F.GTC)),
    R.EFFECT_NOT_ALLOWED: ("effect account", put("effect", int(Effect.OPEN))),
    R.ORDER_ID_NOT_POSITIVE: ("id", word(1, 0)),
    R.PRICE_NOT_POSITIVE: ("price", word(3, 0)),
    R.PRICE_ON_MARKET_ORDER: ("price type second", all_of(typed(F.MARKET), word(5, 0))),
    R.LOTS_NOT_POSITIVE: ("lots", word(4, 0)),
    R.MIN_LOTS_NOT_ALLOWED: ("second", word(5, -1)),
    R.SHOWN_LOTS_NOT_ALLOWED: ("second type", all_of(typed(F.ICEBERG), word(5, 0))),
    R.LOTS_OVER_MAXIMUM: ("lots", word(4, 13)),
    R.PRICE_LIMIT: ("price", word(3, 200)),
    R.ID_OF_PAST_DAY: ("id account", word(1, 3)),
    R.ID_USED_WITH_OTHER_SIDE: ("id account side", known(also(F.SIDE_SELL))),
    R.ID_USED_WITH_OTHER_TYPE: ("id account type second", known(typed(F.LIMIT), word(5, 0))),
    R.ID_USED_WITH_OTHER_EFFECT: ("id effect account", all_of(
        word(0, GROSS), put("effect", int(Effect.CLOSE)),
        lambda desk: desk.say(order_row(5, GROSS, ORDER_ID, FUTURE, Side.BUY, 100, 5, kind=F.FAK, min_lots=2,
                                        effect=Effect.OPEN)),
    )),
    R.ID_USED_WITH_OTHER_CONTRACT: ("id account contract", known(word(2, OTHER))),
    R.ID_USED_WITH_OTHER_PRICE: ("id account price", known(word(3, 101))),
    R.ID_USED_WITH_OTHER_LOTS: ("id account lots", known(word(4, 6))),
    R.ID_USED_WITH_OTHER_SECOND: ("id account second", known(word(5, 1))),
    R.NOTHING_TO_CLOSE: ("effect account", all_of(word(0, GROSS), put("effect", int(Effect.CLOSE)))),
    R.ACCOUNT_KILLED: ("kill", told(lambda account: kill_row(5, account))),
    R.POSITION_LIMIT: ("quota", told(lambda account: quota_row(5, account, FUTURE, 1))),
    R.ORDER_RATE: ("rate", put("rate", 1)),
    R.MARGIN: ("credit", told(lambda account: credit_row(5, account, 0))),
    R.ORDERS_FULL: ("room", put("is_full", True)),
}  # fmt: skip
"""What each refusal of an order comes from, and what of the order that spoils."""


def independent(one: Refusal, other: Refusal) -> bool:
    return not set(FAULTS[one][0].split()) & set(FAULTS[other][0].split())


@pytest.fixture(params=MACHINES, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def test_the_good_order_is_good(kind):
    assert Desk(kind).answer() is None


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda refusal: refusal.name)
def test_each_fault_is_named(kind, refusal):
    desk = Desk(kind)
    FAULTS[refusal][1](desk)
    assert desk.answer() == refusal


def test_of_two_faults_the_one_declared_first_is_named(kind):
    pairs = [pair for pair in combinations(sorted(FAULTS), 2) if independent(*pair)]
    wrong = []
    for first, second in pairs:
        desk = Desk(kind)
        FAULTS[second][1](desk)
        FAULTS[first][1](desk)
        given = desk.answer()
        if given != first:
            wrong.append(f"{first.name} and {second.name}: {given.name if given else None}")
    assert wrong == []
    assert len(pairs) > 300


# --- other commands ---


def open_sell(desk: Desk) -> None:
    """An order of the account that stands: id 8, 4 lots at 105, one of them filled."""
    desk.say(order_row(5, ACCOUNT, 8, FUTURE, Side.SELL, 105, 4))
    desk.say(order_row(5, MAKER, 50, FUTURE, Side.BUY, 105, 1, kind=F.FAK))


def settle(desk: Desk) -> None:
    desk.say(*(session_row(5, FUTURE, state, DAY) for state in (S.CLOSING, S.SETTLEMENT)))


OF_OTHERS: list[tuple[Refusal, Row, Fault]] = [
    (R.UNUSED_WORD_NOT_ZERO, (int(ExchangeCommand.CANCEL), 5, ACCOUNT, USED, 1, 0, 0, 0), open_sell),
    (R.UNKNOWN_ACCOUNT, cancel_row(5, 6, 8), open_sell),
    (R.UNKNOWN_ACCOUNT, amend_row(5, 6, 8, 105, 3), open_sell),
    (R.UNKNOWN_ACCOUNT, mass_cancel_row(5, 0), open_sell),
    (R.UNKNOWN_ACCOUNT, disconnect_row(5, 9), open_sell),
    (R.UNKNOWN_ACCOUNT, credit_row(5, 6, 1), open_sell),
    (R.UNKNOWN_ACCOUNT, quota_row(5, -1, FUTURE, 1), open_sell),
    (R.UNKNOWN_ACCOUNT, position_row(5, 6, FUTURE, 1, 0), open_sell),
    (R.UNKNOWN_ACCOUNT, kill_row(5, 6), open_sell),
    (R.UNKNOWN_CONTRACT, session_row(5, 77, S.BREAK, DAY), open_sell),
    (R.UNKNOWN_CONTRACT, close_day_row(5, 77, DAY), open_sell),
    (R.UNKNOWN_CONTRACT, mass_cancel_row(5, ACCOUNT, 77), open_sell),
    (R.UNKNOWN_CONTRACT, credit_row(5, ACCOUNT, 1, 77), open_sell),
    (R.UNKNOWN_CONTRACT, risk_row(5, 77), open_sell),
    (R.UNKNOWN_CONTRACT, risk_row(5, 0), open_sell),
    (R.UNKNOWN_CONTRACT, quota_row(5, ACCOUNT, 77, 1), open_sell),
    (R.UNKNOWN_CONTRACT, position_row(5, ACCOUNT, -1, 1, 0), open_sell),
    (R.UNKNOWN_CONTRACT, notice_row(5, 0, 500), open_sell),
    (R.UNKNOWN_CONTRACT, reduce_row(5, 2**62), open_sell),
    (R.UNKNOWN_ORDER, cancel_row(5, ACCOUNT, 99), open_sell),
    (R.UNKNOWN_ORDER, cancel_row(5, ACCOUNT, 3), open_sell),
    (R.UNKNOWN_ORDER, amend_row(5, GROSS, USED, 100, 5), open_sell),
    (R.UNKNOWN_STATE, (int(ExchangeCommand.SESSION), 5, FUTURE, 0, DAY, 0, 0, 0), open_sell),
    (R.UNKNOWN_STATE, (int(ExchangeCommand.SESSION), 5, FUTURE, 9, DAY, 0, 0, 0), open_sell),
    (R.UNKNOWN_STATE, (int(ExchangeCommand.SESSION), 5, 0, -1, DAY, 0, 0, 0), open_sell),
    (R.WRONG_DAY, session_row(5, FUTURE, S.BREAK, DAY + 1), open_sell),
    (R.WRONG_DAY, session_row(5, 0, S.BREAK, FIRST_DAY + 900), open_sell),
    (R.WRONG_DAY, close_day_row(5, FUTURE, FIRST_DAY + 9), settle),
    (R.WRONG_DAY, close_day_row(5, 0, 0), settle),
    (R.WRONG_STATE, session_row(5, FUTURE, S.SETTLEMENT, DAY), open_sell),
    (R.WRONG_STATE, close_day_row(5, FUTURE, DAY), open_sell),
    (R.WRONG_STATE, cancel_row(5, ACCOUNT, 8), all_of(open_sell, settle)),
    (R.WRONG_STATE, amend_row(5, ACCOUNT, 8, 105, 3), all_of(open_sell, settle)),
    (R.WRONG_STATE, mass_cancel_row(5, ACCOUNT, FUTURE), settle),
    (R.WRONG_STATE, notice_row(5, FUTURE, 500), open_sell),
    (R.WRONG_STATE, reduce_row(5, FUTURE), open_sell),
    (R.DAY_NOT_CLOSED, session_row(5, FUTURE, S.CLOSED, DAY), settle),
    (R.ORDER_NOT_OPEN, cancel_row(5, ACCOUNT, USED), open_sell),
    (R.ORDER_NOT_OPEN, amend_row(5, ACCOUNT, USED, 100, 6), open_sell),
    (R.PRICE_NOT_POSITIVE, amend_row(5, ACCOUNT, 8, 0, 3), open_sell),
    (R.LOTS_NOT_POSITIVE, amend_row(5, ACCOUNT, 8, 105, 0), open_sell),
    (R.LOTS_OVER_MAXIMUM, amend_row(5, ACCOUNT, 8, 105, 13), open_sell),
    (R.LOTS_ALREADY_FILLED, amend_row(5, ACCOUNT, 8, 105, 1), open_sell),
    (R.PRICE_LIMIT, amend_row(5, ACCOUNT, 8, 200, 4), open_sell),
    (R.ACCOUNT_KILLED, amend_row(5, ACCOUNT, 8, 105, 6), all_of(open_sell, lambda desk: desk.say(kill_row(5, ACCOUNT)))),
    (R.POSITION_LIMIT, amend_row(5, ACCOUNT, 8, 105, 6),
     all_of(open_sell, lambda desk: desk.say(quota_row(5, ACCOUNT, FUTURE, 4)))),
    (R.ORDER_RATE, amend_row(5, ACCOUNT, 8, 105, 6),
     all_of(open_sell, lambda desk: desk.say(account_row(5, ACCOUNT, orders_per_second_max=1),
                                             order_row(5, ACCOUNT, 60, FUTURE, Side.BUY, 99, 1)))),
    (R.MARGIN, amend_row(5, ACCOUNT, 8, 105, 6), all_of(open_sell, lambda desk: desk.say(credit_row(5, ACCOUNT, 0)))),
    (R.VALUE_OUT_OF_RANGE, account_row(5, 9), open_sell),
    (R.ACCOUNT_IN_USE, account_row(5, ACCOUNT, flags=AccountFlag.GROSS), open_sell),
]  # fmt: skip
"""A command for each refusal that is not of an ORDER alone, and what goes before it."""


@pytest.mark.parametrize(
    ("refusal", "row", "first"), OF_OTHERS, ids=lambda given: given.name if isinstance(given, Refusal) else ""
)
def test_each_fault_of_other_commands_is_named(kind, refusal, row, first):
    desk = Desk(kind)
    first(desk)
    (event,) = desk.say(row)
    assert (event[0] & CODE_MASK, event[7]) == (ExchangeEvent.REFUSED, refusal)
    assert event[2:7] == row[2:7]


def test_a_contract_out_of_room_cannot_open(kind):
    exchange = kind([contract(1)], Room(accounts=1, orders=1, ladder_ticks=40))
    out: list[Row] = []
    exchange.apply_one(session_row(0, 1, S.CONTINUOUS, FIRST_DAY), out)
    assert out[0][7] == R.LADDER_FULL, "twice 10% of 100 is 41 ticks"


def suspended(desk: Desk) -> list[Row]:
    """Three days that end at the upper limit, and the bell of the fourth."""
    said = []
    for day in range(DAY, DAY + 3):
        _, upper = desk.exchange.limits(FUTURE)
        now = day * NS_PER_DAY
        desk.say(
            session_row(now, FUTURE, S.CONTINUOUS, day),
            order_row(now, MAKER, day, FUTURE, Side.BUY, upper, 5),
        )
        later = now + 300 * 10**9
        desk.say(*(session_row(later, FUTURE, state, day) for state in (S.CLOSING, S.SETTLEMENT)))
        said = desk.say(close_day_row(later, FUTURE, day), session_row(later, FUTURE, S.CLOSED, day))
    return said + desk.say(session_row((DAY + 3) * NS_PER_DAY, FUTURE, S.AUCTION_ENTRY, DAY + 3))


def test_a_suspended_contract_refuses_its_sessions(kind):
    desk = Desk(kind)
    assert [row[3] for row in suspended(desk) if row[0] & CODE_MASK == ExchangeEvent.SESSION_CHANGED] == [
        S.CLOSED,
        S.SUSPENDED,
    ]
    now = (DAY + 3) * NS_PER_DAY
    (event,) = desk.say(session_row(now, FUTURE, S.CONTINUOUS, DAY + 3))
    assert event[7] == R.SUSPENDED
    (event,) = desk.say(session_row(now, FUTURE, S.CLOSED, DAY + 3))
    assert event[7] == R.DAY_NOT_CLOSED


def test_every_refusal_has_a_case():
    elsewhere = {R.LADDER_FULL, R.SUSPENDED}
    assert set(FAULTS) | {refusal for refusal, *_ in OF_OTHERS} | elsewhere == set(Refusal)


# --- words and bounds ---

USED_WORDS = {
    ExchangeCommand.SESSION: 3, ExchangeCommand.ORDER: 6, ExchangeCommand.CANCEL: 2, ExchangeCommand.MASS_CANCEL: 2,
    ExchangeCommand.ACCOUNT: 4, ExchangeCommand.CREDIT: 3, ExchangeCommand.RISK: 6, ExchangeCommand.QUOTA: 3,
    ExchangeCommand.POSITION: 5, ExchangeCommand.KILL: 2, ExchangeCommand.DISCONNECT: 1, ExchangeCommand.NOTICE: 2,
    ExchangeCommand.REDUCE: 1, ExchangeCommand.TICK: 0,
}  # fmt: skip
"""How many words each command has, of those whose words follow each other."""


def test_a_word_that_a_command_does_not_have_is_refused(kind):
    desk = Desk(kind)
    unused = [(code, word) for code, used in USED_WORDS.items() for word in range(2 + used, 8)]
    unused += [
        (ExchangeCommand.CLOSE_DAY, 3),
        (ExchangeCommand.CLOSE_DAY, 5),
        (ExchangeCommand.AMEND, 4),
        (ExchangeCommand.AMEND, 7),
    ]
    for code, place in unused:
        for value in (1, -(2**63)):
            words = [0] * 6
            words[place - 2] = value
            (event,) = desk.say(row_of(int(code), 5, words))
            assert event[7] == R.UNUSED_WORD_NOT_ZERO, (code, place)


FLAGS = {
    ExchangeCommand.ORDER: 0xFF,
    ExchangeCommand.ACCOUNT: 0x0F,
    ExchangeCommand.QUOTA: 1,
    ExchangeCommand.POSITION: 1,
}


def test_a_flag_or_a_reason_that_a_command_does_not_have_is_no_command(kind):
    desk = Desk(kind)
    for code in (*ExchangeCommand, 300, 317, 0xFFFF):
        flags = FLAGS.get(code, 0)
        reason = 7 if code == ExchangeCommand.ORDER else 0
        for bit in range(16, 64):
            own = flags << 16 & 1 << bit or reason << 24 & 1 << bit
            if not own or code not in set(ExchangeCommand):
                word = int(code) | 1 << bit
                (event,) = desk.say((word - (1 << 64) if bit == 63 else word, 5, 77, 0, 0, 0, 0, 0))
                assert event[7] == R.UNKNOWN_COMMAND, (code, bit)
                assert event[2:7] == (77, 0, 0, 0, 0)


BOUNDS = [
    (account_row(5, 8), account_row(5, 9)),
    (account_row(5, 1), account_row(5, 0)),
    (account_row(5, 1, self_trade=SelfTrade.DECREMENT), (307, 5, 1, 4, 0, 3, 0, 0)),
    ((307, 5, 1, 0, 0, 0, 0, 0), (307, 5, 1, -1, 0, 3, 0, 0)),
    ((307, 5, 1, 0, 0, 3, 0, 0), (307, 5, 1, 0, 0, 4, 0, 0)),
    ((307, 5, 1, 0, 0, 1, 0, 0), (307, 5, 1, 0, 0, -1, 0, 0)),
    (account_row(5, 1, orders_per_second_max=2**31 - 1), account_row(5, 1, orders_per_second_max=2**31)),
    (account_row(5, 1, orders_per_second_max=0), account_row(5, 1, orders_per_second_max=-1)),
    (credit_row(5, 1, 2**62), credit_row(5, 1, 2**62 + 1)),
    (credit_row(5, 1, -(2**62)), credit_row(5, 1, -(2**62) - 1)),
    (credit_row(5, 1, 2**25, SPOT), credit_row(5, 1, 2**25 + 1, SPOT)),
    (credit_row(5, 1, 0, SPOT), credit_row(5, 1, -1, SPOT)),
    (credit_row(5, 1, 0, SPOT), credit_row(5, 1, 0, FUTURE)),
    (risk_row(5, FUTURE, margin_lot_micro=2**36), risk_row(5, FUTURE, margin_lot_micro=2**36 + 1)),
    (risk_row(5, FUTURE), risk_row(5, FUTURE, margin_lot_micro=-1)),
    (risk_row(5, FUTURE, fee_lot_micro=2**26), risk_row(5, FUTURE, fee_lot_micro=2**26 + 1)),
    (risk_row(5, FUTURE), risk_row(5, FUTURE, fee_lot_micro=-1)),
    (risk_row(5, FUTURE, limit_lots=2**25), risk_row(5, FUTURE, limit_lots=2**25 + 1)),
    (risk_row(5, FUTURE), risk_row(5, FUTURE, limit_lots=-1)),
    (risk_row(5, FUTURE, hedger_limit_lots=2**25), risk_row(5, FUTURE, hedger_limit_lots=2**25 + 1)),
    (risk_row(5, FUTURE), risk_row(5, FUTURE, hedger_limit_lots=-1)),
    (risk_row(5, FUTURE, share_bp=10_000), risk_row(5, FUTURE, share_bp=10_001)),
    (risk_row(5, SPOT), risk_row(5, SPREAD)),
    (quota_row(5, 1, FUTURE, 2**25), quota_row(5, 1, FUTURE, 2**25 + 1)),
    (quota_row(5, 1, FUTURE, 0), quota_row(5, 1, FUTURE, -1)),
    (quota_row(5, 1, FUTURE, 1), quota_row(5, 1, SPOT, 1)),
    (quota_row(5, 1, FUTURE, 1), quota_row(5, 1, SPREAD, 1)),
    (quota_row(5, GROSS, FUTURE, 1, hedge=True), quota_row(5, 1, FUTURE, 1, hedge=True)),
    (position_row(5, 1, FUTURE, 2**25, 0), position_row(5, 1, FUTURE, 2**25 + 1, 0)),
    (position_row(5, 1, FUTURE, 0, 2**25), position_row(5, 1, FUTURE, 0, 2**25 + 1)),
    (position_row(5, 1, FUTURE, 0, 0), position_row(5, 1, FUTURE, -1, 0)),
    (position_row(5, 1, FUTURE, 1, 0, 2**56), position_row(5, 1, FUTURE, 1, 0, 2**56 + 1)),
    (position_row(5, 1, FUTURE, 0, 1, -(2**56)), position_row(5, 1, FUTURE, 0, 1, -(2**56) - 1)),
    (position_row(5, GROSS, FUTURE, 1, 1), position_row(5, 1, FUTURE, 1, 1)),
    (position_row(5, GROSS, FUTURE, 1, 1, hedge=True), position_row(5, 1, FUTURE, 1, 0, hedge=True)),
    (position_row(5, 1, FUTURE, 1, 0), position_row(5, 1, SPOT, 1, 0)),
    (position_row(5, 1, FUTURE, 1, 0), position_row(5, 1, SPREAD, 1, 0)),
    (kill_row(5, 1), (312, 5, 1, 2, 0, 0, 0, 0)),
    (kill_row(5, 1), (312, 5, 1, -1, 0, 0, 0, 0)),
]
"""Of each bound what just keeps it, and what is beyond."""


@pytest.mark.parametrize(("within", "beyond"), BOUNDS)
def test_the_clearing_house_is_held_to_its_bounds(kind, within, beyond):
    desk = Desk(kind)
    (event,) = desk.say(within)
    assert event[0] & CODE_MASK == ExchangeEvent.SET
    assert (event[0] >> 24, event[2:]) == (within[0] & CODE_MASK, within[2:])
    before = desk.exchange.state_hash()
    (event,) = desk.say(beyond)
    assert (event[0] & CODE_MASK, event[7]) == (ExchangeEvent.REFUSED, R.VALUE_OUT_OF_RANGE)
    assert desk.exchange.state_hash() == before


def test_a_notice_is_held_to_its_bounds(kind):
    desk = Desk(kind)
    desk.say(*(session_row(5, 0, state, DAY) for state in (S.CLOSING, S.SETTLEMENT)))
    desk.say(close_day_row(5, 0, DAY), session_row(5, 0, S.CLOSED, DAY))
    for rate, number, refusal in ((2_000, FUTURE, None), (0, FUTURE, None), (2_001, FUTURE, R.VALUE_OUT_OF_RANGE),
                                  (-1, FUTURE, R.VALUE_OUT_OF_RANGE), (500, SPOT, R.VALUE_OUT_OF_RANGE),
                                  (500, SPREAD, R.VALUE_OUT_OF_RANGE)):  # fmt: skip
        event, *_ = desk.say(notice_row(5, number, rate))
        assert (event[7] if event[0] & CODE_MASK == ExchangeEvent.REFUSED else None) == refusal, (
            rate,
            number,
        )
