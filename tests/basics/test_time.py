"""Time: texts with a zone to nanoseconds and back, exactly."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_DAY, NS_PER_SECOND, NS_PER_US, iso_from_ns, ns_from_iso, ns_from_seconds

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - zones are drawn apart


@given(moments)
def test_a_text_with_a_zone_is_the_same_moment(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert ns_from_iso(moment.isoformat()) == since // timedelta(microseconds=1) * NS_PER_US


@given(st.integers(0, 7 * 10**12).map(lambda us: us * NS_PER_US))
def test_a_moment_reads_back(time_ns: int) -> None:
    text = iso_from_ns(time_ns)
    assert text.endswith("Z")
    assert ns_from_iso(text) == time_ns


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NS_PER_DAY, "1970-01-02T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_790_812_800 * NS_PER_SECOND, "2026-10-01T00:00:00Z"),
    ],
)
def test_known_moments(time_ns: int, text: str) -> None:
    assert iso_from_ns(time_ns) == text


@pytest.mark.parametrize("text", ["2026-10-01T00:00:00", "2026-10-01", "noon", "", "2026-10-01T25:00:00Z"])
def test_a_text_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="zone"):
        ns_from_iso(text)


@given(st.integers(0, 10**10), st.integers(0, 10**9 - 1), st.integers(0, 9), st.sampled_from(["", "+", "-"]))
def test_seconds_are_read_exactly(whole: int, fraction: int, decimals: int, sign: str) -> None:
    part = f"{fraction:09d}"[:decimals]
    text = f"{sign}{whole}.{part}" if part else f"{sign}{whole}"
    assert ns_from_seconds(text) == Fraction(text) * NS_PER_SECOND


@pytest.mark.parametrize("text", ["", ".5", "1.", "1.0000000001", "1e3", "1,5", " 1", "1\n", "nan", "٣"])
def test_a_text_that_is_no_seconds_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="seconds"):
        ns_from_seconds(text)
