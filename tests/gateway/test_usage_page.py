"""docs/spec/usage.md is as built."""

from ciyuan.gateway.leg_prices import PLAUSIBLE_MAX, PLAUSIBLE_MIN, LegPrices
from ciyuan.gateway.messages import PRICE_LISTS_MAX
from ciyuan.gateway.usage import INPUT_LEGS, PARTS, TOKENS_CLAIM_MAX, Leg, UsageFault
from tests.gateway.golden_usage import VECTORS
from tests.sources import ROOT, table

PAGE = (ROOT / "docs" / "spec" / "usage.md").read_text(encoding="utf-8")


def test_the_page_lists_every_leg_and_what_it_falls_back_on():
    rows = table(PAGE, "leg", "holds")
    assert [row[0] for row in rows] == [f"`{leg.name}`" for leg in Leg]
    prices = LegPrices.of({Leg.INPUT: 3, Leg.CACHE_WRITE_SHORT: 4, Leg.OUTPUT: 5})
    for name, holds, falls_back in rows:
        leg, falls_back = Leg[name.strip("`")], falls_back.strip("`")
        if leg in PARTS:
            assert holds == f"a part of `{PARTS[leg].name}`"
        if falls_back in {other.name for other in Leg} and leg is not Leg.CACHE_WRITE_SHORT:
            assert prices.pico[leg] == prices.pico[Leg[falls_back]]
        assert (prices.pico[leg] == 0) == (falls_back == "free")
    assert tuple(Leg)[:4] == INPUT_LEGS


def test_the_page_lists_every_fault():
    assert [row[:2] for row in table(PAGE, "value", "fault")] == [
        [str(int(fault)), f"`{fault.name}`"] for fault in UsageFault
    ]


def test_the_figures_on_the_page_are_the_codes():
    assert f"{TOKENS_CLAIM_MAX:,}" in PAGE
    assert f"{PRICE_LISTS_MAX:,} lists" in PAGE
    assert f"{PLAUSIBLE_MIN / 10**6:g} to {PLAUSIBLE_MAX // 10**6:,} units" in PAGE
    vendors = {vector.provider for vector in VECTORS}
    assert (len(VECTORS), len(vendors)) == (61, 11)
    assert "Sixty-one vectors of eleven vendors" in PAGE
