"""Numbers of calls: unique and rising over clocks that jump, processes, restarts and full milliseconds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.numbering import COUNT_BITS, EPOCH_NS, PROCESSES, Numbers, number_at
from tests.services.door.till import START_NS, Clock

MS = 10**6
LOGICAL_MAX = 2**56
YEARS_68_NS = 68 * 365 * 86_400 * 10**9
jumps = st.lists(st.integers(-(10**12), 10**12) | st.sampled_from([0, 1, MS, -MS]), max_size=60)


def drawn(numbers: Numbers, clock: Clock, moves: list[int]) -> list[int]:
    given_ = []
    for move in moves:
        clock.now_ns = max(EPOCH_NS, clock.now_ns + move)
        given_.append(numbers.next())
    return given_


@given(jumps, st.integers(0, PROCESSES - 1))
def test_numbers_rise_whatever_the_clock_does(moves, process):
    clock = Clock()
    given_ = drawn(Numbers(clock, process), clock, moves)
    assert all(earlier < later for earlier, later in pairwise(given_))
    assert all(0 < number < LOGICAL_MAX for number in given_)


@given(jumps, jumps, st.lists(st.integers(0, PROCESSES - 1), min_size=2, max_size=2, unique=True))
def test_two_processes_never_give_the_same(one, other, processes):
    clocks = Clock(), Clock()
    sets = [set(drawn(Numbers(clock, process), clock, moves))
            for clock, process, moves in zip(clocks, processes, (one, other), strict=True)]  # fmt: skip
    assert not sets[0] & sets[1]


@given(jumps, jumps)
def test_after_a_restart_none_is_given_again_even_if_the_clock_went_back(before, after):
    """`least` is the journal's last time: a number that is journaled later than it was drawn is below it."""
    clock = Clock()
    old = drawn(Numbers(clock), clock, [0, *before])
    last_ns = max(clock.now_ns, START_NS + 10**12 * len(before))
    new = drawn(Numbers(clock, 0, max(number_at(last_ns), *old)), clock, [0, *after])
    assert max(old) < min(new)


def test_more_than_a_milliseconds_worth_borrows_from_the_next():
    clock = Clock()
    numbers = Numbers(clock, 7)
    given_ = [numbers.next() for _ in range(3 << COUNT_BITS)]
    assert len(set(given_)) == len(given_) == 3 << COUNT_BITS
    assert given_[-1] < number_at(clock.now_ns + 3 * MS)
    assert {number >> COUNT_BITS & PROCESSES - 1 for number in given_} == {7}


@given(st.integers(0, YEARS_68_NS), st.integers(0, PROCESSES - 1))
def test_a_number_says_when_it_was_drawn(after_ns, process):
    now_ns = EPOCH_NS + after_ns
    number = Numbers(Clock(now_ns), process).next()
    assert number_at(now_ns) <= number < number_at(now_ns + MS)


@given(st.integers(0, YEARS_68_NS), st.integers(0, YEARS_68_NS))
def test_the_least_number_of_a_time_does_not_fall(one, other):
    assert (number_at(EPOCH_NS + one) <= number_at(EPOCH_NS + other)) or one > other


def test_before_the_first_number_there_is_none():
    assert number_at(0) == number_at(EPOCH_NS) == 0


@pytest.mark.parametrize("process", [-1, PROCESSES])
def test_a_process_has_four_bits(process):
    with pytest.raises(Malformed, match="0 to 15"):
        Numbers(Clock(), process)
