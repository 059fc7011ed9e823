"""The meter's rules, one by one. Every row goes to both twins, whose events and states are compared after each."""

import numpy as np
import pytest

from ciyuan.basics.rows import KIND, flags_of, reason_of
from ciyuan.gateway import (
    MeterEvent,
    MeterRefusal,
    PartyRole,
    deliver_row,
    enrol_row,
    hold_row,
    tick_row,
    void_row,
)
from ciyuan.gateway.messages import TOKENS_MAX
from ciyuan.ledger.messages import AccountFlag, open_row, transfer_row
from ciyuan.ledger.messages import Command as LedgerCommand
from ciyuan.ledger.messages import tick_row as ledger_tick_row
from tests.gateway.twins import (
    ADA,
    BOB,
    NORTH,
    PRICE_OUT,
    SOUTH,
    WORLD,
    Twins,
    a_market,
    code,
    list_row,
    refusal,
    who,
)

HELD = 950 + 4_000 + 1
"""Micro-dollars held for 1,000 tokens in and 1,000 out at the usual prices, and one for the carry."""


def held(
    twins: Twins,
    request: int,
    time_ns: int = 1,
    tokens_in: int = 1_000,
    tokens_out: int = 1_000,
    timeout_ns: int = 0,
) -> None:
    answer = twins.one(hold_row(time_ns, request, who(), tokens_in, tokens_out, timeout_ns))
    assert code(answer) == MeterEvent.HELD


# --- hold, deliver, settle ---


def test_a_hold_sets_the_worst_case_aside_and_a_delivery_charges_what_was_used():
    twins = a_market()
    answer = twins.one(hold_row(5, 7, who(), 1_000, 1_000))
    assert answer == [MeterEvent.HELD | 1 << 24, 5, 7, who(), 1_000, 1_000, 0, HELD]
    assert twins.available(ADA) == 10**9 - HELD
    assert (twins.posted(ADA), twins.posted(NORTH)) == (10**9, 0)
    answer = twins.one(deliver_row(6, 7, who(), 800, 300, 200))
    charge = (500 * 950_000 + 300 * 160_000 + 200 * 4_000_000) // 10**6
    assert answer == [MeterEvent.SETTLED | 1 << 24, 6, 7, who(), 800, 300, 200, charge]
    assert twins.available(ADA) == twins.posted(ADA) == 10**9 - charge
    assert twins.posted(NORTH) == charge


def test_cached_tokens_dearer_than_uncached_are_held_at_their_price():
    twins = a_market()
    twins.say(list_row(0, 1, grade=2, price_in=1_000_000, price_cached=3_000_000, price_out=0))
    answer = twins.one(hold_row(1, 7, who(grade=2), 100, 0))
    assert answer[7] == 301
    assert twins.one(deliver_row(2, 7, who(grade=2), 100, 100, 0))[7] == 300


def test_what_is_moved_shows_in_the_ledger_with_its_keys_and_reasons():
    twins = a_market()
    before = twins.fast.ledger.transfer_count
    twins.say(
        hold_row(1, 7, who(), 10, 10, 50),
        deliver_row(2, 7, who(), 10, 0, 10),
        hold_row(3, 8, who(), 10, 10),
        void_row(4, 8),
    )
    moved = twins.fast.ledger.transfers[before:].tolist()
    assert [row[2:5] for row in moved] == [
        [28, ADA, NORTH],
        [29, ADA, NORTH],
        [32, ADA, NORTH],
        [34, ADA, NORTH],
    ]
    kinds = [(row[KIND] & 0xFFFF, reason_of(row[KIND])) for row in moved]
    assert kinds == [
        (LedgerCommand.HOLD, 203),
        (LedgerCommand.POST, 204),
        (LedgerCommand.HOLD, 203),
        (LedgerCommand.VOID, 205),
    ]
    assert moved[0][7] == 50


def test_a_delivery_of_nothing_settles_and_frees_the_hold():
    twins = a_market()
    held(twins, 7)
    assert twins.one(deliver_row(2, 7, who(), 0, 0, 0))[7] == 0
    assert twins.available(ADA) == 10**9
    assert refusal(twins.one(void_row(3, 7))) == MeterRefusal.HOLD_SETTLED


