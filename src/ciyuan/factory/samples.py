"""Measured runs as the calibration reads them: settings, work and what was measured, as columns.

Some runs do not say whether they drafted tokens ahead (`unknown`); `speculating` gives the same runs with that settled. A
`Place` is where a run stands in a list of results that were taken one after another: neighbours there are of one campaign.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ciyuan.factory.calibration import Setting
from ciyuan.factory.constants import Constants
from ciyuan.factory.roofline import Roofline, Times
from ciyuan.factory.work import Reals, Work, taken

Flags = NDArray[np.bool_]

SPECULATION_NONE, SPECULATION_MTP = "none", "mtp"


@dataclass(frozen=True, slots=True)
class Place:
    """The `number`-th result of `series`."""

    series: str
    number: int


@dataclass(frozen=True, slots=True)
class Samples:
    """n measured runs: `settings`, `work` (n,), requests in flight, seconds per token and to the first token, weights
    (copies of one
    run share a weight of 1), `unknown` (n,) where speculation is not given, `places` (None: no series), `run` the same number
    for copies of one measurement."""

    settings: tuple[Setting, ...]
    work: Work
    concurrency: Reals
    tpot_s: Reals
    ttft_s: Reals
    weights: Reals
    unknown: Flags
    places: tuple[Place | None, ...]
    run: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.settings)

    def subset(self, rows: Flags) -> "Samples":
        """The runs where `rows` (n,) holds. Weights are worked out anew: a copy that stays alone counts whole."""
        chosen = np.flatnonzero(rows)
        _, place, counts = np.unique(self.run[chosen], return_inverse=True, return_counts=True)
        return Samples(
            settings=tuple(self.settings[row] for row in chosen),
            work=taken(self.work, chosen),
            concurrency=self.concurrency[chosen],
            tpot_s=self.tpot_s[chosen],
            ttft_s=self.ttft_s[chosen],
            weights=1.0 / counts[place],
            unknown=self.unknown[chosen],
            places=tuple(self.places[row] for row in chosen),
            run=self.run[chosen],
        )

    def speculating(self, drafted: Flags) -> "Samples":
        """The same runs, those of unknown speculation with it where `drafted` (n,) holds and without it elsewhere."""
        settled = np.where(self.unknown, drafted, self.work.speculative > 0)
        words = [SPECULATION_MTP if flag else SPECULATION_NONE for flag in settled]
        settings = tuple(
            setting if setting.speculation == word else replace(setting, speculation=word)
            for setting, word in zip(self.settings, words, strict=True)
        )
        return replace(
            self, settings=settings, work=replace(self.work, speculative=settled.astype(np.float64))
        )

    def times(self, constants: Constants) -> Times:
        """What the physics says of each run at its concurrency."""
        roofline = Roofline(self.work, constants)
        return roofline.times(roofline.sequences_at(self.concurrency))

    def read_seconds(self, times: Times) -> Reals:
        """Seconds at the peak bandwidth that a step of each run reads weights, (n,)."""
        hit = 1.0 - self.work.expert_miss**times.sequences
        return np.asarray(self.work.weights_s + self.work.experts_s * hit)


def any_of(samples: Samples, rows: Sequence[int]) -> Flags:
    """A mask (n,) of these rows."""
    mask = np.zeros(len(samples), dtype=np.bool_)
    mask[list(rows)] = True
    return mask
