"""What one GPU delivers, whatever the rate came from: a measured serving point, or physics at an operating point.

Time of a GPU goes to fresh input, to input read from a cache, and to output. Per request of I tokens in (cached share c) and O
out, with a GPU-second for each O / output rate,

    prefill share = GPU-seconds of fresh input / all GPU-seconds          by physics, or estimated by arithmetic
    seconds per fresh token  = prefill share x O / rate / ((1 - c) x I + CACHED_WEIGHT x c x I)
    seconds per cached token = CACHED_WEIGHT x that
    seconds per output token = (1 - prefill share) / rate

so that a request's legs sum to its GPU-seconds. A cached token costs the grade's ratio of cached to fresh input (0.20): what
reading a cache costs was not measured.
"""

from dataclasses import dataclass, replace
from math import isfinite

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector
from ciyuan.factory.hardware import peak_flops
from ciyuan.factory.load import steady_load
from ciyuan.factory.messages import Chip, Provenance, ServingPoint
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.operating import OperatingPoints
from ciyuan.factory.power import GpuPower, Load, PowerModel, capped, gpu_power, load_of

CACHED_WEIGHT = ConversionVector().cached / ConversionVector().input
PREFILL_EFFICIENCY = 0.5
"""Share of peak FLOP/s that reading prompts reaches: 0.45 to 1.0 by precision in fits to measured serving; the low middle."""
PREFILL_SHARE_MAX = 0.95
LEGS = ("input", "cached", "output")


@dataclass(frozen=True, slots=True)
class Rates:
    """What a GPU delivers at full load, and the requests that it serves. Rates are per GPU; `busy_w` are its own watts at that.

    `cached_share` of the input is read from a cache; `prefill_share` of the GPU's time goes to input. The true watts lie
    between `watts_low` and `watts_high` times `busy_w` in 8 of 10 cases (1 and 1, and MEASURED: they were measured).
    """

    chip: str
    model: str
    precision: str
    software: str
    input_tokens: float
    output_tokens: float
    cached_share: float
    output_tokens_per_s: float
    tokens_per_s_per_user: float
    prefill_share: float
    busy_w: float
    provenance: Provenance
    watts_low: float = 1.0
    watts_high: float = 1.0
    watts_provenance: Provenance = Provenance.MEASURED

    def __post_init__(self) -> None:
        for name in (
            "input_tokens",
            "output_tokens",
            "output_tokens_per_s",
            "tokens_per_s_per_user",
            "busy_w",
        ):
            value = getattr(self, name)
            if not (value > 0 and isfinite(value)):
                raise Malformed(f"rates of {self.model} on {self.chip}, {name}", found=value,
                                expected="a finite number above 0", remedy="Choose an operating point that serves.")  # fmt: skip
        for name in ("cached_share", "prefill_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise Malformed(f"rates of {self.model} on {self.chip}, {name}", found=value, expected="a share from 0 to 1",
                                remedy="Mend the share.")  # fmt: skip

    @property
    def tokens_per_s(self) -> tuple[float, float, float]:
        """Fresh input, cached input and output tokens per second of one GPU."""
        taken = self.output_tokens_per_s * self.input_tokens / self.output_tokens
        return taken * (1.0 - self.cached_share), taken * self.cached_share, self.output_tokens_per_s

    @property
    def gpu_seconds(self) -> tuple[float, float, float]:
        """GPU-seconds of one fresh input, one cached and one output token. Weighted by `tokens_per_s` they sum to 1."""
        fresh, cached, output = self.tokens_per_s
        weighted = fresh + CACHED_WEIGHT * cached
        each = self.prefill_share / weighted if weighted else 0.0
        return each, CACHED_WEIGHT * each, (1.0 - self.prefill_share) / output

    def faster(self, factor: float) -> "Rates":
        """The same with software that delivers `factor` times the tokens at the same watts and the same speed per user."""
        return replace(self, output_tokens_per_s=self.output_tokens_per_s * factor)


