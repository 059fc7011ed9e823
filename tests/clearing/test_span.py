"""SPAN: a textbook's risk array, and scan risk against an independent calculator that reads our file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO
from ciyuan.clearing.margin import margin_lot_micro
from ciyuan.clearing.span import RANGE_MAX, SCENARIOS, Extreme, risk_array_micro, scan_risk
from ciyuan.services.span_file import SpanCommodity, SpanContract, span_xml, write_span_file

DAY = day_from_iso("2026-09-28")
EXPIRIES = ("2026-10-30", "2026-11-30", "2026-12-31")
PRICES = (1_520, 1_500, 1_333)
RATES = (1_500, 1_200, 1_200)
RANGES = [margin_lot_micro(rate, ticks, MICRO) for rate, ticks in zip(RATES, PRICES, strict=True)]
FILE = (
    SpanCommodity(
        "KIMI26",
        tuple(
            SpanContract(number, day_from_iso(expiry), ticks * 1_000, 1_000, scan_range)
            for number, expiry, ticks, scan_range in zip((2, 3, 4), EXPIRIES, PRICES, RANGES, strict=True)
        ),
    ),
    SpanCommodity("OTHER", (SpanContract(9, day_from_iso("2026-10-30"), 1_000, 1_000, 100 * MICRO),)),
)
ARRAYS = np.stack([risk_array_micro(scan_range) for scan_range in RANGES])

PORTFOLIOS = {
    "long": (10, 0, 0),
    "short": (0, -7, 0),
    "calendar spread": (5, -5, 0),
    "calendar spread, sold": (-5, 5, 0),
    "butterfly": (1, -2, 1),
    "mixed": (120, -31, 7),
    "all short": (-3, -40, -500),
}


def test_a_textbook_s_array():
    """McMillan, "Options as a Strategic Investment", chapter 34: a long S&P future with a range of 10,000 and an extreme move of
    7,000 dollars; there in tens and as gains, here in whole dollars and as losses.
    """
    whole = [10_000 * third / 3 for third in (0, 0, -1, -1, 1, 1, -2, -2, 2, 2, -3, -3, 3, 3)]
    assert risk_array_micro(10_000 * MICRO) / MICRO == pytest.approx([*whole, -7_000, 7_000], abs=1e-6)


def test_the_extreme_move_is_a_parameter():
    assert risk_array_micro(100, Extreme(3, 3_300))[14:].tolist() == [-99, 99]
    with pytest.raises(Malformed, match="extreme move"):
        Extreme(0, 3_500)
    with pytest.raises(Malformed, match="extreme move"):
        Extreme(2, 10_001)


@given(st.integers(1, RANGE_MAX))
def test_an_array_is_its_own_mirror(scan_range: int):
    """Up and down, volatility up and down; the whole range is the worst of a lot, whatever the rounding."""
    losses = risk_array_micro(scan_range).tolist()
    assert losses[2:4] == [-loss for loss in losses[4:6]]
    assert losses[6:8] == [-loss for loss in losses[8:10]]
    assert all(losses[i] == losses[i + 1] for i in range(0, 14, 2))
    assert max(losses) == losses[12] == scan_range == -losses[10]


@given(st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=3))
def test_scan_risk_is_the_worst_of_sixteen(lots: list[int]):
    found = scan_risk(np.array(lots), ARRAYS)
    losses = [sum(x * row[j] for x, row in zip(lots, ARRAYS.tolist(), strict=True)) for j in range(SCENARIOS)]
    assert list(found.losses_micro) == losses
    assert found.risk_micro == max(0, *losses)
    assert found.scenario == losses.index(max(losses)) + 1


def test_one_lot_needs_its_margin_by_the_ladder():
    for contract, scan_range in enumerate(RANGES):
        for size in (1, -1):
            lots = np.zeros(3, dtype=np.int64)
            lots[contract] = size
            assert scan_risk(lots, ARRAYS).risk_micro == scan_range


@pytest.mark.parametrize("lots", PORTFOLIOS.values(), ids=PORTFOLIOS)
def test_an_independent_calculator_comes_to_the_same(lots: tuple[int, ...], tmp_path: Path):
    """marginism reads the file as it reads NSCCL's: the same scan risk, worst scenario and sixteen losses; nothing beside it."""
    marginism = pytest.importorskip("marginism", reason="marginism is not installed (extra dev)")
    path = tmp_path / "ciyuan.spn"
    write_span_file(path, DAY, FILE)
    calculator = marginism.SpanCalculator.from_file(str(path), symbols=["KIMI26"])
    result = calculator.calculate(
        [
            marginism.Position("KIMI26", "FUT", size, expiry=expiry)
            for size, expiry in zip(lots, EXPIRIES, strict=True)
            if size
        ]
    )
    theirs, ours = result.by_commodity["KIMI26"], scan_risk(np.array(lots), ARRAYS)
    assert result.unmatched == []
    assert round(theirs.scan_risk * MICRO) == ours.risk_micro
    assert theirs.worst_scenario == ours.scenario
    assert [round(loss * MICRO) for loss in theirs.scenario_losses] == list(ours.losses_micro)
    assert round(result.span_margin * MICRO) == ours.risk_micro


def test_the_calculator_reads_what_the_file_says(tmp_path: Path):
    marginism = pytest.importorskip("marginism", reason="marginism is not installed (extra dev)")
    path = tmp_path / "ciyuan.spn"
    write_span_file(path, DAY, FILE)
    read = marginism.parse_spn(str(path))
    assert (read.file_format, read.business_date, read.is_settlement, read.clearing_org) == (
        "4.00",
        "20260928",
        True,
        "CIYUAN",
    )
    assert read.symbols == ["KIMI26", "OTHER"]
    future = read.get("KIMI26").find_future("20261130")
    assert (future.contract_id, future.price, future.cvf, future.delta) == (3, 1.5, 1000.0, 1.0)
    assert future.risk_array.composite_delta == 1.0
    assert [round(loss * MICRO) for loss in future.risk_array.values] == ARRAYS[1].tolist()


def test_equal_input_gives_equal_text():
    text = span_xml(DAY, FILE)
    assert text == span_xml(DAY, FILE)
    assert text.startswith("<?xml")
    assert text.count("<ra>") == 4
    assert text.count("<a>") == 4 * SCENARIOS


@pytest.mark.parametrize("scan_range", [0, RANGE_MAX + 1])
def test_a_scan_range_that_cannot_be_is_refused(scan_range: int):
    with pytest.raises(Malformed, match="scan range"):
        risk_array_micro(scan_range)


def test_arrays_of_other_contracts_are_refused():
    with pytest.raises(Malformed, match="risk arrays"):
        scan_risk(np.array([1, 2]), ARRAYS)


def test_two_futures_of_one_expiry_are_refused():
    same = FILE[0].contracts[0]
    with pytest.raises(Malformed, match="each expiry once"):
        span_xml(DAY, [SpanCommodity("TWICE", (same, same))])
