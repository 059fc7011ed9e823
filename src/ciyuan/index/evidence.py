"""Evidence: a day's observations of one grade and leg, laid out by level, partition and seller.

A *voice* is what one seller says in one partition. Related sellers have one voice. Trades, deliveries and quotes speak in the
partition of their moment. A list price stands: it speaks in every partition, once in each; of a seller's list prices the one in
force at the window's end counts, or if it had none by then the first one after.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from ciyuan.index.messages import LEVEL_OF, Level, Source
from ciyuan.index.window import Window

TIME_AT, _, SELLER_AT, PRICE_AT, VOLUME_AT, _, SOURCE_AT = range(7)
"""Columns of stored observations: the words of OBSERVE after its kind word."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What one seller says in one partition: pairs of price (micro per MTok) and volume (centitokens)."""

    pairs: tuple[tuple[int, int], ...]
    observations: int

    @property
    def volume(self) -> int:
        """Centitokens of all its observations."""
        return sum(volume for _, volume in self.pairs)


Partition = Mapping[int, Voice]
"""The voices of a partition by seller; of related sellers, by their group."""
Layer = list[Partition]
"""The partitions of one level."""


def layers_of(
    rows: NDArray[np.int64], group_of: Callable[[int], int], window: Window, partitions: int
) -> dict[Level, Layer]:
    """Voices by level and partition from stored observations (n, 7) of one day, grade and leg."""
    layers: dict[Level, list[dict[int, Voice]]] = {level: [{} for _ in range(partitions)] for level in Level}
    moving = rows[rows[:, SOURCE_AT] != Source.LIST]
    for (level, partition, group), voice in _moving(moving, group_of, window):
        layers[Level(level)][partition][group] = voice
    standing = _standing(rows[rows[:, SOURCE_AT] == Source.LIST], group_of, window)
    for voices in layers[Level.LISTS]:
        voices.update(standing)
    return {level: list(voices) for level, voices in layers.items()}


def _moving(
    rows: NDArray[np.int64], group_of: Callable[[int], int], window: Window
) -> Iterator[tuple[tuple[int, int, int], Voice]]:
    """((level, partition, group), voice) of the observations that have a moment, equal prices added up."""
    if not len(rows):
        return
    sellers, place = np.unique(rows[:, SELLER_AT], return_inverse=True)
    groups = np.array([group_of(seller) for seller in sellers.tolist()], dtype=np.int64)[place]
    levels = np.array([0, *(LEVEL_OF[source] for source in Source)], dtype=np.int64)[rows[:, SOURCE_AT]]
    keys = np.stack([levels, window.partition(rows[:, TIME_AT]), groups, rows[:, PRICE_AT]])
    order = np.lexsort(keys[::-1])
    keys, volumes = keys[:, order], rows[order, VOLUME_AT]
    starts = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=keys[:, :1] - 1) != 0, axis=0))
    sums = np.add.reduceat(volumes, starts)
    counts = np.diff(starts, append=len(volumes))
    lines = np.vstack([keys[:, starts], sums, counts]).T.tolist()
    for key, said in groupby(lines, key=itemgetter(0, 1, 2)):
        pairs = list(said)
        yield key, Voice(tuple((line[3], line[4]) for line in pairs), sum(line[5] for line in pairs))


def _standing(rows: NDArray[np.int64], group_of: Callable[[int], int], window: Window) -> dict[int, Voice]:
    """The voices of list prices, which are the same in every partition."""
    in_force: dict[int, tuple[int, int]] = {}
    for row in sorted(rows.tolist(), key=itemgetter(TIME_AT)):
        seller, pair = row[SELLER_AT], (row[PRICE_AT], row[VOLUME_AT])
        if row[TIME_AT] <= window.close_ns(window.day_of(row[TIME_AT])):
            in_force[seller] = pair
        else:
            in_force.setdefault(seller, pair)
    pairs: dict[int, list[tuple[int, int]]] = {}
    for seller, pair in sorted(in_force.items()):
        pairs.setdefault(group_of(seller), []).append(pair)
    return {group: Voice(tuple(said), len(said)) for group, said in pairs.items()}


def down_to(layers: Mapping[Level, Layer], level: Level) -> Layer:
    """The partitions with the data of `level` and those above: a seller speaks in each by the best that it has there (§8.2)."""
    best_last = sorted((known for known in layers if known <= level), reverse=True)
    return [
        {group: voice for known in best_last for group, voice in layers[known][place].items()}
        for place in range(len(layers[level]))
    ]
