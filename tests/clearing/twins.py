"""The clearing house and its plain twin, made to hear the same commands and events and compared after every one.

The twins stand over twin ledgers. What they hear is drawn by `flow.py`; the one with the loops hears whole batches, or one event
at a time.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.rows import CODE_MASK, Row, code_of
from ciyuan.clearing.machine import ClearingHouse
from ciyuan.clearing.messages import (
    ClearingEvent,
    ClearingTerms,
    DefaultTerms,
    Fees,
    FundTerms,
    Ladder,
    MakerTerms,
    PositionLimits,
    ScenarioTerms,
    SpreadCredit,
)
from ciyuan.clearing.plain import PlainClearingHouse
from ciyuan.clearing.snapshot import WIDTHS
from ciyuan.clearing.terms import CancelTerms
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.ledger.machine import Ledger
from ciyuan.ledger.messages import Event
from ciyuan.ledger.plain import PlainLedger
from tests.clearing.floor import (
    CALENDAR,
    HOUSE,
    HOUSE_ACCOUNTS,
    KIMI,
    USD,
    future,
    receipts_contract,
)

OCT, NOV, DEC, GOODS, SPREAD = 2, 3, 4, 5, 6
"""Contracts beside SPOT: three months, receipts in a month, and a spread of two months."""
FUTURES = (OCT, NOV, DEC, GOODS)
FURTHER, FURTHER_RECEIPTS, FURTHER_HOUSE = 8, 108, HOUSE_ACCOUNTS + 1
"""A further grade: its number, its asset, the house's account of it."""
TWIN_HOUSE = replace(HOUSE, spot_receipts=(*HOUSE.spot_receipts, (FURTHER, FURTHER_HOUSE)))
DAY_NS = 86_400 * 10**9
REFUSED = int(Event.REFUSED)


def listed() -> tuple[Contract, ...]:
    """Out of order of number, as a list may be; the near month ends soon."""
    near = replace(future(OCT, 202610), last_day=day_from_iso("2026-10-16"))
    goods = replace(
        future(GOODS, 202610),
        kind=ContractKind.PHYSICAL_FUTURE,
        lot_mtok=10,
        last_day=day_from_iso("2026-10-14"),
    )
    spread = replace(future(SPREAD, 202611), kind=ContractKind.SPREAD, near=NOV, far=DEC)
    return (spread, goods, future(DEC, 202612), future(NOV, 202611), near, receipts_contract())


TERMS = (
    ClearingTerms(TWIN_HOUSE),
    ClearingTerms(
        TWIN_HOUSE, futures_fees=Fees(3, 7, 11, 13, 0, 2), spot_fees=Fees(0, 0, 0, 333), limits=PositionLimits(20, 20, 20),
        ladder=Ladder(open_interest_steps=((30, 1500), (60, 1800))), default=DefaultTerms(call_ns=DAY_NS, slices_max=2),
    ),
    ClearingTerms(
        TWIN_HOUSE, limits=PositionLimits(9, 9, 9), limit_share_bp=900, fund=FundTerms(5 * USD), report_bp=5000,
        default=DefaultTerms(call_ns=DAY_NS // 24, slices_max=1, auction_ns=DAY_NS // 24), maker=MakerTerms(rebate_lot_micro=2),
        cancels=CancelTerms(1, 1000), scenario=ScenarioTerms(review_move_bp=100), credits=(SpreadCredit(KIMI, KIMI, 7500),),
    ),
)  # fmt: skip


@dataclass
class Twins:
    """Both clearing houses over their ledgers."""

    terms: ClearingTerms
    plain_ledger: PlainLedger = field(default_factory=PlainLedger)
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        contracts = listed()
        self.plain = PlainClearingHouse(self.plain_ledger, contracts, CALENDAR, self.terms)
        self.house = ClearingHouse(self.ledger, contracts, CALENDAR, self.terms)
        self.steps = 0
        self.said: Counter[int] = Counter()
        self.heard: Counter[int] = Counter()
        self.refusals: set[int] = set()

    def book(self, rows: Iterable[Row]) -> None:
        """Both ledgers book rows."""
        batch = np.array(list(rows), dtype=np.int64)
        answers = self.plain_ledger.apply(batch)
        assert np.array_equal(self.ledger.apply(batch), answers)
        assert REFUSED not in {code_of(word) for word in answers[:, 0].tolist()}

    def tell(self, command: Row) -> list[Row]:
        """Both do a command: they say and hold the same. Returns what they said."""
        batch = np.array([command], dtype=np.int64)
        plain = [as_row(event) for event in self.plain.apply(batch).tolist()]
        compiled = [as_row(event) for event in self.house.apply(batch).tolist()]
        assert compiled == plain, (self.steps, command, first_different(compiled, plain))
        self._agree([command], plain)
        return plain

    def hear(self, events: Sequence[Row], *, at_once: bool) -> list[Row]:
        """Both hear the exchange; the one with the loop all at once, or event by event. Returns what they said."""
        plain: list[tuple[int, Row]] = []
        for place, event in enumerate(events, start=1):
            out: list[Row] = []
            self.plain.on_event(event, out)
            plain += [(place, said) for said in out]
        compiled: list[tuple[int, Row]] = []
        if at_once:
            said, after = self.house.hear(np.array(events, dtype=np.int64))
            compiled = [
                (place, as_row(event)) for place, event in zip(after.tolist(), said.tolist(), strict=True)
            ]
        else:
            for place, event in enumerate(events, start=1):
                out = []
                self.house.on_event(event, out)
                compiled += [(place, said) for said in out]
        assert compiled == plain, (self.steps, events, first_different(compiled, plain))
        self._agree(events, [said for _, said in plain])
        return [said for _, said in plain]

    def _agree(self, heard: Sequence[Row], said: Sequence[Row]) -> None:
        self.steps += 1
        self.heard.update(event[0] & CODE_MASK for event in heard)
        self.said.update(event[0] & CODE_MASK for event in said)
        self.refusals |= {event[7] for event in said if event[0] & CODE_MASK == ClearingEvent.REFUSED}
        if self.house.state_hash() != self.plain.state_hash():
            raise AssertionError(f"step {self.steps}, {heard}: {self.difference()}")
        assert self.ledger.transfer_count == self.plain_ledger.transfer_count

    def difference(self) -> str:
        """The first places in which the two differ."""
        one, other = self.house.snapshot(), self.plain.snapshot()
        return "; ".join(
            f"{name}: {left} and {right}"
            for name in WIDTHS
            for left, right in zip([*one[name].tolist(), 0], [*other[name].tolist(), 0], strict=False)
            if left != right
        )[:1000]

    def exchange_states(self) -> None:
        """Each takes the other's snapshot."""
        kernel, plain = self.house.snapshot(), self.plain.snapshot()
        self.house.restore(plain)
        self.plain.restore(kernel)
        assert self.house.state_hash() == self.plain.state_hash()


def first_different(compiled: Sequence[object], plain: Sequence[object]) -> object:
    """The first of what two said that is not the same, and its place."""
    pairs = enumerate(zip_longest(compiled, plain))
    return next(((at, pair) for at, pair in pairs if pair[0] != pair[1]), None)


def as_row(words: Sequence[int]) -> Row:
    a, b, c, d, e, f, g, h = words
    return (a, b, c, d, e, f, g, h)


def matrix(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Rows as a batch."""
    return np.array(rows, dtype=np.int64).reshape(-1, 8)
