"""Cost, losses and shocks for people, and as one object for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.factory.cost import WATTS_PER_MW
from ciyuan.factory.losses import Chain, chain
from ciyuan.factory.rates import LEGS
from ciyuan.factory.shocks import Case, Estimate, Shock, elasticities, estimate
from ciyuan.factory.waterfall import PARTS, Waterfall, waterfall

WIDTH = 130
ALONG = (
    ("joules per output token, at the meter", "joules_per_token", ",.2f"),
    ("energy, USD per MTok", "energy_usd_per_mtok", ",.4f"),
    ("cost, USD per MTok", "cost_usd_per_mtok", ",.3f"),
    ("price, USD per MTok", "price_usd_per_mtok", ",.3f"),
    ("output tokens/s per MW", "tokens_per_s_per_mw", ",.0f"),
    ("cost, USD per MW-year", "cost_usd_per_mw_year", ",.0f"),
    ("revenue, USD per MW-year", "revenue_usd_per_mw_year", ",.0f"),
    ("margin, USD per MW-year", "margin_usd_per_mw_year", ",.0f"),
)


@dataclass(frozen=True, slots=True)
class CostAnswer:
    """What one chip's tokens cost: the waterfall, the chain of losses of a megawatt, and the figures before and after each
    shock."""

    case: Case
    fall: Waterfall
    links: Chain
    before: Estimate
    after: Mapping[str, Estimate]
    elasticity: Mapping[str, float]

    @property
    def title(self) -> str:
        """The chip, what it serves and how."""
        rates = self.case.rates
        shape = f"{rates.input_tokens:,.0f} in / {rates.output_tokens:,.0f} out"
        speed = f"{rates.tokens_per_s_per_user:,.0f} tokens/s per user"
        return f"{rates.model} {rates.precision} on {rates.chip}, {shape}, {speed} ({rates.provenance})"


def cost_answer(case: Case, shocks: Mapping[str, Shock]) -> CostAnswer:
    """All that is told of a case; `shocks` by name."""
    return CostAnswer(
        case=case,
        fall=waterfall(case.terms, case.site, case.rates, case.duty),
        links=chain(case.site, case.rates, case.duty, WATTS_PER_MW / case.site.meter_w_max),
        before=estimate(case),
        after={name: estimate(case.under(shock)) for name, shock in shocks.items()},
        elasticity=elasticities(case),
    )


def shown_cost(answer: CostAnswer) -> dict[str, object]:
    """The answer as plain values."""
    fall = answer.fall
    return {
        "rates": asdict(answer.case.rates),
        "usd_per_mtok": {leg: dict(zip(PARTS, fall.usd_per_mtok[:, place].tolist(), strict=True))
                         for place, leg in enumerate(LEGS)},
        "usd_per_mtok_by_leg": dict(fall.by_leg),
        "usd_per_mtok_output_with_input": dict(fall.blended),
        "usd_per_mtok_output_with_input_total": fall.blended_usd_per_mtok,
        "usd_per_mtok_all_tokens": fall.all_tokens_usd_per_mtok,
        "losses_of_a_megawatt": [
            {"name": link.name, "watts_before": link.watts_before, "watts_after": link.watts_after, "passed": link.passed}
            for link in answer.links.links
        ],
        "tokens_per_joule_at_the_last_watt": answer.links.tokens_per_joule,
        "tokens_per_s_per_mw": answer.before.tokens_per_s_per_mw,
        "estimate": _shown(answer.before),
        "shocks": {name: _shown(after) for name, after in answer.after.items()},
        "elasticity_of_cost": dict(answer.elasticity),
    }  # fmt: skip


def _shown(figures: Estimate) -> dict[str, float]:
    return asdict(figures) | {
        "margin_usd_per_mw_year": figures.margin_usd_per_mw_year,
        "margin_share": figures.margin_share if figures.revenue_usd_per_mw_year else 0.0,
    }


def print_cost(answers: Sequence[CostAnswer], console: Console | None = None) -> None:
    """The tables of each answer."""
    out = console or Console(width=WIDTH)
    for answer in answers:
        out.print(f"\n[bold]{answer.title}[/bold]")
        out.print(_watts_told(answer.case), style="dim")
        out.print(_waterfall_table(answer.fall))
        out.print(_losses_table(answer.links))
        out.print(_shock_table(answer))
        out.print(_elasticity_table(answer.elasticity))


def _watts_told(case: Case) -> str:
    """The watts of one busy GPU, how they are known, and what they become at the meter."""
    rates = case.rates
    low, high = (rates.busy_w * factor for factor in (rates.watts_low, rates.watts_high))
    it_w, meter_w = float(case.site.busy.it_w), case.site.meter_w_max
    known = f"a busy GPU draws {rates.busy_w:,.0f} W ({rates.watts_provenance}, {low:,.0f} to {high:,.0f})"
    return f"{known}, {it_w:,.0f} W with server and network, {meter_w:,.0f} W at the meter (PUE {meter_w / it_w:.3f})"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0)
    return table


def _waterfall_table(fall: Waterfall) -> Table:
    table = _table("What a million tokens cost, USD", "part", *LEGS, "output with its input", "share")
    total = fall.blended_usd_per_mtok
    for part, row in zip(PARTS, fall.usd_per_mtok, strict=True):
        share = f"{fall.blended[part] / total:.1%}" if total else ""
        table.add_row(part, *(f"{usd:,.4f}" for usd in row), f"{fall.blended[part]:,.4f}", share)
    table.add_section()
    by_leg = (f"{usd:,.4f}" for usd in fall.by_leg.values())
    table.add_row("total", *by_leg, f"{total:,.4f}", "", style="bold")
    return table


def _losses_table(links: Chain) -> Table:
    table = _table("Of a megawatt of connection", "lost to", "what", "kW before", "kW after", "passed")
    for link in links.links:
        watts = (f"{link.watts_before / 1e3:,.1f}", f"{link.watts_after / 1e3:,.1f}")
        table.add_row(link.name, link.says, *watts, f"{link.passed:.1%}")
    table.add_section()
    table.add_row("all", f"{links.tokens_per_joule:,.2f} output tokens per joule of the last watts",
                  f"{links.meter_w / 1e3:,.1f}", f"{links.links[-1].watts_after / 1e3:,.1f}", f"{links.passed:.1%}",
                  style="bold")  # fmt: skip
    return table


def _shock_table(answer: CostAnswer) -> Table:
    table = _table(
        "Along the chain (output tokens with the input that goes with them)",
        "figure",
        "as it stands",
        *answer.after,
    )
    for name, field, form in ALONG:
        before = getattr(answer.before, field)
        cells = []
        for after in answer.after.values():
            value = getattr(after, field)
            change = f" ({value / before - 1:+.0%})" if before > 0 and value != before else ""
            cells.append(f"{value:{form}}{change}")
        table.add_row(name, f"{before:{form}}", *cells)
    return table


def _elasticity_table(found: Mapping[str, float]) -> Table:
    ordered = sorted(found.items(), key=lambda pair: -abs(pair[1]))
    table = _table("Elasticity of the cost of a token", "1% more", *(name for name, _ in ordered))
    table.add_row("moves it by, %", *(f"{value:+.3f}" for _, value in ordered))
    return table
