"""The headlines of speed per user: tokens per megawatt and USD per million tokens on the front of a chip and model.

Between measured runs where there are any at that speed, else by physics (factory/front.py) with the shipped calibration.
Requests of a nominal shape are 0.9 of it on average, as in the measured runs.
"""

from dataclasses import dataclass
from functools import cache

from ciyuan.factory.front import Software, front_of, sweep
from ciyuan.factory.messages import Chip, Provenance
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.work import Shape
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.headline_evidence import (
    Answer,
    Evidence,
    Unanswered,
    best_at,
    runs_of,
    total_tokens_per_s_per_gpu,
)
from ciyuan.services.measurements_published import Headline
from ciyuan.services.measurements_serving import INFERENCEX_LENGTH_FACTOR

MINIMAX, DEEPSEEK, DEEPSEEK_V4 = (
    "MiniMaxAI/MiniMax-M2.5",
    "deepseek-ai/DeepSeek-R1",
    "deepseek-ai/DeepSeek-V4-Pro",
)
LONG = (8192, 1024)
"""Tokens in and out of the requests that the headlines name 8k/1k."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Output tokens/s per GPU at a speed, all tokens likewise, the band's factor there, and how it is known."""

    output_tokens_per_s: float
    total_tokens_per_s: float
    band: float
    provenance: Provenance


def at_speed(
    evidence: Evidence,
    chip: str,
    model: str,
    precision: Precision,
    engine: str,
    speed: float,
    *,
    drafted: bool,
) -> Speed | None:
    """What physics says at a speed for requests of 8k/1k; None where no layout gives it."""
    return _at_speed(
        evidence.facts.chips[chip], evidence.facts.names.model(model), precision, engine, speed, drafted
    )


@cache
def _at_speed(
    chip: Chip, model: Model, precision: Precision, engine: str, speed: float, drafted: bool
) -> Speed | None:
    shape = Shape(*(tokens * INFERENCEX_LENGTH_FACTOR for tokens in LONG))
    software, fitted = Software(engine, "", ""), shipped().fitted
    swept = sweep(chip, model, precision, shape, software, fitted)
    if drafted and model.draft_layers:
        swept += sweep(chip, model, precision, shape, software, fitted, speculative=True)
    front = front_of(swept)
    rate = front.rate_at(speed)
    if rate <= 0:
        return None
    place = min(int((front.tokens_per_s_per_user < speed).sum()), len(front.places) - 1)
    points, load = swept[front.places[place]].points, front.loads[place]
    total = rate * (1.0 + points.input_tokens / points.output_tokens)
    return Speed(rate, total, float(points.high[load]), points.provenance)


# MiniMax-M2.5 at 110 tokens/s per user.


