"""The loops of scenario margin: products of integers done in floating point and yet exact, and the worst of each row.

A processor multiplies matrices fastest as float64 (dgemm). A float64 holds every integer up to 2^53 exactly, so a product of two
matrices of integers is exact, in whatever order the library adds and whether or not it fuses a multiplication with an addition,
as long as the sizes of all terms of a row add up to less than 2^53: then every partial sum does. `MarginModel` refuses a model
in which it might not. So these are the only floats under a margin, and they are integers.

The worst of a row are found as a stream: a short sorted list per account, and one comparison a scenario with its last. The block
of losses that is looked through was written just before and still lies in the second-level cache.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]

EXACT = 2**53
"""Every integer up to this size is a float64."""
BLOCK = 128
"""Accounts at a time: with 1,250 scenarios their losses take 1.3 MB, about a second-level cache."""


def loss_blocks(lots: Ints, loss_units: Ints) -> Iterator[tuple[int, Reals]]:
    """The losses of all accounts, block by block: (the block's first account, losses (accounts of the block, scenarios)).

    `lots` (accounts, contracts); `loss_units` (scenarios, contracts): what one lot loses. Exact if for every account the sum
    over contracts of |lots| x the largest |loss| is below `EXACT`. A block is overwritten by the next one.
    """
    by_contract = loss_units.astype(np.float64).T
    room = np.empty((min(BLOCK, len(lots)), len(loss_units)), dtype=np.float64)
    for first in range(0, len(lots), BLOCK):
        some = lots[first : first + BLOCK].astype(np.float64)
        yield first, np.matmul(some, by_contract, out=room[: len(some)])


@njit(cache=True)
def worst(losses: Reals, first: int, stop: int, kept: int, tail: Ints, following: Ints) -> None:
    """Of each row's scenarios `first` to `stop`: the sum of the `kept` largest losses into `tail`, the next one into `following`.

    `kept` is less than stop - first. The order of the scenarios does not matter to the result; if the far ones come first, fewer
    have to be put in their place.
    """
    largest = np.empty(kept + 1)
    for row in range(losses.shape[0]):
        for place in range(kept + 1):
            largest[place] = -np.inf
        least = -np.inf
        for scenario in range(first, stop):
            loss = losses[row, scenario]
            if loss > least:
                place = kept
                while place > 0 and largest[place - 1] < loss:
                    largest[place] = largest[place - 1]
                    place -= 1
                largest[place] = loss
                least = largest[kept]
        total = 0
        for place in range(kept):
            total += int(largest[place])
        tail[row] = total
        following[row] = int(largest[kept])


@njit(cache=True)
def keep_two(losses: Reals, unit_micro: int, covered_micro: Ints, first: int, kept: Ints) -> None:
    """Take a block of accounts into the two largest losses beyond what is covered, of each scenario.

    `kept` (scenarios, 4): the largest, its account, the second, its account; 0 and -1 where there is none. Of equal losses
    the one that came first stays, so blocks are to be taken in order.
    """
    for row in range(losses.shape[0]):
        for scenario in range(kept.shape[0]):
            over = np.int64(losses[row, scenario]) * unit_micro - covered_micro[first + row]
            if over > kept[scenario, 0]:
                kept[scenario, 2], kept[scenario, 3] = kept[scenario, 0], kept[scenario, 1]
                kept[scenario, 0], kept[scenario, 1] = over, first + row
            elif over > kept[scenario, 2]:
                kept[scenario, 2], kept[scenario, 3] = over, first + row


@njit(cache=True)
def ewma_variance(returns: Reals, decay: float, variance: Reals) -> None:
    """variance[t + 1] = decay x variance[t] + (1 - decay) x returns[t]^2, column by column; `variance[0]` is given."""
    for day in range(returns.shape[0]):
        for factor in range(returns.shape[1]):
            new = returns[day, factor] * returns[day, factor]
            variance[day + 1, factor] = decay * variance[day, factor] + (1.0 - decay) * new
