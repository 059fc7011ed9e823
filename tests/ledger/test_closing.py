"""Closed keys, corner by corner, on both ledgers; and the page's own table of corners, read and played."""

import re

import numpy as np
import pytest

from ciyuan.basics.rows import INT64_MAX, Row
from ciyuan.ledger import (
    Event,
    Refusal,
    close_row,
    hold_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)
from ciyuan.ledger.book import CLOSED, HEAP_SIZE
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import CLOSED_RANGES_MAX
from ciyuan.ledger.plain import PlainLedger
from tests.ledger.flows import GUARD, POOR, RICH, WORLD, AnyLedger, codes, matrix, opened, refusals, say
from tests.sources import table, text_of

PAGE = text_of("docs/spec/ledger.md")


@pytest.fixture(params=[PlainLedger, Ledger])
def ledger(request: pytest.FixtureRequest) -> AnyLedger:
    made: AnyLedger = request.param()
    return opened(made)


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def row_of(command: str) -> Row:
    """A command of the page's table, at time 1."""
    kind, said = command.split(maxsplit=1)[0], numbers(command)
    if kind == "CLOSE":
        return close_row(1, *said)
    if kind == "HOLD":
        return hold_row(1, said[0], RICH, POOR, said[1])
    if kind == "VOID":
        return void_row(1, *said)
    return post_row(1, *said, keep="KEEP" in command)


def answer_of(event: list[int]) -> str:
    """An event as the page's table words it."""
    kind = Event(event[0] & 0xFFFF)
    told = {
        Event.POSTED: f" {event[5]}, still held {event[7]}",
        Event.VOIDED: f" {event[5]}",
        Event.CLOSED: f", {event[5]} forgotten",
        Event.REFUSED: f", `{Refusal(event[7]).name}`" if kind == Event.REFUSED else "",
    }
    return kind.name + told.get(kind, "")


def test_the_corners_of_the_page_of_rules(ledger: AnyLedger):
    corners = table(PAGE, "command", "answer", "closed then")
    assert len(corners) == 18
    say(
        ledger, *(hold_row(1, key, RICH, POOR, 50) for key in (1, 2, 3, 4)), transfer_row(1, 9, RICH, POOR, 1)
    )
    for command, answer, closed in corners:
        (event,) = say(ledger, row_of(command))
        assert (command, answer_of(event)) == (command, answer)
        assert (command, ledger.closed.ravel().tolist()) == (command, numbers(closed))
        ledger.check()
    assert (ledger.posted(POOR), ledger.available(RICH)) == (71, 929)
    assert ledger.transfers[:, 2].tolist() == [2**50 + 1, 2**50 + 2, 2**50 + 3, 15, 20, 21]


def test_a_closed_range_says_how_many_rows_were_forgotten_and_keeps_its_reason(ledger: AnyLedger):
    say(ledger, transfer_row(1, 5, RICH, POOR, 1), transfer_row(1, 8, RICH, POOR, 1))
    assert say(ledger, close_row(2, 5, 8, reason=7)) == [[Event.CLOSED | 7 << 24, 2, 5, 8, 0, 1, 0, 0]]
    assert say(ledger, close_row(3, 6, 8, reason=9)) == [[Event.REPEATED | 9 << 24, 3, 6, 8, 0, 0, 0, 0]]
    assert ledger.clock_ns == 3


def test_holds_that_are_due_have_expired_before_a_range_is_looked_at(ledger: AnyLedger):
    say(ledger, hold_row(1, 5, RICH, POOR, 40, 10), hold_row(1, 6, RICH, POOR, 40, 11))
    assert refusals(say(ledger, close_row(10, 5, 6))) == [Refusal.PENDING_IN_RANGE]
    assert codes(say(ledger, close_row(11, 5, 6))) == [Event.EXPIRED, Event.CLOSED]
    assert codes(say(ledger, tick_row(12))) == [Event.EXPIRED, Event.TICKED]
    assert ledger.available(RICH) == 1_000


def test_holds_that_are_kept_expire_as_they_would_have(ledger: AnyLedger):
    """The heap of expiries is made anew: whatever was forgotten of it, what is left comes in its order."""
    dice = np.random.default_rng(4)
    timeouts = dice.integers(1, 60, 400).tolist()
    say(ledger, *(hold_row(1, key, WORLD, POOR, 1, timeout) for key, timeout in enumerate(timeouts, 1)))
    say(ledger, *(void_row(1, 1_000 + key, key) for key in range(1, 401) if key % 3 or key < 150))
    say(ledger, close_row(1, 1, 150), close_row(1, 1_000, 2_000))
    left = [(timeout + 1, key) for key, timeout in enumerate(timeouts, 1) if key >= 150 and key % 3 == 0]
    if isinstance(ledger, Ledger):
        assert int(ledger.book.scalars[HEAP_SIZE]) == len(left)
    events = say(ledger, tick_row(30), tick_row(100))
    assert [(event[1], event[2]) for event in events if event[6]] == sorted(left)


