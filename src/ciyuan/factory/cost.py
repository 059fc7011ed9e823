"""Tokens per second, joules per token, cost per million tokens: arithmetic on a serving point.

    tokens/s          = rate per GPU x GPUs
    joules per token  = IT watts per GPU / (standard tokens/s per GPU)                   (x PUE at the meter of the
    site) energy cost       = joules at the meter / 3.6e9 x 1e6 x USD per MWh                    USD per MTok
    capital cost      = USD per GPU-hour / (MTok per GPU-hour x utilisation)             USD per MTok

When this will lie: energy is taken as proportional to tokens, so a site that idles is charged nothing for its idle
draw (a quarter of full load where measured; at 60% use that is a fifth of the energy part); a rate is of a steady
full load, so `utilisation` must hold the queueing slack too; prompt caches are not modelled.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI, ConversionVector
from ciyuan.factory.messages import CostPerMTok, ServingPoint, Site, TokenRates

JOULES_PER_MWH = 3.6e9
TOKENS_PER_MTOK = 1e6
SECONDS_PER_HOUR = 3600.0
WATTS_PER_MW = 1e6
_DEFAULT_VECTOR = ConversionVector()


def tokens_per_second(
    point: ServingPoint, gpus: int, vector: ConversionVector = _DEFAULT_VECTOR
) -> TokenRates:
    """Tokens per second of `gpus` GPUs at full load, by leg and in standard tokens of `vector`."""
    if gpus < 0:
        raise Malformed(
            "number of GPUs", found=gpus, expected="0 or more", remedy="Ask for as many as there are."
        )
    standard = (point.input_tokens_per_s * vector.input + point.output_tokens_per_s * vector.output) / CENTI
    return TokenRates(point.input_tokens_per_s * gpus, point.output_tokens_per_s * gpus, standard * gpus)


def joules_per_token(
    point: ServingPoint, pue: float = 1.0, vector: ConversionVector = _DEFAULT_VECTOR
) -> float:
    """Joules per standard token: of the IT load (PUE 1), or at the meter of a site."""
    return point.it_watts_per_gpu * _expect_pue(pue) / tokens_per_second(point, 1, vector).standard


def gpus_within(power_mw_max: float, point: ServingPoint, pue: float) -> int:
    """The most GPUs, in whole replicas, that `power_mw_max` MW at the site's meter can feed at full load."""
    if not power_mw_max >= 0:
        raise Malformed(
            "power in MW",
            found=power_mw_max,
            expected="0 or more",
            remedy="Give the site's connection in MW.",
        )
    watts_per_replica = point.it_watts_per_gpu * _expect_pue(pue) * point.gpus_per_replica
    return int(power_mw_max * WATTS_PER_MW / watts_per_replica) * point.gpus_per_replica


def site_gpus(site: Site, point: ServingPoint, gpus: int = 0) -> int:
    """The GPUs that a site runs: all that its power feeds if 0 are asked for, else the number asked for.

    Raises Malformed for another chip than the site's, or for more power than the site has, naming both sides in MW.
    """
    if point.chip != site.chip:
        raise Malformed(
            f"site {site.name}, chip",
            found=point.chip,
            expected=site.chip,
            remedy="Choose a point of the site's chip.",
        )
    most = gpus_within(site.power_mw_max, point, site.pue)
    if gpus < 0 or gpus > most:
        needed = gpus * point.it_watts_per_gpu * site.pue / WATTS_PER_MW
        raise Malformed(f"site {site.name}, GPUs", found=f"{gpus} GPUs, {needed:.3f} MW",
                        expected=f"at most {most} GPUs within its {site.power_mw_max:g} MW",
                        remedy="Ask for fewer GPUs, or 0 for as many as its power feeds.")  # fmt: skip
    if gpus % point.gpus_per_replica:
        raise Malformed(f"site {site.name}, GPUs", found=gpus, expected=f"whole replicas of {point.gpus_per_replica} GPUs",
                        remedy="Round it down to whole replicas.")  # fmt: skip
    return gpus or most


