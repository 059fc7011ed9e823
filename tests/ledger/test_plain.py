"""The rules, one by one, as worked examples; on both ledgers, for they are one machine."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import INT64_MAX, Row, flags_of, kind_word, reason_of
from ciyuan.ledger import (
    AccountView,
    Command,
    Event,
    Flag,
    Refusal,
    hold_row,
    open_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.plain import PlainLedger
from tests.ledger.flows import (
    FUNDED,
    GUARD,
    MONEY,
    POOR,
    RICH,
    WORLD,
    AnyLedger,
    codes,
    matrix,
    opened,
    refusals,
    say,
)


@pytest.fixture(params=[PlainLedger, Ledger])
def ledger(request: pytest.FixtureRequest) -> AnyLedger:
    made: AnyLedger = request.param()
    return opened(made)


def sums(ledger: AnyLedger, number: int) -> tuple[int, int, int, int]:
    account = ledger.account(number)
    return account.debits_pending, account.debits_posted, account.credits_pending, account.credits_posted


# --- accounts and transfers ---


def test_accounts_are_numbered_in_order(ledger: AnyLedger):
    assert refusals(say(ledger, open_row(1, 8, MONEY))) == [Refusal.ACCOUNT_OUT_OF_ORDER]
    assert codes(say(ledger, open_row(1, 7, MONEY, 1, reason=3))) == [Event.OPENED]
    assert ledger.account(7) == AccountView(MONEY, 1, 0, 0, 0, 0)
    assert ledger.accounts[7].tolist() == [MONEY, 1, 0, 0, 0, 0, kind_word(Command.OPEN, 0, 3), 1]
    assert ledger.account_count == 7
    assert codes(say(ledger, open_row(2, 7, MONEY, 1, reason=3))) == [Event.REPEATED]


def test_a_transfer_moves_both_sides_at_once(ledger: AnyLedger):
    events = say(ledger, transfer_row(1, 1, RICH, POOR, 70, reason=5))
    assert events == [[kind_word(Event.TRANSFERRED, 0, 5), 1, 1, RICH, POOR, 70, 0, 0]]
    assert (ledger.posted(RICH), ledger.posted(POOR)) == (FUNDED - 70, 70)
    assert ledger.transfers[-1].tolist() == list(transfer_row(1, 1, RICH, POOR, 70, reason=5))


def test_the_last_unit_can_be_spent_and_not_one_more(ledger: AnyLedger):
    assert refusals(say(ledger, transfer_row(1, 1, RICH, POOR, FUNDED + 1))) == [Refusal.OVERDRAWN]
    assert codes(say(ledger, transfer_row(1, 1, RICH, POOR, FUNDED))) == [Event.TRANSFERRED]
    assert ledger.available(RICH) == 0


def test_incoming_holds_cannot_be_spent(ledger: AnyLedger):
    say(ledger, hold_row(1, 1, RICH, POOR, 50))
    assert refusals(say(ledger, transfer_row(1, 2, POOR, RICH, 1))) == [Refusal.OVERDRAWN]


def test_an_unguarded_account_may_go_below_zero(ledger: AnyLedger):
    say(ledger, transfer_row(1, 1, WORLD, POOR, 10**12))
    assert ledger.posted(WORLD) == -2 * FUNDED - 10**12


def test_overflow_is_refused_at_the_last_unit(ledger: AnyLedger):
    room = INT64_MAX - 2 * FUNDED
    assert refusals(say(ledger, transfer_row(1, 1, WORLD, POOR, room + 1))) == [Refusal.DEBITS_OVERFLOW]
    assert codes(say(ledger, transfer_row(1, 1, WORLD, POOR, room))) == [Event.TRANSFERRED]
    assert refusals(say(ledger, hold_row(1, 2, WORLD, GUARD, 1))) == [Refusal.DEBITS_OVERFLOW]
    say(ledger, hold_row(1, 3, RICH, POOR, FUNDED), hold_row(1, 4, GUARD, POOR, FUNDED))
    assert ledger.account(POOR).credits_pending + ledger.account(POOR).credits_posted == INT64_MAX
    say(ledger, transfer_row(1, 5, POOR, GUARD, 1))
    assert refusals(say(ledger, transfer_row(1, 6, GUARD, POOR, 1))) == [Refusal.CREDITS_OVERFLOW]


# --- holds ---


def test_a_hold_takes_from_what_is_available_only(ledger: AnyLedger):
    events = say(ledger, hold_row(1, 1, RICH, POOR, 300, 60))
    assert events == [[Event.HELD, 1, 1, RICH, POOR, 300, 0, 300]]
    assert sums(ledger, RICH) == (300, 0, 0, FUNDED)
    assert sums(ledger, POOR) == (0, 0, 300, 0)
    assert (ledger.available(RICH), ledger.posted(RICH)) == (FUNDED - 300, FUNDED)


def test_posting_releases_the_rest(ledger: AnyLedger):
    events = say(ledger, hold_row(1, 1, RICH, POOR, 300), post_row(2, 2, 1, 120))
    assert events[1] == [Event.POSTED, 2, 2, RICH, POOR, 120, 1, 0]
    assert sums(ledger, RICH) == (0, 120, 0, FUNDED)
    assert sums(ledger, POOR) == (0, 0, 0, 120)
    assert refusals(say(ledger, post_row(3, 3, 1, 1))) == [Refusal.PENDING_ALREADY_POSTED]


def test_keeping_leaves_the_rest_held_until_nothing_is(ledger: AnyLedger):
    keep = kind_word(Event.POSTED, Flag.KEEP)
    events = say(ledger, hold_row(1, 1, RICH, POOR, 300), post_row(2, 2, 1, 120, keep=True))
    assert events[1] == [keep, 2, 2, RICH, POOR, 120, 1, 180]
    assert sums(ledger, RICH) == (180, 120, 0, FUNDED)
    assert refusals(say(ledger, post_row(3, 3, 1, 181))) == [Refusal.AMOUNT_OVER_REMAINING]
    assert say(ledger, post_row(3, 3, 1, 180, keep=True)) == [[keep, 3, 3, RICH, POOR, 180, 1, 0]]
    assert refusals(say(ledger, void_row(4, 4, 1))) == [Refusal.PENDING_ALREADY_POSTED]


def test_voiding_releases_what_is_left(ledger: AnyLedger):
    say(ledger, hold_row(1, 1, RICH, POOR, 300), post_row(2, 2, 1, 120, keep=True))
    assert say(ledger, void_row(3, 3, 1)) == [[Event.VOIDED, 3, 3, RICH, POOR, 180, 1, 0]]
    assert sums(ledger, RICH) == (0, 120, 0, FUNDED)
    assert refusals(say(ledger, void_row(3, 4, 1))) == [Refusal.PENDING_ALREADY_VOIDED]


def test_nothing_can_be_posted_of_a_hold_which_ends_it(ledger: AnyLedger):
    events = say(ledger, hold_row(1, 1, RICH, POOR, 300), post_row(2, 2, 1, 0), post_row(2, 3, 1, 0))
    assert codes(events) == [Event.HELD, Event.POSTED, Event.REFUSED]
    assert sums(ledger, RICH) == (0, 0, 0, FUNDED)
    say(ledger, hold_row(3, 4, RICH, POOR, 300))
    assert refusals(say(ledger, post_row(3, 5, 4, 0, keep=True))) == [Refusal.AMOUNT_NOT_POSITIVE]


def test_accounts_may_be_named_in_a_post_if_they_are_the_holds(ledger: AnyLedger):
    named: Row = (Command.POST, 2, 2, RICH, POOR, 10, 1, 0)
    assert codes(say(ledger, hold_row(1, 1, RICH, POOR, 300), named)) == [Event.HELD, Event.POSTED]
    assert codes(say(ledger, post_row(2, 2, 1, 10))) == [Event.REPEATED]
    assert ledger.transfers[-1].tolist() == list(named)


# --- expiry ---


def test_a_hold_expires_at_its_nanosecond(ledger: AnyLedger):
    say(ledger, hold_row(100, 1, RICH, POOR, 300, 50, reason=7))
    assert codes(say(ledger, tick_row(149))) == [Event.TICKED]
    expired, ticked = say(ledger, tick_row(150))
    assert expired == [kind_word(Event.EXPIRED, 0, 7), 150, 1, RICH, POOR, 300, 1, 0]
    assert ticked[1] == 150
    assert sums(ledger, RICH) == (0, 0, 0, FUNDED)
    assert refusals(say(ledger, post_row(150, 2, 1, 1))) == [Refusal.PENDING_ALREADY_EXPIRED]


def test_the_row_that_comes_at_that_nanosecond_is_too_late_and_one_before_is_not(ledger: AnyLedger):
    say(ledger, hold_row(100, 1, RICH, POOR, 300, 50), hold_row(100, 2, RICH, POOR, 300, 50))
    assert codes(say(ledger, post_row(149, 3, 1, 300), post_row(150, 4, 2, 300))) == [
        Event.POSTED,
        Event.EXPIRED,
        Event.REFUSED,
    ]


def test_holds_expire_by_time_and_then_by_age(ledger: AnyLedger):
    timeouts = {1: 30, 2: 10, 3: 20, 4: 10, 5: 0, 6: 40}
    say(
        ledger,
        *(hold_row(0, key, RICH, POOR, key, timeout) for key, timeout in timeouts.items()),
        void_row(0, 7, 3),
    )
    assert [event[2] for event in say(ledger, tick_row(30))] == [2, 4, 1, 0]
    assert ledger.account(RICH).debits_pending == 5 + 6


def test_what_remains_of_a_kept_hold_expires(ledger: AnyLedger):
    say(ledger, hold_row(0, 1, RICH, POOR, 300, 50), post_row(1, 2, 1, 100, keep=True))
    assert say(ledger, tick_row(50))[0][5] == 200
    assert sums(ledger, RICH) == (0, 100, 0, FUNDED)


def test_a_refused_row_moves_the_clock_too(ledger: AnyLedger):
    say(ledger, hold_row(0, 1, RICH, POOR, 300, 50))
    assert codes(say(ledger, transfer_row(60, 2, RICH, RICH, 1))) == [Event.EXPIRED, Event.REFUSED]
    assert ledger.clock_ns == 60
    assert refusals(say(ledger, tick_row(59))) == [Refusal.TIME_BACKWARDS]
    assert ledger.clock_ns == 60


# --- exactly once ---


def test_a_repeat_is_harmless_at_any_later_time(ledger: AnyLedger):
    row = transfer_row(1, 1, RICH, POOR, FUNDED, reason=2)
    say(ledger, row)
    before = ledger.accounts.tolist()
    assert say(ledger, (row[0], 99, *row[2:])) == [[kind_word(Event.REPEATED, 0, 2), 99, *row[2:]]]
    assert ledger.accounts.tolist() == before
    assert ledger.transfer_count == 4


def test_a_repeated_hold_is_a_repeat_whatever_became_of_it(ledger: AnyLedger):
    hold = hold_row(1, 1, RICH, POOR, 300, 5)
    say(ledger, hold, post_row(1, 2, 1, 10, keep=True), tick_row(10))
    again = say(ledger, (hold[0], 20, *hold[2:]), post_row(20, 2, 1, 10, keep=True))
    assert codes(again) == [Event.REPEATED, Event.REPEATED]
    assert again[1][3:] == [RICH, POOR, 10, 1, 0]


def test_a_refused_key_is_still_free(ledger: AnyLedger):
    assert refusals(say(ledger, transfer_row(1, 1, RICH, RICH, 5))) == [Refusal.ACCOUNTS_SAME]
    assert codes(say(ledger, hold_row(2, 1, RICH, POOR, 6))) == [Event.HELD]


# --- chains ---


def linked_set(time_ns: int, amount: int) -> list[Row]:
    """Delivery against payment: two legs, one set."""
    return [
        transfer_row(time_ns, 101, RICH, GUARD, amount, linked=True),
        transfer_row(time_ns, 102, GUARD, POOR, amount, linked=True),
        transfer_row(time_ns, 103, POOR, RICH, 1),
    ]


def test_a_chain_happens_whole(ledger: AnyLedger):
    events = say(ledger, *linked_set(1, 10), tick_row(2))
    assert codes(events) == [Event.TRANSFERRED] * 3 + [Event.TICKED]
    assert [flags_of(event[0]) for event in events] == [Flag.LINKED, Flag.LINKED, 0, 0]
    assert ledger.posted(POOR) == 9


def test_a_chain_sees_its_own_earlier_rows_and_leaves_no_trace_if_it_fails(ledger: AnyLedger):
    before = ledger.snapshot()
    say(ledger, tick_row(5))
    failing: list[Row] = [
        open_row(5, 7, MONEY, linked=True),
        transfer_row(5, 1, RICH, 7, 10, linked=True),
        hold_row(5, 2, RICH, POOR, 100, 3, linked=True),
        post_row(5, 3, 2, 40, keep=True, linked=True),
        post_row(5, 4, 2, 20, keep=True, linked=True),
        void_row(5, 5, 2, linked=True),
        transfer_row(5, 6, 7, RICH, 10, linked=True),
        transfer_row(5, 7, RICH, POOR, FUNDED),
    ]
    events = say(ledger, *failing, tick_row(5))
    assert refusals(events) == [Refusal.CHAIN_FAILED] * 7 + [Refusal.OVERDRAWN]
    after = ledger.snapshot()
    assert {name: part.tolist() for name, part in after.items() if name != "clock"} == {
        name: part.tolist() for name, part in before.items() if name != "clock"
    }
    assert codes(say(ledger, tick_row(8))) == [Event.TICKED]
    assert codes(say(ledger, *((row[0], 8, *row[2:]) for row in failing[:-1]), tick_row(8)))[:7] == [
        Event.OPENED,
        Event.TRANSFERRED,
        Event.HELD,
        Event.POSTED,
        Event.POSTED,
        Event.VOIDED,
        Event.TRANSFERRED,
    ]


def test_a_failed_chain_gives_back_holds_that_stood_before_it(ledger: AnyLedger):
    say(ledger, hold_row(1, 1, RICH, POOR, 100, 10), hold_row(1, 2, RICH, POOR, 100, 10))
    chain = [
        post_row(2, 3, 1, 30, keep=True, linked=True),
        void_row(2, 4, 1, linked=True),
        post_row(2, 5, 2, 30, linked=True),
        post_row(2, 6, 2, 30),
    ]
    assert refusals(say(ledger, *chain))[-1] == Refusal.PENDING_ALREADY_POSTED
    assert sums(ledger, RICH) == (200, 0, 0, FUNDED)
    assert codes(say(ledger, tick_row(11))) == [Event.EXPIRED, Event.EXPIRED, Event.TICKED]


def test_a_failed_chain_is_answered_row_by_row_after_what_expired(ledger: AnyLedger):
    say(ledger, hold_row(1, 1, RICH, POOR, 100, 1))
    chain = linked_set(5, FUNDED + 1)
    events = say(ledger, *chain)
    assert codes(events) == [Event.EXPIRED] + [Event.REFUSED] * 3
    assert refusals(events) == [Refusal.OVERDRAWN, Refusal.CHAIN_FAILED, Refusal.CHAIN_FAILED]
    assert [event[1:7] for event in events[1:]] == [list(row[1:7]) for row in chain]


def test_a_chain_left_open_at_the_batchs_end_is_refused(ledger: AnyLedger):
    before = ledger.state_hash()
    assert refusals(say(ledger, *linked_set(1, 10)[:2])) == [Refusal.CHAIN_FAILED, Refusal.CHAIN_OPEN]
    assert ledger.state_hash() == before


def test_a_chain_is_one_moment(ledger: AnyLedger):
    first, *_ = linked_set(1, 10)
    assert refusals(say(ledger, first, tick_row(2))) == [Refusal.CHAIN_FAILED, Refusal.CHAIN_TIME_DIFFERS]
    assert ledger.clock_ns == 1


def test_a_chain_from_the_past_is_refused_at_its_first_row(ledger: AnyLedger):
    say(ledger, tick_row(9))
    assert refusals(say(ledger, *linked_set(1, 10))) == [
        Refusal.TIME_BACKWARDS,
        Refusal.CHAIN_FAILED,
        Refusal.CHAIN_FAILED,
    ]


def test_a_chain_said_again_is_repeated_whole(ledger: AnyLedger):
    say(ledger, *linked_set(1, 10))
    before = ledger.accounts.tolist()
    assert codes(say(ledger, *linked_set(2, 10))) == [Event.REPEATED] * 3
    assert refusals(say(ledger, *linked_set(2, 11)))[0] == Refusal.EXISTS_WITH_DIFFERENT_AMOUNT
    assert ledger.accounts.tolist() == before


def test_a_new_row_may_be_chained_to_a_repeated_one(ledger: AnyLedger):
    first, second, third = linked_set(1, 10)
    say(ledger, first, second, third)
    other = transfer_row(2, 200, RICH, POOR, FUNDED + 1)
    assert refusals(say(ledger, (first[0], 2, *first[2:]), other)) == [
        Refusal.CHAIN_FAILED,
        Refusal.OVERDRAWN,
    ]
    assert ledger.posted(RICH) == FUNDED - 9
    assert (
        codes(say(ledger, (first[0], 2, *first[2:]), transfer_row(2, 200, RICH, POOR, 1)))[0]
        == Event.REPEATED
    )


# --- events and questions ---


def test_the_example_of_the_page_of_rules():
    """docs/spec/ledger.md, "An example": a request that may cost 0.30 and does cost 0.12."""
    for make in (PlainLedger, Ledger):
        ledger = make()
        second = 10**9
        say(ledger, open_row(0, 1, MONEY), open_row(0, 2, MONEY, 1), open_row(0, 3, MONEY))
        steps: list[tuple[Row, Event | Refusal, tuple[int, int, int]]] = [
            (transfer_row(0, 1, 1, 2, 1_000_000), Event.TRANSFERRED, (1_000_000, 1_000_000, 0)),
            (hold_row(1, 40, 2, 3, 300_000, 60 * second), Event.HELD, (1_000_000, 700_000, 0)),
            (transfer_row(1, 2, 2, 3, 700_001), Refusal.OVERDRAWN, (1_000_000, 700_000, 0)),
            (post_row(2, 41, 40, 120_000), Event.POSTED, (880_000, 880_000, 120_000)),
            (post_row(3, 41, 40, 120_000), Event.REPEATED, (880_000, 880_000, 120_000)),
            (post_row(3, 41, 40, 130_000), Refusal.EXISTS_WITH_DIFFERENT_AMOUNT, (880_000, 880_000, 120_000)),
            (void_row(3, 42, 40), Refusal.PENDING_ALREADY_POSTED, (880_000, 880_000, 120_000)),
        ]
        for row, answer, balances in steps:
            events = say(ledger, row)
            assert [*codes(events), *refusals(events)][-1] == answer
            assert (ledger.posted(2), ledger.available(2), ledger.posted(3)) == balances


def test_events_carry_the_flags_and_the_reason_of_their_commands(ledger: AnyLedger):
    row = transfer_row(1, 1, RICH, RICH, 1, reason=65_535)
    (event,) = say(ledger, row)
    assert reason_of(event[0]) == 65_535
    unknown: Row = (-1, 1, 2, 3, 4, 5, 6, 7)
    assert refusals(say(ledger, unknown)) == [Refusal.CHAIN_OPEN]
    unknown = (-1 ^ Flag.LINKED << 16, 1, 2, 3, 4, 5, 6, 7)
    assert say(ledger, unknown) == [
        [unknown[0] & ~0xFFFF | Event.REFUSED, 1, 2, 3, 4, 5, 6, Refusal.KIND_UNKNOWN]
    ]


def test_the_plain_ledger_answers_like_the_machine():
    plain = PlainLedger()
    assert plain.apply(matrix([])).shape == (0, 8)
    assert plain.accounts.tolist() == [[0] * 8]
    assert plain.transfers.shape == (0, 8)
    opened(plain)
    plain.check()
    assert (plain.clock_ns, plain.account_count, plain.transfer_count) == (0, 6, 3)
    with pytest.raises(Malformed, match="1 to 6"):
        plain.posted(7)
    with pytest.raises(Malformed, match="int64"):
        plain.apply(np.zeros((1, 8), dtype=np.int32))
