"""What measurements say beyond the physics: a correction of log(time per token), learnt level by level.

    log(measured) = log(physics) + the sum over levels of x . b(level, key) + noise

Each level groups runs by some fields of their `Setting` ("chip", "chip and engine", ... down to "this layout and this request
shape") and gives each group an intercept and slopes on physical shares: how much of the time is fixed overhead, prompts,
weights, and how many sequences run (`COLUMNS`). Every b has a normal prior around 0 whose spread is the level's
(`LEVELS`; chosen by cross-validation, the result hardly depends on them). So a group with few runs stays near what the levels
above it say, and one with none adds nothing: then its prior spread is in the band instead.

Bands: the log error has the variance of the noise, plus for each level the posterior variance of its group where the key
was seen, else
the prior's; all times `Calibration.stretch`, which cross-validation sets so that 8 of 10 held-out runs fall inside.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.messages import Provenance
from ciyuan.factory.roofline import Times

Reals = NDArray[np.float64]

COLUMNS = ("one", "overhead", "prompts", "weights", "load", "load2")
"""The columns that slopes are on: 1; the shares of overhead, prompts and weights less a typical share; the logarithm of
sequences per attention group about 16, over 4 octaves, and its square."""
TYPICAL_OVERHEAD, TYPICAL_PROMPTS, TYPICAL_WEIGHTS, TYPICAL_LOAD = 0.4, 0.1, 0.2, 4.0
BAND_QUANTILE = 1.2816
"""Standard deviations that hold 8 of 10 of a normal distribution, on each side."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run was of, as words. `layout` is the decoding engine's GPUs, attention groups and whether experts are
    spread; `shape` the nominal tokens in and out; `month` of the measurement, "" if not known (as may be `version`)."""

    chip: str
    backend: str
    model: str
    precision: str
    speculation: str
    mode: str
    layout: str
    version: str
    shape: str
    month: str

    def key(self, names: Sequence[str]) -> str:
        """The values of some fields, as one text."""
        return "|".join(getattr(self, name) for name in names)


MODE_MIXED, MODE_APART = "mixed", "apart"


def mode_of(layout: Layout) -> str:
    """Whether prompts are read beside decoding or apart, as settings name it."""
    return MODE_APART if layout.disaggregated else MODE_MIXED


def layout_word(engine: Engine) -> str:
    """A decoding engine as settings name it: GPUs, attention groups, and e where experts are spread: "8.1", "32.32e"."""
    return f"{engine.gpus}.{engine.data}" + ("e" if engine.expert > 1 else "")


def shape_word(input_tokens: float, output_tokens: float) -> str:
    """A request shape as settings name it: "1024/8192"."""
    return f"{input_tokens:g}/{output_tokens:g}"


@dataclass(frozen=True, slots=True)
class Level:
    """A way to group runs: `fields` of their setting, `columns` (places in `COLUMNS`) with an effect each, and the spreads
    of the priors (standard deviations) of the intercept and of the slopes."""

    name: str
    fields: tuple[str, ...]
    columns: tuple[int, ...]
    intercept: float
    slope: float

    @property
    def variances(self) -> Reals:
        """Of the priors, one a column."""
        return np.array([self.intercept if c == 0 else self.slope for c in self.columns]) ** 2


_RUN = ("chip", "backend", "model", "precision")
LEVELS = (
    Level("chip", ("chip",), (0, 1, 2, 3), 0.06, 0.08),
    Level("backend", ("backend",), (0, 1, 2), 0.06, 0.08),
    Level("model", ("model",), (0, 1, 2), 0.06, 0.08),
    Level("precision", ("precision",), (0, 1, 2), 0.06, 0.08),
    Level("speculation", ("speculation", "backend", "mode"), (0, 1, 2), 0.06, 0.08),
    Level("chip_backend", ("chip", "backend"), (0, 1, 2), 0.06, 0.08),
    Level("model_backend", ("model", "backend"), (0, 1, 2), 0.06, 0.08),
    Level("key", _RUN, (0, 1, 2, 3, 4), 0.12, 0.15),
    Level("mode", (*_RUN, "mode", "speculation"), (0, 1, 2, 4), 0.12, 0.15),
    Level("layout", (*_RUN, "mode", "layout"), (0, 4, 5), 0.10, 0.09),
    Level("version", (*_RUN, "mode", "version"), (0, 1, 2, 4), 0.10, 0.09),
    Level("month", (*_RUN, "mode", "month"), (0, 1, 2), 0.10, 0.09),
    Level("shape", (*_RUN, "mode", "layout", "speculation", "shape"), (0, 4, 5), 0.06, 0.06),
)  # fmt: skip
KEY_LEVEL = "layout"
KEY_LEVELS = (KEY_LEVEL, "mode")
"""The levels whose keys make the difference between calibrated and extrapolated: chip, engine, model, precision, whether
prompts are read apart, and the decoding layout, together; and whether tokens are drafted ahead."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Of one group: the effects of its level's columns, and their posterior standard deviations; (k,) each."""

    means: tuple[float, ...]
    spreads: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Effects by level name and key. `noise` is the standard deviation of what no level explains, `stretch` what the
    spread of the whole is multiplied by to give bands."""

    effects: Mapping[str, Mapping[str, Effect]]
    noise: float
    stretch: float

    def knows(self, setting: Setting) -> bool:
        """Whether runs of this chip, engine, model, precision, mode and decoding layout were measured, and runs with, or without,
        drafts as here."""
        return all(
            setting.key(level.fields) in self.effects.get(level.name, {})
            for level in LEVELS
            if level.name in KEY_LEVELS
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """Of n predictions: log factors on the physics' time per token and their standard deviations, (n,); where each is from."""

    log_factor: Reals
    spread: Reals
    provenance: tuple[Provenance, ...]

    @property
    def band(self) -> Reals:
        """The factor that 8 of 10 true values lie within, up or down, (n,)."""
        return np.asarray(np.exp(BAND_QUANTILE * self.spread))


