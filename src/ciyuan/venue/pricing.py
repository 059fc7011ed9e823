"""Prices for the index, and the index's price for clearing: the venue passes them on, because the stages are strangers.

What becomes an observation (rulebook §8.2):

| level | source | from |
|---|---|---|
| a | spot trade | a novated trade of a spot contract; the seller's |
| a | metered delivery | a settled request, at its exact cost per standard MTok; the supplier's |
| b | quote | the best offer of a spot contract when the clock samples it; its owner's |
| c | list price | every supplier's list in force when a fixing is asked for |

Trades and deliveries between members of one group are left out: they are not at arm's length. So is what is served for receipts
that were redeemed, and the list of an issuer in standard tokens: no money is paid by it. And so are deliveries by a list with
prices of legs (cache writes, sound, pieces): what they cost is not the price of the standard tokens in them alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.grade import CENTI, Grade
from ciyuan.basics.price import standard_price
from ciyuan.basics.rows import CODE_MASK, KIND, REASON_MASK, REASON_SHIFT, ROW_WORDS, TIME, Row
from ciyuan.basics.tokens import MTOK, Legs
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import final_row
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.machine import Exchange
from ciyuan.exchange.messages import Side
from ciyuan.gateway.machine import Meter
from ciyuan.gateway.messages import GRADE_MAX, PARTIES, MeterEvent
from ciyuan.gateway.reading import SettledView, settled_rows, settled_view
from ciyuan.index.machine import Index
from ciyuan.index.messages import (
    LEG,
    PRICE,
    SOURCE,
    VOLUME,
    IndexCommand,
    Leg,
    Source,
    observe_row,
    relate_row,
)
from ciyuan.venue.accounts import CUSTOMERS_MAX, SUPPLIERS_MAX
from ciyuan.venue.books import Answer, Books, Out
from ciyuan.venue.messages import VenueEvent, VenueRefusal

LIST_MIX = Legs(3, 0, 1)
"""Input and output in the ratio 3 : 1, the usual blend of published token price indices, to price a list per standard token."""
CENTI_PER_MTOK = MTOK * CENTI
FEW = 32
"""Events up to which Python looks through them sooner than NumPy does."""
_SETTLED = int(MeterEvent.SETTLED)


class Pricing:
    """The venue's observer, and the handlers of SAMPLE and FINALISE."""

    def __init__(self, books: Books, grades: Sequence[Grade], contracts: Mapping[int, Contract], meter: Meter, exchange: Exchange,
                 clearing: ClearingHouse, index: Index) -> None:  # fmt: skip
        self._books = books
        self._vectors = {grade.number: grade.vector for grade in grades}
        self._contracts = contracts
        self._meter = meter
        self._exchange = exchange
        self._clearing = clearing
        self._index = index

    def on_deliveries(self, events: NDArray[np.int64]) -> None:
        """Observe the settled requests among the meter's events: the standard token, and each leg that was used."""
        if not self._vectors or (len(events) <= FEW and not self._wants_some(events)):
            return
        settled = settled_rows(events)
        if not len(settled):
            return
        wanted = self._index.wants(settled[:, TIME])
        if not wanted.any():
            return
        graded = np.isin(settled[:, PARTIES] & GRADE_MAX, list(self._vectors))
        paid = settled[:, PARTIES] >> 32 <= CUSTOMERS_MAX
        has_legs = self._meter.has_legs
        plain = ~has_legs[(settled[:, KIND] >> REASON_SHIFT & REASON_MASK) - 1]
        chosen = settled[wanted & graded & paid & plain]
        view = settled_view(chosen, self._meter.price_lists, self._vectors, has_legs)
        if not len(view):
            return
        far = self._group_of(view.customer) != self._group_of(view.supplier)
        prices = self._meter.price_lists[view.price_list - 1]
        legs = (
            (Leg.STANDARD, view.price_micro, view.centitokens),
            (Leg.INPUT, prices[:, 2], (view.tokens_in - view.tokens_cached) * CENTI),
            (Leg.OUTPUT, prices[:, 4], view.tokens_out * CENTI),
        )
        rows = np.stack([self._rows(view, *leg) for leg in legs], axis=1)
        chosen = (far & (view.batch == 0))[:, None] & (rows[:, :, PRICE] > 0) & (rows[:, :, VOLUME] > 0)
        # By delivery, then leg: the same order however deliveries are batched.
        self._index.apply(rows[chosen])

    @staticmethod
    def _rows(
        view: SettledView, leg: Leg, price: NDArray[np.int64], volume: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """OBSERVE rows of one leg of every delivery, (n, 8)."""
        rows = np.zeros((len(view), ROW_WORDS), dtype=np.int64)
        rows[:, KIND] = int(IndexCommand.OBSERVE)
        columns = (view.time_ns, view.grade, view.supplier, price, volume)
        for place, column in enumerate(columns, 1):
            rows[:, place] = column
        rows[:, LEG], rows[:, SOURCE] = int(leg), int(Source.DELIVERY)
        return rows

    def _group_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        people = self._books.participants
        groups = np.arange(max(len(people), int(numbers.max())) + 1)
        groups[1 : len(people) + 1] = [people[number][1] for number in range(1, len(people) + 1)]
        return groups[numbers]

    def on_trade(self, event: Sequence[int], out: Out) -> None:
        """Observe a novated trade, if it is a spot trade between strangers."""
        _, time_ns, _, buyer, seller, number, price_ticks, lots = event
        contract = self._contracts[number]
        people = self._books.participants
        if contract.kind != ContractKind.SPOT or people[buyer][1] == people[seller][1]:
            return
        volume = lots * contract.lot_mtok * CENTI_PER_MTOK
        if self._wants(time_ns):
            price = price_ticks * contract.tick_micro
            self._observe(
                out,
                observe_row(time_ns, contract.grade, seller, price, volume, Leg.STANDARD, Source.TRADE),
            )

    def _observe(self, out: Out, row: Row) -> None:
        """Hand the index one observation; what it says of it, if anything, is a refusal."""
        if row[4] > 0:
            self._index.apply_one(row, out)

    def _wants(self, time_ns: int) -> bool:
        return self._index.wants_one(time_ns)

    def _wants_some(self, events: NDArray[np.int64]) -> bool:
        """Whether any of a few events is of a request that was settled when the index wants to know."""
        kinds, times = events[:, KIND].tolist(), events[:, TIME].tolist()
        settled = (time for kind, time in zip(kinds, times, strict=True) if kind & CODE_MASK == _SETTLED)
        return any(self._wants(time) for time in settled)

    def relate(self, time_ns: int, number: int, group: int, out: Out) -> None:
        """Tell the index that a participant counts as one with its group."""
        self._index.apply_one(relate_row(time_ns, number, group), out)

    def sample(self, row: Sequence[int], out: Out) -> Answer:
        """SAMPLE: the offers that stand at the best price of a spot contract become executable quotes of the index."""
        _, time_ns, number, *_ = row
        contract = self._contracts.get(number)
        if contract is None or contract.kind != ContractKind.SPOT:
            return VenueRefusal.UNKNOWN_CONTRACT
        best = self._exchange.best_ask(number)
        quotes = [order for order in self._exchange.book(number).queue(Side.SELL) if order[2] == best]
        for account, _, price_ticks, lots in quotes:
            volume = lots * contract.lot_mtok * CENTI_PER_MTOK
            if self._wants(time_ns):
                price = price_ticks * contract.tick_micro
                self._observe(
                    out,
                    observe_row(time_ns, contract.grade, account, price, volume, Leg.STANDARD, Source.QUOTE),
                )
        out.append((int(VenueEvent.SAMPLED), time_ns, number, len(quotes), 0, 0, 0, 0))
        return None

    def before_fixing(self, row: Sequence[int], out: Out) -> None:
        """Before a FIX: every supplier's list price in force is observed, for the leg that is fixed."""
        _, time_ns, grade, day, leg, *_ = row
        vector = self._vectors.get(grade)
        if vector is None or leg not in tuple(Leg) or self._index.versions(grade, day, leg):
            return
        in_force: dict[int, list[int]] = {}
        for entry in self._meter.price_lists.tolist():
            if entry[0] > SUPPLIERS_MAX or entry[1] != grade:
                continue
            if entry[5] <= time_ns and entry[5] >= in_force.get(entry[0], entry)[5]:
                in_force[entry[0]] = entry
        for supplier, (_, _, price_in, price_cached, price_out, *_) in sorted(in_force.items()):
            cost = LIST_MIX.uncached * price_in + LIST_MIX.cached * price_cached + LIST_MIX.output * price_out
            standard = standard_price(cost, vector.standard_centitokens(LIST_MIX))
            price = {Leg.STANDARD: standard, Leg.INPUT: price_in, Leg.OUTPUT: price_out}[Leg(leg)]
            self._observe(
                out, observe_row(time_ns, grade, supplier, price, CENTI_PER_MTOK, Leg(leg), Source.LIST)
            )

    def finalise(self, row: Sequence[int], out: Out) -> Answer:
        """FINALISE: the mean of a contract month's fixings goes to the clearing house as its final settlement price
        (§2.2, §8.5).
        """
        _, time_ns, number, day, *_ = row
        contract = self._contracts.get(number)
        if contract is None or contract.kind != ContractKind.CASH_FUTURE:
            return VenueRefusal.UNKNOWN_CONTRACT
        mean = self._index.month_mean(contract.grade, contract.month, Leg.STANDARD)
        if mean is None:
            return VenueRefusal.NOTHING_TO_SETTLE_ON
        self._clearing.apply_one(final_row(time_ns, number, mean.mean_micro, day, mean.rule), out)
        return None
