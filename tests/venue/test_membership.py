"""Participants and their money: who is taken, what comes in and goes out, and that margin is not carried away."""

from dataclasses import replace

import pytest

from ciyuan.clearing.messages import ClearingEvent, MemberRole
from ciyuan.exchange.messages import AccountFlag, Effect, SelfTrade, Side, order_row
from ciyuan.exchange.room import Room
from ciyuan.exchange.state import ACCOUNT_COLUMNS
from ciyuan.gateway.messages import MeterEvent
from ciyuan.index.messages import IndexEvent
from ciyuan.ledger.messages import Command
from ciyuan.venue.accounts import House
from ciyuan.venue.messages import Purse, Reason, Role, VenueCommand, VenueEvent, VenueRefusal
from tests.venue.market import ADA, DAY, DEE, EVE, KIMI, NOV, OCT, SIS, TERMS, TRADER, USD, Market

PARTICIPANT, DEPOSIT, WITHDRAW, MOVE = (
    VenueCommand.PARTICIPANT,
    VenueCommand.DEPOSIT,
    VenueCommand.WITHDRAW,
    VenueCommand.MOVE,
)


# --- participants ---


def test_a_participant_is_taken_by_every_stage():
    market = Market()
    said = market.ask(PARTICIPANT, 1, int(Role.SUPPLIER | Role.CUSTOMER | TRADER), 0, MemberRole.HEDGER)
    assert market.codes(said) == [
        MeterEvent.ENROLLED,
        MeterEvent.ENROLLED,
        ClearingEvent.MEMBER_ADDED,
        ClearingEvent.RECEIPTS_NAMED,
        VenueEvent.PARTICIPANT_ADDED,
    ]
    roles = int(Role.SUPPLIER | Role.CUSTOMER | TRADER)
    assert said[-1][2:] == (1, roles, 1, MemberRole.HEDGER, TERMS.chart.purse(1, Purse.CASH), 0)
    assert market.venue.clearing.members == (1,)


def test_a_participant_that_does_not_trade_is_no_member():
    market = Market()
    said = market.ask(PARTICIPANT, 1, int(Role.SUPPLIER), 0, 0)
    assert market.codes(said) == [MeterEvent.ENROLLED, VenueEvent.PARTICIPANT_ADDED]
    assert market.venue.clearing.members == ()


def test_a_member_of_a_group_is_related_in_the_index():
    market = Market().join()
    assert [event[2:4] for event in market.of(IndexEvent.RELATED)] == [(SIS, ADA)]
    assert market.venue.index.group_of(SIS) == market.venue.index.group_of(ADA) == ADA


def test_a_participant_repeated_changes_nothing_but_the_clock():
    market = Market().join()
    before = market.venue.snapshot()
    again = ((SIS, int(Role.CUSTOMER | TRADER), ADA, 2), (ADA, int(Role.SUPPLIER | TRADER), ADA, 1))
    for words in again:
        assert market.answer(PARTICIPANT, *words) == VenueEvent.REPEATED
    after = market.venue.snapshot()
    assert [name for name in before if before[name].tolist() != after[name].tolist()] == ["clock"]


@pytest.mark.parametrize("changed", [(int(Role.SUPPLIER), 0, 1), (14, 2, 1), (14, 0, 2)])
def test_a_number_is_given_once(changed):
    market = Market()
    market.ask(PARTICIPANT, 1, 14, 0, MemberRole.HEDGER)
    assert market.answer(PARTICIPANT, 1, *changed) == VenueRefusal.PARTICIPANT_NUMBER_TAKEN


@pytest.mark.parametrize("number", [-1, 0, 2, 2**62])
def test_numbers_are_given_in_order(number):
    assert Market().answer(PARTICIPANT, number, 1, 0, 1) == VenueRefusal.PARTICIPANT_NUMBER_NOT_NEXT


@pytest.mark.parametrize(("roles", "role"), [(16, 1), (-1, 1), (int(TRADER), 0), (int(Role.SPOT), 4)])
def test_roles_that_nobody_has_are_refused_and_leave_nothing(roles, role):
    market = Market()
    before = market.venue.snapshot()["venue.participants"]
    assert market.answer(PARTICIPANT, 1, roles, 0, role) == VenueRefusal.UNKNOWN_ROLE
    assert market.venue.snapshot()["venue.participants"].tolist() == before.tolist() == []
    assert market.venue.ledger.account_count == TERMS.chart.house_accounts


