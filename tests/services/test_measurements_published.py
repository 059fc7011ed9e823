"""Published figures are read as their kind: measured, published or claimed, with what they lack left out or None."""

from pathlib import Path

import pytest

from ciyuan.services.catalog_factory import names
from ciyuan.services.measurements_published import (
    HeadlineKind,
    deepseek_hours,
    gcp_prices,
    headlines,
    pue_figures,
)

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
at_hand = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)


def headline_file(folder: Path, value: str, kind: str = "measured", tolerance: str = "0.1") -> Path:
    path = folder / "headlines.csv"
    path.write_text(
        f"id,what,value,unit,kind,tol,source\nH1,Speed,{value},tok/s,{kind},{tolerance},a page\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("text", "value", "value_from", "bound"),
    [
        ("9.894", 9.894, None, False),
        ("300000->500000", 500000, 300000, False),
        ("<0.09", 0.09, None, True),
        ("", None, None, False),
    ],
)
def test_a_headline_is_a_number_a_change_a_bound_or_a_tale(
    tmp_path: Path, text: str, value: float | None, value_from: float | None, bound: bool
):
    (headline,) = headlines(headline_file(tmp_path, text)).rows
    assert (headline.value, headline.value_from, headline.bound, headline.tolerance) == (
        value,
        value_from,
        bound,
        0.1,
    )


def test_a_claim_is_a_claim_however_it_is_put(tmp_path: Path):
    (headline,) = headlines(headline_file(tmp_path, "1", "claim (a vendor; unverified)", "")).rows
    assert (headline.kind, headline.tolerance) == (HeadlineKind.CLAIM, None)


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [("many", "measured", "a value of many"), ("1", "rumour", "a headline of kind rumour")],
)
def test_a_headline_of_another_form_is_left_out(tmp_path: Path, value: str, kind: str, why: str):
    assert list(headlines(headline_file(tmp_path, value, kind)).reasons()) == [why]


def test_a_pue_is_a_figure_or_a_range(tmp_path: Path):
    path = tmp_path / "pue.csv"
    path.write_text(
        "year,scope,pue,kind,source\n2021,a,1.57,s,p\n2026,b,1.10-1.15,s,p\n2026,c,low,s,p\n",
        encoding="utf-8",
    )
    measured = pue_figures(path)
    assert [(figure.low, figure.high) for figure in measured.rows] == [(1.57, 1.57), (1.10, 1.15)]
    assert list(measured.reasons()) == ["a PUE of low"]


@at_hand
def test_every_headline_at_hand_is_read():
    measured = headlines(FACTORY / "headline_results.csv")
    assert not measured.left_out
    assert [headline.code for headline in measured.rows] == [
        f"H{number}" for number in range(1, len(measured.rows) + 1)
    ]
    assert {headline.kind for headline in measured.rows} == set(HeadlineKind)


@at_hand
def test_deepseek_s_day_sums_to_what_was_published():
    hours = deepseek_hours(FACTORY / "deepseek_day6.csv").rows
    assert [hour.hour for hour in hours] == list(range(24))
    assert sum(hour.nodes for hour in hours) / 24 == pytest.approx(226.75, abs=0.01)
    assert sum(hour.cost_usd for hour in hours) == pytest.approx(87_072, rel=1e-3)
    assert sum(hour.income_usd for hour in hours) == pytest.approx(562_027, rel=1e-3)
    assert all(hour.cost_usd == pytest.approx(hour.nodes * 8 * 2.0, rel=1e-3) for hour in hours)


@at_hand
def test_gcp_prices_are_of_known_chips_in_order_of_days():
    measured = gcp_prices(FACTORY / "gpu_rental_gcp.csv", names())
    assert not measured.left_out
    days = [price.day for price in measured.rows]
    for chip in {price.chip for price in measured.rows}:
        assert [price.day for price in measured.rows if price.chip == chip] == sorted(
            price.day for price in measured.rows if price.chip == chip
        )
    assert len(days) > 100
    spot = {price.day: price.spot_us_central1 or 0.0 for price in measured.rows if price.chip == "a100_40gb"}
    assert spot["2026-07-22"] / spot["2025-06-05"] == pytest.approx(1.336, abs=1e-3)
