"""The Pareto front of a chip and a model: the most tokens per second of a GPU at each speed that a user sees, over layouts
and loads.

`sweep` computes operating points of every layout at every load in one go; `front_of` keeps those that no other beats on
both counts.
Between its points the front is interpolated by Steffen's monotone cubic (A&A 239, 1990), so no speed is promised a rate
that its
neighbours do not bracket. A speed below the slowest point is served at that point's rate (users read no faster than they
like); a speed above the fastest cannot be served at all: rate 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration import (
    MODE_APART,
    MODE_MIXED,
    Calibration,
    Correction,
    Setting,
    columns_of,
    correct_one,
    latest,
    layout_word,
    mode_of,
    shape_word,
)
from ciyuan.factory.calibration_fit import Fitted
from ciyuan.factory.layout import Layout, least_engine, sensible_layouts
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.operating import OperatingPoints
from ciyuan.factory.prefill import first_token
from ciyuan.factory.roofline import Roofline
from ciyuan.factory.samples import SPECULATION_MTP, SPECULATION_NONE
from ciyuan.factory.work import Reals, Shape, as_column, stacked, work_of

LOADS = 48
WATTS_PER_MW = 1e6
APART_RATIOS = ((1, 1), (1, 2), (2, 1), (1, 4), (4, 1))
"""Engines that read and engines that decode, of the disaggregated layouts tried."""
GPUS_MAX = 72
LEVERAGE_MAX = 4.0
"""Where users' speed hardly depends on the load, a rate at a speed is a guess: bands are widened by this power at most."""


@dataclass(frozen=True, slots=True)
class Software:
    """The serving software of a sweep, as calibrations name it: engine ("" for none in particular), version and month of
    measurement ("" for the latest that was measured of its engine)."""

    backend: str
    version: str
    month: str


@dataclass(frozen=True, slots=True)
class Swept:
    """One layout at all loads: operating points, and quantiles of the time to first token under load, (n,) each."""

    layout: Layout
    points: OperatingPoints
    ttft_mean_s: Reals
    ttft_p95_s: Reals
    ttft_p99_s: Reals


@dataclass(frozen=True, slots=True)
class Front:
    """The Pareto front, slowest user first: arrays (n,) of equal length.

    `places` are indices into `swept` and `loads` into its points, of each point of the front.
    """

    swept: tuple[Swept, ...]
    places: tuple[int, ...]
    loads: tuple[int, ...]
    tokens_per_s_per_user: Reals
    output_tokens_per_s_per_gpu: Reals

    def rate_at(self, tokens_per_s_per_user: float) -> float:
        """Output tokens/s per GPU for users who want at least that speed; 0 if none can be had."""
        speeds, rates = self.tokens_per_s_per_user, self.output_tokens_per_s_per_gpu
        if tokens_per_s_per_user <= speeds[0]:
            return float(rates[0])
        if tokens_per_s_per_user > speeds[-1]:
            return 0.0
        return float(steffen(speeds, rates, np.array([tokens_per_s_per_user]))[0])

    def per_mw(self, watts_per_gpu: float) -> Reals:
        """Output tokens/s per megawatt, (n,), with each GPU drawing so many watts."""
        return self.output_tokens_per_s_per_gpu * WATTS_PER_MW / watts_per_gpu


def layouts_tried(
    chip: Chip, model: Model, precision: Precision, shape: Shape, *, apart: bool = True
) -> tuple[Layout, ...]:
    """Aggregated layouts that fit, and with `apart` disaggregated ones: prompts read by the least engine that fits."""
    mixed = sensible_layouts(chip, model, precision, shape.tokens)
    least = least_engine(chip, model, precision, shape.tokens)
    if not apart or least is None:
        return mixed
    reader = replace(least, expert=least.gpus) if model.experts and least.gpus > 1 else least
    return mixed + tuple(
        Layout(layout.decode, decoders, reader, readers)
        for layout in mixed
        for readers, decoders in APART_RATIOS
        if layout.decode.gpus * decoders + reader.gpus * readers <= GPUS_MAX
    )