def test_a_supplier_has_a_number_that_the_gateway_can_write():
    market = Market()
    market.venue.restore(market.venue.snapshot())
    people = {number: (1, number, 1, 0) for number in range(1, 2**16)}
    market.venue._books.participants = people
    assert market.answer(PARTICIPANT, 2**16, int(Role.SUPPLIER), 0, 1) == VenueRefusal.NOT_PERMITTED


def test_a_trader_has_a_number_that_the_exchange_has_room_for():
    market = Market(replace(TERMS, room=Room(accounts=2)))
    roles = int(Role.FUTURES | Role.SPOT)
    for number, given in ((1, roles), (2, roles), (3, int(Role.CUSTOMER))):
        assert market.answer(PARTICIPANT, number, given, 0, 2) == VenueEvent.PARTICIPANT_ADDED
    assert market.answer(PARTICIPANT, 4, roles, 0, 2) == VenueRefusal.NOT_PERMITTED
    assert market.answer(PARTICIPANT, 4, int(Role.CUSTOMER), 0, 2) == VenueEvent.PARTICIPANT_ADDED


# --- deposits ---


def test_a_deposit_comes_from_the_world():
    market = Market().join([1])
    said = market.ask(DEPOSIT, 77, ADA, Purse.REVENUE, 5 * USD)
    assert [event[2:] for event in said] == [(77, ADA, Purse.REVENUE, 5 * USD, 0, 0)]
    assert market.money(ADA, Purse.REVENUE) == 5 * USD
    assert market.venue.ledger.posted(House.WORLD) == -10_005 * USD
    last = market.venue.ledger.transfers[-1].tolist()
    assert last[0] == Command.TRANSFER | Reason.DEPOSIT << 24
    assert last[2] == 2**62 + 2**61 + 77


@pytest.mark.parametrize("command", [DEPOSIT, WITHDRAW])
def test_money_moves_once_under_a_key(command):
    market = Market().join()
    done = VenueEvent.DEPOSITED if command == DEPOSIT else VenueEvent.WITHDRAWN
    assert market.answer(command, 500, EVE, Purse.CASH, 9_000 * USD) == done
    after = market.money(EVE)
    for _ in range(2):
        assert market.answer(command, 500, EVE, Purse.CASH, 9_000 * USD) == VenueEvent.REPEATED
    others = [(EVE, Purse.CASH, 1), (EVE, Purse.REVENUE, 9_000 * USD), (DEE, Purse.CASH, 9_000 * USD)]
    for words in others:
        assert market.answer(command, 500, *words) == VenueRefusal.KEY_USED_OTHERWISE
    other = WITHDRAW if command == DEPOSIT else DEPOSIT
    assert market.answer(other, 500, EVE, Purse.CASH, 9_000 * USD) == VenueRefusal.KEY_USED_OTHERWISE
    assert market.money(EVE) == after


def test_a_move_is_made_once_under_a_key():
    market = Market().join()
    words = (500, EVE, Purse.CASH, 8_000 * USD)
    assert market.answer(MOVE, *words, Purse.PREPAID) == VenueEvent.MOVED
    assert market.answer(MOVE, *words, Purse.PREPAID) == VenueEvent.REPEATED
    assert market.answer(MOVE, *words, Purse.REVENUE) == VenueRefusal.KEY_USED_OTHERWISE
    assert (market.money(EVE), market.money(EVE, Purse.PREPAID)) == (2_000 * USD, 8_000 * USD)


def test_the_key_of_a_refused_command_is_still_free():
    market = Market().join()
    assert market.answer(WITHDRAW, 500, DEE, Purse.PREPAID, 101 * USD) == VenueRefusal.INSUFFICIENT_BALANCE
    assert market.answer(WITHDRAW, 500, DEE, Purse.PREPAID, 100 * USD) == VenueEvent.WITHDRAWN


@pytest.mark.parametrize("key", [2**60, 0, -1])
def test_a_callers_keys_are_those_below_the_venues_own(key):
    market = Market().join()
    assert market.answer(DEPOSIT, key, EVE, Purse.CASH, USD) == VenueRefusal.KEY_OUT_OF_RANGE
    assert market.answer(DEPOSIT, 2**60 - 1, EVE, Purse.CASH, USD) == VenueEvent.DEPOSITED


