"""A run's summary: what `summary.json` holds, and what the terminal and the report show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ciyuan.basics.errors import Malformed


@dataclass(frozen=True, slots=True)
class BuyerBill:
    """A hedging buyer's month, in micro-USD (prices: per standard MTok).

    `hedged_micro` = `unhedged_micro` - `futures_micro`, and is also the sum of `cost_micro` (the hedged amount at the
    price at which it was bought), `volume_micro` (used beyond it, or short of it, at the index), `basis_micro` (paid
    above the index), `settlement_micro` (rounding of the settlement) and `fees_micro`, to the micro-dollar.
    `locked_micro` is the whole use at the locked price. None: nothing was bought, used or fixed, so there is no such
    figure.
    """

    buyer: str
    planned_mtok: int
    used_mtok: int
    lots: int
    entry_micro: int | None
    unhedged_micro: int
    futures_micro: int
    hedged_micro: int
    locked_micro: int | None
    cost_micro: int | None
    volume_micro: int | None
    basis_micro: int | None
    settlement_micro: int | None
    fees_micro: int
    basis_micro_per_mtok: int | None
    price_variance_reduction: float | None
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeasuredRatio:
    """The minimum-variance hedge ratio that the month itself showed; `finding` says why it could not be measured, if so."""

    ratio: float
    points: int
    r_squared: float | None
    finding: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A complete run. Counts, tokens by leg, micro-USD; `final_micro` is the month's mean fixing."""

    month: int
    seed: int
    grade: str
    sources: dict[str, str]
    requests_asked: int
    requests_metered: int
    requests_refused: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    standard_mtok: int
    charged_micro: int
    orders: int
    orders_refused: int
    trades: int
    fixings: int
    withheld: int
    margin_calls: int
    audits: int
    journal_rows: int
    replayed_rows: int
    state_hash: str
    bad_rows: tuple[str, ...]
    hedges: tuple[BuyerBill, ...]
    final_micro: int | None
    hedge_ratio: MeasuredRatio


def summary_from(table: Mapping[str, Any]) -> RunSummary:
    """A summary from its parsed JSON. Raises Malformed for entries that are missing or unknown."""
    try:
        bills = tuple(BuyerBill(**{**bill, "findings": tuple(bill["findings"])}) for bill in table["hedges"])
        ratio = MeasuredRatio(**table["hedge_ratio"])
        return RunSummary(
            **{**table, "hedges": bills, "hedge_ratio": ratio, "bad_rows": tuple(table["bad_rows"])}
        )
    except (KeyError, TypeError) as error:
        raise Malformed("run summary", found=str(error), expected="the entries of this version of ciyuan",
                        remedy="Play the run again with this version.") from None  # fmt: skip
