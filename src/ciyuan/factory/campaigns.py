"""Which runs drafted tokens ahead, where their table does not say: told from their speed, and from their neighbours.

Time per token with and without drafts differs by a factor of 1.5 to 2, more than the rest of the error. A run whose speed
is known is
told apart by which of the two predictions is nearer. A run to be predicted has only neighbours: results of one campaign stand
together in their series (`Place`), so the runs about it vote, nearer ones with more weight; and runs of the same software,
layout and day-to-day setting vote together.

    P = (sum of exp(-|distance| / 3) x drafted + base / 2) / (sum of exp(-|distance| / 3) + 1 / 2)
    base = (w + drafted runs of the same state) / (1 + runs of the same state)
    w    = (0.15 + drafted runs of the state on any chip) / (1 + runs of the state on any chip)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ciyuan.factory.calibration import Setting
from ciyuan.factory.samples import Flags, Place, Samples
from ciyuan.factory.work import Reals

REACH = 3.0
BASE = 0.15
BASE_WEIGHT = 0.5
_STATE = ("chip", "backend", "model", "precision", "mode", "layout", "version", "month")
_WIDE = ("backend", "model", "precision", "mode", "version")
_SERIES = ("chip", "backend", "model", "precision", "mode")


@dataclass(frozen=True, slots=True)
class Votes:
    """What told runs say. `series` by series and group: numbers and whether each drafted; `states` by state: runs and
    drafted runs."""

    series: Mapping[str, tuple[tuple[int, bool], ...]]
    states: Mapping[str, tuple[int, int]]

    def probability(
        self, setting: Setting, place: Place | None, *, own: tuple[int, bool] | None = None
    ) -> float:
        """That a run drafted. `own` is its own vote, which is taken out: how it was told, if it is among the voters."""
        runs, drafted = self.states.get(setting.key(_STATE), (0, 0))
        if own:
            runs, drafted = runs - 1, drafted - own[1]
        wide_runs, wide_drafted = self.states.get(setting.key(_WIDE), (0, 0))
        if own:
            wide_runs, wide_drafted = wide_runs - 1, wide_drafted - own[1]
        base = ((BASE + wide_drafted) / (1.0 + wide_runs) + drafted) / (1.0 + runs)
        weight, share = BASE_WEIGHT, BASE_WEIGHT * base
        if place is None:
            return base
        for number, flag in self.series.get(f"{place.series}|{setting.key(_SERIES)}", ()):
            if own and number == place.number:
                continue
            w = float(np.exp(-abs(number - place.number) / REACH))
            weight, share = weight + w, share + w * flag
        return share / weight


NOBODY = Votes({}, {})


def votes_of(samples: Samples) -> Votes:
    """The votes of runs whose speculation is settled in `samples.work` but not given by their table."""
    series: dict[str, list[tuple[int, bool]]] = {}
    states: dict[str, tuple[int, int]] = {}
    for row in np.flatnonzero(samples.unknown):
        setting, place = samples.settings[row], samples.places[row]
        drafted = bool(samples.work.speculative[row] > 0)
        for fields in (_STATE, _WIDE):
            runs, before = states.get(setting.key(fields), (0, 0))
            states[setting.key(fields)] = (runs + 1, before + drafted)
        if place:
            series.setdefault(f"{place.series}|{setting.key(_SERIES)}", []).append((place.number, drafted))
    return Votes({key: tuple(sorted(numbers)) for key, numbers in series.items()}, states)


def told_by_vote(samples: Samples, votes: Votes) -> Flags:
    """Which runs of unknown speculation probably drafted, by vote alone, (n,)."""
    told = np.zeros(len(samples), dtype=np.bool_)
    for row in np.flatnonzero(samples.unknown):
        told[row] = votes.probability(samples.settings[row], samples.places[row]) > 0.5
    return told


def told_by_speed(samples: Samples, plain: Reals, drafted: Reals, votes: Votes, spread: float) -> Flags:
    """Which runs of unknown speculation drafted, by which of two log errors (n,) is nearer 0 (of a heavy-tailed
    distribution of that spread), with the vote of the others as the prior."""
    told = np.zeros(len(samples), dtype=np.bool_)
    for row in np.flatnonzero(samples.unknown):
        own = (1, bool(samples.work.speculative[row] > 0)) if votes is not NOBODY else None
        p = np.clip(votes.probability(samples.settings[row], samples.places[row], own=own), 0.03, 0.97)
        odds = 2.0 * (
            np.log1p((plain[row] / spread) ** 2 / 3.0) - np.log1p((drafted[row] / spread) ** 2 / 3.0)
        )
        told[row] = odds + np.log(p / (1.0 - p)) > 0
    return told
