"""Bars of trades: intervals, what joins across batches, and which trades count in no price."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import kind_word
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS
from ciyuan.exchange.messages import ExchangeEvent, FillFlag
from ciyuan.services.exchange_bars import BarTable, bars_of, interval_ns, merged
from tests.services.orders import contract

SECOND = 10**9


def trade(time_ns, number, price, lots, stood=0, took=0):
    """The two FILLED rows of a trade."""
    return [
        (kind_word(ExchangeEvent.FILLED, flags), time_ns, account, 1, number, price, lots, 1)
        for account, flags in ((1, stood), (2, took | FillFlag.TAKER))
    ]


def fills(*trades):
    """The rows of some trades."""
    return np.array([row for pair in trades for row in pair], dtype=np.int64).reshape(-1, 8)


def test_a_bar_is_first_highest_lowest_last_and_the_sums():
    bars = bars_of(
        fills(trade(1, 1, 10, 2), trade(2, 1, 14, 1), trade(3, 1, 9, 5), trade(SECOND, 1, 11, 1)), SECOND
    )
    assert bars.tolist() == [[1, 0, 10, 14, 9, 9, 8, 79, 3], [1, SECOND, 11, 11, 11, 11, 1, 11, 1]]


def test_each_contract_has_its_own():
    bars = bars_of(fills(trade(1, 2, 10, 2), trade(2, 1, 99, 1), trade(3, 2, 12, 2)), SECOND)
    assert bars[:, :6].tolist() == [[1, 0, 99, 99, 99, 99], [2, 0, 10, 12, 10, 12]]


@pytest.mark.parametrize(
    ("stood", "took", "bars"),
    [
        (FillFlag.LEG, FillFlag.LEG, 0),
        (FillFlag.LEG, 0, 1),
        (0, FillFlag.LEG, 1),
        (FillFlag.FORCED, FillFlag.FORCED, 0),
    ],
    ids=["spread with spread", "implied", "implied", "forced"],
)
def test_prices_that_nobody_named_are_in_no_bar(stood, took, bars):
    assert len(bars_of(fills(trade(1, 1, 10, 2, stood, took)), SECOND)) == bars


def test_nothing_gives_nothing():
    assert len(merged(bars_of(fills(), SECOND))) == 0


moments = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 3), st.integers(90, 110), st.integers(1, 5)),
    min_size=1,
    max_size=40,
)


@given(moves=moments, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_how_trades_are_cut_into_batches_makes_no_difference(moves, cuts, tmp_path_factory):
    moves.sort(key=lambda move: move[0])
    rows = fills(*(trade(second * SECOND, *rest) for second, *rest in moves))
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    with BarTable(
        path, tuple(contract(number=number, code=f"C{number}") for number in (1, 2, 3)), 2 * SECOND
    ) as table:
        ends = sorted(min(cut, len(moves)) for cut in cuts)
        for first, last in zip([0, *ends], [*ends, len(moves)], strict=True):
            if last > first:
                table.take(rows[2 * first : 2 * last])
    told = pq.read_table(path)
    whole = bars_of(rows, 2 * SECOND)
    assert table.rows == told.num_rows == len(whole)
    found = sorted(zip(told["contract"].to_pylist(), told["start"].cast("int64").to_pylist(), told["close_ticks"].to_pylist(),
                       told["turnover"].to_pylist(), strict=True))  # fmt: skip
    assert found == [
        (f"C{number}", start, close, turnover)
        for number, start, close, turnover in whole[:, [0, 1, 5, 7]].tolist()
    ]


@pytest.mark.parametrize(
    ("text", "nanoseconds"), [("250ms", 250 * NS_PER_MS), ("1m", NS_PER_MINUTE), ("4h", 4 * NS_PER_HOUR)]
)
def test_intervals_are_read(text, nanoseconds):
    assert interval_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "1", "m", "0s", "-1m", "1 m", "1y"])
def test_what_is_no_interval_is_malformed(text):
    with pytest.raises(Malformed, match="Write it like 1m"):
        interval_ns(text)
