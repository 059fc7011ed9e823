"""What the desk hears and says: a buyer's use, what its futures did, and reports on both.

Units. Money is integer micro-units, prices integer micro-units per MTok of standard tokens, amounts of tokens integer centitokens
(hundredths of a standard token). Ratios are floats. Days are venue days, months yyyymm. Shapes: C customers, D days.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ciyuan.basics.grade import CENTI
from ciyuan.basics.money import div_half_up
from ciyuan.basics.tokens import MTOK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CENTI_PER_MTOK = CENTI * MTOK
"""Hundredths of a standard token in one MTok of them."""


class Finding(StrEnum):
    """What a report has to say beside its figures, in words."""

    NO_USAGE = "there was no usage"
    UNDER_HALF_A_LOT = "what should be hedged is less than half a lot, so nothing is"
    TOO_FEW_POINTS = "there are too few paired price changes to estimate a ratio, so it is 1"
    INDEX_STOOD_STILL = "the index did not move, so no ratio can be estimated and it is 1"
    NEGATIVE_RATIO = (
        "the price moves against the index, so a long future would add to the risk: nothing is hedged"
    )
    FIXINGS_MISSING = "business days without a fixing are left out of the figures by day"
    NO_INDEX = "there is no index to compare with, so nothing is taken apart"
    NO_FUTURES = "nothing was hedged"
    NOT_SETTLED = "the futures are not settled yet; the figures stand on what has been paid so far"


def per_mtok(amount_micro: int, centitokens: int) -> int:
    """Micro-units per MTok that `amount_micro` comes to over `centitokens` (more than 0), half up."""
    return div_half_up(amount_micro * CENTI_PER_MTOK, centitokens)


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """What customers used and were charged. `customers`: (C,), ascending; `days`: (D,), no gap; the others: (C, D) int64."""

    customers: "NDArray[np.int64]"
    days: "NDArray[np.int64]"
    centitokens: "NDArray[np.int64]"
    charge_micro: "NDArray[np.int64]"


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """One customer's month. `days`: (D,), every calendar day of the month; `centitokens`, `charge_micro`: (D,) int64."""

    customer: int
    month: int
    days: "NDArray[np.int64]"
    centitokens: "NDArray[np.int64]"
    charge_micro: "NDArray[np.int64]"

    @property
    def total_centitokens(self) -> int:
        """The month's use."""
        return int(self.centitokens.sum())

    @property
    def total_charge_micro(self) -> int:
        """The month's bill without any hedge."""
        return int(self.charge_micro.sum())

    @property
    def price_micro(self) -> int | None:
        """The month's mean price per MTok, half up; None without use."""
        used = self.total_centitokens
        return per_mtok(self.total_charge_micro, used) if used else None


@dataclass(frozen=True, slots=True)
class HedgeRatio:
    """How many MTok of futures to hold for each MTok to be used.

    `ratio` is the minimum-variance ratio of `points` paired changes, and `r_squared` the share of the price's variance that the
    index explains; or 1.0 and None if `finding` says that it could not be estimated.
    """

    ratio: float
    points: int
    r_squared: float | None
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class HedgePlan:
    """Whole lots for an exposure. `target_centitokens` is the exposure times the ratio, half up; the lots are the nearest."""

    exposure_centitokens: int
    lot_mtok: int
    ratio: HedgeRatio
    target_centitokens: int
    lots: int
    findings: tuple[Finding, ...]

    @property
    def hedged_centitokens(self) -> int:
        """What the lots cover."""
        return self.lots * self.lot_mtok * CENTI_PER_MTOK

    @property
    def residual_centitokens(self) -> int:
        """What rounding to whole lots leaves open; negative if it covers more than the target."""
        return self.target_centitokens - self.hedged_centitokens

    def budget_micro(self, price_micro: int) -> int:
        """What the planned use costs at a futures price, half up."""
        return div_half_up(self.exposure_centitokens * price_micro, CENTI_PER_MTOK)


@dataclass(frozen=True, slots=True)
class FuturesTrade:
    """A trade of a month's future: `mtok` is lots times lot size, positive if bought, negative if sold."""

    price_micro: int
    mtok: int


