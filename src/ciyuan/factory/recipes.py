"""Layouts that operators of benchmarks chose, and which of them a run had whose table lost part of it.

Tables of disaggregated runs often give one engine's size on each side but neither how many engines there were nor whether
attention
was data-parallel. Benchmarks run a small number of recipes, so a told run of the same chip, engine, precision, sizes and
request shape at the same (else the nearest) concurrency says it. Where nobody told, the sizes alone are matched, chip last.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

from ciyuan.factory.layout import Engine, Layout

BOX_GPUS = 8
FEW_IN_FLIGHT = 64
"""Requests up to which a wide deployment decodes in small tensor groups."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A disaggregated layout that was run. `speculation` is "none", "mtp", or "" where not told."""

    chip: str
    backend: str
    precision: str
    shape: str
    concurrency: int
    layout: Layout
    speculation: str

    @property
    def sizes(self) -> tuple[int, int]:
        """GPUs of one prefill engine and of one decoding engine."""
        return _reader(self.layout).gpus, self.layout.decode.gpus


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a run whose layout is not: like `Recipe`, with the sizes only."""

    chip: str
    backend: str
    precision: str
    shape: str
    concurrency: int
    prefill_gpus: int
    decode_gpus: int


@dataclass(frozen=True, slots=True)
class Recipes:
    """All that were told."""

    told: tuple[Recipe, ...]

    def match(self, wanted: Wanted) -> tuple[Layout, str]:
        """The likeliest layout, and its speculation if told runs at exactly that concurrency agree on it (else "")."""
        for found in self._ever_wider(wanted):
            if found:
                near = min(found, key=lambda recipe: abs(log(recipe.concurrency / wanted.concurrency)))
                same = {
                    recipe.speculation
                    for recipe in found
                    if recipe.concurrency == wanted.concurrency and recipe.speculation
                }
                return _resized(near.layout, wanted), same.pop() if len(same) == 1 else ""
        return _unaided(wanted), ""

    def _ever_wider(self, wanted: Wanted) -> Iterator[list[Recipe]]:
        sizes = (wanted.prefill_gpus, wanted.decode_gpus)
        alike = [recipe for recipe in self.told if recipe.sizes == sizes and recipe.backend == wanted.backend]
        served = [
            recipe for recipe in alike if (recipe.precision, recipe.shape) == (wanted.precision, wanted.shape)
        ]
        yield [recipe for recipe in served if recipe.chip == wanted.chip]
        yield [recipe for recipe in served if recipe.chip[:2] == wanted.chip[:2]]
        yield alike
        yield [recipe for recipe in self.told if recipe.layout.decode.gpus == wanted.decode_gpus]


def _reader(layout: Layout) -> Engine:
    """The engine that reads prompts."""
    return layout.prefill or layout.decode


def _resized(layout: Layout, wanted: Wanted) -> Layout:
    """A recipe's layout with the sizes that the run is known to have had."""
    if _reader(layout).gpus == wanted.prefill_gpus:
        return layout
    prefill = Engine(tensor=wanted.prefill_gpus)
    return Layout(layout.decode, layout.decode_workers, prefill, layout.prefill_workers)


def _unaided(wanted: Wanted) -> Layout:
    """One engine of each side: wide ones decode with data-parallel attention, since tensor groups end at a box."""
    gpus = wanted.decode_gpus
    wide = gpus > BOX_GPUS
    decode = Engine(data=gpus, expert=gpus) if wide else Engine(tensor=gpus)
    return Layout(decode, 1, Engine(tensor=wanted.prefill_gpus), 1)


def deployment(gpus: int, concurrency: int) -> Layout:
    """A guess at a deployment of which only the number of GPUs is known (1: not even that).

    4 or 8 GPUs read prompts, as the told ones of that size do; the others decode, in tensor groups of 8 for few requests,
    else as one engine with data-parallel attention.
    """
    if gpus == 1:
        wide = concurrency >= 4 * FEW_IN_FLIGHT
        size = 32 if wide else 4
        return Layout(
            Engine(data=size, expert=size), 1 if wide else 2, Engine(data=4, expert=4), 4 if wide else 1
        )
    readers = 4 if gpus % BOX_GPUS == 4 else BOX_GPUS
    if gpus <= BOX_GPUS:
        readers = max(1, gpus // 3)
    rest = gpus - readers
    prefill = Engine(data=readers, expert=readers)
    if concurrency <= FEW_IN_FLIGHT and rest >= BOX_GPUS:
        return Layout(Engine(tensor=BOX_GPUS), rest // BOX_GPUS, prefill, 1)
    return Layout(Engine(data=rest, expert=rest), 1, prefill, 1)