def test_a_void_frees_all_of_the_hold():
    twins = a_market()
    held(twins, 7)
    assert twins.one(void_row(2, 7)) == [MeterEvent.VOIDED | 1 << 24, 2, 7, who(), 1_000, 1_000, 0, HELD]
    assert twins.available(ADA) == 10**9


def test_a_later_row_of_a_batch_sees_that_an_earlier_hold_was_refused_by_the_ledger():
    twins = a_market(balance_micro=HELD)
    rows = [
        hold_row(1, 1, who(), 1_000, 1_000),
        hold_row(1, 2, who(), 1, 1),
        deliver_row(1, 2, who(), 1, 0, 1),
    ]
    events = twins.say(*rows, deliver_row(1, 1, who(), 10, 0, 0), hold_row(1, 2, who(), 1, 1))
    assert [refusal(event) for event in events] == [
        None, MeterRefusal.INSUFFICIENT_BALANCE, MeterRefusal.REQUEST_UNKNOWN, None, None,
    ]  # fmt: skip


# --- money: prepaid, exact ---


@pytest.mark.parametrize("k", [0, 1, 17, 63, 64])
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_of_64_interleaved_requests_exactly_those_that_are_paid_for_are_admitted(k, batch):
    twins = a_market(balance_micro=0)
    if k:
        twins.ledger((102, 0, 2**61, WORLD, ADA, k * HELD + HELD - 1, 0, 0))
    rows = [hold_row(1, request, who(supplier=1 + request % 2), 1_000, 1_000) for request in range(1, 65)]
    events = [event for start in range(0, 64, batch) for event in twins.say(*rows[start : start + batch])]
    admitted = [event[2] for event in events if code(event) == MeterEvent.HELD]
    assert admitted == list(range(1, k + 1))
    assert {refusal(event) for event in events[k:]} <= {MeterRefusal.INSUFFICIENT_BALANCE}
    assert twins.available(ADA) == (HELD - 1 if k else 0)
    twins.say(
        *(deliver_row(2, request, who(supplier=1 + request % 2), 1_000, 0, 1_000) for request in admitted)
    )
    assert twins.posted(ADA) == k * 1 + (HELD - 1 if k else 0)
    assert twins.posted(NORTH) + twins.posted(SOUTH) == k * (HELD - 1)


def test_the_remainder_is_carried_from_request_to_request_of_a_customer():
    twins = a_market()
    twins.say(list_row(0, 1, grade=2, price_in=400_000, price_cached=0, price_out=0))
    charges = []
    for request in range(1, 11):
        twins.say(hold_row(request, request, who(1 + request % 2, grade=2), 1, 0))
        charges.append(twins.one(deliver_row(request, request, who(1 + request % 2, grade=2), 1, 0, 0))[7])
    assert charges == [0, 0, 0, 0, 1, 1, 0, 0, 1, 1]  # each customer: 0.4, 0.8, 1.2, 1.6, 2.0 micro-dollars
    assert twins.fast.parties[:2, 3].tolist() == [0, 0]
    assert twins.posted(NORTH) == 4


def test_a_batch_delivery_pays_each_leg_at_its_batch_price_rounded_half_up():
    twins = a_market()
    twins.say(list_row(0, 1, grade=2, price_in=3, price_cached=1, price_out=10**6, batch_hundredths=50))
    twins.say(hold_row(1, 7, who(grade=2), 10**6, 10))
    answer = twins.one(deliver_row(1, 7, who(grade=2), 10**6, 500_000, 10, batch=True))
    assert flags_of(answer[KIND]) == 1
    # 1.5 becomes 2 and 0.5 becomes 1 pico-dollar per token
    assert answer[7] == (500_000 * 2 + 500_000 * 1 + 10 * 500_000) // 10**6 == 6
    assert twins.fast.parties[0, 3] == 500_000


# --- price lists ---