def prefill_share(chip: Chip, model: Model, precision: Precision, *, fresh_tokens: float, output_tokens: float,
                  output_tokens_per_s: float) -> float:  # fmt: skip
    """Share of a GPU's time that reading `fresh_tokens` of input takes, by their FLOPs at `PREFILL_EFFICIENCY` of the peak."""
    flops = fresh_tokens * model.flops_per_token + float(model.prefill_attention_flops(fresh_tokens))
    seconds = flops / (PREFILL_EFFICIENCY * peak_flops(chip, precision))
    return min(PREFILL_SHARE_MAX, seconds * output_tokens_per_s / output_tokens)


def serving_rates(power: PowerModel, chip: Chip, model: Model, precision: Precision, point: ServingPoint,
                  cached_share: float = 0.0, cap_w: float | None = None) -> Rates:  # fmt: skip
    """The rates of a measured serving point, with the GPU's watts by the power model; under a power cap if one is given.

    The point was measured without a prompt cache. With one, the time of the cached input's prefill is saved, but for
    `CACHED_WEIGHT` of it, and the rates say so as CALIBRATED.
    """
    share = prefill_share(chip, model, precision, fresh_tokens=point.input_tokens, output_tokens=point.output_tokens,
                          output_tokens_per_s=point.output_tokens_per_s)  # fmt: skip
    left = 1.0 - share * cached_share * (1.0 - CACHED_WEIGHT)
    rate = point.output_tokens_per_s / left
    load = steady_load(
        chip,
        model,
        precision,
        gpus=point.gpus_per_replica,
        sequences=rate * point.gpus_per_replica / point.tokens_per_s_per_user,
        steps_per_s=point.tokens_per_s_per_user,
        prompt_tokens=point.input_tokens * (1.0 - cached_share),
        output_tokens=point.output_tokens,
    )
    speed, watts = _capped(power, chip, load, model, precision, cap_w)
    changed = cached_share > 0 or speed < 1
    return Rates(
        chip=chip.code,
        model=point.model,
        precision=point.precision,
        software=point.software,
        input_tokens=point.input_tokens,
        output_tokens=point.output_tokens,
        cached_share=cached_share,
        output_tokens_per_s=rate * speed,
        tokens_per_s_per_user=point.tokens_per_s_per_user * speed,
        prefill_share=share * (1.0 - cached_share * (1.0 - CACHED_WEIGHT)) / left,
        busy_w=float(watts.watts),
        provenance=Provenance.CALIBRATED
        if changed and point.provenance is Provenance.MEASURED
        else point.provenance,
        watts_low=watts.low,
        watts_high=watts.high,
        watts_provenance=watts.provenance,
    )


def operating_rates(power: PowerModel, chip: Chip, model: Model, points: OperatingPoints, index: int,
                    cap_w: float | None = None) -> Rates:  # fmt: skip
    """The rates of one operating point of physics, with the GPU's watts by the power model; under a power cap if one is
    given."""
    whole = load_of(points, chip, model)
    load = replace(
        whole,
        memory_use=whole.memory_use[index],
        arithmetic_use=whole.arithmetic_use[index],
        read_bytes=whole.read_bytes[index],
    )
    precision = Precision(points.precision)
    speed, watts = _capped(power, chip, load, model, precision, cap_w)
    rate = float(points.output_tokens_per_s_per_gpu[index])
    return Rates(
        chip=points.chip,
        model=points.model,
        precision=str(precision),
        software=points.software,
        input_tokens=points.input_tokens,
        output_tokens=points.output_tokens,
        cached_share=points.cached_share,
        output_tokens_per_s=rate * speed,
        tokens_per_s_per_user=float(points.tokens_per_s_per_user[index]) * speed,
        prefill_share=float(points.prompt_share[index]),
        busy_w=float(watts.watts),
        provenance=points.provenance,
        watts_low=watts.low,
        watts_high=watts.high,
        watts_provenance=watts.provenance,
    )  # fmt: skip


def _capped(power: PowerModel, chip: Chip, load: Load, model: Model, precision: Precision,
            cap_w: float | None) -> tuple[float, GpuPower]:  # fmt: skip
    """Speed as a share of the uncapped one, and watts."""
    free = gpu_power(power, chip, load, model.code, str(precision))
    if cap_w is None:
        return 1.0, free
    held = capped(power, chip, load, cap_w, model.code, str(precision))
    return float(held.speed), replace(free, watts=held.watts)
