"""Saturated throughput: all requests are there at once, and only tokens per second and GPU count (MLPerf's Offline scenario).

The rate is that of the best layout at the best number of running sequences that memory and engine allow:

    tokens/s per GPU = max over layouts and B up to the held of B / TPOT(B) / GPUs x kept
    kept             = 1 - drain / time
    time             = max(`RUN_SECONDS`, requests x output tokens x TPOT(B) / B + drain)
    drain            = integral over steps k of step(B x share of requests longer than k) - output tokens x step(B)

A run ends when its longest answers do, with ever fewer sequences beside them; lengths are taken as exponential, cut at the
benchmark's limit. As nobody waits for a token, models may also be cut into pipeline stages, which need no fast links.

Submissions are tuned for months, and software ages: what they reach beyond or below the constants of serving is learnt on the
logarithm, as slopes (`SLOPES`: on the share of the time that goes by sequences, and on the years by which the software is
older than `REFERENCE_DAY`) and factors by architecture, chip, precision, round, model family, and family in a round
(`SPREADS`), each shrunk towards none by a normal prior. What was not measured adds its spread to the band.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from ciyuan.factory.calibration import BAND_QUANTILE
from ciyuan.factory.constants import Constants
from ciyuan.factory.layout import SEQUENCES_MAX, Engine, Layout, check_engine, sequences_held
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.roofline import Roofline, Times
from ciyuan.factory.work import Reals, Shape, Work, as_column, stacked, work_of

SERVER_GPUS = 8
LOADS = 24
DRAIN_POINTS = 32
HALVINGS = 60
RUN_SECONDS = 600.0
"""The least that a run may last (MLPerf's LoadGen)."""
SIZES = (1, 2, 4, 8)
"""Of tensor groups and pipelines."""
NOISE = 0.05
FREEDOM = 4.0
"""Of the noise's t distribution."""
ROUNDS = 12
SPREADS = {
    "architecture": 0.05,
    "chip": 0.10,
    "precision": 0.08,
    "round": 0.05,
    "family": 0.21,
    "software": 0.21,
}
"""Standard deviations of the priors of log factors: how far groups of each kind are expected to differ. "software" is a family's
in one round, which the next round does not have: half of the variance between families is taken to be of that kind."""
SLOPES = {"one": 0.1, "sequences": 0.3, "years": 0.1}
"""The same of the slopes; "one" is a factor that all share."""
REFERENCE_DAY = date(2026, 4, 1)
ROUND_DAYS = {"v4.0": date(2024, 3, 27), "v4.1": date(2024, 8, 28), "v5.0": date(2025, 4, 2), "v5.1": date(2025, 9, 9),
              "v6.0": date(2026, 4, 1)}  # fmt: skip
"""When MLCommons published each round."""
DAYS_PER_YEAR = 365.25
ALL_LAYOUTS_SINCE = ROUND_DAYS["v5.0"]
"""The first round that ran language models as pipelines (Llama-3.1-405B). Before it, NVIDIA's and its partners' configurations
have tensor groups only, over PCIe where there is nothing faster."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Requests of mean `shape`, answers cut at `output_tokens_max`, `samples` of them in a run on a server of
    `SERVER_GPUS`; each request runs as `beams` sequences."""

    shape: Shape
    output_tokens_max: int
    samples: int
    beams: int = 1


BENCHMARKS = {
    "gptj": Benchmark(Shape(919, 69), 128, 13368, beams=4),
    "llama2-70b": Benchmark(Shape(294, 294), 1024, 24576),
    "mixtral-8x7b": Benchmark(Shape(282, 146), 1024, 15000),
    "llama3.1-8b": Benchmark(Shape(778, 128), 128, 13368),
    "llama3.1-405b": Benchmark(Shape(9428, 684), 20000, 8313),
    "deepseek-r1": Benchmark(Shape(800, 3886), 20000, 26328),
}
"""MLPerf's benchmarks by the start of their name.

Sources: MLCommons' task force reports on Inference v4.0, v5.0 and v5.1 and reference implementations (lengths, limits; samples
are the data sets); NVIDIA's v5.1 configurations: DeepSeek-R1 runs six times its data set of 4,388, and Llama-3.1-8B expects
1,100 requests/s of 8 B200, which are 128 tokens each. That is its limit, and the 611 characters of its reference's mean answer.
"""
SHAPES = {name: benchmark.shape for name, benchmark in BENCHMARKS.items()}


@dataclass(frozen=True, slots=True)
class Submission:
    """What was submitted, as words that factors go by (`round` as "v5.1", `family` of the model), and its `slopes`' columns."""

    architecture: str
    chip: str
    precision: str
    round: str
    family: str
    columns: Mapping[str, float]

    @property
    def software(self) -> str:
        """The software that the round had for the family."""
        return f"{self.family} {self.round}"

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
    """The best of a chip and model: output tokens/s per GPU, the layout, the sequences that each engine runs there, the share
    of the time that goes by sequences (sampling, scheduling), and the share of the steady rate that the run keeps."""

    tokens_per_s_per_gpu: float
    layout: Layout
    sequences: float
    sequence_share: float
    kept: float


def years_before(round_name: str) -> float:
    """Years from a round to `REFERENCE_DAY`, negative for older rounds; 0 for one whose day is not known (a newer one)."""
    day = ROUND_DAYS.get(round_name, REFERENCE_DAY)
    return (day - REFERENCE_DAY).days / DAYS_PER_YEAR


def tensor_only_in(round_name: str) -> bool:
    """Whether submissions of a round had tensor groups only; those of an unknown, newer one have all layouts."""
    return ROUND_DAYS.get(round_name, REFERENCE_DAY) < ALL_LAYOUTS_SINCE


def benchmark_of(name: str) -> Benchmark | None:
    """The MLPerf benchmark that a result names; None for one that is not known."""
    plain = name.lower().replace("_", ".")
    return next((benchmark for start, benchmark in BENCHMARKS.items() if plain.startswith(start)), None)


def saturated(chip: Chip, model: Model, precision: Precision, benchmark: Benchmark, constants: Constants, *,
              gpus: int = SERVER_GPUS, tensor_only: bool = False) -> Saturated:  # fmt: skip
    """The best rate over the layouts of a system of `gpus` GPUs, or over its tensor groups. Raises Malformed if none fits.

    Of a request's beams one's tokens count; their prompt is read and kept once.
    """
    shape = benchmark.shape
    layouts = _layouts(chip, model, precision, shape.tokens, min(gpus, SERVER_GPUS), tensor_only)
    work = stacked([work_of(chip, model, precision, layout, shape) for layout in layouts])
    work = _staged(work, np.array([float(layout.decode.pipeline) for layout in layouts]))
    if benchmark.beams > 1:
        work = _shared_prompts(work, benchmark.beams)
    roofline = Roofline(as_column(work), constants)
    sequences = work.held[:, None] * np.geomspace(1.0 / 64.0, 1.0, LOADS)[None, :]
    times = roofline.times(sequences)
    kept = _kept(roofline, times, benchmark, constants)
    rate = times.sequences / times.tpot / work.gpus[:, None] / benchmark.beams * kept
    best = np.unravel_index(int(np.argmax(rate)), rate.shape)
    return Saturated(float(rate[best]), layouts[best[0]], float(times.sequences[best]),
                     float(times.sequence[best] / times.tpot[best]), float(kept[best]))  # fmt: skip


def _layouts(chip: Chip, model: Model, precision: Precision, context: float, gpus_max: int,
             tensor_only: bool) -> tuple[Layout, ...]:  # fmt: skip
    """What fits of tensor groups of any size within a server and, unless `tensor_only`, of pipelines of them and of experts
    spread over tensor groups or data-parallel attention."""
    engines = [Engine(tensor=size) for size in SIZES if size <= gpus_max]
    if not tensor_only:
        engines += [
            Engine(tensor=tensor, pipeline=stages)
            for tensor in SIZES
            for stages in SIZES[1:]
            if tensor * stages <= gpus_max
        ]
    if model.experts and not tensor_only:
        for size in (size for size in SIZES[1:] if size <= gpus_max):
            engines += [Engine(tensor=size, expert=size), Engine(data=size, expert=size)]
    fitting = [engine for engine in engines if sequences_held(chip, model, precision, engine, context) >= 1]
    if not fitting:
        check_engine(chip, model, precision, max(engines, key=lambda engine: engine.gpus), context)
    return tuple(Layout(engine) for engine in fitting)


def _staged(work: Work, stages: Reals) -> Work:
    """The work of engines of so many pipeline stages (n,): their sequences run as so many groups in turn, for each of which a
    stage reads its weights, and each stage reduces its own layers only."""
    return replace(
        work,
        weights_s=work.weights_s * stages,
        experts_s=work.experts_s * stages,
        expert_miss=work.expert_miss ** (1.0 / stages),
        reduce_s=work.reduce_s / stages,
        prompt_reduce_s=work.prompt_reduce_s / stages,
    )


def _kept(roofline: Roofline, times: Times, benchmark: Benchmark, constants: Constants) -> Reals:
    """The share of the steady rate that a run keeps, (n, loads), as its last requests run out.

    The longest of n exponential lengths is ln(n) + Euler's constant times their scale, in the mean.
    """
    output, most = benchmark.shape.output_tokens, float(benchmark.output_tokens_max)
    scale = length_scale(output, most)
    engines = SERVER_GPUS / roofline.work.gpus
    running = times.sequences
    last = np.minimum(most, scale * (np.log(np.maximum(running * engines, 1.0)) + np.euler_gamma))
    steps = last[:, :, None] * ((np.arange(DRAIN_POINTS) + 0.5) / DRAIN_POINTS)
    left = Roofline(as_column(roofline.work), constants).times(running[:, :, None] * np.exp(-steps / scale))
    drain = np.maximum(left.step.mean(axis=2) * last - output * times.step, 0.0)
    requests = benchmark.samples / engines
    steady = requests * benchmark.beams * output * times.tpot / running
    return np.asarray(1.0 - drain / np.maximum(RUN_SECONDS, steady + drain))


def length_scale(mean: float, most: float) -> float:
    """The scale of the exponential lengths whose mean is `mean` with those beyond `most` cut; infinite if all are.

    Halves the interval that holds the root of scale x (1 - exp(-most / scale)) = mean.
    """
    if mean >= most:
        return np.inf
    low, high = mean, most * most / (2.0 * (most - mean))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if middle * -np.expm1(-most / middle) < mean else (low, middle)
    return float(high)


def _shared_prompts(work: Work, beams: int) -> Work:
    """The same work where `beams` sequences share each prompt: it is read, kept and attended to in memory once."""
    parts = ("prompt_dense_s", "prompt_expert_s", "prompt_attention_s", "prompt_reduce_s")
    before, after = work.input_tokens, work.output_tokens
    held = work.held * (before + after) * beams / (before + beams * after)
    return replace(
        work,
        **{part: getattr(work, part) / beams for part in parts},
        cache_s=work.cache_s * (before / beams + after / 2.0) / (before + after / 2.0),
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
