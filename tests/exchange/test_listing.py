"""Which months are listed on a day, and the contracts made of them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.calendar import Calendar, day_from_iso, iso_of_day, month_of, next_month
from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.exchange import Contract, ContractKind
from ciyuan.exchange.listing import Product, listed_months, nearest_month, new_listings

SHANGHAI = Calendar(8 * NS_PER_HOUR)
KIMI = Product(
    "KIMI26",
    ContractKind.CASH_FUTURE,
    grade=1,
    tick_micro=1000,
    lot_mtok=1000,
    limit_rate_bp=1000,
    initial_price_ticks=950,
    max_lots_per_order=500,
    breaker_bp=300,
    breaker_minutes=5,
)
KIMI_PHYSICAL = Product("KIMI26", ContractKind.PHYSICAL_FUTURE, 1, 1000, 1000, 1000, 950, 500)
H100 = Product("H100", ContractKind.HOUR_FUTURE, 7, 10_000, 730, 1000, 250, 100, spreads=False)

days = st.integers(day_from_iso("2026-01-01"), day_from_iso("2040-12-31"))


def months_of(contracts: tuple[Contract, ...]) -> tuple[int, ...]:
    return tuple(contract.month for contract in contracts if not contract.is_spread)


def test_tokens_have_twelve_months_then_quarters_to_twenty_four():
    found = listed_months(ContractKind.CASH_FUTURE, SHANGHAI, day_from_iso("2026-10-09"))
    near = (202610, 202611, 202612, *range(202701, 202710))
    assert found == (*near, 202712, 202803, 202806, 202809)
    assert listed_months(ContractKind.PHYSICAL_FUTURE, SHANGHAI, day_from_iso("2026-10-09")) == found


def test_hours_have_thirty_six_months():
    found = listed_months(ContractKind.HOUR_FUTURE, SHANGHAI, day_from_iso("2026-10-09"))
    assert found == tuple(next_month(202610, ahead) for ahead in range(36))
    assert found[-1] == 202909


@pytest.mark.parametrize("kind", [ContractKind.SPOT, ContractKind.SPREAD])
def test_spot_and_spreads_have_no_months(kind):
    assert listed_months(kind, SHANGHAI, day_from_iso("2026-10-09")) == ()
    with pytest.raises(Malformed, match="a kind of future"):
        Product("KIMI26", kind, 1, 1000, 1, 1000, 950, 500)


@pytest.mark.parametrize(
    ("day", "month"),
    [("2026-10-29", 202610), ("2026-10-30", 202610), ("2026-10-31", 202611), ("2026-12-31", 202612)],
)
def test_the_nearest_month_is_over_after_its_last_business_day(day, month):
    assert nearest_month(SHANGHAI, day_from_iso(day)) == month


def test_a_holiday_at_the_months_end_brings_the_next_month_nearer():
    calendar = Calendar(8 * NS_PER_HOUR, frozenset({day_from_iso("2026-10-30")}))
    assert nearest_month(calendar, day_from_iso("2026-10-30")) == 202611


@given(days)
def test_the_months_listed_are_in_order_and_none_is_over(day: int) -> None:
    found = listed_months(ContractKind.CASH_FUTURE, SHANGHAI, day)
    assert found[:12] == tuple(next_month(found[0], ahead) for ahead in range(12))
    assert all(month % 100 in {3, 6, 9, 12} for month in found[12:])
    assert len(found) == 16
    assert found[-1] < next_month(found[0], 24)
    assert month_of(day) <= found[0] <= next_month(month_of(day))
    assert SHANGHAI.last_business_of_month(found[0]) >= day


def test_contracts_are_made_of_a_product():
    day = day_from_iso("2026-10-09")
    contracts = new_listings(KIMI, SHANGHAI, day, 20, prices={202611: 960})
    assert [contract.number for contract in contracts] == list(range(20, 20 + 16 + 15))
    october, november = contracts[:2]
    assert october == Contract(
        20, "KIMI26.2610", ContractKind.CASH_FUTURE, 1, 1000, 1000, day, day_from_iso("2026-10-30"), 202610, 1000,
        950, 500, breaker_bp=300, breaker_minutes=5,
    )  # fmt: skip
    assert (november.code, november.initial_price_ticks) == ("KIMI26.2611", 960)
    assert iso_of_day(november.last_day) == "2026-11-30"


def test_spreads_are_of_neighbouring_months():
    contracts = new_listings(KIMI, SHANGHAI, day_from_iso("2026-10-09"), 1)
    by_number = {contract.number: contract for contract in contracts}
    spreads = [contract for contract in contracts if contract.is_spread]
    codes = [spread.code for spread in spreads]
    assert codes[:3] == ["KIMI26.2610-2611", "KIMI26.2611-2612", "KIMI26.2612-2701"]
    assert codes[-2:] == ["KIMI26.2803-2806", "KIMI26.2806-2809"]
    for spread, months in zip(spreads, pairwise(months_of(contracts)), strict=True):
        near, far = by_number[spread.near], by_number[spread.far]
        assert (near.month, far.month) == months
        assert (spread.last_day, spread.month) == (near.last_day, near.month)
        assert (spread.tick_micro, spread.lot_mtok) == (near.tick_micro, near.lot_mtok)
        assert (spread.breaker_bp, spread.breaker_minutes) == (0, 0)


def test_each_product_has_its_code():
    day = day_from_iso("2026-11-02")
    assert new_listings(KIMI_PHYSICAL, SHANGHAI, day, 1)[0].code == "KIMI26P.2611"
    hours = new_listings(H100, SHANGHAI, day, 1)
    assert hours[0].code == "H100.2611"
    assert len(hours) == 36, "no spreads were asked for"
    assert KIMI_PHYSICAL.code(202611, 202612) == "KIMI26P.2611-2612"


def test_a_day_off_lists_for_the_next_business_day():
    saturday = day_from_iso("2026-10-31")
    contracts = new_listings(KIMI, SHANGHAI, saturday, 1)
    assert {iso_of_day(contract.first_day) for contract in contracts} == {"2026-11-02"}
    assert contracts[0].month == 202611


def test_a_new_month_comes_when_one_is_over():
    listed = new_listings(KIMI, SHANGHAI, day_from_iso("2026-10-09"), 1)
    assert new_listings(KIMI, SHANGHAI, day_from_iso("2026-10-30"), 100, listed) == ()
    new = new_listings(KIMI, SHANGHAI, day_from_iso("2026-11-02"), 100, listed)
    assert [(contract.number, contract.code) for contract in new] == [
        (100, "KIMI26.2710"),
        (101, "KIMI26.2709-2710"),
        (102, "KIMI26.2710-2712"),
    ]
    assert iso_of_day(new[0].first_day) == "2026-11-02"
    assert new[1].near in {contract.number for contract in listed}
    assert new[1].far == new[2].near == 100


def test_a_month_that_was_a_quarter_is_not_listed_again():
    listed = new_listings(KIMI, SHANGHAI, day_from_iso("2026-10-09"), 1)
    new = new_listings(KIMI, SHANGHAI, day_from_iso("2027-01-04"), 100, listed)
    assert months_of(new) == (202710, 202711, 202812)


@given(days)
def test_day_by_day_the_same_months_come_as_at_once(day: int) -> None:
    """Who lists as the days go by has at the end every month that is due."""
    listed: tuple[Contract, ...] = ()
    for ahead in range(0, 100, 9):
        listed += new_listings(KIMI, SHANGHAI, day + ahead, len(listed) + 1, listed)
    assert [contract.number for contract in listed] == list(range(1, len(listed) + 1))
    assert len({contract.code for contract in listed}) == len(listed)
    assert set(listed_months(KIMI.kind, SHANGHAI, day + 99)) <= set(months_of(listed))