@dataclass(frozen=True, slots=True)
class FuturesResult:
    """What a month's futures did to one account, as clearing paid it.

    `variation_micro` is all variation, the final settlement among it: positive if received. `fees_micro` is positive if paid.
    `final_micro` is the price of the final settlement per MTok, None while there is none; `rule` is 85 if §8.5 determined it.
    """

    trades: tuple[FuturesTrade, ...]
    variation_micro: int
    fees_micro: int
    final_micro: int | None
    rule: int = 0

    @property
    def net_mtok(self) -> int:
        """MTok held in the end, long positive."""
        return sum(trade.mtok for trade in self.trades)

    @property
    def cost_micro(self) -> int:
        """What the trades would cost if they were paid in full: price times MTok, less what was sold. Exact."""
        return sum(trade.price_micro * trade.mtok for trade in self.trades)

    @property
    def locked_price_micro(self) -> int | None:
        """The mean price of what is held, per MTok, half up; None if nothing is."""
        held = self.net_mtok
        if not held:
            return None
        return div_half_up(self.cost_micro, held) if held > 0 else div_half_up(-self.cost_micro, -held)


NO_FUTURES = FuturesResult((), 0, 0, None)
"""The result of an account that traded none."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The hedged month, taken apart: five amounts in micro-units that sum to it exactly (docs/spec/desk.md, rule 12)."""

    locked_micro: int
    volume_micro: int
    basis_micro: int
    settlement_micro: int
    fees_micro: int

    @property
    def total_micro(self) -> int:
        """The hedged month."""
        return (
            self.locked_micro + self.volume_micro + self.basis_micro + self.settlement_micro + self.fees_micro
        )


@dataclass(frozen=True, slots=True, eq=False)
class DayBills:
    """The month's bill by day, (D,) int64 micro-units each.

    `hedge_micro` is the day's part of what the futures brought, fees taken off; `hedged_micro` is `unhedged_micro` less that.
    `locked_micro` is the day's use at the locked price; None if there is none.
    """

    days: "NDArray[np.int64]"
    unhedged_micro: "NDArray[np.int64]"
    hedge_micro: "NDArray[np.int64]"
    hedged_micro: "NDArray[np.int64]"
    locked_micro: "NDArray[np.int64] | None"


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """A customer's price less the fixing, by day. `days`: (D,); `known`: (D,) bool; the others (D,) int64 micro per MTok, 0 where
    not known: on days without use or without a fixing. `mean_micro` weighs days by use, half up; None if no day is known."""

    days: "NDArray[np.int64]"
    known: "NDArray[np.bool_]"
    price_micro: "NDArray[np.int64]"
    fixing_micro: "NDArray[np.int64]"
    basis_micro: "NDArray[np.int64]"
    mean_micro: int | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A contract's settlement price on a day. `month` is 0 for spot."""

    contract: int
    code: str
    month: int
    day: int
    price_micro: int


@dataclass(frozen=True, slots=True, eq=False)
class HedgeReport:
    """A customer's month with and without its hedge.

    `unhedged_micro` is what was charged, `hedged_micro` that less what the futures brought, plus fees; the two prices are those
    per MTok used, half up, None without use. `bill_variance_reduction` is 1 - var(hedged) / var(unhedged) of the days' bills;
    `price_variance_reduction` the same of their squared distances from the day's use at the locked price, which leaves out that
    use itself varies. Both are None where they are not defined. `decomposition` is None without an index.
    """

    exposure: Exposure
    futures: FuturesResult
    unhedged_micro: int
    hedged_micro: int
    unhedged_price_micro: int | None
    hedged_price_micro: int | None
    bills: DayBills
    basis: Basis
    bill_variance_reduction: float | None
    price_variance_reduction: float | None
    decomposition: Decomposition | None
    findings: tuple[Finding, ...]

    @property
    def saved_micro(self) -> int:
        """What the hedge took off the bill; negative if it added to it."""
        return self.unhedged_micro - self.hedged_micro
