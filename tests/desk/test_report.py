"""What the hedge did adds up to the micro-unit, whatever happened."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.desk.basis import basis_of
from ciyuan.desk.bill import day_bills, spread
from ciyuan.desk.messages import NO_FUTURES, Finding, FuturesResult, FuturesTrade, HedgeReport
from ciyuan.desk.report import decompose, hedge_report
from tests.desk.ledgers import FIRST, LAST, day, exposed, in_mtok

USD = 1_000_000
DAYS = st.integers(FIRST, LAST)
CHARGES = st.dictionaries(DAYS, st.tuples(st.integers(0, 10**14), st.integers(0, 10**12)), max_size=31)
FIXINGS = st.dictionaries(DAYS, st.integers(1, 10**7), max_size=23)
TRADES = st.lists(
    st.builds(FuturesTrade, st.integers(1, 10**7), st.integers(-5, 20).map(lambda lots: 1_000 * lots)),
    max_size=5,
)
FUTURES = st.builds(
    FuturesResult,
    TRADES.map(tuple),
    st.integers(-(10**13), 10**13),
    st.integers(0, 10**10),
    st.one_of(st.none(), st.integers(1, 10**7)),
    st.sampled_from((0, 85)),
)


def settled(trades: tuple[FuturesTrade, ...], final: int, fees: int = 0, rule: int = 0) -> FuturesResult:
    """The result that clearing pays: all the trades are worth at the final settlement."""
    paid = sum((final - trade.price_micro) * trade.mtok for trade in trades)
    return FuturesResult(trades, paid, fees, final, rule)


@given(CHARGES, FIXINGS, FUTURES, st.one_of(st.none(), st.integers(1, 10**7)))
def test_the_parts_sum_to_the_month_and_the_days_do_too(
    charges: dict[int, tuple[int, int]], fixings: dict[int, int], futures: FuturesResult, mean: int | None
) -> None:
    exposure = exposed(charges)
    report = hedge_report(exposure, fixings, futures, mean)
    hedged = sum(charge for _, charge in charges.values()) - futures.variation_micro + futures.fees_micro
    assert report.hedged_micro == hedged
    assert int(report.bills.hedged_micro.sum()) == hedged
    assert int(report.bills.unhedged_micro.sum()) == report.unhedged_micro
    assert report.saved_micro == int(report.bills.hedge_micro.sum())
    if report.decomposition is None:
        assert futures.final_micro is None
        assert mean is None
    else:
        assert report.decomposition.total_micro == hedged


@given(CHARGES, st.lists(st.integers(1, 10**7), min_size=1, max_size=22), TRADES, st.integers(0, 10**9))
def test_a_settled_future_leaves_no_settlement_and_by_day_little_to_round(
    charges: dict[int, tuple[int, int]], values: list[int], trades: list[FuturesTrade], fees: int
) -> None:
    fixings = {day(place): value for place, value in enumerate(values, 1)}
    mean = (2 * sum(values) + len(values)) // (2 * len(values))
    futures = settled(tuple(trades), mean, fees)
    exposure = exposed(charges)
    parts = decompose(exposure, futures, mean)
    assert parts.settlement_micro == 0
    assert (
        parts.locked_micro + parts.volume_micro + parts.basis_micro + fees
        == exposure.total_charge_micro - futures.variation_micro + fees
    )
    unfixed = day_bills(exposure, fixings, futures).hedge_micro[len(values) : -1]
    assert not unfixed.any()
    ideal = sum(value * futures.net_mtok - futures.cost_micro for value in values) / len(values)
    assert abs(futures.variation_micro - ideal) <= abs(futures.net_mtok) / 2 + 1


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 1_000), min_size=1, max_size=40).filter(any))
def test_parts_sum_to_the_whole_and_stand_near_their_share(total: int, weights: list[int]) -> None:
    parts = spread(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part * sum(weights) - total * weight) <= sum(weights)
        for part, weight in zip(parts, weights, strict=True)
    )


@given(
    st.lists(st.integers(700_000, 1_300_000), min_size=23, max_size=23),
    st.integers(1, 40),
    st.integers(500_000, 1_500_000),
)
def test_a_full_hedge_at_the_index_costs_what_was_locked(values: list[int], lots: int, locked: int) -> None:
    """Who uses each day one part of what it hedged, and pays the index, pays the locked price whatever the index does."""
    fixings = {day(place): value for place, value in enumerate(values, 1)}
    mtok = 1_000 * lots
    trade = FuturesTrade(locked, 23 * mtok)
    charges = {number: (mtok, mtok * value) for number, value in enumerate(values, 1)}
    exposure = in_mtok(charges)
    exact = FuturesResult((trade,), sum(mtok * (value - locked) for value in values), 0, None)
    bills = day_bills(exposure, fixings, exact)
    assert bills.locked_micro is not None
    assert bills.hedged_micro.tolist() == bills.locked_micro.tolist() == [mtok * locked] * 23 + [0] * 8


def report_of(prices: list[int], hedged: bool) -> HedgeReport:
    """A month of 22 days of 100 MTok at the index and one cent, with and without two lots and a fifth held."""
    fixings = {day(place): value for place, value in enumerate(prices, 1)}
    exposure = in_mtok({number: (100, 100 * (value + 10_000)) for number, value in enumerate(prices, 1)})
    trades = (FuturesTrade(950_000, 2_000), FuturesTrade(950_000, 200)) if hedged else ()
    futures = settled(trades, (2 * sum(prices) + 22) // 44)
    return hedge_report(exposure, fixings, futures, business_days=22)


def test_a_hedge_makes_prices_steadier():
    rng = np.random.Generator(np.random.PCG64(3))
    prices = (950_000 + np.cumsum(rng.normal(0, 15_000, 22))).astype(np.int64).tolist()
    report = report_of(prices, hedged=True)
    assert report.findings == ()
    assert report.price_variance_reduction is not None
    assert report.price_variance_reduction > 0.8
    assert report.bill_variance_reduction is not None
    off = report_of(prices, hedged=False)
    assert off.price_variance_reduction is None
    assert off.bill_variance_reduction == pytest.approx(0.0)
    assert off.findings == (Finding.NO_FUTURES,)
    assert off.hedged_micro == off.unhedged_micro == report.unhedged_micro


def test_no_usage_no_index_no_hedge_are_said():
    report = hedge_report(exposed({}), {}, business_days=22)
    assert report.findings == (
        Finding.NO_USAGE,
        Finding.NO_FUTURES,
        Finding.FIXINGS_MISSING,
        Finding.NO_INDEX,
    )
    assert (report.unhedged_price_micro, report.hedged_price_micro, report.decomposition) == (
        None,
        None,
        None,
    )
    assert (report.bill_variance_reduction, report.price_variance_reduction) == (None, None)
    assert not report.basis.known.any()


def test_futures_that_are_not_settled_are_said():
    futures = FuturesResult((FuturesTrade(950_000, 1_000),), 5 * USD, 0, None)
    report = hedge_report(in_mtok({5: (500, 480 * USD)}), {day(5): 960_000}, futures, mean_micro=960_000)
    assert report.findings == (Finding.NOT_SETTLED,)
    assert report.decomposition is not None
    assert report.decomposition.settlement_micro == 1_000 * 10_000 - 5 * USD


def test_a_position_that_was_closed_keeps_its_profit_and_locks_nothing():
    trades = (FuturesTrade(950_000, 1_000), FuturesTrade(970_000, -1_000))
    futures = settled(trades, 1)
    assert (futures.net_mtok, futures.cost_micro, futures.locked_price_micro) == (0, -20 * USD, None)
    report = hedge_report(in_mtok({5: (100, 96 * USD)}), {day(5): 960_000, day(6): 990_000}, futures)
    assert report.saved_micro == 20 * USD
    assert report.bills.hedge_micro[[4, 5]].tolist() == [10 * USD, 10 * USD]
    assert report.bills.locked_micro is None


@pytest.mark.parametrize(
    ("trades", "locked"),
    [
        (((950_000, 1_000),), 950_000),
        (((950_000, 1_000), (970_000, 2_000)), 963_333),
        (((950_000, -1_000), (951_000, -1_000)), 950_500),
        ((), None),
    ],
)
def test_the_locked_price_is_the_mean_of_what_is_held(
    trades: tuple[tuple[int, int], ...], locked: int | None
):
    futures = settled(tuple(FuturesTrade(*trade) for trade in trades), 1)
    assert futures.locked_price_micro == locked


def test_a_seller_who_sold_forward_has_a_locked_line_too():
    futures = settled((FuturesTrade(950_000, -1_000),), 940_000)
    bills = day_bills(in_mtok({5: (1_000, 0)}), {day(5): 940_000}, futures)
    assert bills.locked_micro is not None
    assert bills.locked_micro[4] == 950 * USD
    assert bills.hedge_micro[4] == 10 * USD


def test_fixings_of_other_months_are_left_out():
    futures = settled((FuturesTrade(900_000, 1_000),), 910_000)
    fixings = {FIRST - 1: 5, day(1): 910_000, LAST + 1: 5}
    bills = hedge_report(in_mtok({1: (1_000, 910 * USD)}), fixings, futures).bills
    assert bills.hedge_micro.tolist() == [10 * USD] + [0] * 30


def test_what_rounding_leaves_over_is_on_the_last_day():
    futures = FuturesResult((FuturesTrade(900_000, 1_000),), 10 * USD + 7, 0, 910_000)
    bills = day_bills(in_mtok({1: (1, 1)}), {day(1): 910_000}, futures)
    assert (bills.hedge_micro[0], bills.hedge_micro[-1]) == (10 * USD, 7)


def test_without_futures_there_is_nothing_to_put_to_days():
    bills = day_bills(in_mtok({1: (1, 5)}), {day(1): 1}, NO_FUTURES)
    assert not bills.hedge_micro.any()
    assert bills.hedged_micro.tolist() == bills.unhedged_micro.tolist()


def test_the_basis_is_known_on_days_with_use_and_a_fixing():
    basis = basis_of(
        in_mtok({1: (3, 3_030_000), 2: (1, 940_000), 3: (5, 5_000_000)}),
        {day(1): 1_000_000, day(2): 950_000, day(9): 1},
    )
    assert basis.known.nonzero()[0].tolist() == [0, 1]
    assert basis.basis_micro[:3].tolist() == [10_000, -10_000, 0]
    assert basis.mean_micro == 5_000
    assert basis_of(exposed({}), {day(1): 1}).mean_micro is None
