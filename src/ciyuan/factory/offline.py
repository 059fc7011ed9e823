"""Saturated throughput: all requests are there at once, and only tokens per second and GPU count (MLPerf's Offline scenario).

The rate is that of the best layout at the best number of running sequences that memory and engine allow:

    tokens/s per GPU = max over layouts and B up to the held of B / TPOT(B) / GPUs

Submissions are tuned for months, and software ages: what they reach beyond or below the constants of serving is learnt on the
logarithm, as slopes on physical shares of the time (`SLOPES`: prompts, overhead, sequences, experts' arithmetic, and the
years by
which the software is older than `REFERENCE_DAY`) and factors by architecture, chip, precision, round and model family
(`SPREADS`), each shrunk towards none by a normal prior. A family that was not measured adds its spread to the band.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from ciyuan.factory.calibration import BAND_QUANTILE
from ciyuan.factory.constants import Constants
from ciyuan.factory.layout import SEQUENCES_MAX, Layout, sensible_layouts
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.roofline import Roofline
from ciyuan.factory.work import Reals, Shape, Work, as_column, stacked, taken, work_of

GPUS_MAX = 8
LOADS = 24
NOISE = 0.05
FREEDOM = 4.0
"""Of the noise's t distribution."""
ROUNDS = 12
SPREADS = {"architecture": 0.05, "chip": 0.10, "precision": 0.08, "round": 0.05, "family": 0.30}
"""Standard deviations of the priors of log factors: how far groups of each kind are expected to differ."""
SLOPES = {"one": 0.1, "prompts": 0.05, "overhead": 0.05, "sequences": 0.3, "experts": 0.3, "years": 0.1}
"""The same of the slopes; "one" is a factor that all share."""
REFERENCE_DAY = date(2026, 4, 1)
ROUND_DAYS = {"v4.0": date(2024, 3, 27), "v4.1": date(2024, 8, 28), "v5.0": date(2025, 4, 2), "v5.1": date(2025, 9, 9),
              "v6.0": date(2026, 4, 1)}  # fmt: skip
"""When MLCommons published each round."""
DAYS_PER_YEAR = 365.25
SHAPES = {
    "gptj": Shape(919, 69),
    "llama2-70b": Shape(294, 294),
    "mixtral-8x7b": Shape(282, 146),
    "llama3.1-8b": Shape(778, 73),
    "llama3.1-405b": Shape(9428, 684),
    "deepseek-r1": Shape(800, 3886),
}
"""Mean tokens in and out of MLPerf's benchmarks, by the start of their name. GPT-J's are of CNN/DailyMail articles; it is
the one that
searches with `BEAMS` beams. Sources: MLCommons' task force reports on Inference v4.0, v5.0 and v5.1; reference
implementations."""
BEAMS = 4
"""Sequences that GPT-J's benchmark keeps for each request."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What was submitted, as words that factors go by (`round` as "v5.1", `family` of the model), and its `slopes`' columns."""

    architecture: str
    chip: str
    precision: str
    round: str
    family: str
    columns: Mapping[str, float]

    def terms(self) -> dict[tuple[str, str], float]:
        """What each term of the correction is multiplied by."""
        words = {(kind, str(getattr(self, kind))): 1.0 for kind in SPREADS}
        return words | {("slope", name): self.columns[name] for name in SLOPES}


def prior_spread(kind: str, word: str) -> float:
    """The standard deviation of a term before anything was measured."""
    return SLOPES[word] if kind == "slope" else SPREADS[kind]


@dataclass(frozen=True, slots=True)
class OfflineFactors:
    """Terms of the log correction, by kind ("slope", or a kind of `SPREADS`) and word, and their standard deviations."""

    means: Mapping[str, Mapping[str, float]]
    spreads: Mapping[str, Mapping[str, float]]

    def log_factor(self, submission: Submission) -> float:
        """The correction of a submission; terms that were not measured add nothing."""
        return sum(
            times * self.means.get(kind, {}).get(word, 0.0)
            for (kind, word), times in submission.terms().items()
        )

    def band(self, submission: Submission) -> float:
        """The factor that 8 of 10 true rates lie within, up or down."""
        variance = NOISE**2 + sum(
            (times * self.spreads.get(kind, {}).get(word, prior_spread(kind, word))) ** 2
            for (kind, word), times in submission.terms().items()
        )
        return float(np.exp(BAND_QUANTILE * np.sqrt(variance)))


