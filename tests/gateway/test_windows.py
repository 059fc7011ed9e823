"""Where windows begin and end: the kernel's arithmetic against the standard library's calendar; and how a bucket empties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import INT64_MAX
from ciyuan.gateway.messages import OFFSET_MAX_NS, RATE_MAX, LimitWindow
from ciyuan.gateway.plain_spenders import window_start_ns
from ciyuan.gateway.windows import DAY_NS, TICKS, borders, level_at, tick_of

BUDGETS = [window for window in LimitWindow if window >= LimitWindow.DAY]
OFFSETS = st.one_of(
    st.integers(-OFFSET_MAX_NS, OFFSET_MAX_NS),
    st.sampled_from([0, OFFSET_MAX_NS, -OFFSET_MAX_NS, 8 * DAY_NS // 24]),
)
TIMES = st.one_of(
    st.integers(0, INT64_MAX),
    st.builds(lambda day, near: max(day * DAY_NS + near, 0), st.integers(0, 106_750), st.integers(-1, 1)),
    st.integers(INT64_MAX - 400 * DAY_NS, INT64_MAX),
)


@pytest.mark.parametrize("window", BUDGETS)
@given(TIMES, OFFSETS)
def test_a_window_holds_its_moment_and_ends_where_the_next_begins(window, time, offset):
    offset = 0 if window == LimitWindow.EVER else offset
    began, ends = borders(int(window), time, offset)
    assert began == window_start_ns(window, time, offset)
    assert began <= time
    if ends == INT64_MAX:
        assert window_start_ns(window, INT64_MAX, offset) == began
    else:
        assert time < ends
        assert window_start_ns(window, ends, offset) == ends
        assert window_start_ns(window, ends - 1, offset) == began


def test_days_months_and_years_are_those_of_the_calendar():
    leap = 1_709_164_800 * 10**9  # 2024-02-29T00:00:00Z
    assert borders(int(LimitWindow.DAY), leap + 5, 0) == (leap, leap + DAY_NS)
    assert borders(int(LimitWindow.MONTH), leap + 5, 0) == (leap - 28 * DAY_NS, leap + DAY_NS)
    assert borders(int(LimitWindow.YEAR), leap + 5, 0) == (leap - 59 * DAY_NS, leap + 307 * DAY_NS)
    assert borders(int(LimitWindow.EVER), leap, 0) == (0, INT64_MAX)


@given(
    st.integers(0, RATE_MAX * TICKS),
    st.integers(0, RATE_MAX),
    st.integers(0, 10**12),
    st.integers(0, INT64_MAX // 1_000),
)
def test_a_bucket_empties_evenly_and_not_below_empty(used, most, began, elapsed):
    tick = min(began + elapsed, INT64_MAX // 1_000)
    assert level_at(used, began, most, max(tick, began)) == max(used - (max(tick, began) - began) * most, 0)


def test_ticks_are_a_sixty_millionth_of_a_window():
    assert tick_of(int(LimitWindow.MINUTE), 60 * 10**9) == TICKS
    assert tick_of(int(LimitWindow.HOUR), 3_600 * 10**9) == TICKS
    assert level_at(TICKS, 0, 1, TICKS) == 0
    assert level_at(TICKS, 0, 1, TICKS - 1) == 1
