"""The fixing once more, from the text of the rules: fractions, one observation at a time, nothing shared with the machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from statistics import median

from ciyuan.index.messages import IndexTerms

FIVE_MINUTES = 5 * 60 * 10**9
HIERARCHY = {1: 1, 2: 1, 3: 2, 4: 3}


@dataclass(frozen=True)
class Said:
    """One observation as it speaks in one partition."""

    partition: int
    seller: int
    price: Fraction
    volume: int
    level: int


@dataclass(frozen=True)
class Naive:
    """Value, level and evidence; `value` is None if withheld. `aside`: group to (price, others' median)."""

    value: int | None
    level: int
    sellers: int
    observations: int
    volume: int
    aside: Mapping[int, tuple[int, int]]


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def weighted_median(pairs: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """The middle of the least price that reaches half of the weight and the least that passes it."""
    whole = sum(weight for _, weight in pairs)

    def up_to(price: Fraction) -> Fraction:
        return sum((weight for other, weight in pairs if other <= price), Fraction(0)) / whole

    prices = {price for price, _ in pairs}
    reach = min(price for price in prices if up_to(price) >= Fraction(1, 2))
    passed = min(price for price in prices if up_to(price) > Fraction(1, 2))
    return (reach + passed) / 2


def capped(volumes: Mapping[int, int], cap: Fraction) -> dict[int, Fraction]:
    """Weights: whoever is above the cap of the sum is cut to it, until nobody is."""
    cap = max(cap, Fraction(1, len(volumes)))
    cut: set[int] = set()
    while True:
        free = sum(volume for seller, volume in volumes.items() if seller not in cut)
        whole = Fraction(free) / (1 - len(cut) * cap) if len(cut) * cap < 1 else Fraction(0)
        over = {seller for seller, volume in volumes.items() if seller not in cut and volume > cap * whole}
        if not over:
            return {
                seller: cap * whole if seller in cut else Fraction(volume)
                for seller, volume in volumes.items()
            }
        cut |= {max(over, key=lambda seller: (volumes[seller], -seller))}


def spoken(
    rows: Sequence[Sequence[int]], groups: Mapping[int, int], open_ns: int, terms: IndexTerms
) -> list[Said]:
    """What OBSERVE rows of one day, grade and leg say, list prices in every partition."""
    close_ns = open_ns + terms.partitions * FIVE_MINUTES
    said = [
        Said(
            (row[1] - open_ns) // FIVE_MINUTES,
            groups.get(row[3], row[3]),
            Fraction(row[4]),
            row[5],
            HIERARCHY[row[7]],
        )
        for row in rows
        if row[7] != 4
    ]
    for seller in {row[3] for row in rows if row[7] == 4}:
        own = [(place, row) for place, row in enumerate(rows) if row[7] == 4 and row[3] == seller]
        early = [entry for entry in own if entry[1][1] <= close_ns]
        chosen = (
            max(early, key=lambda e: (e[1][1], e[0])) if early else min(own, key=lambda e: (e[1][1], e[0]))
        )
        _, row = chosen
        said += [
            Said(part, groups.get(seller, seller), Fraction(row[4]), row[5], 3)
            for part in range(terms.partitions)
        ]
    return said


def best_of(said: Sequence[Said], level: int) -> list[Said]:
    usable = [one for one in said if one.level <= level]
    best = {(one.partition, one.seller): 9 for one in usable}
    for one in usable:
        best[one.partition, one.seller] = min(best[one.partition, one.seller], one.level)
    return [one for one in usable if one.level == best[one.partition, one.seller]]


def screened(said: Sequence[Said], terms: IndexTerms) -> dict[int, tuple[Fraction, Fraction]]:
    prices = {
        seller: weighted_median([(one.price, Fraction(one.volume)) for one in said if one.seller == seller])
        for seller in {one.seller for one in said}
    }
    aside = {}
    for seller, price in prices.items():
        others = [other for number, other in prices.items() if number != seller]
        if others:
            middle = median(others)
            mad = median([abs(other - middle) for other in others])
            deviation = max(Fraction(14826, 10000) * mad, Fraction(terms.scale_floor_bp, 10000) * middle)
            if abs(price - middle) > terms.deviations_max * deviation:
                aside[seller] = (price, middle)
    return aside


def naive_fixing(
    rows: Sequence[Sequence[int]], groups: Mapping[int, int], open_ns: int, terms: IndexTerms
) -> Naive:
    """The fixing of OBSERVE rows that are all of one day, grade and leg."""
    said = spoken(rows, groups, open_ns, terms)
    aside: dict[int, tuple[Fraction, Fraction]] = {}
    for level in (1, 2, 3):
        chosen = best_of(said, level)
        aside = screened(chosen, terms)
        kept = [one for one in chosen if one.seller not in aside]
        parts = {p: [one for one in kept if one.partition == p] for p in {one.partition for one in kept}}
        parts = {
            p: ones for p, ones in parts.items() if len({one.seller for one in ones}) >= terms.sellers_min
        }
        used = [one for ones in parts.values() for one in ones]
        if used and len(used) >= terms.observations_min:
            value = sum((partition_price(ones, terms) for ones in parts.values()), Fraction(0)) / len(parts)
            return Naive(half_up(value), level, len({one.seller for one in used}), len(used),
                         sum(one.volume for one in used), rounded(aside))  # fmt: skip
    return Naive(None, 3, 0, 0, 0, rounded(aside))


def partition_price(said: Sequence[Said], terms: IndexTerms) -> Fraction:
    volumes: dict[int, int] = {}
    for one in said:
        volumes[one.seller] = volumes.get(one.seller, 0) + one.volume
    weights = capped(volumes, Fraction(terms.cap_bp, 10000))
    return weighted_median(
        [(one.price, weights[one.seller] * one.volume / volumes[one.seller]) for one in said]
    )


def rounded(aside: Mapping[int, tuple[Fraction, Fraction]]) -> dict[int, tuple[int, int]]:
    return {seller: (half_up(price), half_up(others)) for seller, (price, others) in aside.items()}