def minimax_h100(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """In fp8 on H100 at 1.30 USD an hour."""
    return _minimax_cost(evidence, "h100_sxm", Precision.FP8, 1.30)


def minimax_b200(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """In fp4 on B200 at 1.95 USD an hour."""
    return _minimax_cost(evidence, "b200_sxm", Precision.FP4, 1.95)


def _minimax_cost(
    evidence: Evidence, chip: str, precision: Precision, usd_per_gpu_hour: float, speed: float = 110.0
) -> Answer | Unanswered:
    """USD per million tokens, in and out: between measured runs, or beyond the fastest by how physics goes on from it."""
    runs = runs_of(evidence.silicon, chip, MINIMAX, LONG, precision)
    speeds, rates = [1.0 / run.tpot_s for run in runs], [total_tokens_per_s_per_gpu(run) for run in runs]
    rate = best_at(speeds, rates, speed)
    if rate is not None:
        how = f"{rate:,.0f} tokens/s per GPU on the front of {len(runs)} measured runs, at {usd_per_gpu_hour:g} USD an hour"
        return Answer(_usd_per_mtok(usd_per_gpu_hour, rate), how, Provenance.CALIBRATED)
    if not runs:
        return Unanswered("no measured run of it is at hand")
    known = max(speeds)
    there, here = (
        at_speed(evidence, chip, MINIMAX, precision, "vllm", one, drafted=False) for one in (speed, known)
    )
    if there is None or here is None:
        return Unanswered(f"neither a run nor a layout gives {speed:g} tokens/s")
    measured = max(rate for rate, one in zip(rates, speeds, strict=True) if one == known)
    falls = there.total_tokens_per_s / here.total_tokens_per_s
    how = (
        f"{measured:,.0f} tokens/s per GPU of the fastest run ({known:.0f} tokens/s per user), x {falls:.2f} to {speed:g} by "
        f"physics; by physics alone {_usd_per_mtok(usd_per_gpu_hour, there.total_tokens_per_s):.2f}"
    )
    return Answer(_usd_per_mtok(usd_per_gpu_hour, measured * falls), how, Provenance.EXTRAPOLATED)


# DeepSeek-V4-Pro at 50 tokens/s per user.


def deepseek_v4_gain(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """On B200 with vLLM, all tokens/s per megawatt: today's end of the change alone; nothing tells its first day's software."""
    found = at_speed(evidence, "b200_sxm", DEEPSEEK_V4, Precision.FP4, "vllm", 50.0, drafted=False)
    it_kw = evidence.facts.chips["b200_sxm"].it_kw
    if found is None or it_kw is None:
        return Unanswered("no layout gives 50 tokens/s")
    how = f"the later end alone: {_band(found.total_tokens_per_s, found)} tokens/s per GPU, in and out, by physics"
    return Answer(found.total_tokens_per_s / it_kw * 1000.0, how, found.provenance)


def deepseek_v4_cost(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """On GB300 with drafting, USD per million output tokens at the chip's cost of ownership."""
    return _cost_of_output(evidence, "gb300_nvl72", DEEPSEEK_V4, "sglang", 50.0)


# Vera Rubin, as announced.


def rubin_per_mw(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """DeepSeek-R1, output tokens/s per IT megawatt at 300 tokens/s per user."""
    rate = _per_mw(evidence, "vr200_nvl72", 300.0)
    if rate is None:
        return Unanswered("no layout gives 300 tokens/s, or no IT power was published")
    return Answer(rate, "physics with the figures that its maker announced", Provenance.EXTRAPOLATED)


def rubin_over_gb200(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """The same over GB200, at the fastest whole hundred of tokens/s that both give."""
    for speed in (300.0, 200.0, 100.0):
        rates = [_per_mw(evidence, chip, speed) for chip in ("vr200_nvl72", "gb200_nvl72")]
        if rates[0] and rates[1]:
            return Answer(
                rates[0] / rates[1],
                f"both by physics at {speed:g} tokens/s per user",
                Provenance.EXTRAPOLATED,
            )
    return Unanswered("no layout of both gives 100 tokens/s")


def rubin_cost(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """USD per million output tokens at 350 tokens/s per user, at 3.57 USD per GPU-hour."""
    return _cost_of_output(evidence, "vr200_nvl72", DEEPSEEK, "trtllm", 350.0, 3.57)


def _per_mw(evidence: Evidence, chip: str, speed: float) -> float | None:
    found = at_speed(evidence, chip, DEEPSEEK, Precision.FP4, "trtllm", speed, drafted=True)
    it_kw = evidence.facts.chips[chip].it_kw
    return found.output_tokens_per_s / it_kw * 1000.0 if found and it_kw else None


def _cost_of_output(
    evidence: Evidence,
    chip: str,
    model: str,
    engine: str,
    speed: float,
    usd_per_gpu_hour: float | None = None,
) -> Answer | Unanswered:
    """USD per million output tokens in fp4, with drafting; at the chip's cost of ownership if no other is given."""
    usd = usd_per_gpu_hour or evidence.facts.chips[chip].cost_usd_per_hour
    found = at_speed(evidence, chip, model, Precision.FP4, engine, speed, drafted=True)
    if found is None or usd is None:
        return Unanswered(
            f"no layout gives {speed:g} tokens/s" if usd else "its cost of ownership was not published"
        )
    how = f"{_band(found.output_tokens_per_s, found)} tokens/s per GPU by physics, at {usd:g} USD an hour"
    return Answer(_usd_per_mtok(usd, found.output_tokens_per_s), how, found.provenance)


def _usd_per_mtok(usd_per_gpu_hour: float, tokens_per_s: float) -> float:
    return usd_per_gpu_hour / (tokens_per_s * 3600.0) * 1e6


def _band(rate: float, found: Speed) -> str:
    """A rate with the range that its band gives."""
    return f"{rate:,.0f} ({rate / found.band:,.0f} to {rate * found.band:,.0f})"