@dataclass(frozen=True, slots=True)
class Saturated:
    """The best of a chip and model: output tokens/s per GPU, the layout, the sequences that each engine runs there, and
    what share of the time goes to what (the columns of `SLOPES` but for the years)."""

    tokens_per_s_per_gpu: float
    layout: Layout
    sequences: float
    shares: Mapping[str, float]


def years_before(round_name: str) -> float:
    """Years from a round to `REFERENCE_DAY`, negative for older rounds; 0 for one whose day is not known (a newer one)."""
    day = ROUND_DAYS.get(round_name, REFERENCE_DAY)
    return (day - REFERENCE_DAY).days / DAYS_PER_YEAR


def shape_of(benchmark: str) -> Shape | None:
    """The request shape of an MLPerf benchmark; None for one that is not known."""
    name = benchmark.lower().replace("_", ".")
    return next((shape for start, shape in SHAPES.items() if name.startswith(start)), None)


def saturated(chip: Chip, model: Model, precision: Precision, shape: Shape, constants: Constants, *,
              gpus_max: int = GPUS_MAX, beams: int = 1) -> Saturated:  # fmt: skip
    """The best rate over the sensible layouts of up to `gpus_max` GPUs. Raises Malformed if none fits.

    With `beams`, each request runs as so many sequences, of which one's tokens count; its prompt is read and kept once.
    """
    layouts = sensible_layouts(chip, model, precision, shape.tokens, gpus_max)
    work = stacked([work_of(chip, model, precision, layout, shape) for layout in layouts])
    if beams > 1:
        work = _shared_prompts(work, beams)
    roofline = Roofline(as_column(work), constants)
    sequences = work.held[:, None] * np.geomspace(1.0 / 64.0, 1.0, LOADS)[None, :]
    rate = sequences / roofline.tpot(sequences) / work.gpus[:, None] / beams
    row, column = np.unravel_index(int(np.argmax(rate)), rate.shape)
    return Saturated(float(rate[row, column]), layouts[row], float(sequences[row, column]),
                     _shares(taken(work, np.array([row])), constants, sequences[row, column]))  # fmt: skip


def _shares(work: Work, constants: Constants, sequences: float) -> dict[str, float]:
    """How the time per token divides; `work` has one row."""
    times = Roofline(work, constants).times(sequences)
    flops = work.expert_flops_s / (work.dense_s + work.expert_flops_s)
    busy = (times.arithmetic + times.prompts_per_token) / times.tpot
    figures = {
        "one": np.ones(1),
        "prompts": times.prompts_per_token / times.tpot,
        "overhead": times.overhead / times.tpot,
        "sequences": times.sequence / times.tpot,
        "experts": busy * flops,
    }
    return {name: float(figure[0]) for name, figure in figures.items()}


def _shared_prompts(work: Work, beams: int) -> Work:
    """The same work where `beams` sequences share each prompt."""
    parts = ("prompt_dense_s", "prompt_expert_s", "prompt_attention_s", "prompt_reduce_s")
    whole = work.input_tokens + work.output_tokens
    held = work.held * whole * beams / (work.input_tokens + beams * work.output_tokens)
    return replace(
        work,
        **{part: getattr(work, part) / beams for part in parts},
        held=np.minimum(held, SEQUENCES_MAX * work.data),
    )


def fit_factors(submissions: Sequence[Submission], log_error: Reals) -> OfflineFactors:
    """The factors that explain `log_error` = log(measured / physics), (n,): the posterior of a linear model with normal
    priors."""
    words = sorted({term for submission in submissions for term in submission.terms()})
    place = {word: column for column, word in enumerate(words)}
    design = np.zeros((len(submissions), len(words)))
    for row, submission in enumerate(submissions):
        for term, times in submission.terms().items():
            design[row, place[term]] = times
    prior = np.diag([prior_spread(*word) ** -2 for word in words])
    mean: Reals = np.zeros(len(words))
    covariance: Reals = np.asarray(np.linalg.inv(prior))
    for _ in range(ROUNDS):
        pull = (FREEDOM + 1) / (FREEDOM + ((log_error - design @ mean) / NOISE) ** 2)
        weighted = design * pull[:, None] / NOISE**2
        covariance = np.asarray(np.linalg.inv(design.T @ weighted + prior), dtype=np.float64)
        mean = covariance @ (weighted.T @ log_error)
    return OfflineFactors(_by_kind(words, mean), _by_kind(words, np.sqrt(np.diagonal(covariance))))


def _by_kind(words: Sequence[tuple[str, str]], values: Reals) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {kind: {} for kind, _ in words}
    for (kind, word), value in zip(words, values, strict=True):
        found[kind][word] = float(value)
    return found
