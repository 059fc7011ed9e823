"""The headlines of saturated throughput (MLPerf's Offline scenario), by the shipped calibration of it (factory/offline.py)."""

from dataclasses import dataclass
from statistics import median

import numpy as np

from ciyuan.factory.messages import Provenance
from ciyuan.factory.model import Precision
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.factory_offline import predicted, submission
from ciyuan.services.headline_evidence import Answer, Evidence
from ciyuan.services.measurements_published import Headline

BOX_GPUS, RACK_GPUS = 8, 72


@dataclass(frozen=True, slots=True)
class Rate:
    """Output tokens/s per GPU, the factor that 8 of 10 true rates lie within, and how it is known."""

    tokens_per_s_per_gpu: float
    band: float
    provenance: Provenance


def offline_rate(
    evidence: Evidence, chip_code: str, benchmark: str, precision: Precision, round_name: str
) -> Rate:
    """What a chip does in a benchmark with the software of a round."""
    chip, model = evidence.facts.chips[chip_code], evidence.facts.names.model(benchmark)
    found = shipped()
    physics = predicted(chip, model, precision, benchmark, found.fitted.constants)
    entry = submission(chip, model, precision, round_name, physics)
    words = (("chip", chip.code), ("family", model.code), ("round", round_name))
    known = all(word in found.offline.means.get(kind, {}) for kind, word in words)
    return Rate(
        physics.tokens_per_s_per_gpu * float(np.exp(found.offline.log_factor(entry))),
        found.offline.band(entry),
        Provenance.CALIBRATED if known else Provenance.EXTRAPOLATED,
    )


def round_gain(evidence: Evidence, _: Headline) -> Answer:
    """DeepSeek-R1 on B200 from round v5.1 to v6.0: by results of both if they are at hand, else by the trend of older rounds."""
    told = [_median(evidence, name, "b200_sxm", "deepseek-r1") for name in ("v5.1", "v6.0")]
    if told[0] and told[1]:
        how = f"medians of both rounds' results: {told[0]:,.0f} to {told[1]:,.0f} tokens/s per GPU"
        return Answer(told[1] / told[0], how, Provenance.MEASURED)
    before, after = (
        offline_rate(evidence, "b200_sxm", "deepseek-r1", Precision.FP4, name) for name in ("v5.1", "v6.0")
    )
    how = (
        f"{before.tokens_per_s_per_gpu:,.0f} to {after.tokens_per_s_per_gpu:,.0f} tokens/s per GPU by the trend of older rounds, "
        "which tells nothing of this leap: no result of v6.0 is at hand"
    )
    return Answer(after.tokens_per_s_per_gpu / before.tokens_per_s_per_gpu, how, after.provenance)


def _median(evidence: Evidence, round_name: str, chip: str, benchmark: str) -> float | None:
    """Median tokens/s per GPU of a round's closed Offline results on whole boxes; None without any."""
    rates = [
        row.tokens_per_s_per_gpu
        for row in evidence.mlperf
        if (row.round, row.division, row.scenario, row.chip) == (round_name, "closed", "Offline", chip)
        and row.benchmark.startswith(benchmark)
        and row.gpus % BOX_GPUS == 0
    ]
    return median(rates) if rates else None


def h100_llama(evidence: Evidence, _: Headline) -> Answer:
    """Llama 2 70B in fp8 on H100, round v5.1, tokens/s per GPU."""
    rate = offline_rate(evidence, "h100_sxm", "llama2-70b", Precision.FP8, "v5.1")
    return Answer(
        rate.tokens_per_s_per_gpu,
        f"physics and calibration, within a factor of {rate.band:.2f}",
        rate.provenance,
    )


def gb300_llama(evidence: Evidence, _: Headline) -> Answer:
    """Llama 2 70B in fp4 on a rack of 72 GB300, round v6.0, tokens/s."""
    rate = offline_rate(evidence, "gb300_nvl72", "llama2-70b", Precision.FP4, "v6.0")
    how = f"{RACK_GPUS} x {rate.tokens_per_s_per_gpu:,.0f} by physics and calibration, within a factor of {rate.band:.2f}"
    return Answer(rate.tokens_per_s_per_gpu * RACK_GPUS, how, rate.provenance)
