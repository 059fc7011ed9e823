"""A plant's plan for people: from the meter to the token, tier by tier, chip by chip, and how each rate is known."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.factory.allocation import WATTS_PER_MW
from ciyuan.factory.messages import Scenario
from ciyuan.factory.plan import Plan
from ciyuan.factory.plant import HOURS_PER_YEAR
from ciyuan.factory.tiers import TierRate

WIDTH = 150
YEARLY = HOURS_PER_YEAR / 1e6
"""Million USD a year, per USD an hour."""
SMALL_MW = 20.0
"""A plant of fewer megawatts is written with more digits."""


def print_plan(plan: Plan) -> None:
    """Print the plan's tables."""
    console = Console(width=WIDTH)
    for table in (_losses(plan), _tiers(plan), _chips(plan), _rates(plan)):
        console.print(table)
    for line in summary_lines(plan):
        console.print(line, markup=False, highlight=False)


def _table(title: str, left: Iterable[str], right: Iterable[str], last: Iterable[str] = ()) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    for name in last:
        table.add_column(name, overflow="fold")
    return table


def _losses(plan: Plan) -> Table:
    """Average megawatts from the connection to sold output, each loss named."""
    connection = plan.plant.power_mw
    title = f"{plan.plant.name}: {connection:,g} MW, PUE {plan.pue:.3f}, {plan.scenario} split. From the meter to the token"
    table = _table(title, ("link",), ("MW lost", "MW left", "of the connection"), ("what it is",))
    form = _megawatts(plan)
    table.add_row("connection", "", form.format(connection), "100.0%", "of the site, at the meter")
    table.add_row("not drawn", form.format(connection - plan.power_mw), form.format(plan.power_mw),
                  f"{plan.power_mw / connection:.1%}",
                  f"kept for the peak of {form.format(plan.peak_mw)} MW, or needed by no tier")  # fmt: skip
    for link in plan.links:
        left = link.watts_after / WATTS_PER_MW
        lost = (link.watts_before - link.watts_after) / WATTS_PER_MW
        table.add_row(link.name, form.format(lost), form.format(left), f"{left / connection:.1%}", link.says)
    return table


def _megawatts(plan: Plan) -> str:
    """How megawatts of a plant of this size are written."""
    return "{:,.1f}" if plan.plant.power_mw >= SMALL_MW else "{:,.4f}"


def _tiers(plan: Plan) -> Table:
    table = _table(
        "Tiers: output tokens, USD per MTok of output with its input, million USD a year",
        ("tier",),
        ("GPUs", "MW", "M tokens/s", "sold", "price", "x list", "revenue", "energy", "capital", "margin", "last costs",
         "more earns"),
    )  # fmt: skip
    for tier in plan.tiers:
        table.add_row(
            tier.name,
            f"{tier.gpus.sum():,.0f}",
            _megawatts(plan).format(tier.power_mw),
            f"{tier.made_tokens_per_s / 1e6:,.3f}",
            f"{tier.sold_tokens_per_s / tier.made_tokens_per_s:.0%}" if tier.made_tokens_per_s else "-",
            f"{tier.price_usd_per_mtok:,.2f}",
            _figure(tier.price_factor, "{:.2f}"),
            *map(_millions, (tier.revenue, tier.energy, tier.capital, tier.margin)),
            _figure(tier.token_usd_per_mtok, "{:,.2f}"),
            _figure(tier.demand_usd_per_mtok, "{:,.2f}"),
        )
    table.add_section()
    unused = sum(chip.installed - chip.at_work for chip in plan.chips)
    table.add_row(
        "unused GPUs",
        f"{unused:,.0f}",
        *[""] * 7,
        _millions(plan.idle_capital),
        _millions(-plan.idle_capital),
    )
    table.add_row("staff", *[""] * 9, _millions(-plan.staff))
    at_work = sum(chip.at_work for chip in plan.chips)
    table.add_row("plant", f"{at_work:,.0f}", _megawatts(plan).format(plan.power_mw), f"{plan.sold_tokens_per_s / 1e6:,.3f}", "",
                  f"{plan.usd_per_mtok:,.2f}", "",
                  *map(_millions, (plan.revenue, plan.energy, plan.capital, plan.margin)), style="bold")  # fmt: skip
    return table


def _chips(plan: Plan) -> Table:
    names = [tier.name for tier in plan.tiers]
    heads = ("GPUs", "at work", *names, "MW at peak", "costs USD/h", "one more earns USD/h")
    table = _table("Chips: GPUs by tier, and what one more of them is worth", ("chip",), heads)
    for place, chip in enumerate(plan.chips):
        table.add_row(
            chip.name,
            f"{chip.installed:,}",
            f"{chip.at_work:,.0f}",
            *(f"{tier.gpus[place]:,.0f}" if tier.gpus[place] > 0 else "-" for tier in plan.tiers),
            _megawatts(plan).format(chip.peak_mw),
            f"{chip.usd_per_gpu_hour:,.2f}",
            _figure(chip.worth_usd_per_gpu_hour, "{:,.2f}"),
        )
    return table


