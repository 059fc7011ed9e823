"""What a chip does in a tier by physics: the point of most tokens per GPU over layouts and loads.

Layouts are those of `factory/front.py`, prompts read by the same GPUs or apart; where the model ships layers that draft,
speculative decoding is tried as well. A point counts if each user gets the tier's speed, under the plant's power cap if
there is one, and the mean time to first token under load is within the tier's. Layouts that nobody measured on this chip
are taken only where no measured one serves; the rate then says EXTRAPOLATED.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.front import Software, Swept, sweep
from ciyuan.factory.messages import Chip, Provenance
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.plant import ServiceOrder
from ciyuan.factory.rates import Rates, operating_rates
from ciyuan.factory.work import Shape
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.cost_case import CaseFacts
from ciyuan.services.serving_engine import engine_of

CAP_TRIES = 6
"""How often a faster point is looked for when a cap makes the chosen one too slow."""


@dataclass(frozen=True, slots=True)
class Found:
    """Rates of a chosen point, and the factors of its band."""

    rates: Rates
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Physics:
    """Sweeps of chips and services, each made once."""

    facts: CaseFacts
    _swept: dict[tuple[str, ServiceOrder, Precision], tuple[Swept, ...]] = field(default_factory=dict)

    def best(self, chip: Chip, service: ServiceOrder, precision: Precision, tokens_per_s_per_user_min: float, ttft_s_max: float,
             cap_w: float | None) -> Found | str:  # fmt: skip
        """The best point that serves so fast, with a first token in time; where there is none, why.

        Raises Malformed for an unknown engine.
        """
        model = self.facts.names.model(service.model)
        calibration = shipped().fitted.calibration
        engine = engine_of(service.software, service.version or "", chip, model, precision, calibration)
        try:
            swept = self._sweep(chip, model, service, precision, engine)
        except Malformed as refused:
            return f"{refused.thing}: {refused.found}; expected {refused.expected}"
        wanted = tokens_per_s_per_user_min
        for _ in range(CAP_TRIES):
            place = _place(swept, wanted, ttft_s_max)
            if place is None:
                break
            found = self._found(chip, model, swept[place[0]], place[1], cap_w)
            if found.rates.tokens_per_s_per_user >= tokens_per_s_per_user_min * (1 - 1e-9):
                return found
            wanted *= tokens_per_s_per_user_min / found.rates.tokens_per_s_per_user * (1 + 1e-9)
        fastest = max(float(one.points.tokens_per_s_per_user.max()) for one in swept)
        return f"no layout gives {tokens_per_s_per_user_min:g} tokens/s and a first token in time; the fastest {fastest:.0f}"

    def _sweep(
        self, chip: Chip, model: Model, service: ServiceOrder, precision: Precision, engine: Software
    ) -> tuple[Swept, ...]:
        key = (chip.code, service, precision)
        if key not in self._swept:
            shape = Shape(service.input_tokens, service.output_tokens, service.cached_share)
            fitted = shipped().fitted
            swept = sweep(chip, model, precision, shape, engine, fitted)
            if model.draft_layers:
                swept += sweep(chip, model, precision, shape, engine, fitted, speculative=True)
            self._swept[key] = swept
        return self._swept[key]

    def _found(self, chip: Chip, model: Model, one: Swept, load: int, cap_w: float | None) -> Found:
        rates = operating_rates(self.facts.power, chip, model, one.points, load, cap_w)
        named = replace(
            rates,
            software=f"{rates.software}, {one.layout.name}, {float(one.points.sequences[load]):.0f} sequences",
        )
        return Found(named, float(one.points.low[load]), float(one.points.high[load]))


def _place(swept: Sequence[Swept], speed: float, ttft_s: float) -> tuple[int, int] | None:
    """The layout and load of most output tokens per GPU that are fast enough; of layouts that were measured if one of them
    is, since the best of many guesses is mostly a lucky one. None if none is."""
    measured = [one.points.provenance is not Provenance.EXTRAPOLATED for one in swept]
    best: dict[bool, tuple[float, int, int]] = {}
    for row, one in enumerate(swept):
        good = (one.points.tokens_per_s_per_user >= speed) & (one.ttft_mean_s <= ttft_s)
        rates = np.where(good, one.points.output_tokens_per_s_per_gpu, 0.0)
        load = int(np.argmax(rates))
        if rates[load] > best.get(measured[row], (0.0, 0, 0))[0]:
            best[measured[row]] = (float(rates[load]), row, load)
    found = best.get(True) or best.get(False)
    return found[1:] if found else None
