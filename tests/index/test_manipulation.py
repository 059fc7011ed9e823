"""What one seller can do to a fixing: nothing beyond the range of the others' prices. An average shows the difference."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import Row
from ciyuan.index.machine import Index
from ciyuan.index.messages import Leg, Level, Source, observe_row, relate_row
from tests.index.readings import CENTI_PER_MTOK, DAY, GRADE, at, fix, new_index, seen, told

MINUTE = 60 * 10**9
HONEST = (1, 2, 3, 4)
ATTACKER = 9
BASE = 1_000_000
PRICES = st.one_of(st.integers(1, 10**7), st.sampled_from((1, 10**9, 10**15)))
VOLUMES = st.one_of(st.integers(1, 10**6), st.sampled_from((1, 10**12, 10**17)))
EVERY_PARTITION = tuple(f"15:{minute:02d}" for minute in range(1, 60, 5))


@st.composite
def given_honest(draw: st.DrawFn) -> list[Row]:
    """Four sellers within five percent of each other, in some of the partitions, all of them twice in one."""
    clocks = draw(st.sets(st.sampled_from(EVERY_PARTITION), min_size=1))
    full = min(clocks)
    return [
        seen(clock, seller, BASE + draw(st.integers(0, 50_000)), draw(st.integers(1, 1_000)))
        for clock in sorted(clocks)
        for seller in HONEST
        for _ in range(2 if clock == full else draw(st.integers(0, 1)))
    ]


@st.composite
def given_attack(draw: st.DrawFn) -> Row:
    """Whatever one seller may say: any price, volume, moment and source."""
    moment = at("15:00") + draw(st.integers(0, 60 * MINUTE - 1))
    return observe_row(
        moment, GRADE, ATTACKER, draw(PRICES), draw(VOLUMES), Leg.STANDARD, draw(st.sampled_from(Source))
    )


def average(rows: list[Row]) -> Fraction:
    """The plain volume-weighted average price, which is not the fixing."""
    return Fraction(sum(row[4] * row[5] for row in rows), sum(row[5] for row in rows))


def fixed(rows: list[Row]) -> int:
    index = new_index()
    told(index, *rows, fix())
    return value_of(index)


def value_of(index: Index) -> int:
    fixing = index.fixing(GRADE, DAY, Leg.STANDARD)
    assert fixing is not None
    assert fixing.value_micro is not None
    return fixing.value_micro


@given(given_honest(), st.lists(given_attack(), max_size=30))
def test_one_seller_cannot_move_a_fixing_out_of_the_range_of_the_others(
    honest: list[Row], attack: list[Row]
) -> None:
    prices = [row[4] for row in honest]
    index = new_index()
    told(index, *attack, *honest, fix())
    fixing = index.fixing(GRADE, DAY, Leg.STANDARD)
    assert fixing is not None, "nor can it have it withheld, while the others are within the screen's floor"
    assert fixing.level == Level.TRANSACTIONS
    assert fixing.value_micro is not None
    assert min(prices) <= fixing.value_micro <= max(prices)


@given(st.lists(st.tuples(PRICES, VOLUMES), min_size=2, max_size=5), given_attack())
def test_nor_where_the_others_are_far_apart(others: list[tuple[int, int]], attack: Row) -> None:
    honest = [
        observe_row(at(clock), GRADE, seller, price, volume, Leg.STANDARD, Source.TRADE)
        for clock in ("15:03", "15:33")
        for seller, (price, volume) in enumerate(others, 1)
    ]
    index = new_index()
    told(index, *honest, attack, attack, fix())
    fixing = index.fixing(GRADE, DAY, Leg.STANDARD)
    if fixing is not None and fixing.value_micro is not None:
        assert min(row[4] for row in honest) <= fixing.value_micro <= max(row[4] for row in honest)
    else:
        assert index.versions(GRADE, DAY, Leg.STANDARD)[0].withheld


@pytest.mark.parametrize("price", [1, BASE // 2, BASE * 2, BASE * 1_000])
@pytest.mark.parametrize("mtok", [10, 1_000, 10_000_000])
def test_an_average_goes_where_the_volume_is_and_the_fixing_does_not(price: int, mtok: int):
    honest = [
        seen(clock, seller, BASE + 10_000 * seller, 10) for clock in EVERY_PARTITION for seller in HONEST
    ]
    attack = [seen(clock, ATTACKER, price, mtok) for clock in EVERY_PARTITION]
    moved_average = abs(average(honest + attack) - average(honest))
    moved_fixing = abs(fixed(honest + attack) - fixed(honest))
    assert moved_fixing <= 30_000
    assert moved_average > 3 * moved_fixing


def test_one_moment_of_huge_volume_moves_one_partition_in_twelve():
    honest = [seen(clock, seller, BASE, 10) for clock in EVERY_PARTITION for seller in HONEST]
    spike = [seen("15:01", seller, BASE * 12 // 10, 1_000_000) for seller in HONEST]
    assert average(honest + spike) > BASE * 119 // 100
    assert fixed(honest + spike) == pytest.approx(BASE + BASE // 60, abs=1)


def test_sisters_are_one_seller_once_the_market_knows():
    honest = [seen(clock, seller, BASE, 10) for clock in EVERY_PARTITION for seller in (1, 2, 3)]
    sisters = [
        seen(clock, seller, BASE * 11 // 10, 10_000) for clock in EVERY_PARTITION for seller in (7, 8, 9)
    ]
    assert fixed(honest + sisters) > BASE
    index = new_index()
    told(index, *[relate_row(0, seller, 9) for seller in (7, 8, 9)], *honest, *sisters, fix())
    assert value_of(index) == BASE


@given(st.integers(1, 3 * BASE), st.integers(1, 3 * BASE))
def test_two_in_concert_whom_nobody_knows_to_be_one_are_bounded_by_the_screen(
    first: int, second: int
) -> None:
    honest = [seen(clock, seller, BASE, 10) for clock in EVERY_PARTITION for seller in (1, 2, 3)]
    concert = [
        seen(clock, seller, price, 10**6)
        for clock in EVERY_PARTITION
        for seller, price in ((8, first), (9, second))
    ]
    band = 3 * BASE * 500 // 10_000
    assert abs(fixed(honest + concert) - BASE) <= band


def test_what_cannot_be_seen_in_the_window_does_not_weigh():
    """Volume before and after the window is not observed, however much it is."""
    index = new_index()
    honest = [seen(clock, seller, BASE, 10) for clock in EVERY_PARTITION for seller in HONEST]
    refused = told(
        index, *honest, seen("14:59", ATTACKER, 1, 10**6), seen("16:00", ATTACKER, 1, 10**6), fix("16:01")
    )
    assert [row[5] for row in refused[:2]] == [10**6 * CENTI_PER_MTOK] * 2
    assert value_of(index) == BASE
