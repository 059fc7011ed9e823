"""Power files: read whole in USD, or refused by file, line and field."""

from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR, ns_from_iso
from ciyuan.services.power_file import ZoneRate, read_power, read_zone_rates

RATES = {"AA": 1.0, "BB": 0.5}
GOOD = """# a comment, with commas
utc,AA,other,BB
2023-01-01T00:00Z,10,x,-20
2023-01-01T01:00Z,12.5,,40
# another

2023-01-01T02:00Z,0,y,1e3
"""


@pytest.fixture
def power(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "power.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_zones_are_picked_in_the_order_asked_for_and_turned_into_usd(power):
    prices = read_power(power(GOOD), ("BB", "AA"), RATES)
    assert prices.usd_per_mwh.tolist() == [[-10.0, 10.0], [20.0, 12.5], [500.0, 0.0]]
    assert prices.usd_per_mwh.dtype == np.float64
    assert (prices.zones, prices.first_ns) == (("BB", "AA"), ns_from_iso("2023-01-01T00:00Z"))


def test_a_window_is_cut_at_whole_hours_that_the_file_has(power):
    prices = read_power(power(GOOD), ("AA",), RATES)
    start = prices.first_ns
    assert prices.window(start + NS_PER_HOUR, 2).tolist() == [[12.5], [0.0]]
    assert prices.window(start + 3 * NS_PER_HOUR, 0).shape == (0, 1)
    for first, hours in (
        (start - NS_PER_HOUR, 1),
        (start, 4),
        (start + 1, 1),
        (start, -1),
        (start + 4 * NS_PER_HOUR, 0),
    ):
        with pytest.raises(Malformed, match="hours asked for"):
            prices.window(first, hours)


@pytest.mark.parametrize(
    ("old", "new", "place", "found"),
    [
        ("12.5", "twelve", "line 4, field AA", "twelve"),
        ("12.5", "", "line 4, field AA", ""),
        ("12.5", "nan", "line 4, field AA", "nan"),
        ("2023-01-01T01:00Z", "2023-01-01T02:00Z", "line 4, field utc", "2023-01-01T02:00Z: a gap"),
        ("2023-01-01T01:00Z", "2023-01-01T00:00Z", "line 4, field utc", "2023-01-01T00:00Z: a repeated hour"),
        (
            "2023-01-01T01:00Z",
            "2022-12-31T01:00Z",
            "line 4, field utc",
            "2022-12-31T01:00Z: an hour out of order",
        ),
        (
            "2023-01-01T01:00Z",
            "2023-01-01T01:30Z",
            "line 4, field utc",
            "2023-01-01T01:30Z: not the start of an hour",
        ),
        (
            "2023-01-01T00:00Z",
            "2023-01-01T00:30Z",
            "line 3, field utc",
            "2023-01-01T00:30Z: not the start of an hour",
        ),
        ("2023-01-01T01:00Z", "2023-01-01T01:00", "line 4, field utc", "2023-01-01T01:00"),
        ("2023-01-01T02:00Z", "soon", "line 7, field utc", "soon"),
        ("0,y,1e3", "0,y", "line 7", "3 fields"),
        ("BB", "CC", "column BB", "no such column"),
    ],
)
def test_a_bad_row_is_refused_where_it_stands(power, old, new, place, found):
    path = power(GOOD.replace(old, new, 1))
    with pytest.raises(Malformed) as refused:
        read_power(path, ("AA", "BB"), RATES)
    assert refused.value.thing == f"power file {path}, {place}"
    assert refused.value.found == found
    assert refused.value.remedy


def test_a_file_without_rows_or_text_or_at_all_is_refused(power, tmp_path: Path):
    with pytest.raises(Malformed, match="no rows"):
        read_power(power("utc,AA\n"), ("AA",), RATES)
    with pytest.raises(Malformed, match="no such column"):
        read_power(power(""), ("AA",), RATES)
    with pytest.raises(Malformed, match="UTF-8"):
        read_power(power(b"utc,AA\n\xff\xfe,1\n"), ("AA",), RATES)
    with pytest.raises(Malformed, match="a file that can be read"):
        read_power(tmp_path / "absent.csv", ("AA",), RATES)


@pytest.mark.parametrize("rates", [{}, {"AA": 0.0}, {"AA": float("nan")}])
def test_a_zone_without_an_exchange_rate_is_refused(power, rates):
    with pytest.raises(Malformed, match="exchange rate of AA"):
        read_power(power(GOOD), ("AA",), rates)


def test_zone_rates_are_those_of_the_year(power, tmp_path: Path):
    path = power(
        '# c\nzone,year,currency,kind,fx_to_usd_fixed\nAA,2023,USD,"x, y",1\nBB,2023,EUR,z,1.5\nBB,2024,EUR,z,2\n'
    )
    assert read_zone_rates(path, 2023) == {"AA": ZoneRate("USD", 1.0), "BB": ZoneRate("EUR", 1.5)}
    with pytest.raises(Malformed, match="column fx_to_usd"):
        read_zone_rates(power("zone,year,currency\nAA,2023,USD\n"), 2023)
    with pytest.raises(Malformed, match="field fx_to_usd"):
        read_zone_rates(power("zone,year,currency,fx_to_usd\nAA,2023,USD,much\n"), 2023)
    with pytest.raises(Malformed, match="a file that can be read"):
        read_zone_rates(tmp_path / "absent.csv", 2023)
