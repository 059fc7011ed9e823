"""The rows as they are made, the words as they are named, and the page of rules against the enums."""

import subprocess
import sys
from enum import IntEnum

import pytest

from ciyuan.basics.rows import code_of, flags_of, reason_of
from ciyuan.ledger import (
    AccountView,
    Command,
    Event,
    Flag,
    Refusal,
    close_row,
    hold_row,
    open_row,
    post_row,
    tick_row,
    transfer_row,
    void_row,
)
from tests.sources import bare, table, text_of

SPEC = text_of("docs/spec/ledger.md")


def test_rows_put_each_word_in_its_place():
    assert open_row(9, 1, 2, 1) == (Command.OPEN, 9, 1, 2, 1, 0, 0, 0)
    assert transfer_row(9, 5, 1, 2, 70) == (Command.TRANSFER, 9, 5, 1, 2, 70, 0, 0)
    assert hold_row(9, 5, 1, 2, 70, 30) == (Command.HOLD, 9, 5, 1, 2, 70, 0, 30)
    assert post_row(9, 6, 5, 70) == (Command.POST, 9, 6, 0, 0, 70, 5, 0)
    assert void_row(9, 6, 5) == (Command.VOID, 9, 6, 0, 0, 0, 5, 0)
    assert tick_row(9) == (Command.TICK, 9, 0, 0, 0, 0, 0, 0)
    assert close_row(9, 5, 8) == (Command.CLOSE, 9, 5, 8, 0, 0, 0, 0)
    assert reason_of(close_row(9, 5, 8, reason=7)[0]) == 7


def test_the_kind_word_carries_flags_and_reason():
    kind = post_row(9, 6, 5, 70, keep=True, reason=603, linked=True)[0]
    assert (code_of(kind), flags_of(kind), reason_of(kind)) == (Command.POST, Flag.LINKED | Flag.KEEP, 603)
    for row in (
        open_row(9, 1, 2, linked=True),
        transfer_row(9, 5, 1, 2, 70, linked=True),
        hold_row(9, 5, 1, 2, 70, linked=True),
        void_row(9, 6, 5, linked=True),
    ):
        assert flags_of(row[0]) == Flag.LINKED


def test_an_account_says_what_it_has_and_what_is_left():
    account = AccountView(1, 0, debits_pending=30, debits_posted=20, credits_pending=500, credits_posted=100)
    assert account.posted == 80
    assert account.available == 50


def test_the_messages_load_no_array_library():
    code = "import sys, ciyuan.ledger; print({'numpy', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("kind", [Command, Event, Refusal])
def test_the_page_of_rules_lists_every_code(kind: type[IntEnum]):
    written = [bare(row)[:2] for row in table(SPEC, "value", kind.__name__.lower())]
    assert written == [[str(member.value), member.name] for member in kind]
