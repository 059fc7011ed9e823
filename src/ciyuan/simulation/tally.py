"""The tally: what the month came to, by customer and day, added up from events alone. The desk and the summary read it."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import Calendar
from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.rows import CODE_MASK, FLAG_SHIFT
from ciyuan.clearing.messages import ClearingEvent
from ciyuan.exchange.messages import CONTRACT, ExchangeEvent
from ciyuan.gateway.messages import MeterEvent, MeterFlag
from ciyuan.simulation.hearing import Sieve

HEARD = Sieve((ClearingEvent.VARIATION, ClearingEvent.FEE, ClearingEvent.NOVATED))


class Tally:
    """Sums over a run. Deliveries are arrays of shape (participants + 1, days), by the venue day of settlement."""

    def __init__(
        self, calendar: Calendar, first_day: int, days: int, participants: int, vector: ConversionVector
    ) -> None:
        self._calendar = calendar
        self._vector = vector
        self.first_day = first_day
        shape = (participants + 1, days)
        self.charged_micro = np.zeros(shape, dtype=np.int64)
        self.centitokens = np.zeros(shape, dtype=np.int64)
        self.supplied_centitokens = np.zeros(shape, dtype=np.int64)
        self.tokens = np.zeros(3, dtype=np.int64)
        self.settled = 0
        self.orders_refused = 0
        self.counts: dict[int, int] = defaultdict(int)
        self.variation_micro: dict[tuple[int, int, int], int] = defaultdict(int)
        self.fees_micro: dict[tuple[int, int], int] = defaultdict(int)
        self.bought: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)

    def hear(self, events: NDArray[np.int64]) -> None:
        """Take in events, in order."""
        codes = events[:, 0] & CODE_MASK
        present, numbers = np.unique(codes, return_counts=True)
        for code, number in zip(present.tolist(), numbers.tolist(), strict=True):
            self.counts[code] += number
        refused = codes == ExchangeEvent.REFUSED
        self.orders_refused += int(np.count_nonzero(events[refused, CONTRACT]))
        if self.counts[MeterEvent.SETTLED]:
            self._deliveries(events[codes == MeterEvent.SETTLED])
        for event in events[HEARD.of(events)].tolist():
            self._clearing(event)

    def _deliveries(self, rows: NDArray[np.int64]) -> None:
        if not len(rows):
            return
        vector = self._vector
        customer, supplier = rows[:, 3] >> 32, rows[:, 3] >> 16 & 0xFFFF
        day = (rows[:, 1] + self._calendar.utc_offset_ns) // (86_400 * 10**9) - self.first_day
        centi = (
            (rows[:, 4] - rows[:, 5]) * vector.input + rows[:, 5] * vector.cached + rows[:, 6] * vector.output
        )
        batch = (rows[:, 0] >> FLAG_SHIFT & MeterFlag.BATCH) != 0
        centi = np.where(batch, (centi * vector.batch * 2 + 100) // 200, centi)
        np.add.at(self.charged_micro, (customer, day), rows[:, 7])
        np.add.at(self.centitokens, (customer, day), centi)
        np.add.at(self.supplied_centitokens, (supplier, day), centi)
        self.tokens += rows[:, 4:7].sum(axis=0)
        self.settled += len(rows)

    def _clearing(self, event: list[int]) -> None:
        code = event[0] & CODE_MASK
        if code == ClearingEvent.VARIATION:
            self.variation_micro[event[2], event[3], event[7]] += event[4]
        elif code == ClearingEvent.FEE:
            self.fees_micro[event[2], event[7]] += event[3]
        else:
            _, _, _, buyer, seller, contract, price_ticks, lots = event
            self.bought[buyer, contract].append((event[1], price_ticks, lots))
            self.bought[seller, contract].append((event[1], price_ticks, -lots))

    @property
    def orders(self) -> int:
        """Orders that the exchange accepted or refused."""
        return self.counts[ExchangeEvent.ACCEPTED] + self.orders_refused
