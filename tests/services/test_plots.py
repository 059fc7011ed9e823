"""The report's plots: well-formed SVG that says what it shows, the same each time, from full, small and empty tables."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ciyuan.services import plots

DAYS = np.arange("2026-10-01", "2026-10-06", dtype="datetime64[D]")
HOURS = np.arange("2026-10-01T00", "2026-10-02T00", dtype="datetime64[h]")


def site_hours(hours=HOURS, sites=("texas", "tokyo")):
    count = len(hours) * len(sites)
    ramp = np.linspace(-20, 90, count)
    return {
        "hour": np.tile(hours, len(sites)),
        "site": np.repeat(np.array(sites, dtype=object), len(hours)),
        "power_usd_per_mwh": ramp,
        "cost_usd_per_mtok": 0.5 + ramp / 1e3,
        "planned_mtok": np.arange(count),
        "power_mw": np.ones(count),
    }


def fixings(days=DAYS):
    return {
        "day": np.repeat(days, 2),
        "leg": np.array(["standard", "input"] * len(days), dtype=object),
        "value_micro": np.arange(2 * len(days)) + 900_000,
    }


def settlements(days=DAYS, contracts=("KIMI26.SPOT", "KIMI26.2610")):
    return {
        "day": np.repeat(days, len(contracts)),
        "contract": np.array(list(contracts) * len(days), dtype=object),
        "settlement_micro": np.arange(len(days) * len(contracts)) + 900_000,
    }


def margin(days=DAYS):
    return {
        "day": np.repeat(days, 2),
        "participant": np.tile(np.array(["Ada", "Bo"], dtype=object), len(days)),
        "requirement_micro": np.full(2 * len(days), 10**9),
        "equity_micro": np.tile(np.array([5 * 10**9, 0]), len(days)),
    }


def hedge_days(days=DAYS):
    names = ("unhedged_micro", "hedged_micro", "planned_micro")
    return {"day": days} | {name: np.full(len(days), 10**9) for name in names}


def hedges(buyers=("buyer 01", "buyer 02")):
    sums = {name: np.full(len(buyers), 10**9) for name in ("unhedged_micro", "hedged_micro")}
    return {"buyer": np.array(buyers, dtype=object)} | sums


NO_DAYS, NO_HOURS = DAYS[:0], HOURS[:0]
DRAWN = {
    "power": (lambda: plots.power_and_cost(site_hours()), ("Power price", "USD per MWh", "texas", "tokyo")),
    "tokens": (lambda: plots.tokens_per_hour(site_hours()), ("Tokens per hour by site", "texas", "tokyo")),
    "curve": (
        lambda: plots.index_and_curve(fixings(), settlements()),
        ("Index fixing and settlement prices", "index fixing", "KIMI26.SPOT", "KIMI26.2610"),
    ),
    "margin": (lambda: plots.margin_by_day(margin()), ("Margin required of all members", "share")),
    "bills": (
        lambda: plots.bills(hedge_days(), hedges()),
        ("with the hedge", "without the hedge", "buyer 01", "buyer 02"),
    ),
}
SMALL = {
    "one day": lambda: plots.index_and_curve(fixings(DAYS[:1]), settlements(DAYS[:1])),
    "no fixing": lambda: plots.index_and_curve(fixings(NO_DAYS), settlements()),
    "no day": lambda: plots.index_and_curve(fixings(NO_DAYS), settlements(NO_DAYS)),
    "no margin": lambda: plots.margin_by_day(margin(NO_DAYS)),
    "one hour": lambda: plots.power_and_cost(site_hours(HOURS[:1], ("texas",))),
    "one buyer": lambda: plots.bills(hedge_days(DAYS[:1]), hedges(("buyer 01",))),
    "nine sites": lambda: plots.tokens_per_hour(site_hours(HOURS, tuple(f"site {n}" for n in range(9)))),
}


def texts(svg):
    """What an SVG of Matplotlib says: its words are drawn as paths, each with the text beside it as a comment."""
    return set(re.findall(r"<!-- (.*?) -->", svg))


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_one_svg_that_names_what_it_shows(name):
    draw, words = DRAWN[name]
    svg = draw()
    assert svg.startswith("<svg ")
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 our own text
    for word in words:
        assert any(word in text for text in texts(svg)), f"{word!r} is not among {sorted(texts(svg))}"


@pytest.mark.parametrize("name", SMALL)
def test_little_or_nothing_can_be_drawn_too(name):
    assert ET.fromstring(SMALL[name]()).tag.endswith("svg")  # noqa: S314 our own text


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_the_same_each_time(name):
    draw, _ = DRAWN[name]
    assert draw() == draw()


def test_a_plot_needs_nothing_from_elsewhere():
    for draw, _ in DRAWN.values():
        assert not re.findall(r'(?:src|href)="(?!#)', draw())


def test_only_the_standard_leg_is_drawn():
    one_leg = fixings()
    only = {name: column[one_leg["leg"] == "standard"] for name, column in one_leg.items()}
    assert plots.index_and_curve(one_leg, settlements()) == plots.index_and_curve(only, settlements())


def test_the_style_stays_with_the_plots():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.margin_by_day(margin())
    assert dict(mpl.rcParams) == before