def latest(calibration: Calibration, setting: Setting) -> Setting:
    """The same with a version or month that is "" replaced by the latest that was measured of its chip, engine, model,
    precision and mode; as it was where none was. Versions are compared by their numbers."""
    prefix = setting.key((*_RUN, "mode")) + "|"
    found = {
        name: [
            key.removeprefix(prefix) for key in calibration.effects.get(name, {}) if key.startswith(prefix)
        ]
        for name in ("version", "month")
        if not getattr(setting, name)
    }
    newest = {
        name: max(words, key=lambda word: [int(part) for part in re.findall(r"\d+", word)], default="")
        for name, words in found.items()
    }
    return replace(setting, **newest)


UNCALIBRATED = Calibration(effects={}, noise=0.15, stretch=1.0)
"""No measurements at all: nothing is corrected, and the bands are those of the physics."""


def columns_of(times: Times, weights: Reals, data: Reals) -> Reals:
    """The columns (n, len(COLUMNS)) of runs: `weights` are the seconds at the peak that a step reads weights, `data` the
    attention groups of the engine; (n,) each."""
    waiting = times.prompts_per_token
    whole = times.memory + times.arithmetic + times.transfer + times.overhead + times.sequence + waiting
    load = (np.log2(np.maximum(times.sequences / data, 0.1)) - TYPICAL_LOAD) / 4.0
    columns = np.broadcast_arrays(
        np.ones_like(whole),
        times.overhead / whole - TYPICAL_OVERHEAD,
        waiting / whole - TYPICAL_PROMPTS,
        weights / whole - TYPICAL_WEIGHTS,
        load,
        load * load,
    )
    return np.stack(columns, axis=-1)


def correct(calibration: Calibration, settings: Sequence[Setting], columns: Reals) -> Correction:
    """The corrections of runs with these settings and columns (n, len(COLUMNS))."""
    factor = np.zeros(len(settings))
    variance = np.full(len(settings), calibration.noise**2)
    for level in LEVELS:
        z = columns[:, list(level.columns)]
        means, spreads = _effects_of(calibration.effects.get(level.name, {}), level, settings)
        factor += np.einsum("nk,nk->n", z, means)
        variance += np.einsum("nk,nk->n", z * z, spreads**2)
    known = tuple(
        Provenance.CALIBRATED if calibration.knows(setting) else Provenance.EXTRAPOLATED
        for setting in settings
    )
    return Correction(factor, calibration.stretch * np.sqrt(variance), known)


def correct_one(calibration: Calibration, setting: Setting, columns: Reals) -> Correction:
    """The same for many loads of one setting: `columns` (n, len(COLUMNS)), each effect looked up once."""
    factor = np.zeros(len(columns))
    variance = np.full(len(columns), calibration.noise**2)
    for level in LEVELS:
        z = columns[:, list(level.columns)]
        means, spreads = _effects_of(calibration.effects.get(level.name, {}), level, (setting,))
        factor += z @ means[0]
        variance += (z * z) @ spreads[0] ** 2
    known = Provenance.CALIBRATED if calibration.knows(setting) else Provenance.EXTRAPOLATED
    return Correction(factor, calibration.stretch * np.sqrt(variance), (known,) * len(columns))


def _effects_of(
    effects: Mapping[str, Effect], level: Level, settings: Sequence[Setting]
) -> tuple[Reals, Reals]:
    """Means and spreads (n, k) of each setting's group; those of the prior where the group was not seen."""
    nothing = Effect((0.0,) * len(level.columns), tuple(np.sqrt(level.variances)))
    found = [effects.get(setting.key(level.fields), nothing) for setting in settings]
    return np.array([effect.means for effect in found]), np.array([effect.spreads for effect in found])
