"""The meter's words: parties packed into one, rows as their makers write them, a light import."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciyuan.gateway
from ciyuan.gateway import messages
from ciyuan.gateway.messages import CUSTOMER_MAX, GRADE_MAX, SUPPLIER_MAX


@given(st.integers(0, CUSTOMER_MAX), st.integers(0, SUPPLIER_MAX), st.integers(0, GRADE_MAX))
def test_parties_come_out_as_they_went_in(customer, supplier, grade):
    word = messages.parties_word(customer, supplier, grade)
    assert 0 <= word < 2**63
    assert (messages.customer_of(word), messages.supplier_of(word), messages.grade_of(word)) == (
        customer,
        supplier,
        grade,
    )


@pytest.mark.parametrize(
    "parties", [(-1, 0, 0), (2**31, 0, 0), (0, -1, 0), (0, 2**16, 0), (0, 0, -1), (0, 0, 2**16)]
)
def test_parties_that_do_not_fit_are_not_packed(parties):
    with pytest.raises(ValueError, match="does not fit"):
        messages.parties_word(*parties)


def test_rows_hold_their_words_where_the_table_says():
    assert messages.enrol_row(1, messages.PartyRole.SUPPLIER, 2, 3) == (201, 1, 2, 3, 2, 0, 0, 0)
    prices = messages.prices_row(
        1, 2, 3, price_in=4, price_cached=5, price_out=6, valid_from_ns=7, batch_hundredths=8
    )
    assert prices == (202 | 8 << 24, 1, 2, 3, 4, 5, 6, 7)
    assert messages.hold_row(1, 2, 3, 4, 5, 6) == (203, 1, 2, 3, 4, 5, 6, 0)
    assert messages.deliver_row(1, 2, 3, 4, 5, 6) == (204, 1, 2, 3, 4, 5, 6, 0)
    assert messages.deliver_row(1, 2, 3, 4, 5, 6, batch=True) == (204 | 1 << 16, 1, 2, 3, 4, 5, 6, 0)
    assert messages.void_row(1, 2) == (205, 1, 2, 0, 0, 0, 0, 0)
    assert messages.hold_row(1, 2, 3, 4, 5, 6, 7) == (203, 1, 2, 3, 4, 5, 6, 7)
    assert messages.spender_row(1, 2, 3, 4) == (207, 1, 2, 3, 4, 0, 0, 0)
    unit, window = messages.LimitUnit.TOKENS, messages.LimitWindow.MONTH
    assert messages.limit_row(1, 2, 3, unit, window, 5, 6) == (208, 1, 2, 3, 2 | 4 << 8, 5, 6, 0)
    leg = messages.leg_price_row(1, 2, 3, 4, 5, valid_from_ns=8, step=6, bound=7)
    assert leg == (209, 1, 2, 3, 4 | 6 << 8, 5, 7, 8)
    assert messages.leg_used_row(1, 2, 3, 4) == (210, 1, 2, 3, 4, 0, 0, 0)
    assert messages.close_row(1, 2, 3) == (211, 1, 2, 3, 0, 0, 0, 0)
    assert messages.tick_row(1) == (206, 1, 0, 0, 0, 0, 0, 0)


def test_the_room_gives_its_messages_and_nothing_heavy():
    for name in ciyuan.gateway.__all__:
        assert getattr(ciyuan.gateway, name) is getattr(messages, name)
    code = "import sys, ciyuan.gateway; sys.exit(bool({'numba', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
