"""Load: demand in standard tokens by the hour, and the sharing of what cannot be divided.

Demand by leg becomes standard tokens by the grade's vector, rounded up, so that a plan never has less room than the
legs need. Requests are whole: an hour's requests are shared among sites in proportion to a plan by the largest
remainder.
"""

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import CENTI, ConversionVector
from ciyuan.basics.rows import INT64_MAX


def standard_demand(input_tokens: NDArray[np.int64], cached_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64],
                    vector: ConversionVector) -> NDArray[np.int64]:  # fmt: skip
    """Standard tokens of each hour, (H,) int64, from tokens by leg, each (H,) int64; cached tokens are a part of the input."""
    legs = [np.asarray(leg) for leg in (input_tokens, cached_tokens, output_tokens)]
    if (
        len({leg.shape for leg in legs}) != 1
        or legs[0].ndim != 1
        or not all(np.issubdtype(leg.dtype, np.integer) for leg in legs)
    ):
        raise Malformed("demand by leg", found=[f"{leg.dtype} {leg.shape}" for leg in legs],
                        expected="three of whole tokens, (hours,)",
                        remedy="Give input, cached and output tokens of the same hours.")  # fmt: skip
    inputs, cached, outputs = legs
    if (cached < 0).any() or (cached > inputs).any() or (outputs < 0).any():
        raise Malformed("demand by leg", found="a negative count, or more cached than input tokens",
                        expected="cached tokens as a part of the input", remedy="Mend the hours' counts.")  # fmt: skip
    heaviest = max(vector.input, vector.cached, vector.output, 1)
    if len(inputs) and (int(inputs.max()) + int(outputs.max())) * heaviest > INT64_MAX:
        raise Malformed("demand by leg", found="more than fits in 64 bits of hundredths", expected="tokens, by the hour",
                        remedy="Check the unit.")  # fmt: skip
    centi = (inputs - cached) * vector.input + cached * vector.cached + outputs * vector.output
    return -(-centi.astype(np.int64) // CENTI)


def share_out(counts: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Share `counts` (H,) whole things among S sites in proportion to `weights` (H, S) whole numbers, by the largest
    remainder.

    Returns (H, S) int64; each row sums to its count exactly, and no share is a whole thing or more away from its
    exact quota. Equal remainders go to the earlier site. Raises Malformed for negative figures, and for an hour that
    has things to share but no weight.
    """
    counts, weights = np.asarray(counts), np.asarray(weights)
    whole_numbers = np.issubdtype(counts.dtype, np.integer) and np.issubdtype(weights.dtype, np.integer)
    if weights.ndim != 2 or counts.shape != weights.shape[:1] or not whole_numbers:
        raise Malformed("shares", found=f"{counts.dtype} {counts.shape}, {weights.dtype} {weights.shape}",
                        expected="whole numbers, (hours,) and (hours, sites)",
                        remedy="Give one row of weights per hour.")  # fmt: skip
    total = weights.sum(axis=1, dtype=np.float64)
    if (counts < 0).any() or (weights < 0).any() or ((total == 0) & (counts > 0)).any():
        raise Malformed("shares", found="a negative figure, or an hour without weights", expected="something to share by",
                        remedy="Leave out hours that serve nothing.")  # fmt: skip
    fits = bool((counts * total).max(initial=0.0) < 2**62)
    exact = np.int64 if fits else object  # Python's integers where 64 bits would not do
    whole = np.maximum(weights.astype(exact).sum(axis=1), 1)[:, None]
    quotas = counts.astype(exact)[:, None] * weights.astype(exact)
    shares = (quotas // whole).astype(np.int64)
    remainders = (quotas % whole).astype(exact)
    left = counts - shares.sum(axis=1)
    rank = np.argsort(np.argsort(-remainders, axis=1, kind="stable"), axis=1, kind="stable")
    result: NDArray[np.int64] = shares + (rank < left[:, None])
    return result