def test_more_than_an_account_can_count_is_refused_not_wrapped():
    market = Market().join()
    assert market.answer(DEPOSIT, 501, EVE, Purse.PREPAID, 2**62) == VenueEvent.DEPOSITED
    assert market.answer(DEPOSIT, 502, EVE, Purse.PREPAID, 2**62) == VenueRefusal.AMOUNT_OVERFLOW
    assert market.answer(WITHDRAW, 503, EVE, Purse.PREPAID, 2**63 - 1) == VenueRefusal.INSUFFICIENT_BALANCE
    assert market.answer(WITHDRAW, 504, EVE, Purse.PREPAID, 2**62) == VenueEvent.WITHDRAWN
    assert market.answer(WITHDRAW, 505, EVE, Purse.PREPAID, 2**62) == VenueRefusal.INSUFFICIENT_BALANCE


# --- margin ---


def traded() -> Market:
    """Eve is short and dee is long ten lots: each needs 3,000 USD, a fifth of the value, and has 10,000."""
    market = Market().join().open()
    market.order(EVE, OCT, -10, 1500)
    market.order(DEE, OCT, 10, 1500)
    return market


@pytest.mark.parametrize("command", [WITHDRAW, MOVE])
def test_margin_is_not_carried_away(command):
    market = traded()
    excess = market.venue.clearing.excess_micro(DEE)
    assert 6_000 * USD < excess < 7_000 * USD
    to = (Purse.PREPAID,) if command == MOVE else ()
    assert market.answer(command, 501, DEE, Purse.CASH, excess + 1, *to) == VenueRefusal.NEEDED_AS_MARGIN
    done = VenueEvent.MOVED if command == MOVE else VenueEvent.WITHDRAWN
    assert market.answer(command, 502, DEE, Purse.CASH, excess, *to) == done
    assert market.venue.clearing.excess_micro(DEE) == 0
    assert market.answer(command, 503, DEE, Purse.CASH, 1, *to) == VenueRefusal.NEEDED_AS_MARGIN
    assert market.answer(command, 502, DEE, Purse.CASH, excess, *to) == VenueEvent.REPEATED


def test_an_open_order_claims_its_margin_too():
    market = Market().join().open()
    free = market.venue.clearing.excess_micro(EVE)
    market.order(EVE, NOV, -10, 1500)
    assert market.venue.clearing.excess_micro(EVE) < free
    assert market.answer(WITHDRAW, 501, EVE, Purse.CASH, free) == VenueRefusal.NEEDED_AS_MARGIN


def test_margin_claims_the_cash_purse_only():
    market = traded()
    market.ask(WITHDRAW, 501, DEE, Purse.CASH, market.venue.clearing.excess_micro(DEE))
    assert market.answer(WITHDRAW, 502, DEE, Purse.PREPAID, 100 * USD) == VenueEvent.WITHDRAWN
    assert market.answer(WITHDRAW, 503, DEE, Purse.PREPAID, 1) == VenueRefusal.INSUFFICIENT_BALANCE


def test_what_comes_into_the_cash_of_a_debtor_is_collected():
    """Eve keeps no more than her margin; three days at the upper limit take more than that."""
    market = traded()
    market.ask(WITHDRAW, 501, EVE, Purse.CASH, market.venue.clearing.excess_micro(EVE))
    for day in (DAY, DAY + 1, DAY + 2):
        if day > DAY:
            market.at("08:30", day).open(day)
        limit = market.venue.exchange.limits(OCT)[1]
        market.order(ADA, OCT, -1, limit)
        market.order(DEE, OCT, 1, limit)
        market.close(day)
    owed = market.venue.clearing.owed_micro(EVE)
    assert owed > 0
    assert market.of(ClearingEvent.MARGIN_CALL)
    assert market.answer(WITHDRAW, 502, EVE, Purse.CASH, 1) == VenueRefusal.NEEDED_AS_MARGIN
    said = market.ask(DEPOSIT, 777, EVE, Purse.CASH, 20_000 * USD)
    assert market.codes(said) == [652, 465, 455, 466]
    assert market.of(ClearingEvent.REPAID, said)[0][2:4] == (EVE, owed)
    assert market.venue.clearing.owed_micro(EVE) == 0
    assert market.codes(market.ask(DEPOSIT, 778, EVE, Purse.PREPAID, USD)) == [VenueEvent.DEPOSITED]