def energy_usd_per_mtok(point: ServingPoint, power_price_usd_per_mwh: ArrayLike, pue: float,
                        vector: ConversionVector = _DEFAULT_VECTOR) -> NDArray[np.float64]:  # fmt: skip
    """Energy part of a million standard tokens in USD, of the shape of the prices; negative where a price is."""
    prices = np.asarray(power_price_usd_per_mwh, dtype=np.float64)
    if not np.isfinite(prices).all():
        raise Malformed("power price in USD/MWh", found="a price that is not finite",
                        expected="finite prices, negative ones included",
                        remedy="Fill the gaps of the series first, and say how.")  # fmt: skip
    mwh_per_mtok = joules_per_token(point, pue, vector) * TOKENS_PER_MTOK / JOULES_PER_MWH
    return prices * mwh_per_mtok


def capital_usd_per_mtok(point: ServingPoint, capital_usd_per_gpu_hour: float, utilisation: float,
                         vector: ConversionVector = _DEFAULT_VECTOR) -> float:  # fmt: skip
    """Capital part of a million standard tokens in USD. `utilisation`: tokens delivered as a share of full load, in (0, 1]."""
    if not 0 < utilisation <= 1:
        raise Malformed("utilisation", found=utilisation, expected="a share above 0 and at most 1",
                        remedy="Give delivered tokens over tokens at full load.")  # fmt: skip
    if not capital_usd_per_gpu_hour >= 0:
        raise Malformed(
            "capital in USD per GPU-hour",
            found=capital_usd_per_gpu_hour,
            expected="0 or more",
            remedy="Mend the site's entry.",
        )
    mtok_per_gpu_hour = tokens_per_second(point, 1, vector).standard * SECONDS_PER_HOUR / TOKENS_PER_MTOK
    return capital_usd_per_gpu_hour / (mtok_per_gpu_hour * utilisation)


def cost_per_mtok(point: ServingPoint, power_price_usd_per_mwh: ArrayLike, pue: float, capital_usd_per_gpu_hour: float,
                  utilisation: float, vector: ConversionVector = _DEFAULT_VECTOR) -> CostPerMTok:  # fmt: skip
    """USD per million standard tokens, for one power price or an array of them (any shape, kept).

    The legs share the total by `vector` (1.00 / 0.20 / 4.21): that is how the grade is priced, not how the chip
    spends its time; `serving.leg_seconds` gives the measured split.
    """
    energy = energy_usd_per_mtok(point, power_price_usd_per_mwh, pue, vector)
    capital = capital_usd_per_mtok(point, capital_usd_per_gpu_hour, utilisation, vector)
    total = energy + capital
    legs = [total * weight / CENTI for weight in (vector.input, vector.cached, vector.output)]
    if np.ndim(power_price_usd_per_mwh) == 0:
        return CostPerMTok(float(energy), capital, float(total), *(float(leg) for leg in legs))
    return CostPerMTok(energy, capital, total, *legs)


def revenue_per_mw_hour(point: ServingPoint, price_usd_per_mtok: float, pue: float, utilisation: float = 1.0,
                        vector: ConversionVector = _DEFAULT_VECTOR) -> float:  # fmt: skip
    """USD that one MW at the site's meter earns in an hour by selling standard tokens at `price_usd_per_mtok`."""
    if not 0 < utilisation <= 1:
        raise Malformed("utilisation", found=utilisation, expected="a share above 0 and at most 1",
                        remedy="Give delivered tokens over tokens at full load.")  # fmt: skip
    mtok_per_mwh = JOULES_PER_MWH / joules_per_token(point, pue, vector) / TOKENS_PER_MTOK
    return price_usd_per_mtok * mtok_per_mwh * utilisation


def _expect_pue(pue: float) -> float:
    if not (pue >= 1 and np.isfinite(pue)):
        raise Malformed(
            "PUE",
            found=pue,
            expected="a finite number of at least 1",
            remedy="Give facility power over IT power.",
        )
    return pue
