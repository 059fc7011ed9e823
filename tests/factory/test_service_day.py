"""The published day of DeepSeek-V3/R1, from its token counts and per-node rates (headline results H1 to H4)."""

import csv
from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.plant import PriceList
from ciyuan.factory.service_day import DayTokens, NodeRates, hourly_nodes, nodes_needed, service_day
from ciyuan.services.catalog_service_days import service_days

DAY = service_days()["deepseek_2025_02_27"]
HOURS = Path(__file__).parents[3] / "shared" / "data" / "factory" / "deepseek_day6.csv"


def test_cost_revenue_and_margin_are_as_published():
    told = service_day(DAY.tokens, DAY.rates, DAY.prices, DAY.nodes_mean)
    assert told.cost_usd == pytest.approx(87_072)
    assert told.revenue_usd == pytest.approx(562_027, rel=0.001)
    assert told.margin == pytest.approx(5.45, rel=0.01)


def test_nodes_follow_from_the_rates():
    assert nodes_needed(DAY.tokens, DAY.rates) == pytest.approx(226.75, rel=0.005)
    assert service_day(DAY.tokens, DAY.rates, DAY.prices).nodes_mean == nodes_needed(DAY.tokens, DAY.rates)


@pytest.mark.skipif(not HOURS.is_file(), reason="the shared data folder is not beside this checkout")
def test_the_days_profile_by_the_hour():
    """Each hour's published cost is its nodes' rent, and the hour's income asks for about the nodes that ran.

    Off by 7% on average and 16% at most: at night more nodes ran than the mean rates ask for, by day fewer.
    """
    with HOURS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    ran, cost, income = (
        np.array([float(row[name]) for row in rows]) for name in ("node_count_mean", "cost_usd", "income_usd")
    )
    assert ran * DAY.rates.usd_per_node_hour == pytest.approx(cost)
    needed = hourly_nodes(DAY.tokens, DAY.rates, (income / income.sum()).tolist(), 10_000)
    off = np.abs(needed / ran - 1)
    assert off.mean() < 0.08
    assert off.max() < 0.20


def test_nodes_are_capped_and_rounded_up():
    rates = NodeRates(100.0, 10.0, 8, 2.0)
    tokens = DayTokens(3_600_000.0, 0.0, 360_000.0)
    assert hourly_nodes(tokens, rates, [0.5, 0.26, 0.24], 9).tolist() == [9, 6, 5]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(Malformed, match="tokens of a day"):
        DayTokens(1.0, 2.0, 1.0)
    with pytest.raises(Malformed, match="node rates"):
        NodeRates(0.0, 1.0, 8, 2.0)
    with pytest.raises(Malformed, match="shares"):
        hourly_nodes(DAY.tokens, DAY.rates, [0.5, 0.4], 9)
    assert service_day(DayTokens(0.0, 0.0, 0.0), DAY.rates, PriceList(1.0, 1.0, 1.0), 1.0).margin == -1.0