def test_what_comes_to_one_who_owes_nothing_is_not_collected():
    market = traded()
    for number in (DEE, EVE, ADA):
        assert market.codes(market.ask(DEPOSIT, 700 + number, number, Purse.CASH, USD)) == [
            VenueEvent.DEPOSITED
        ]
    assert market.codes(market.ask(MOVE, 801, DEE, Purse.PREPAID, USD, Purse.CASH)) == [VenueEvent.MOVED]


def test_receipts_are_no_purse_of_money():
    market = Market().join().receipts()
    for purse in (Purse.RECEIPTS, 4, -1):
        assert market.answer(DEPOSIT, 501, ADA, purse, 1) == VenueRefusal.UNKNOWN_PURSE
        assert market.answer(MOVE, 501, ADA, Purse.CASH, 1, purse) == VenueRefusal.UNKNOWN_PURSE
    assert market.held_receipts(ADA, KIMI) == 1000


@pytest.mark.parametrize(
    ("settings", "flags", "self_trade"),
    [
        (0, AccountFlag(0), SelfTrade.CANCEL_NEWEST),
        (1, AccountFlag.GROSS, SelfTrade.CANCEL_NEWEST),
        (2 + 4, AccountFlag.CANCEL_ON_DISCONNECT, SelfTrade.CANCEL_OLDEST),
        (15, AccountFlag.GROSS | AccountFlag.CANCEL_ON_DISCONNECT, SelfTrade.DECREMENT),
    ],
)
def test_a_traders_settings_reach_the_exchange(settings: int, flags: AccountFlag, self_trade: SelfTrade):
    market = Market()
    (*_, added) = market.ask(PARTICIPANT, 1, int(Role.FUTURES), 0, 2, settings)
    assert added[7] == settings
    row = dict(zip(ACCOUNT_COLUMNS, market.venue.exchange.snapshot()["accounts"][0].tolist(), strict=True))
    assert (row["account"], row["flags"] & 15, row["self_trade"]) == (1, flags, self_trade)
    assert market.venue.clearing.is_gross(1) == bool(settings & 1)
    again = market.venue.snapshot()
    assert market.ask(PARTICIPANT, 1, int(Role.FUTURES), 0, 2, settings)[0][0] == VenueEvent.REPEATED
    assert (
        market.answer(PARTICIPANT, 1, int(Role.FUTURES), 0, 2, settings ^ 1)
        == VenueRefusal.PARTICIPANT_NUMBER_TAKEN
    )
    market.venue.restore(again)


def test_a_gross_account_trades_both_sides_and_both_houses_ask_the_same():
    market = Market()
    for number in (1, 2):
        market.ask(PARTICIPANT, number, int(Role.FUTURES), 0, 2, 1)
        market.ask(VenueCommand.DEPOSIT, number, number, Purse.CASH, 10**12)
    market.open()
    for place, (account, sells) in enumerate(((1, 0), (2, 1), (2, 0), (1, 1)), start=1):
        side = Side.SELL if sells else Side.BUY
        market.tell(order_row(market.tick(), account, place, OCT, side, 1500, 3, effect=Effect.OPEN))
    clearing, exchange = market.venue.clearing, market.venue.exchange
    (held,) = clearing.positions(1, OCT)
    assert (held.long, held.short) == (3, 3)
    assert clearing.ladder_micro(1) == exchange.requirement_micro(1) == 3 * clearing.margin_lot_micro(OCT)


def test_the_house_is_given_capital_and_nothing_else():
    market = Market()
    assert market.answer(DEPOSIT, 1, 0, Purse.CASH, 500 * USD) == VenueEvent.DEPOSITED
    assert market.venue.ledger.posted(House.CAPITAL) == 500 * USD
    assert market.answer(DEPOSIT, 1, 0, Purse.CASH, 500 * USD) == VenueEvent.REPEATED
    assert market.answer(DEPOSIT, 1, 0, Purse.CASH, 400 * USD) == VenueRefusal.KEY_USED_OTHERWISE
    assert market.answer(DEPOSIT, 2, 0, Purse.CASH, 0) == VenueRefusal.AMOUNT_NOT_POSITIVE
    assert market.answer(DEPOSIT, 2, 0, Purse.PREPAID, 1) == VenueRefusal.UNKNOWN_PARTICIPANT
    assert market.answer(WITHDRAW, 2, 0, Purse.CASH, 1) == VenueRefusal.UNKNOWN_PARTICIPANT