def _rates(plan: Plan) -> Table:
    table = _table(
        "Rates at full load, and how each is known",
        ("chip", "tier"),
        ("tokens/s per GPU", "band", "tokens/s per user", "W per GPU, IT"),
        ("known", "by"),
    )
    for chip, row in zip(plan.chips, plan.cells, strict=True):
        for cell in row:
            if isinstance(cell, TierRate):
                rates = cell.rates
                band = f"{cell.low:.2f} .. {cell.high:.2f}" if cell.low < cell.high else ""
                table.add_row(chip.name, cell.tier, f"{rates.output_tokens_per_s:,.0f}", band,
                              f"{rates.tokens_per_s_per_user:,.0f}", f"{float(cell.site.busy.it_w):,.0f}",
                              rates.provenance, rates.software)  # fmt: skip
            else:
                table.add_row(chip.name, cell.tier, "-", "", "", "", "cannot serve", cell.why, style="dim")
    return table


def summary_lines(plan: Plan) -> list[str]:
    """What a plan comes to, in lines of text."""
    per_mw = plan.revenue_usd_per_mw_year / 1e6
    revenue = (
        f"revenue = {plan.tokens_per_joule:.4f} tokens/s per watt x {plan.power_mw / 1000:,.4g} GW"
        f" x {plan.usd_per_mtok:.2f} USD per MTok"
        f" = {plan.revenue * YEARLY:,.1f} million USD a year, {per_mw:.2f} per MW of the connection"
    )
    margin = (
        f"margin  = {plan.margin * YEARLY:,.1f} million USD a year, {plan.margin_usd_per_mw_year / 1e6:.2f} per MW,"
        " after energy, capital, network and staff"
    )
    lines = [revenue, margin, *_missing_lines(plan)]
    if plan.scenario in (Scenario.OPTIMAL, Scenario.UNLIMITED):
        lines += _shadow_lines(plan)
    if plan.scenario is Scenario.UNLIMITED:
        lines.append(
            "without a bound on demand a chip serves one tier alone, whichever earns most per GPU-hour: no plan to build on"
        )
    return lines


def _missing_lines(plan: Plan) -> list[str]:
    """What a plan cannot do, or does not."""
    columns = zip(plan.tiers, zip(*plan.cells, strict=True), strict=True)
    lines = [
        f"no chip of the plant serves {tier.name}: see why under its rates"
        for tier, cells in columns
        if not any(isinstance(cell, TierRate) for cell in cells)
    ]
    if not plan.power_mw:
        lines.append("the plant stands still: nobody asks for tokens that pay for their energy")
    return lines


def _shadow_lines(plan: Plan) -> list[str]:
    held, grown = plan.mw_usd_per_hour or 0.0, plan.grown_mw_usd_per_hour or 0.0
    lines = [f"one more MW earns {held:,.2f} USD an hour with the GPUs as they are"]
    if grown != held or plan.grown_mw_cost_usd_per_hour:
        lines[0] += (
            f"; with the GPUs that the shares would add {grown:,.2f}, which cost {plan.grown_mw_cost_usd_per_hour:,.2f}: "
            + ("build more" if grown > plan.grown_mw_cost_usd_per_hour else "build no more")
        )
    broken = [tier for tier in plan.tiers if (tier.promise_usd_per_mtok or 0.0) > 0]
    lines += [
        f"the promise of {tier.name} loses {tier.promise_usd_per_mtok:,.2f} USD per MTok on its last token"
        for tier in broken
    ]
    return lines


def _millions(usd_per_hour: float) -> str:
    """USD an hour as million USD a year; what rounds to nothing has no sign."""
    return f"{round(usd_per_hour * YEARLY, 1) + 0.0:,.1f}"


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def print_sweep(plans: Sequence[Plan]) -> None:
    """Print a line for each size of the plant."""
    heads = (
        "MW",
        "revenue",
        "margin",
        "margin per MW",
        "one more MW earns USD/h",
        "with its GPUs",
        "which cost",
    )
    table = _table("At other sizes, demand as it is: million USD a year", (), heads)
    for plan in plans:
        table.add_row(
            f"{plan.plant.power_mw:,.0f}",
            f"{plan.revenue * YEARLY:,.1f}",
            f"{plan.margin * YEARLY:,.1f}",
            f"{plan.margin_usd_per_mw_year / 1e6:,.2f}",
            _figure(plan.mw_usd_per_hour, "{:,.2f}"),
            _figure(plan.grown_mw_usd_per_hour, "{:,.2f}"),
            f"{plan.grown_mw_cost_usd_per_hour:,.2f}",
        )
    Console(width=WIDTH).print(table)