def test_the_list_in_force_when_held_rates_the_request_whatever_comes_later():
    twins = a_market()
    events = twins.say(
        list_row(0, 1, 100, price_out=2 * PRICE_OUT),
        list_row(0, 1, 200, price_out=3 * PRICE_OUT),
        list_row(0, 2, 150, price_out=9 * PRICE_OUT),
        hold_row(99, 1, who(), 0, 1_000),
        hold_row(100, 2, who(), 0, 1_000),
        hold_row(199, 3, who(), 0, 1_000),
        hold_row(200, 4, who(), 0, 1_000),
        deliver_row(300, 1, who(), 0, 0, 1_000),
        deliver_row(300, 3, who(), 0, 0, 1_000),
    )
    assert [event[7] for event in events[3:]] == [4_001, 8_001, 8_001, 12_001, 4_000, 8_000]
    assert [reason_of(event[KIND]) for event in events[3:]] == [1, 3, 3, 4, 1, 3]


def test_lists_may_come_in_any_order_of_their_dates():
    twins = a_market()
    for valid_from in (50, 20, 40, 30, 60, 10):
        twins.say(
            list_row(0, 1, valid_from, grade=2, price_in=valid_from * 10**6, price_cached=0, price_out=0)
        )
    assert refusal(twins.one(hold_row(9, 99, who(grade=2), 1, 0))) == MeterRefusal.NO_PRICE_LIST
    for time_ns in (10, 19, 20, 35, 49, 50, 61):
        assert twins.one(hold_row(time_ns, time_ns, who(grade=2), 1, 0))[7] == min(time_ns // 10 * 10, 60) + 1


def test_prices_begin_after_every_hold_that_they_could_have_rated():
    twins = a_market()
    held(twins, 1, time_ns=50)
    assert twins.refused(list_row(51, 1, 49)) == MeterRefusal.PRICES_BACKDATED
    assert twins.refused(list_row(51, 1, 50)) == MeterRefusal.PRICES_BACKDATED
    assert twins.refused(list_row(51, 2, 49)) is None  # another supplier
    assert twins.refused(list_row(51, 1, 49, grade=2)) is None  # another grade
    assert twins.refused(list_row(51, 1, 51)) is None
    assert twins.refused(list_row(51, 1, BEFORE_ALL)) is MeterRefusal.PRICES_BACKDATED


BEFORE_ALL = -(2**63)


def test_a_refused_hold_dates_no_list():
    twins = a_market(balance_micro=0)
    assert twins.refused(hold_row(50, 1, who(), 1, 1)) == MeterRefusal.INSUFFICIENT_BALANCE
    assert twins.refused(list_row(51, 1, 50)) is None


def test_a_price_of_nothing_is_a_price():
    twins = a_market()
    twins.say(list_row(0, 1, grade=2, price_in=0, price_cached=0, price_out=0))
    assert twins.one(hold_row(1, 1, who(grade=2), TOKENS_MAX, TOKENS_MAX))[7] == 1
    assert twins.one(deliver_row(1, 1, who(grade=2), TOKENS_MAX, 5, TOKENS_MAX))[7] == 0


def test_a_priced_event_says_the_batch_price():
    twins = a_market()
    answers = [twins.one(list_row(0, 1, grade=2 + h, batch_hundredths=h)) for h in (0, 1, 50, 100)]
    assert [reason_of(answer[KIND]) for answer in answers] == [50, 1, 50, 100]


# --- exactly once ---


def test_each_command_is_done_once_and_its_repeats_are_answered_alike():
    twins = a_market()
    rows = [
        enrol_row(1, PartyRole.CUSTOMER, 1, ADA),
        list_row(1, 1),
        hold_row(1, 7, who(), 100, 100, 90),
        deliver_row(2, 7, who(), 50, 20, 30, batch=True),
        hold_row(2, 8, who(), 100, 100),
        void_row(2, 8),
    ]
    first = twins.say(*rows[2:])
    state = twins.fast.state_hash()
    later = [(row[KIND], 2, *row[2:]) for row in rows]
    again = twins.say(*later, *later)
    assert {code(event) for event in again} == {MeterEvent.REPEATED}
    assert [event[7] for event in again[2:6]] == [event[7] for event in first]
    assert [event[2:7] for event in again[:6]] == [list(row[2:7]) for row in rows]
    assert twins.fast.state_hash() == state


def test_a_request_refused_for_want_of_money_can_be_asked_again():
    twins = a_market(balance_micro=0)
    assert twins.refused(hold_row(1, 7, who(), 1_000, 1_000)) == MeterRefusal.INSUFFICIENT_BALANCE
    twins.ledger((102, 2, 2**61, WORLD, ADA, HELD, 0, 0))
    assert twins.refused(hold_row(3, 7, who(), 1_000, 1_000)) is None


def test_ten_thousand_deliveries_in_one_batch_are_each_charged_once():
    twins = a_market()
    count = 10_000
    holds = [hold_row(1, request, who(), 10, 10) for request in range(1, count + 1)]
    delivers = [deliver_row(1, request, who(), 10, 0, 10) for request in range(1, count + 1)]
    ledger = twins.fast.ledger
    events = twins.fast.apply(
        np.array([row for pair in zip(holds, delivers, strict=True) for row in pair], np.int64)
    )
    assert len(events) == 2 * count
    cost = count * (10 * 950_000 + 10 * 4_000_000)
    assert ledger.posted(NORTH) == cost // 10**6
    assert twins.fast.parties[0].tolist() == [
        1,
        1,
        ADA,
        cost % 10**6,
        cost // 10**6,
        10 * count,
        0,
        10 * count,
    ]


# --- expiry ---


def test_a_hold_ends_at_its_nanosecond_and_its_money_is_free_again():
    twins = a_market()
    held(twins, 1, time_ns=10, timeout_ns=5)
    held(twins, 2, time_ns=10, timeout_ns=6)
    assert [code(event) for event in twins.say(tick_row(14))] == [MeterEvent.TICKED]
    assert twins.available(ADA) == 10**9 - 2 * HELD
    events = twins.say(tick_row(15))
    assert events[0] == [MeterEvent.EXPIRED | 1 << 24, 15, 1, who(), 1_000, 1_000, 5, HELD]
    assert twins.available(ADA) == 10**9 - HELD
    assert refusal(twins.one(deliver_row(15, 1, who(), 1, 0, 1))) == MeterRefusal.HOLD_EXPIRED
    assert refusal(twins.one(void_row(15, 1))) == MeterRefusal.HOLD_EXPIRED
    assert code(twins.one(deliver_row(15, 2, who(), 1, 0, 1))) == MeterEvent.SETTLED


def test_expiries_come_before_the_row_that_brought_them_in_the_order_of_expiry_then_of_holding():
    twins = a_market()
    for request, timeout in ((1, 9), (2, 5), (3, 9), (4, 1), (5, 5)):
        held(twins, request, time_ns=10, timeout_ns=timeout)
    twins.say(void_row(10, 5))
    events = twins.say(hold_row(30, 6, who(), 1, 1))
    assert [(code(event), event[1], event[2]) for event in events[:-1]] == [
        (MeterEvent.EXPIRED, 11, 4), (MeterEvent.EXPIRED, 15, 2), (MeterEvent.EXPIRED, 19, 1), (MeterEvent.EXPIRED, 19, 3),
    ]  # fmt: skip
    assert code(events[-1]) == MeterEvent.HELD


@pytest.mark.parametrize(
    "row", [(999, 30, 0, 0, 0, 0, 0, 0), void_row(30, 99), hold_row(30, 1, who(), -1, 0)]
)
def test_a_row_that_is_refused_moves_the_clock_and_lets_holds_end(row):
    twins = a_market()
    held(twins, 1, time_ns=10, timeout_ns=5)
    events = twins.say(row)
    assert [code(event) for event in events] == [MeterEvent.EXPIRED, MeterEvent.REFUSED]
    assert (twins.fast.clock_ns, twins.plain.clock_ns) == (30, 30)


def test_the_balance_of_an_expired_hold_pays_for_the_hold_that_follows():
    twins = a_market(balance_micro=HELD)
    held(twins, 1, time_ns=10, timeout_ns=5)
    assert twins.refused(hold_row(14, 2, who(), 1_000, 1_000)) == MeterRefusal.INSUFFICIENT_BALANCE
    assert twins.refused(hold_row(15, 2, who(), 1_000, 1_000)) is None


def test_a_hold_that_the_ledger_let_expire_first_is_told_by_the_next_row():
    twins = a_market()
    held(twins, 1, time_ns=10, timeout_ns=5)
    twins.ledger(ledger_tick_row(20))
    assert twins.refused(deliver_row(19, 1, who(), 1, 0, 1)) == MeterRefusal.TIME_BACKWARDS
    assert [code(event) for event in twins.say(tick_row(20))] == [MeterEvent.EXPIRED, MeterEvent.TICKED]


def test_a_tick_moves_the_ledgers_clock():
    twins = a_market()
    twins.say(tick_row(77))
    assert twins.fast.ledger.clock_ns == twins.fast.clock_ns == 77


# --- what is remembered ---


def test_a_party_sums_what_it_used_and_paid_or_earned():
    twins = a_market()
    twins.say(hold_row(1, 1, who(2, 1), 100, 100), hold_row(1, 2, who(2, 2), 100, 100))
    twins.say(deliver_row(1, 1, who(2, 1), 80, 30, 20), deliver_row(1, 2, who(2, 2), 10, 0, 5))
    first, second = 50 * 950_000 + 30 * 160_000 + 20 * PRICE_OUT, 10 * 950_000 + 5 * PRICE_OUT
    parties = {(role, number): rest for role, number, *rest in twins.fast.parties.tolist()}
    total = first + second
    assert parties[PartyRole.CUSTOMER, 2] == [BOB, total % 10**6, total // 10**6, 90, 30, 25]
    assert parties[PartyRole.SUPPLIER, 1] == [NORTH, 0, first // 10**6, 80, 30, 20]
    assert parties[PartyRole.SUPPLIER, 2][2] == total // 10**6 - first // 10**6
    assert parties[PartyRole.CUSTOMER, 1][2:] == [0, 0, 0, 0]


def test_parties_may_be_enrolled_in_any_order():
    twins = Twins()
    guarded = AccountFlag.NO_OVERDRAFT
    twins.ledger(
        open_row(0, 1, 1), open_row(0, 2, 1, guarded), open_row(0, 3, 1), transfer_row(0, 1, 1, 2, 10**6)
    )
    events = twins.say(
        enrol_row(1, PartyRole.SUPPLIER, 1, 3),
        list_row(1, 1),
        enrol_row(1, PartyRole.CUSTOMER, 1, 2),
        hold_row(1, 1, who(), 100, 100),
        deliver_row(1, 1, who(), 100, 0, 100),
    )
    assert [code(event) for event in events][3:] == [MeterEvent.HELD, MeterEvent.SETTLED]
    assert twins.posted(3) == 495


def test_customers_and_suppliers_are_numbered_apart_and_may_share_an_account():
    twins = a_market()
    assert twins.refused(enrol_row(1, PartyRole.SUPPLIER, 3, NORTH)) is None
    assert twins.refused(enrol_row(1, PartyRole.CUSTOMER, 7, ADA)) is None
    twins.say(hold_row(1, 1, who(7), 100, 100), deliver_row(1, 1, who(7), 100, 0, 100))
    assert twins.posted(ADA) == 10**9 - 495


@pytest.mark.parametrize("part", ["parties", "price_lists", "requests", "deliveries"])
def test_both_twins_show_what_they_know(part):
    twins = a_market()
    twins.say(hold_row(1, 1, who(), 100, 100), deliver_row(1, 1, who(), 100, 0, 100))
    assert np.array_equal(getattr(twins.plain, part), getattr(twins.fast, part))
    assert np.array_equal(getattr(twins.fast, part), twins.fast.snapshot()[part])
    assert not getattr(twins.fast, part).flags.writeable
