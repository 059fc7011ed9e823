"""Requests generated from ServeGen's published clients: each client's rate and rhythm by 10 minutes, its lengths by 6 hours.

ServeGen (Xiang et al., arXiv 2505.09999) publishes fitted summaries, not requests. A client's gaps between requests are drawn
from its fitted Gamma or Weibull, stretched so that their mean is one over its rate; lengths from a lognormal with the published
mean and median (a mean below the median: the mean for all). The seed is given, so the same call makes the same trace.
"""

from dataclasses import dataclass
from math import gamma, inf, log, sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ciyuan.basics.errors import Malformed
from ciyuan.factory.scheduler_trace import Trace, trace_of

WINDOW_S, LENGTHS_S = 600, 21_600
TOKENS_MAX = 1_000_000
RATES, LENGTHS = "servegen_client_rates.parquet", "servegen_client_lengths.parquet"
_LENGTH_COLUMNS = ("input_tokens_mean", "input_tokens_p50", "output_tokens_mean", "output_tokens_p50")


@dataclass(frozen=True, slots=True)
class Slice:
    """What to generate: a model of ServeGen, from which second of its trace for how long, and a factor on every client's rate."""

    model: str
    since_s: float
    seconds: float
    rate_factor: float = 1.0


def generated(folder: Path, wanted: Slice, seed: int) -> Trace:
    """The requests of a slice. Raises Malformed for a model or a time that the files do not have."""
    if not (0 < wanted.seconds < inf and 0 < wanted.rate_factor < inf):
        raise Malformed("slice of ServeGen", found=(wanted.seconds, wanted.rate_factor), expected="a span and a factor above 0",
                        remedy="Give seconds and a factor.")  # fmt: skip
    rates = _table(folder / RATES, wanted.model)
    first = wanted.since_s // WINDOW_S * WINDOW_S
    at = rates["timestamp_s"]
    rates = rates.filter(pc.and_(pc.greater_equal(at, first), pc.less(at, wanted.since_s + wanted.seconds)))
    if rates.num_rows == 0:
        raise Malformed("slice of ServeGen", found=f"no client of {wanted.model} at {wanted.since_s:g} s",
                        expected="a time within the trace", remedy="Give a smaller --since.")  # fmt: skip
    lengths, usual = _lengths(folder / LENGTHS, wanted.model)
    dice = np.random.default_rng(seed)
    arrivals: list[np.ndarray] = []
    prompts: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    for row in rates.to_pylist():
        times = (
            _times(dice, row["rate_rps"] * wanted.rate_factor, row["pattern"], row["p1"]) + row["timestamp_s"]
        )
        times = times[(times >= wanted.since_s) & (times < wanted.since_s + wanted.seconds)]
        window = int(row["timestamp_s"]) // LENGTHS_S * LENGTHS_S
        input_mean, input_p50, output_mean, output_p50 = lengths.get((row["client"], window), usual)
        arrivals.append(times)
        prompts.append(_tokens(dice, input_mean, input_p50, len(times)))
        outputs.append(_tokens(dice, output_mean, output_p50, len(times)))
    if not sum(map(len, arrivals)):
        raise Malformed("slice of ServeGen", found="no request", expected="1 or more",
                        remedy="Take a longer span or a higher factor.")  # fmt: skip
    return trace_of(np.concatenate(arrivals), np.concatenate(prompts), np.concatenate(outputs))


def _table(path: Path, model: str) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise Malformed(f"ServeGen file {path}", found=str(error).splitlines()[0],
                        expected="a Parquet file of ServeGen's clients",
                        remedy=f"Give the folder that holds {RATES} and {LENGTHS}.") from None  # fmt: skip
    models = sorted(set(pc.unique(table["model"].cast(pa.string())).to_pylist()))
    if model not in models:
        raise Malformed(
            "model of ServeGen",
            found=model,
            expected=f"one of {', '.join(models)}",
            remedy="Name one of these.",
        )
    return table.filter(pc.equal(table["model"].cast(pa.string()), model))


def _lengths(path: Path, model: str) -> tuple[dict[tuple[int, int], tuple[float, ...]], tuple[float, ...]]:
    """(client, window) to its mean and median lengths; and the median client's, for those whose lengths are not published."""
    table = _table(path, model).select(["client", "timestamp_s", *_LENGTH_COLUMNS]).drop_null()
    columns = [table[name].to_numpy() for name in _LENGTH_COLUMNS]
    known = np.isfinite(np.array(columns)).all(axis=0)
    keys = zip(
        table["client"].to_numpy()[known].tolist(),
        table["timestamp_s"].to_numpy()[known].tolist(),
        strict=True,
    )
    values = np.array(columns).T[known]
    if not len(values):
        raise Malformed(f"lengths of {model}", found="none", expected="mean and median input and output tokens",
                        remedy="Choose a model of language or reasoning.")  # fmt: skip
    return dict(zip(keys, map(tuple, values.tolist()), strict=True)), tuple(
        np.median(values, axis=0).tolist()
    )


def _times(dice: np.random.Generator, rate: float, pattern: str, shape: float) -> np.ndarray:
    """Arrivals within a window, of a renewal process whose first gap is cut anywhere, as if it had begun before."""
    count = int(rate * WINDOW_S * 1.5 + 6 * sqrt(rate * WINDOW_S / min(shape, 1.0)) + 10)
    drawn, mean = (dice.gamma(shape, 1.0, count), shape) if pattern == "Gamma" else (
        dice.weibull(shape, count), gamma(1.0 + 1.0 / shape))  # fmt: skip
    gaps = drawn / (mean * rate)
    times: np.ndarray = np.cumsum(gaps) - dice.uniform() * gaps[0]
    return times[times < WINDOW_S]


def _tokens(dice: np.random.Generator, mean: float, median: float, count: int) -> np.ndarray:
    if mean > median > 0:
        spread = sqrt(2.0 * log(mean / median))
        drawn = median * np.exp(spread * dice.standard_normal(count))
    else:
        drawn = np.full(count, max(mean, 1.0))
    return np.clip(np.rint(drawn), 1, TOKENS_MAX).astype(np.int64)
