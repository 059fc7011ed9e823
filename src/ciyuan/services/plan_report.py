"""A plant's plan as plain data, for JSON. Money is USD an hour on average, tokens are output tokens."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TypedDict

from ciyuan.factory.plan import Plan, PlannedTier
from ciyuan.factory.tiers import TierCell, TierRate


class SweepRow(TypedDict):
    """The plan at another size."""

    power_mw: float
    revenue_usd_per_hour: float
    margin_usd_per_hour: float
    mw_usd_per_hour: float | None
    grown_mw_usd_per_hour: float | None
    grown_mw_cost_usd_per_hour: float


def plan_report(plan: Plan) -> dict[str, object]:
    """The whole plan."""
    return {
        "plant": plan.plant.name,
        "scenario": str(plan.scenario),
        "power_mw": plan.plant.power_mw,
        "pue": plan.pue,
        "drawn_mw": plan.power_mw,
        "peak_mw": plan.peak_mw,
        "tokens_per_s": plan.sold_tokens_per_s,
        "tokens_per_s_per_watt": plan.tokens_per_joule,
        "usd_per_mtok": plan.usd_per_mtok,
        "revenue_usd_per_hour": plan.revenue,
        "energy_usd_per_hour": plan.energy,
        "capital_usd_per_hour": plan.capital,
        "unused_capital_usd_per_hour": plan.idle_capital,
        "staff_usd_per_hour": plan.staff,
        "margin_usd_per_hour": plan.margin,
        "mw_usd_per_hour": plan.mw_usd_per_hour,
        "grown_mw_usd_per_hour": plan.grown_mw_usd_per_hour,
        "grown_mw_cost_usd_per_hour": plan.grown_mw_cost_usd_per_hour,
        "gap": plan.gap,
        "links": [asdict(link) for link in plan.links],
        "tiers": [_tier(plan, tier) for tier in plan.tiers],
        "chips": [asdict(chip) for chip in plan.chips],
        "rates": [_cell(cell) for row in plan.cells for cell in row],
    }


def _tier(plan: Plan, tier: PlannedTier) -> dict[str, object]:
    gpus = dict(zip((chip.name for chip in plan.chips), tier.gpus.tolist(), strict=True))
    return asdict(tier) | {"gpus": gpus}


def _cell(cell: TierCell) -> dict[str, object]:
    if not isinstance(cell, TierRate):
        return asdict(cell)
    rates = cell.rates
    return {
        "chip": rates.chip,
        "tier": cell.tier,
        "model": rates.model,
        "precision": rates.precision,
        "output_tokens_per_s_per_gpu": rates.output_tokens_per_s,
        "low": cell.low,
        "high": cell.high,
        "tokens_per_s_per_user": rates.tokens_per_s_per_user,
        "it_watts_per_gpu": float(cell.site.busy.it_w),
        "provenance": str(rates.provenance),
        "by": rates.software,
    }


def sweep_report(plans: Sequence[Plan]) -> list[SweepRow]:
    """A line for each size."""
    return [
        SweepRow(
            power_mw=plan.plant.power_mw,
            revenue_usd_per_hour=plan.revenue,
            margin_usd_per_hour=plan.margin,
            mw_usd_per_hour=plan.mw_usd_per_hour,
            grown_mw_usd_per_hour=plan.grown_mw_usd_per_hour,
            grown_mw_cost_usd_per_hour=plan.grown_mw_cost_usd_per_hour,
        )
        for plan in plans
    ]
