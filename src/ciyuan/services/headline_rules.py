"""The rules of the headlines: how our figure for each row of headline_results.csv is worked out."""

import csv
import re
from collections.abc import Callable, Mapping
from statistics import median

from ciyuan.factory.messages import Provenance
from ciyuan.factory.model import Precision
from ciyuan.factory.service_day import HOURS_PER_DAY, ServiceDay, nodes_needed, service_day
from ciyuan.services.headline_evidence import (
    Answer,
    Evidence,
    Unanswered,
    runs_of,
    total_tokens_per_s_per_gpu,
)
from ciyuan.services.headline_front import (
    DEEPSEEK,
    deepseek_v4_cost,
    deepseek_v4_gain,
    minimax_b200,
    minimax_h100,
    rubin_cost,
    rubin_over_gb200,
    rubin_per_mw,
)
from ciyuan.services.headline_offline import gb300_llama, h100_llama, round_gain
from ciyuan.services.headline_power import b200_efficiency, h200_cap, h200_capped_efficiency, mi355x_cap
from ciyuan.services.measurements_published import Headline
from ciyuan.services.measurements_serving import Speculation
from ciyuan.services.rental_history import rent_change

Rule = Callable[[Evidence, Headline], Answer | Unanswered]
MEASURED = Provenance.MEASURED
_DAYS = re.compile(r"(\d{4}-\d\d-\d\d) -> (\d{4}-\d\d-\d\d)")


# DeepSeek's day.


def _day(evidence: Evidence) -> ServiceDay:
    """The day with the nodes that stood there, hour by hour."""
    hours = evidence.day_hours
    nodes = sum(hour.nodes for hour in hours) / len(hours)
    return service_day(evidence.day.tokens, evidence.day.rates, evidence.day.prices, nodes)


def day_cost(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """Nodes of each hour, at their GPUs' rent."""
    hours = evidence.day_hours
    if len(hours) != HOURS_PER_DAY:
        return Unanswered(f"the table has {len(hours)} of {HOURS_PER_DAY} hours")
    return Answer(_day(evidence).cost_usd, "nodes of 24 hours x 8 GPUs x 2 USD", MEASURED)


def day_revenue(evidence: Evidence, _: Headline) -> Answer:
    """The day's tokens at list price."""
    return Answer(
        _day(evidence).revenue_usd,
        "published token counts (3 digits) x list prices of the three legs",
        MEASURED,
    )


def day_margin(evidence: Evidence, _: Headline) -> Answer:
    """Revenue over cost, less 1."""
    return Answer(_day(evidence).margin, "the two rows above", MEASURED)


def day_nodes(evidence: Evidence, _: Headline) -> Answer:
    """Nodes that the tokens take at the rates of nodes."""
    return Answer(
        nodes_needed(evidence.day.tokens, evidence.day.rates),
        "tokens a second over the rates of a node",
        MEASURED,
    )


# Rents.


def index_change(evidence: Evidence, headline: Headline) -> Answer | Unanswered:
    """A provider's index on the two days that the headline names."""
    found = _DAYS.search(headline.what)
    if found is None or evidence.rent_index is None:
        return Unanswered("no table of daily rents is at hand" if found else "the row names no days")
    usd = {}
    with evidence.rent_index.open(encoding="utf-8") as stream:
        for row in csv.DictReader(line for line in stream if not line.startswith("#")):
            if row["provider"] == "neocloud" and row["gpu"] == "A100":
                usd[row["date"]] = float(row["usd_median"])
    first, last = found.groups()
    if first not in usd or last not in usd:
        return Unanswered(f"the index has no figure on {first if first not in usd else last}")
    return Answer(usd[last] / usd[first], f"{usd[first]:g} to {usd[last]:g} USD an hour", MEASURED)


def spot_change(evidence: Evidence, headline: Headline) -> Answer | Unanswered:
    """The spot price of one region on the two days that the headline names."""
    found = _DAYS.search(headline.what)
    if found is None:
        return Unanswered("the row names no days")
    moved = rent_change(evidence.rents, "A100-40GB", "spot_us_central1", *found.groups())
    how = f"{moved.first_usd_per_hour:g} to {moved.last_usd_per_hour:g} USD an hour"
    return Answer(1.0 + moved.change, how, MEASURED)


# Software and generations, from runs.


def sglang_gain(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """Tokens/s of SGLang 0.5.6 over 0.5.5 at one layout, at concurrency 4."""
    before, after = _sglang_runs(evidence, "0.5.5"), _sglang_runs(evidence, "0.5.6")
    for gpus in sorted(before.keys() & after.keys()):
        gain = median(after[gpus]) / median(before[gpus])
        return Answer(gain, f"runs on {gpus} GPUs that name the two versions", MEASURED)
    return Unanswered("no two runs at hand name these versions at one layout")


def _sglang_runs(evidence: Evidence, version: str) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for run in runs_of(evidence.inferencex, "b200_sxm", DEEPSEEK, (8192, 1024), Precision.FP4):
        if (
            run.software.backend == "sglang"
            and run.software.version.startswith(version)
            and run.concurrency == 4
            and not run.disaggregated
            and run.speculation is Speculation.NONE
        ):
            found.setdefault(run.gpus, []).append(total_tokens_per_s_per_gpu(run))
    return found


def generation_gain(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """Output tokens/s per IT megawatt, GB300 over H200, at equal speed for the user."""
    ratios = []
    for shape in ((1024, 1024), (8192, 1024)):
        for speed in (40.0, 75.0):
            new, old = (_best_per_mw(evidence, chip, shape, speed) for chip in ("gb300_nvl72", "h200_sxm"))
            if new and old:
                ratios.append(new / old)
    if not ratios:
        return Unanswered("no runs of both generations are at hand")
    how = (
        f"of another pair: measured H200 to GB300, per IT MW at 40 and 75 tokens/s per user, {min(ratios):.1f} to "
        f"{max(ratios):.1f}; the claim is of chips, software and tiers over two years"
    )
    return Answer(max(ratios), how, MEASURED, of_other=True)


def _best_per_mw(evidence: Evidence, chip: str, shape: tuple[int, int], speed: float) -> float | None:
    it_kw = evidence.facts.chips[chip].it_kw
    rates = [
        run.output_tokens_per_s_per_gpu
        for run in runs_of(evidence.inferencex, chip, DEEPSEEK, shape)
        if run.output_tokens_per_s_per_gpu is not None and 1.0 / run.tpot_s >= speed
    ]
    return max(rates) * 1000.0 / it_kw if rates and it_kw else None


# What others measured of others.


def of_others(_: Evidence, __: Headline) -> Unanswered:
    """The accuracy of other simulators: nothing of ours to compute."""
    return Unanswered(
        "the error of another simulator, on runs that are not at hand; ours: ciyuan factory accuracy"
    )


RULES: Mapping[str, Rule] = {
    "H1": day_cost,
    "H2": day_revenue,
    "H3": day_margin,
    "H4": day_nodes,
    "H5": b200_efficiency,
    "H6": h200_capped_efficiency,
    "H7": h200_cap,
    "H8": mi355x_cap,
    "H9": round_gain,
    "H10": h100_llama,
    "H11": gb300_llama,
    "H12": minimax_h100,
    "H13": minimax_b200,
    "H14": deepseek_v4_gain,
    "H15": deepseek_v4_cost,
    "H16": rubin_per_mw,
    "H17": rubin_over_gb200,
    "H18": rubin_cost,
    "H19": generation_gain,
    "H20": sglang_gain,
    "H21": index_change,
    "H22": spot_change,
    "H23": of_others,
    "H24": of_others,
}
