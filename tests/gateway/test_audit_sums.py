"""The sums: linear in the calls, exact in money, kept as words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.gateway.audit_sample import Extent, Script
from ciyuan.gateway.audit_sums import Sums
from ciyuan.gateway.audit_template import Template

calls_strategy = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9)),
    max_size=20,
)


@given(calls=calls_strategy, template=st.builds(Template, st.integers(0, 8), st.integers(0, 64)))
def test_money_at_stake_is_that_of_the_calls_one_by_one(calls, template):
    sums, pico = Sums(), 0
    for pieces, counted, claimed, price_micro in calls:
        sums.add(Extent(0, 0, Script.LATIN, pieces, counted), claimed, price_micro)
        pico += (claimed - counted - template.tokens(pieces)) * price_micro
    assert sums.over_counted_micro(template) == max(0, pico // 10**6)


def test_sums_are_linear_and_kept():
    sums = Sums()
    sums.add(Extent(300, 400, Script.LATIN, 2, 100), 130, 7)
    sums.add(Extent(30, 40, Script.LATIN, 1, None), 20, 11)
    assert sums.words() == [2, 3, 330, 440, 100, 150, 18, 25, 3_240, 700, 1_130]
    assert Sums.of_words(sums.words()) == sums
    assert sums.over_counted_micro(Template(0, 0)) == 0
    big = Sums()
    big.add(Extent(0, 0, Script.LATIN, 2, 1_000_000), 2_000_000, 3_000_000)
    assert big.over_counted_micro(Template(5, 3)) == (1_000_000 - 13) * 3
    assert big.over_ratio_micro(250_000, Template(0, 0)) == 6_000_000
    for words in (sums.words()[1:], [-1] * 11):
        with pytest.raises(Malformed, match="kept sums"):
            Sums.of_words(words)
