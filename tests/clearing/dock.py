"""A floor with a physical contract: 10 receipts a lot, delivered at the end of October 2026. Both kinds of clearing house."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ciyuan.basics.rows import Row, code_of
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingRefusal,
    ClearingTerms,
    DeliveryTerms,
    deliver_row,
    pledge_row,
    statements,
    tender_row,
)
from ciyuan.clearing.plain import PlainClearingHouse
from ciyuan.exchange.contract import Contract, ContractKind
from tests.clearing.floor import (
    CALENDAR,
    CONTRACTS,
    HOUSE,
    ISSUANCE,
    KIMI,
    NO_FEES,
    SPOT_RECEIPTS,
    USD,
    WORLD,
    future,
)
from tests.clearing.watch import Watch

PHYSICAL = 6
LOT_MTOK = 10
LAST = CALENDAR.last_business_of_month(202610)
FIRST_OF_MONTH = CALENDAR.next_business(CALENDAR.last_business_of_month(202609))
LOT_MICRO_TICK = LOT_MTOK * 1000
"""What a tick is worth on a lot, in micro-units."""
KINDS = (PlainClearingHouse, ClearingHouse)


def physical(month: int = 202610) -> Contract:
    return replace(
        future(PHYSICAL, month),
        kind=ContractKind.PHYSICAL_FUTURE,
        code=f"KIMI26P.{month % 10_000}",
        lot_mtok=LOT_MTOK,
    )


@dataclass
class Dock(Watch):
    """A floor whose traders come to delivery. No fees but one micro-unit a fill."""

    contracts: Sequence[Contract] = (*CONTRACTS, physical())
    terms: ClearingTerms = field(
        default_factory=lambda: ClearingTerms(HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES)
    )

    def pledge(self, number: int, receipts: int, grade: int = KIMI) -> ClearingRefusal | int | None:
        return self._answer(pledge_row(self.tick(), number, grade, receipts))

    def tender(self, number: int, lots: int, contract: int = PHYSICAL) -> ClearingRefusal | int | None:
        return self._answer(tender_row(self.tick(), number, contract, lots))

    def deliver(self, day: int | None = None, contract: int = PHYSICAL) -> list[Row]:
        return self.tell(deliver_row(self.tick(), contract, self.day if day is None else day))

    def deliver_refused(
        self, day: int | None = None, contract: int = PHYSICAL
    ) -> ClearingRefusal | int | None:
        return self._answer(deliver_row(self.tick(), contract, self.day if day is None else day))

    def _answer(self, command: Row) -> ClearingRefusal | int | None:
        """The refusal, REPEATED, or None: it was done."""
        events = self.tell(command)
        if events and code_of(events[0][0]) == ClearingEvent.REFUSED:
            return ClearingRefusal(events[0][7])
        repeated = bool(events) and code_of(events[0][0]) == ClearingEvent.REPEATED
        return ClearingEvent.REPEATED if repeated else None

    def end_trading(self, price_ticks: int, spot_ticks: int = 1500) -> None:
        """The contract's last day comes to its end and is settled, at these prices."""
        self.price(PHYSICAL, price_ticks)
        self.close(SPOT=spot_ticks)

    def held_receipts(self, number: int) -> int:
        return self.ledger.posted(self.purse(number))

    def free_receipts(self, number: int) -> int:
        return self.ledger.available(self.purse(number))

    def check(self) -> None:
        """Money and receipts add up; what is pledged and tendered is held; the clearing house's own laws hold."""
        accounts = range(1, self.ledger.account_count + 1)
        sums: dict[int, int] = {}
        for number in accounts:
            found = self.ledger.account(number)
            sums[found.asset] = sums.get(found.asset, 0) + found.posted
            assert number in (WORLD, ISSUANCE, 7) or found.available >= 0
        assert set(sums.values()) == {0}
        parts = self.house.snapshot()
        tendered = sum(row[2] for row in parts["tenders"].tolist()) * LOT_MTOK
        pledged = sum(row[2] for row in parts["pledges"].tolist())
        offered = sum(row[5] for row in parts["orders"].tolist() if row[3])
        held = self.ledger.account(SPOT_RECEIPTS).credits_pending
        assert held == tendered + pledged + offered
        if not tendered:
            self.house.check()

    def check_statements(self) -> None:
        """Every statement explains its closing balance, and takes up where the one before it ended."""
        closing: dict[int, int] = {}
        for told in statements(self.said):
            assert told.explained_micro == told.closing_micro
            assert told.opening_micro == closing.get(told.participant, 0)
            closing[told.participant] = told.closing_micro


def at_delivery(
    kind: type[PlainClearingHouse] | type[ClearingHouse] = PlainClearingHouse,
    *,
    cash_usd: Sequence[int] = (100_000, 100_000, 100_000, 100_000),
    trades: Sequence[tuple[int, int, int]] = ((1, 2, 30), (3, 2, 2)),
    receipts: int = 1000,
    delivery: DeliveryTerms | None = None,
) -> Dock:
    """A dock on the last trading day, after trades of (buyer, seller, lots) at 1.500."""
    terms = ClearingTerms(
        HOUSE, futures_fees=NO_FEES, spot_fees=NO_FEES, delivery=delivery or DeliveryTerms()
    )
    dock = Dock(cash_usd=cash_usd, receipts=receipts, machine=kind, terms=terms)
    dock.open(LAST)
    for buyer, seller, lots in trades:
        dock.trade(buyer, seller, PHYSICAL, lots, 1500)
    return dock


def usd(amount: int) -> float:
    return amount / USD
