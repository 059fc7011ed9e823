"""The fixing: from evidence to one price, or to the reason why there is none (§8.2 to §8.5).

What it resists, and what it does not:

- *One seller, at any price and volume.* A partition counts only if at least three sellers speak in it, and none of them weighs
  more than the cap there, which is under one half; so each partition's median, and with it the fixing, lies within the range of
  the other sellers' prices. A volume-weighted average has no such bound.
- *Volume from nowhere.* Beyond the cap volume weighs nothing.
- *A moment.* Each five minutes count the same: an hour's volume in one of them moves one twelfth.
- *A sister.* Related sellers are one, once the market knows (RELATE).
- *Trading with oneself* is not seen here: the venue does not pass on what is not at arm's length.
- *Two sellers in concert that nobody knows to be one* may weigh twice the cap, which is more than half. What bounds them is the
  screen alone: it sets them aside if their prices leave the band around the others', but not if each stays within it.

If after the screen no partition has enough sellers, the next level of data is added and all is worked out anew: to set a seller
aside never leaves a price that stands on too little.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ciyuan.basics.money import div_half_up
from ciyuan.index.evidence import Layer, Partition, down_to
from ciyuan.index.messages import BASIS_POINTS, IndexTerms, Level, Withheld
from ciyuan.index.screen import outliers
from ciyuan.index.weights import multipliers, weighted_median_doubled


@dataclass(frozen=True, slots=True)
class Aside:
    """A seller (or group) that the screen set aside: its price and the others' median, micro per MTok, half up."""

    group: int
    price_micro: int
    others_micro: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a day's evidence comes to. Either `value_micro` is a price and `withheld` 0, or it is None and `withheld` says why.

    `level` is the last level of data that was used or tried; `aside` are the sellers set aside at that level.
    """

    value_micro: int | None
    level: Level
    sellers: int
    observations: int
    volume: int
    cap_raised: bool
    withheld: int
    aside: tuple[Aside, ...]


def determine(layers: Mapping[Level, Layer], terms: IndexTerms) -> Outcome:
    """The fixing of one day, grade and leg."""
    outcome = None
    for level in Level:
        partitions = down_to(layers, level)
        outcome = _at_level(partitions, level, terms)
        if outcome.value_micro is not None:
            break
    if outcome is None:
        raise ValueError("there are no levels of data")
    return outcome


def _at_level(partitions: Layer, level: Level, terms: IndexTerms) -> Outcome:
    medians = {group: weighted_median_doubled(pairs) for group, pairs in _pairs_by_group(partitions).items()}
    found = outliers(medians, terms)
    aside = tuple(Aside(group, div_half_up(medians[group], 2), found[group]) for group in sorted(found))
    counted = _counted(partitions, found, terms)
    voices = [voice for partition in counted for voice in partition.values()]
    observations = sum(voice.observations for voice in voices)
    if observations < terms.observations_min or not counted:
        return Outcome(None, level, 0, 0, 0, False, _reason(partitions, found, terms), aside)
    doubled = sum(_median_doubled(partition, terms) for partition in counted)
    return Outcome(
        value_micro=div_half_up(doubled, 2 * len(counted)),
        level=level,
        sellers=len({group for partition in counted for group in partition}),
        observations=observations,
        volume=sum(voice.volume for voice in voices),
        cap_raised=any(len(partition) * terms.cap_bp < BASIS_POINTS for partition in counted),
        withheld=0,
        aside=aside,
    )


def _pairs_by_group(partitions: Layer) -> dict[int, list[tuple[int, int]]]:
    pairs: dict[int, list[tuple[int, int]]] = {}
    for partition in partitions:
        for group, voice in partition.items():
            pairs.setdefault(group, []).extend(voice.pairs)
    return pairs


def _counted(partitions: Layer, aside: Iterable[int], terms: IndexTerms) -> Layer:
    """The partitions that count, without the voices that are set aside."""
    left = set(aside)
    kept = [
        {group: voice for group, voice in partition.items() if group not in left} for partition in partitions
    ]
    return [partition for partition in kept if len(partition) >= terms.sellers_min]


def _median_doubled(partition: Partition, terms: IndexTerms) -> int:
    """Twice the volume-weighted median of a partition, nobody above the cap."""
    voices = list(partition.values())
    weighs = multipliers([voice.volume for voice in voices], terms.cap_bp)
    return weighted_median_doubled(
        [
            (price, volume * weigh)
            for voice, weigh in zip(voices, weighs, strict=True)
            for price, volume in voice.pairs
        ]
    )


def _reason(partitions: Layer, aside: Iterable[int], terms: IndexTerms) -> Withheld:
    """Why these partitions, without those set aside, do not suffice."""
    if not any(partitions):
        return Withheld.NO_OBSERVATIONS
    enough = _counted(partitions, (), terms)
    if not enough:
        return Withheld.TOO_FEW_SELLERS
    observed = sum(voice.observations for partition in enough for voice in partition.values())
    if observed < terms.observations_min:
        return Withheld.TOO_FEW_OBSERVATIONS
    return Withheld.SET_ASIDE_LEFT_TOO_FEW
