"""A member's positions from its fills, day by day: lots, what they were entered at, what closing them won.

A member of a run holds net: what closes a position closes lots of earlier days first, and takes its part of what the lots were
entered at, rounded down in tick-lots, as the clearing house does it (`clearing.positions`). So at a run's end these figures are
those of its table `holdings`. Where lots came or went without a fill (a defaulter's position that was passed on, a delivery) the
table of positions says so, and no entry price is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ciyuan.basics.money import div_half_up
from ciyuan.exchange.contract import Contract


@dataclass(frozen=True, slots=True)
class Fill:
    """One side of a trade: nanoseconds, contract code, lots (sold negative), price in ticks."""

    time_ns: int
    code: str
    lots: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement of a position: the lots that the clearing house had, what it paid, and whether it was the contract's last."""

    code: str
    lots: int
    variation_micro: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class PositionLine:
    """A position at a statement. Prices in micro-dollars per MTok; None where fills do not tell.

    `today_lots` are those of the lots that were entered since the last settlement. `realised_micro` is what the lots closed since
    the statement before won against their entry; a final settlement closes all, at its own price.
    """

    contract: str
    lots: int
    today_lots: int | None
    entry_micro: int | None
    settlement_micro: int
    variation_micro: int
    unrealised_micro: int | None
    realised_micro: int | None
    is_final: bool


class Entry:
    """One net position: `lots`, of them `today`, and their cost in tick-lots; `realised` what was closed won, in tick-lots."""

    __slots__ = ("cost", "known", "lots", "realised", "today")

    def __init__(self) -> None:
        self.lots = self.today = self.cost = self.realised = 0
        self.known = True

    def trade(self, lots: int, price_ticks: int) -> None:
        """Buy lots, or sell if negative: close first what is held on the other side."""
        sign = 1 if lots > 0 else -1
        closed = min(abs(lots), abs(self.lots)) if self.lots * sign < 0 else 0
        if closed:
            held = abs(self.lots)
            part = self.cost * closed // held
            self.realised += -sign * (closed * price_ticks - part)
            self.today -= max(closed - (held - self.today), 0)
            self.cost -= part
        opened = abs(lots) - closed
        self.lots += lots
        self.today += opened
        self.cost += opened * price_ticks

    def unrealised(self, price_ticks: int) -> int:
        """What the lots held have won at a price, in tick-lots."""
        return self.lots * price_ticks - (self.cost if self.lots > 0 else -self.cost)

    def clear(self) -> None:
        """Hold nothing any more."""
        self.lots = self.today = self.cost = 0
        self.known = True


class Entries:
    """All positions of one member, by contract code. Told its fills and settlements in order, it says each statement's lines."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = contracts
        self._held: dict[str, Entry] = {}

    def trade(self, fill: Fill) -> None:
        """Take in a fill of a future."""
        if self._contracts[fill.code].month:
            self._held.setdefault(fill.code, Entry()).trade(fill.lots, fill.price_ticks)

    def settle(self, settled: Sequence[Settled], prices_ticks: Mapping[str, int]) -> tuple[PositionLine, ...]:
        """The lines of a statement: what was settled, at the day's prices. Lots are of earlier days from now on."""
        lines = [self._line(each, prices_ticks.get(each.code, 0)) for each in settled]
        for entry in self._held.values():
            entry.today = entry.realised = 0
        return tuple(lines)

    def _line(self, settled: Settled, price_ticks: int) -> PositionLine:
        entry, contract = self._held.setdefault(settled.code, Entry()), self._contracts[settled.code]
        entry.known &= entry.lots == settled.lots
        price = price_ticks * contract.tick_micro
        if settled.is_final:
            return self._final(settled, entry, contract, price)
        told = entry.known
        if not told:
            entry.lots, entry.known = settled.lots, settled.lots == 0
            entry.cost = entry.cost if entry.lots else 0
        return PositionLine(
            settled.code,
            settled.lots,
            entry.today if told else None,
            _mean(entry.cost, abs(entry.lots), contract) if told else None,
            price,
            settled.variation_micro,
            entry.unrealised(price_ticks) * contract.tick_value_micro if told else None,
            entry.realised * contract.tick_value_micro if told else None,
            False,
        )

    def _final(self, settled: Settled, entry: Entry, contract: Contract, price: int) -> PositionLine:
        """A final settlement: its price is the daily one and what the variation, of whole micro-dollars, adds to it."""
        units = settled.lots * contract.lot_mtok
        final = price + settled.variation_micro // units if units else price
        carried = entry.cost if entry.lots > 0 else -entry.cost
        realised = (
            entry.realised * contract.tick_value_micro + units * final - carried * contract.tick_value_micro
        )
        told = entry.known
        mean = _mean(entry.cost, abs(entry.lots), contract)
        entry.clear()
        return PositionLine(
            settled.code,
            settled.lots,
            0 if told else None,
            mean if told else None,
            final,
            settled.variation_micro,
            0,
            realised if told else None,
            True,
        )


def _mean(cost: int, lots: int, contract: Contract) -> int | None:
    """The mean entry price, micro-dollars per MTok, half up; None of no lots."""
    return div_half_up(cost * contract.tick_micro, lots) if lots else None
