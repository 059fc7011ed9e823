"""What the desk says of a run: bills that add up to the micro-dollar, days that add up to the bill, hours of the factories."""

import json

import pytest

from ciyuan.services.summary import BuyerBill
from tests.services.runs import SCENARIO, asked, rows_of


@pytest.fixture
def bills(small_said):
    """The hedging buyers' bills of the small run."""
    return [
        BuyerBill(**bill | {"findings": tuple(bill["findings"])})
        for bill in json.loads(small_said.out)["hedges"]
    ]


def test_the_share_of_buyers_that_the_scenario_asks_for_has_bills(bills):
    assert len(bills) == round(SCENARIO["buyers"] * 0.6)
    assert all(bill.lots > 0 and bill.planned_mtok > 0 for bill in bills)


def test_a_hedged_bill_is_the_unhedged_less_what_the_futures_brought(bills):
    for bill in bills:
        assert bill.hedged_micro == bill.unhedged_micro - bill.futures_micro


def test_the_parts_of_a_hedged_bill_add_up_to_the_micro_dollar(bills):
    for bill in bills:
        parts = (bill.cost_micro, bill.volume_micro, bill.basis_micro, bill.settlement_micro, bill.fees_micro)
        assert sum(part for part in parts if part is not None) == bill.hedged_micro
        assert None not in parts


def test_a_buyers_bill_is_what_its_deliveries_cost_in_the_month(bills, small_run):
    names = asked(
        f"SELECT DISTINCT customer FROM '{small_run}/tables/deliveries.parquet' ORDER BY customer LIMIT {len(bills)}"
    )
    for (customer,), bill in zip(names, bills, strict=True):
        ((charged,),) = asked(
            f"SELECT sum(charge_micro) FROM '{small_run}/tables/deliveries.parquet' WHERE customer = {customer}"
        )
        assert charged == bill.unhedged_micro


def test_the_futures_of_a_bill_are_the_variation_and_fees_of_its_statements(bills, small_run):
    for bill in bills:
        ((brought,),) = asked(
            f"SELECT sum(variation_micro - fees_micro) FROM '{small_run}/tables/statements.parquet' "
            f"WHERE participant = '{bill.buyer}'"
        )
        assert brought == bill.futures_micro


def test_the_table_says_what_the_summary_says(bills, small_run):
    rows = rows_of(small_run, "hedges")
    assert [row["buyer"] for row in rows] == [bill.buyer for bill in bills]
    for row, bill in zip(rows, bills, strict=True):
        assert row == {name: getattr(bill, name) for name in row}
        assert "findings" not in row


def test_the_largest_buyers_days_add_up_to_its_bill(bills, small_run):
    days = rows_of(small_run, "hedge_days")
    assert len(days) == 31
    assert sum(int(str(day["unhedged_micro"])) for day in days) == bills[0].unhedged_micro
    assert sum(int(str(day["hedged_micro"])) for day in days) == bills[0].hedged_micro
    assert sum(int(str(day["planned_micro"])) for day in days) == bills[0].locked_micro


def test_every_factory_has_every_hour_of_the_month(small_run):
    table = f"'{small_run}/tables/site_hours.parquet'"
    assert asked(f"SELECT count(*), count(DISTINCT hour), count(DISTINCT site) FROM {table}") == [
        (3 * 744, 744, 3)
    ]
    assert asked(f"SELECT strftime(min(hour), '%Y-%m-%d %H'), strftime(max(hour), '%Y-%m-%d %H') FROM {table}") == [
        ("2026-09-30 16", "2026-10-31 15")
    ]  # fmt: skip
    assert asked(f"SELECT count(*) FROM {table} WHERE cost_usd_per_mtok <= 0 OR planned_mtok < 0 OR power_mw < 0") == [
        (0,)
    ]  # fmt: skip


def test_the_plan_makes_what_was_asked_for(small_run, small_said):
    """All that was asked for is planned; what was refused for want of money was not metered."""
    ((planned,),) = asked(f"SELECT sum(planned_mtok) FROM '{small_run}/tables/site_hours.parquet'")
    summary = json.loads(small_said.out)
    assert summary["requests_refused"] > 0
    assert 0.9 * planned < summary["standard_mtok"] < planned


def test_the_measured_ratio_is_a_number_or_says_why_not(small_said):
    ratio = json.loads(small_said.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))[
        "hedge_ratio"
    ]
    assert 10 <= ratio["points"] <= 22
    assert ratio["finding"] is None or (ratio["ratio"], ratio["r_squared"]) == (1.0, None)
