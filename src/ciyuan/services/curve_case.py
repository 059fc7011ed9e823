"""Curves of tokens per second against speed, as an operator asks for them: names in, fronts and their rows out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.facility import server_power
from ciyuan.factory.front import Front, Software, Swept, front_of, sweep
from ciyuan.factory.messages import Chip, Provenance
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.power import gpu_power, load_of
from ciyuan.factory.work import Shape
from ciyuan.services.catalog_calibration import Shipped, shipped
from ciyuan.services.catalog_factory import names
from ciyuan.services.catalog_power import power_model, server_for, servers
from ciyuan.services.measurements_serving import ServingRun
from ciyuan.services.serving_engine import engine_of


@dataclass(frozen=True, slots=True)
class CurveOrder:
    """What a curve is of. `software` is an engine and perhaps a version, "" for the one most measured; `chips` CHIP or
    CHIP:PRECISION."""

    chips: tuple[str, ...]
    model: str
    precision: str
    shape: Shape
    software: str
    speculative: bool
    apart: bool


@dataclass(frozen=True, slots=True)
class CurveRow:
    """One point of a front. Rates are output tokens/s; `it_watts` of a GPU with its share of the server; quantiles of
    seconds to the first token under load at random arrivals; `low` and `high` factors on the speed."""

    tokens_per_s_per_user: float
    tokens_per_s_per_gpu: float
    tokens_per_s_per_mw: float
    tpot_ms: float
    ttft_s: float
    ttft_p95_s: float
    ttft_p99_s: float
    layout: str
    gpus: int
    sequences: float
    it_watts: float
    low: float
    high: float
    provenance: str


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """A measured run: speed and rate, and which chip, precision and layout."""

    chip: str
    precision: str
    tokens_per_s_per_user: float
    tokens_per_s_per_gpu: float
    concurrency: int
    software: str
    speculation: str
    provenance: str = str(Provenance.MEASURED)


@dataclass(frozen=True, slots=True)
class Curve:
    """The front of one chip."""

    chip: str
    precision: str
    software: str
    front: Front
    rows: tuple[CurveRow, ...]


def curves_of(order: CurveOrder) -> tuple[Curve, ...]:
    """A curve for each chip. Raises Malformed for names that nothing resolves, a precision that a chip lacks, a model that
    does not fit."""
    known, ready = names(), shipped()
    model = known.model(order.model)
    found = []
    for word in order.chips:
        name, _, precision = word.partition(":")
        chip = known.chip(name)
        kept = known.precision(precision or order.precision, model)
        backend, _, version = order.software.partition(" ")
        software = engine_of(backend, version, chip, model, kept, ready.fitted.calibration)
        found.append(_curve(order, chip, model, kept, software, ready))
    return tuple(found)


def _curve(
    order: CurveOrder, chip: Chip, model: Model, precision: Precision, software: Software, ready: Shipped
) -> Curve:
    swept = sweep(chip, model, precision, order.shape, software, ready.fitted, speculative=order.speculative)
    if not order.apart:
        swept = tuple(one for one in swept if not one.layout.disaggregated)
    front = front_of(swept)
    watts = {place: _it_watts(chip, model, swept[place]) for place in set(front.places)}
    rows = tuple(
        _row(front, at, swept[place], load, float(watts[place][load]))
        for at, (place, load) in enumerate(zip(front.places, front.loads, strict=True))
    )
    return Curve(chip.code, str(precision), f"{software.backend} {software.version}".strip(), front, rows)


def _it_watts(chip: Chip, model: Model, one: Swept) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """IT watts per GPU at each load of a layout."""
    watts = gpu_power(power_model(), chip, load_of(one.points, chip, model), model.code, one.points.precision)
    return np.asarray(server_power(server_for(servers(), chip, None), chip, watts.watts).it_w)


def _row(front: Front, at: int, one: Swept, load: int, watts: float) -> CurveRow:
    points = one.points
    rate = float(front.output_tokens_per_s_per_gpu[at])
    return CurveRow(
        tokens_per_s_per_user=float(front.tokens_per_s_per_user[at]),
        tokens_per_s_per_gpu=rate,
        tokens_per_s_per_mw=rate * 1e6 / watts,
        tpot_ms=float(points.tpot_s[load] * 1e3),
        ttft_s=float(one.ttft_mean_s[load]),
        ttft_p95_s=float(one.ttft_p95_s[load]),
        ttft_p99_s=float(one.ttft_p99_s[load]),
        layout=one.layout.name,
        gpus=one.layout.gpus,
        sequences=float(points.sequences[load]),
        it_watts=watts,
        low=float(1.0 / points.high[load]),
        high=float(1.0 / points.low[load]),
        provenance=str(points.provenance),
    )


def measured_points(folder: Path, curves: Sequence[Curve], order: CurveOrder) -> tuple[MeasuredPoint, ...]:
    """The measured runs of the curves' chips and precisions, the model and the request shape; with and without drafted
    tokens."""
    from ciyuan.services.factory_runs import read_runs

    model = names().model(order.model).code
    wanted = {(curve.chip, curve.precision) for curve in curves}
    shape = (order.shape.input_tokens, order.shape.output_tokens)
    found = [
        _measured(run)
        for run in read_runs(folder).rows
        if (run.chip, str(run.precision)) in wanted
        and run.model == model
        and (float(run.input_tokens), float(run.output_tokens)) == shape
        and run.gpus_sure
    ]
    return tuple(dict.fromkeys(found))


def _measured(run: ServingRun) -> MeasuredPoint:
    """A run's point; where its rate was not recorded it follows from Little's law (factory/serving.py)."""
    rate = run.output_tokens_per_s_per_gpu
    if rate is None:
        tokens = run.output_tokens * run.length_factor
        rate = run.concurrency * tokens / (run.ttft_s + run.tpot_s * (tokens - 1)) / run.gpus
    return MeasuredPoint(run.chip, str(run.precision), 1.0 / run.tpot_s, rate, run.concurrency, run.software.name,
                         str(run.speculation))  # fmt: skip


def thinned(rows: Sequence[CurveRow], count: int) -> tuple[CurveRow, ...]:
    """About `count` rows of a front, evenly in the logarithm of speed, its ends among them."""
    if count < 2:
        raise Malformed(
            "--points", found=count, expected="2 or more", remedy="Ask for the two ends at least."
        )
    speeds = np.log([row.tokens_per_s_per_user for row in rows])
    wanted = np.linspace(speeds[0], speeds[-1], count)
    places = sorted({int(np.argmin(np.abs(speeds - at))) for at in wanted})
    return tuple(rows[place] for place in places)
