"""The buyers' treasuries and the sellers' price lists: what is paid in before a day begins, and at what prices the
day is rated.

A prudent buyer tops its prepaid balance up to the worst case of the day's requests, so none of them is refused. A
thrifty one pays in nine tenths of what its day will cost, and is refused when that is spent. A factory's list is the
list it started from, times what a standard token is worth today against the first day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.money import MICRO, micro_half_up
from ciyuan.basics.price import PriceList
from ciyuan.basics.rows import Row
from ciyuan.gateway.messages import MeterCommand
from ciyuan.simulation.traffic import Traffic
from ciyuan.venue.messages import Purse, VenueCommand

THRIFT = 0.9


def scaled_list(base: PriceList, factor: float, valid_from_ns: int) -> PriceList:
    """A list whose prices are `factor` times those of `base`, each rounded half up to a micro-dollar."""
    legs = (micro_half_up(price * factor / MICRO) for price in (base.input, base.cached, base.output))
    return PriceList(base.supplier, base.grade, valid_from_ns, *legs)


def price_row(time_ns: int, prices: PriceList) -> Row:
    """The PRICES row that posts a list."""
    return (
        int(MeterCommand.PRICES),
        time_ns,
        prices.supplier,
        prices.grade,
        prices.input,
        prices.cached,
        prices.output,
        prices.valid_from_ns,
    )


def deposit_row(time_ns: int, key: int, participant: int, purse: Purse, amount_micro: int) -> Row:
    """The DEPOSIT row that pays money into a participant's purse."""
    return (int(VenueCommand.DEPOSIT), time_ns, key, participant, int(purse), amount_micro, 0, 0)


@dataclass(frozen=True, slots=True)
class DayNeed:
    """What each buyer's requests of a day cost at the dearest list: surely (`worst_micro`) and as delivered (`likely_micro`)."""

    worst_micro: NDArray[np.int64]
    likely_micro: NDArray[np.int64]


def need_of_day(
    traffic: Traffic, start_ns: int, end_ns: int, lists: Sequence[PriceList], buyers: int
) -> DayNeed:
    """The need of the requests that arrive in start_ns <= t < end_ns or are still being served at the start, per buyer
    (buyers,).
    """
    piece = np.flatnonzero((traffic.time_ns < end_ns) & (traffic.finish_ns >= start_ns))
    dearest = replace(lists[0], input=max(entry.input for entry in lists), cached=max(entry.cached for entry in lists),
                      output=max(entry.output for entry in lists))  # fmt: skip
    cached_price = max(dearest.input, dearest.cached)
    worst = (traffic.input[piece] * cached_price + traffic.output_max[piece] * dearest.output) // MICRO + 2
    likely = ((traffic.input[piece] - traffic.cached[piece]) * dearest.input + traffic.cached[piece] * dearest.cached
              + traffic.output[piece] * dearest.output) // MICRO  # fmt: skip
    who = traffic.customer[piece]
    sums = [np.zeros(buyers, dtype=np.int64), np.zeros(buyers, dtype=np.int64)]
    np.add.at(sums[0], who, worst)
    np.add.at(sums[1], who, likely)
    return DayNeed(*sums)


class Treasury:
    """What the buyers have paid in. Balances are followed from what was charged, which the caller tells."""

    def __init__(self, buyers: Sequence[int], thrifty: int) -> None:
        self._buyers = tuple(buyers)
        self._thrifty = thrifty
        self._paid_in = np.zeros(len(self._buyers), dtype=np.int64)

    def top_up(
        self, time_ns: int, next_key: int, need: DayNeed, charged_micro: NDArray[np.int64]
    ) -> list[Row]:
        """DEPOSIT rows for a day's need, keyed from `next_key` on. `charged_micro`: (buyers,) charged so far."""
        rows: list[Row] = []
        for place, buyer in enumerate(self._buyers):
            thrifty = place >= len(self._buyers) - self._thrifty
            wanted = int(need.likely_micro[place] * THRIFT) if thrifty else int(need.worst_micro[place])
            missing = wanted - int(self._paid_in[place] - charged_micro[place])
            if missing > 0:
                rows.append(deposit_row(time_ns, next_key + len(rows), buyer, Purse.PREPAID, missing))
                self._paid_in[place] += missing
        return rows
