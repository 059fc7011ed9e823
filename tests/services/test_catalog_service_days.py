"""The published day of DeepSeek: its parts reproduce its totals."""

import pytest

from ciyuan.factory.service_day import nodes_needed, service_day
from ciyuan.services.catalog_service_days import service_days


def test_the_day_of_deepseek_adds_up():
    """Published: 87,072 USD a day, 562,027 USD at list price (here of rounded token counts), 545%, 226.75 nodes."""
    day = service_days()["deepseek_2025_02_27"]
    made = service_day(day.tokens, day.rates, day.prices, day.nodes_mean)
    assert made.cost_usd == pytest.approx(87_072.0, abs=0.5)
    assert made.revenue_usd == pytest.approx(562_027.0, rel=2e-4)
    assert made.margin == pytest.approx(5.45, abs=0.01)
    assert nodes_needed(day.tokens, day.rates) == pytest.approx(day.nodes_mean, rel=1e-3)