def test_ranges_that_touch_become_one_and_a_ninth_is_refused(ledger: AnyLedger):
    firsts = [10 * n for n in range(1, CLOSED_RANGES_MAX + 1)]
    assert set(codes(say(ledger, *(close_row(1, first, first + 5) for first in reversed(firsts))))) == {
        Event.CLOSED
    }
    assert ledger.closed.tolist() == [[first, first + 5] for first in firsts]
    assert refusals(say(ledger, close_row(1, 1, 9))) == [Refusal.RANGES_FULL]
    assert refusals(say(ledger, close_row(1, 1, 11))) == [Refusal.RANGE_OVERLAPS]
    assert (
        codes(say(ledger, close_row(1, 9, 10), close_row(1, 85, 90), close_row(1, 35, 40)))
        == [Event.CLOSED] * 3
    )
    assert ledger.closed.tolist() == [[9, 15], [20, 25], [30, 45], [50, 55], [60, 65], [70, 75], [80, 90]]
    if isinstance(ledger, Ledger):
        assert not ledger.book.scalars[CLOSED + 2 * len(ledger.closed) :].any()
    assert codes(say(ledger, close_row(1, 1, 8))) == [Event.CLOSED]
    assert refusals(say(ledger, close_row(1, 100, 101))) == [Refusal.RANGES_FULL]
    for key in (7, 9, 14, 30, 44, 80, 89):
        assert refusals(say(ledger, transfer_row(1, key, RICH, POOR, 1))) == [Refusal.KEY_CLOSED]
    for key in (8, 15, 45, 90, 2**40):
        assert codes(say(ledger, transfer_row(1, key, RICH, POOR, 1))) == [Event.TRANSFERRED]


def test_the_greatest_key_can_be_used_but_not_closed(ledger: AnyLedger):
    assert codes(say(ledger, close_row(1, INT64_MAX - 1, INT64_MAX))) == [Event.CLOSED]
    assert refusals(say(ledger, transfer_row(1, INT64_MAX - 1, RICH, POOR, 1))) == [Refusal.KEY_CLOSED]
    assert codes(say(ledger, transfer_row(1, INT64_MAX, RICH, POOR, 1))) == [Event.TRANSFERRED]


def test_accounts_have_no_keys_to_be_closed(ledger: AnyLedger):
    say(ledger, close_row(1, 1, 100))
    before = ledger.accounts.tolist()
    say(ledger, transfer_row(1, 100, RICH, GUARD, 10))
    assert ledger.posted(GUARD) == 1_010
    assert [row[0] for row in ledger.accounts.tolist()] == [row[0] for row in before]
    assert codes(say(ledger, (101, 2, 1, 1, 0, 0, 0, 0), (101, 2, 7, 1, 0, 0, 0, 0))) == [
        Event.REPEATED,
        Event.OPENED,
    ]


def test_a_chain_said_again_fails_once_a_key_of_it_is_closed(ledger: AnyLedger):
    chain = [transfer_row(1, 5, RICH, POOR, 1, linked=True), transfer_row(1, 6, RICH, POOR, 1)]
    say(ledger, *chain, close_row(1, 6, 7))
    assert refusals(say(ledger, *chain)) == [Refusal.CHAIN_FAILED, Refusal.KEY_CLOSED]
    assert (
        codes(say(ledger, transfer_row(1, 5, RICH, POOR, 1, linked=True), tick_row(1)))[0] == Event.REPEATED
    )
    assert ledger.posted(POOR) == 2


def test_a_refused_close_closes_nothing(ledger: AnyLedger):
    say(ledger, hold_row(1, 5, RICH, POOR, 1), transfer_row(1, 6, RICH, POOR, 1))
    before = ledger.state_hash()
    say(
        ledger,
        close_row(1, 5, 7),
        close_row(1, 0, 7),
        transfer_row(1, 9, RICH, POOR, 1, linked=True),
        close_row(1, 6, 7),
    )
    assert ledger.state_hash() == before


def test_a_snapshot_has_the_closed_ranges_and_the_sums_of_what_was_forgotten(ledger: AnyLedger):
    say(
        ledger,
        hold_row(1, 5, RICH, POOR, 40),
        post_row(1, 6, 5, 15, keep=True),
        transfer_row(1, 7, RICH, GUARD, 3),
    )
    open_hash = ledger.state_hash()
    say(ledger, close_row(1, 6, 9))
    assert ledger.state_hash() != open_hash
    assert ledger.snapshot()["closed"].tolist() == [[6, 9]]
    for make in (PlainLedger, Ledger):
        restored = make()
        restored.restore(ledger.snapshot())
        assert restored.state_hash() == ledger.state_hash()
        assert refusals(say(restored, transfer_row(2, 7, RICH, GUARD, 3))) == [Refusal.KEY_CLOSED]
        assert say(restored, void_row(2, 10, 5))[0][5] == 25
        assert restored.posted(POOR) == 15


def test_a_closed_ledger_can_be_used_in_the_same_batch():
    compiled, plain = opened(Ledger()), opened(PlainLedger())
    batch = matrix(
        row
        for start in range(1, 400, 20)
        for row in [
            *(hold_row(start, key, RICH, POOR, 1, 1 + key % 7) for key in range(start, start + 10)),
            *(post_row(start, key + 10, key, key % 2) for key in range(start, start + 10, 3)),
            close_row(start + 10, start, start + 20),
        ]
    )
    assert compiled.apply(batch).tolist() == plain.apply(batch).tolist()
    assert compiled.state_hash() == plain.state_hash()
    assert compiled.closed.tolist() == [[1, 401]]
    assert compiled.transfer_count == 3
    assert int(compiled.book.scalars[HEAP_SIZE]) == 0
    assert compiled.book.scalars[CLOSED:].tolist() == [1, 401] + [0] * 14


def test_the_closed_ranges_are_a_view_that_cannot_be_written_to():
    ledger = opened(Ledger())
    say(ledger, close_row(1, 5, 8))
    with pytest.raises(ValueError, match="read-only"):
        ledger.closed[0, 0] = 1