def sweep(chip: Chip, model: Model, precision: Precision, shape: Shape, software: Software, fitted: Fitted, *,
          layouts: Sequence[Layout] | None = None, speculative: bool = False,
          loads: int = LOADS) -> tuple[Swept, ...]:  # fmt: skip
    """The layouts (all of `layouts_tried` by default) at `loads` loads each, from one sequence to all that memory holds.

    Raises Malformed for a model that does not fit, a precision that the chip lacks, or speculation without layers that draft.
    """
    tried = tuple(layouts) if layouts is not None else layouts_tried(chip, model, precision, shape)
    if not tried:
        raise Malformed("sweep, layouts", found="none", expected="one or more", remedy="Name a layout.")
    work = stacked(
        [work_of(chip, model, precision, layout, shape, speculative=speculative) for layout in tried]
    )
    roofline = Roofline(as_column(work), fitted.constants)
    share = np.linspace(0.0, 1.0, loads)
    sequences = work.held[:, None] ** share[None, :]
    times = roofline.times(sequences)
    hit = work.weights_s[:, None] + work.experts_s[:, None] * roofline.hit(times.sequences)
    columns = columns_of(times, hit, work.data[:, None])
    setting = Setting(chip.code, software.backend, model.code, str(precision),
                      SPECULATION_MTP if speculative else SPECULATION_NONE, "", "", software.version,
                      shape_word(shape.input_tokens, shape.output_tokens), software.month)  # fmt: skip
    corrections = _corrections(fitted.calibration, setting, tried, columns)
    tpot = times.tpot * np.exp(np.stack([correction.log_factor for correction in corrections]))
    ttft = first_token(roofline, times, tpot, fitted.prompting)
    requests = roofline.requests_per_s(times.sequences, tpot)
    memory, arithmetic = roofline.uses(times.sequences, tpot)
    prompts = roofline.prompt_share(times)
    waits = (ttft.mean_s, ttft.quantile_s(0.95), ttft.quantile_s(0.99))
    found = []
    bands = np.stack([correction.band for correction in corrections]) ** _leverage(tpot, requests)
    for row, (layout, correction) in enumerate(zip(tried, corrections, strict=True)):
        per_gpu = requests[row] / layout.gpus
        points = OperatingPoints(
            chip=chip.code, model=model.code, precision=str(precision),
            software=_named(software, drafts=speculative), gpus=layout.gpus,
            input_tokens=shape.input_tokens, output_tokens=shape.output_tokens, cached_share=shape.cached_share,
            sequences=sequences[row] * layout.decode_workers, tpot_s=tpot[row], ttft_s=ttft.unqueued_s[row],
            output_tokens_per_s_per_gpu=per_gpu * shape.output_tokens,
            input_tokens_per_s_per_gpu=per_gpu * shape.input_tokens,
            memory_use=memory[row], arithmetic_use=arithmetic[row], prompt_share=prompts[row],
            low=1.0 / bands[row], high=bands[row], provenance=correction.provenance[0],
        )  # fmt: skip
        found.append(Swept(layout, points, *(wait[row] for wait in waits)))
    return tuple(found)


def _named(software: Software, *, drafts: bool) -> str:
    """An engine in words, and whether it drafts."""
    words = f"{software.backend} {software.version}".strip()
    return f"{words} with drafts" if drafts else words


def _leverage(tpot: Reals, rate: Reals) -> Reals:
    """By how much more a rate at a speed is off than the time per token at a load, (layouts, loads): a power of its factor.

    Where a step takes longer by a factor f, speed and rate at that load fall by f; to give users the same speed the load must
    fall as well, along the curve: with e = -d log(rate) / d log(speed) the rate at that speed falls by f^(1 + e).
    """
    slower, more = np.gradient(np.log(tpot), axis=1), np.gradient(np.log(rate), axis=1)
    return np.asarray(1.0 + np.clip(more / np.maximum(slower, 1e-9), 0.0, LEVERAGE_MAX - 1.0))


def _corrections(
    calibration: Calibration, setting: Setting, layouts: Sequence[Layout], columns: Reals
) -> list[Correction]:
    """The correction of each layout at its loads; `columns` is (layouts, loads, columns)."""
    modes = {mode: latest(calibration, replace(setting, mode=mode)) for mode in (MODE_MIXED, MODE_APART)}
    return [
        correct_one(
            calibration,
            replace(modes[mode_of(layout)], layout=layout_word(layout.decode)),
            columns[row],
        )
        for row, layout in enumerate(layouts)
    ]


def front_of(swept: Sequence[Swept]) -> Front:
    """The points that no other beats on speed and rate both; of one speed the best rate."""
    speeds = np.concatenate([one.points.tokens_per_s_per_user for one in swept])
    rates = np.concatenate([one.points.output_tokens_per_s_per_gpu for one in swept])
    places = np.concatenate([np.full(len(one.points.tpot_s), row) for row, one in enumerate(swept)])
    loads = np.concatenate([np.arange(len(one.points.tpot_s)) for one in swept])
    order = np.lexsort((-rates, -speeds))
    best = np.maximum.accumulate(np.concatenate(([-np.inf], rates[order][:-1])))
    kept = order[rates[order] > best][::-1]
    return Front(
        tuple(swept), tuple(map(int, places[kept])), tuple(map(int, loads[kept])), speeds[kept], rates[kept]
    )


def steffen(x: Reals, y: Reals, at: Reals) -> Reals:
    """Steffen's interpolation of points with rising `x` (n,) at places within their range: monotone wherever the points are."""
    if len(x) == 1:
        return np.full_like(at, y[0])
    h = np.diff(x)
    slope = np.diff(y) / h
    inner = (slope[:-1] * h[1:] + slope[1:] * h[:-1]) / (h[:-1] + h[1:])
    limit = np.minimum(np.minimum(np.abs(slope[:-1]), np.abs(slope[1:])), 0.5 * np.abs(inner))
    bend = np.concatenate((slope[:1], (np.sign(slope[:-1]) + np.sign(slope[1:])) * limit, slope[-1:]))
    cell = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    t, width = at - x[cell], h[cell]
    cubic = (bend[cell] + bend[cell + 1] - 2.0 * slope[cell]) / width**2
    square = (3.0 * slope[cell] - 2.0 * bend[cell] - bend[cell + 1]) / width
    return np.asarray(((cubic * t + square) * t + bend[cell]) * t + y[cell])
