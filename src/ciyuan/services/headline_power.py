"""The headlines of power: tokens per joule at the wall, and what a power cap leaves of the tokens.

Tokens/s of the uncapped system are the measured ones; what its GPUs do at that rate, what they and their server draw, and what a
cap leaves are worked out (factory/load.py, power.py, facility.py).
"""

from ciyuan.factory.facility import CoolingMethod, server_power
from ciyuan.factory.layout import SEQUENCES_MAX, Engine, sequences_held
from ciyuan.factory.load import steady_load
from ciyuan.factory.messages import Chip, Provenance
from ciyuan.factory.model import Precision
from ciyuan.factory.offline import SHAPES
from ciyuan.factory.power import Load, capped, gpu_power
from ciyuan.services.catalog_power import server_for
from ciyuan.services.headline_evidence import Answer, Evidence, Unanswered
from ciyuan.services.measurements_energy import SystemPower
from ciyuan.services.measurements_published import Headline

BENCHMARK = "llama2-70b"


def cap_ratio(evidence: Evidence, chip: str, precision: Precision, system: str) -> Answer | Unanswered:
    """Tokens/s under the lower cap of a published pair over those under the higher."""
    pair = _pair(evidence, system)
    if pair is None:
        return Unanswered(f"no pair of power caps of {system} is at hand")
    high, low = pair
    named = _named(evidence, precision)
    held = capped(evidence.facts.power, *_at(evidence, chip, precision, high), low.gpu_w_max, *named)
    how = f"what {low.gpu_w_max:,.0f} W leave of that at {high.gpu_w_max:,.0f} W (its exponent is set on such pairs)"
    return Answer(float(held.speed), how, evidence.facts.power.known(chip, *named)[0])


def h200_cap(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """8 H200 from 700 to 500 W."""
    return cap_ratio(evidence, "h200_sxm", Precision.FP8, "8xH200")


def mi355x_cap(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """8 MI355X from 1,400 to 1,000 W."""
    return cap_ratio(evidence, "mi355x", Precision.MXFP4, "8xMI355X MangoBoost")


def h200_capped_efficiency(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """Tokens per wall joule of 8 H200 at 500 W, from the rate measured at 700 W."""
    pair = _pair(evidence, "8xH200")
    if pair is None:
        return Unanswered("no pair of power caps of 8xH200 is at hand")
    high, low = pair
    chip, load = _at(evidence, "h200_sxm", Precision.FP8, high)
    held = capped(evidence.facts.power, chip, load, low.gpu_w_max, *_named(evidence, Precision.FP8))
    wall = _wall_w(evidence, chip, float(held.watts), high.gpus)
    rate = (high.tokens_per_s or 0.0) * float(held.speed)
    return Answer(rate / wall, f"{rate:,.0f} tokens/s (measured at {high.gpu_w_max:.0f} W, capped by the model) at {wall:,.0f} W",
                  Provenance.CALIBRATED)  # fmt: skip


def b200_efficiency(evidence: Evidence, _: Headline) -> Answer | Unanswered:
    """Tokens per wall joule of 8 B200 in air, at the measured rate."""
    rows = [row for row in evidence.system_powers if row.kind == "measured" and "8xB200" in row.system
            and row.workload.startswith(f"{BENCHMARK} Offline") and row.tokens_per_s]  # fmt: skip
    if not rows:
        return Unanswered("no measured 8xB200 of this benchmark is at hand")
    chip, load = _at(evidence, "b200_sxm", Precision.FP4, rows[0])
    watts = float(gpu_power(evidence.facts.power, chip, load, *_named(evidence, Precision.FP4)).watts)
    wall, rate = _wall_w(evidence, chip, watts, rows[0].gpus), rows[0].tokens_per_s or 0.0
    return Answer(
        rate / wall,
        f"{rate:,.0f} tokens/s (measured) at {wall:,.0f} W by the power model",
        Provenance.CALIBRATED,
    )


def _pair(evidence: Evidence, system: str) -> tuple[SystemPower, SystemPower] | None:
    """A system at its higher and its lower cap, in the benchmark's offline scenario."""
    rows = [row for row in evidence.system_powers if row.kind == "cap" and row.system == system
            and row.workload.startswith(f"{BENCHMARK} Offline") and row.tokens_per_s]  # fmt: skip
    rows.sort(key=lambda row: -row.gpu_w_max)
    return (rows[0], rows[-1]) if len(rows) > 1 else None


def _named(evidence: Evidence, precision: Precision) -> tuple[str, str]:
    return evidence.facts.names.model(BENCHMARK).code, str(precision)


def _at(evidence: Evidence, chip_code: str, precision: Precision, row: SystemPower) -> tuple[Chip, Load]:
    """What each GPU of a measured system does: full of sequences, at the measured rate."""
    chip, model, shape = (
        evidence.facts.chips[chip_code],
        evidence.facts.names.model(BENCHMARK),
        SHAPES[BENCHMARK],
    )
    rate = (row.tokens_per_s or 0.0) / row.gpus
    sequences = min(float(SEQUENCES_MAX), sequences_held(chip, model, precision, Engine(), shape.tokens))
    load = steady_load(chip, model, precision, gpus=1, sequences=sequences, steps_per_s=rate / sequences,
                       prompt_tokens=shape.input_tokens, output_tokens=shape.output_tokens)  # fmt: skip
    return chip, load


def _wall_w(evidence: Evidence, chip: Chip, gpu_w: float, gpus: int) -> float:
    """Watts at the wall of an air-cooled box."""
    return (
        float(server_power(server_for(evidence.facts.servers, chip, CoolingMethod.AIR), chip, gpu_w).wall_w)
        * gpus
    )
