"""What a simulation found, for people."""

from math import isfinite

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.factory.scheduler_capacity import Capacity
from ciyuan.factory.scheduler_outcome import Percentiles, Summary
from ciyuan.factory.scheduler_terms import TierTerms

WIDTH = 132


def print_run(title: str, run: Summary, tiers: tuple[TierTerms, ...]) -> None:
    """Print one run: the whole, and each tier against its promise."""
    console = Console(width=WIDTH)
    whole = _table(title, ("", "of the run"))
    for name, value in _figures(run):
        whole.add_row(name, value)
    console.print(whole)
    table = _table(
        "Tiers: seconds at p50 / p95 / p99",
        ("tier", "promised", "requests", "served", "kept", "queue", "TTFT", "TPOT", "end to end"),
    )
    for tier, terms in zip(run.tiers, tiers, strict=True):
        table.add_row(
            str(tier.tier),
            " ".join(f"{name} {s:g}" for name, s in (("ttft", terms.slo.ttft_s), ("tpot", terms.slo.tpot_s)) if isfinite(s)),
            f"{tier.requests:,}", f"{tier.served:,}", f"{tier.kept_share:.1%}",
            *(_three(times) for times in (tier.queue, tier.ttft, tier.tpot, tier.e2e)),
        )  # fmt: skip
    console.print(table)


def _figures(run: Summary) -> list[tuple[str, str]]:
    large, full = run.refused_too_large, run.refused_queue_full
    answered = f"{run.requests:,}, served {run.served:,}, refused {large + full:,} ({large:,} too large, {full:,} queue full)"
    good = f"{run.goodput_requests_per_s:,.2f} requests/s, {run.goodput_output_tokens_per_s:,.0f} output tokens/s"
    return [
        ("requests", answered),
        ("served as promised", f"{run.kept_share:.1%}: {good}"),
        ("span", f"{run.span_s:,.1f} s; {run.gpu_hours:,.2f} GPU-hours paid, {run.utilisation:.1%} of them computing"),
        ("output tokens/s", f"{run.output_tokens_per_s:,.0f}; per GPU {run.output_tokens_per_s_per_gpu:,.1f}"),
        ("input tokens/s", f"{run.input_tokens_per_s:,.0f}, of which cached {run.cached_share:.1%}"),
        ("sequences at once", f"{run.sequences_mean:,.1f} on a replica that computes; {run.steps:,} steps"),
        ("gave way", f"{run.preemptions:,} times; {run.reread_tokens:,} tokens read again"),
    ]  # fmt: skip


def print_compared(found: tuple[Capacity, ...], share_min: float) -> None:
    """Print the capacity of each policy beside the first."""
    table = _table(
        f"The most that keeps its promises for {share_min:.1%} of each tier's requests, each policy on top of those above",
        (
            "policy",
            "requests/s",
            "output tokens/s",
            "per GPU",
            "x the first",
            "TTFT p50 / p95 / p99",
            "TPOT p50 / p95 / p99",
            "busy",
        ),
    )
    for one in found:
        if one.run is None:
            table.add_row(one.policy, "none", "", "", "", "", "", "")
            continue
        first = next((other.output_tokens_per_s_per_gpu for other in found if other.run is not None), 0.0)
        table.add_row(
            one.policy, f"{one.requests_per_s:,.2f}", f"{one.output_tokens_per_s:,.0f}",
            f"{one.output_tokens_per_s_per_gpu:,.1f}", f"{one.output_tokens_per_s_per_gpu / first:,.3g}",
            _three(one.run.ttft), _three(one.run.tpot), f"{one.run.utilisation:.0%}",
        )  # fmt: skip
    Console(width=WIDTH).print(table)


def _three(times: Percentiles) -> str:
    return " / ".join(f"{seconds:.3g}" for seconds in (times.p50_s, times.p95_s, times.p99_s))


def _table(title: str, names: tuple[str, ...]) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place == 0 or len(names) == 2 else "right", overflow="fold")
    return table
