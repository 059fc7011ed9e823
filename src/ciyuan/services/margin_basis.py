"""What a portfolio that is not yet traded is margined by: the scenarios of a history of prices, or those of a finished run.

| basis | scenarios | ladder |
|---|---|---|
| prices | filtered and stressed ones of the history (`clearing.scenarios`), with one launch | at its last day's rate |
| run | those that its margin stood on last (`tables/margin_model.parquet`) | the run's margin of a lot |

A contract of the catalogue has its own tick and lot; any other has those that are given, and the ladder's listing rate. A history
knows no order book: what closing a lot costs is given, or zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import MICRO, parse_micro
from ciyuan.clearing.credits import Pair, pairs_of
from ciyuan.clearing.margin import margin_lot_micro, rate_bp, stage_of
from ciyuan.clearing.messages import ClearingTerms
from ciyuan.clearing.scenario_margin import MarginModel
from ciyuan.clearing.scenarios import FilterTerms, log_returns, scenario_set, stressed_returns, windows
from ciyuan.services.catalog import grades
from ciyuan.services.catalog_venue import calendar, clearing_terms, contracts
from ciyuan.services.margin_prices import PriceHistory, ticks_of
from ciyuan.venue.terms import house_accounts

Ints = NDArray[np.int64]

DAYS_MIN = 252
"""A year of business days: the shortest history that scenarios are made of (EMIR RTS 153/2013 Art. 25: one year at least)."""
MODEL_TABLE = Path("tables") / "margin_model.parquet"
FILTERED, STRESSED = "filtered", "stressed"
PER_CONTRACT = (
    "tick_value_micro", "lot_cost_micro", "free_lots", "over_cost_micro", "settle_ticks", "margin_lot_micro",
)  # fmt: skip
MODEL_COLUMNS = ("day", "contract", "code", "kind", "scenario", "move_ticks", *PER_CONTRACT)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a contract that the catalogue does not know is like, and what closing costs, in decimal USD of one lot."""

    tick_usd: str = "0.001"
    lot: int = 1_000
    lot_cost_usd: str = "0"
    free_lots: int = 0
    over_cost_usd: str = "0"

    @property
    def tick_micro(self) -> int:
        """Micro-dollars of a tick. Raises Malformed for what is not above zero."""
        micro = parse_micro(self.tick_usd)
        if micro < 1 or self.lot < 1:
            raise Malformed("tick and lot", found=(self.tick_usd, self.lot), expected="an amount of USD, and a count, above zero",
                            remedy="Give them like --tick 0.001 --lot 1000.")  # fmt: skip
        return micro


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Scenarios, and what a lot is by the ladder, of contracts by `codes`; `labels` names scenarios by (kind, number)."""

    source: str
    day: str
    codes: tuple[str, ...]
    model: MarginModel
    settle_micro: Ints
    margin_lot_micro: Ints
    floor_bp: int
    pairs: tuple[Pair, ...]
    labels: Mapping[tuple[str, int], str]

    def label(self, kind: str, number: int) -> str:
        """What is known of a scenario beside its number."""
        return self.labels.get((kind, number), "")


def basis_of_prices(history: PriceHistory, listing: Listing, terms: FilterTerms) -> Basis:
    """The model of a history's last day. Raises Malformed for fewer than `DAYS_MIN` days, and as `scenario_set`."""
    history.expect_days(DAYS_MIN)
    ticks, lots = zip(*(tick_and_lot(code, listing) for code in history.codes), strict=True)
    tick_micro, lot = np.array(ticks, dtype=np.int64), np.array(lots, dtype=np.int64)
    present = np.column_stack(
        [ticks_of(history.usd[-1:, place], tick / MICRO) for place, tick in enumerate(ticks)]
    )[0]
    moves = scenario_set(history.usd, present, terms)
    scenario = _clearing().scenario
    each = np.ones_like(present)
    model = MarginModel(
        moves.filtered,
        moves.stressed,
        tick_micro * lot,
        each * parse_micro(listing.lot_cost_usd),
        each * listing.free_lots,
        each * parse_micro(listing.over_cost_usd),
        scenario.stress_weight_bp,
    )
    on = history.dates[-1]
    ladder = [
        margin_lot_micro(ladder_bp(code, on), settled, value)
        for code, settled, value in zip(
            history.codes, present.tolist(), model.tick_value_micro.tolist(), strict=True
        )
    ]
    source = f"{len(history.dates)} days of {history.source}, {history.dates[0]} to {on}"
    labels = _labels(history, terms)
    settle = present * tick_micro
    return Basis(
        source,
        on,
        history.codes,
        model,
        settle,
        np.array(ladder, dtype=np.int64),
        scenario.floor_bp,
        credit_pairs(history.codes, on),
        labels,
    )


def basis_of_run(folder: Path) -> Basis:
    """The model that a run's margin stood on last. Raises Malformed if the folder has none that can be read."""
    path = folder / MODEL_TABLE
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _no_model(folder, str(error).splitlines()[0]) from None
    missing = [name for name in MODEL_COLUMNS if name not in table.column_names]
    if missing:
        raise _no_model(folder, f"no column {missing[0]}")
    if not table.num_rows:
        raise _no_model(folder, "a run without a model")
    column = {name: table.column(name).to_numpy(zero_copy_only=False) for name in MODEL_COLUMNS}
    numbers, first = np.unique(column["contract"], return_index=True)
    each = {name: column[name][first].astype(np.int64) for name in PER_CONTRACT}
    filtered, stressed = (
        np.column_stack([_of(column, number, kind) for number in numbers]) for kind in (FILTERED, STRESSED)
    )
    scenario = _clearing().scenario
    model = MarginModel(
        filtered,
        stressed,
        each["tick_value_micro"],
        each["lot_cost_micro"],
        each["free_lots"],
        each["over_cost_micro"],
        scenario.stress_weight_bp,
    )
    codes = tuple(str(code) for code in column["code"][first])
    day = str(column["day"][0].astype("datetime64[D]"))
    ticks = {contract.code: contract.tick_micro for contract in contracts()}
    settle = each["settle_ticks"] * np.array([ticks.get(code, 1_000) for code in codes], dtype=np.int64)
    return Basis(
        f"the run {folder.name}",
        day,
        codes,
        model,
        settle,
        each["margin_lot_micro"],
        scenario.floor_bp,
        credit_pairs(codes, day),
        {},
    )


def tick_and_lot(code: str, listing: Listing) -> tuple[int, int]:
    """Micro-dollars of a tick and units in a lot of a contract: the catalogue's, or those that are given."""
    for contract in contracts():
        if contract.code == code:
            return contract.tick_micro, contract.lot_mtok
    return listing.tick_micro, listing.lot


def ladder_bp(code: str, on: str) -> int:
    """The ladder's rate of a contract on a date (§6.1): of its stage, or the listing rate of no known future."""
    ladder = _clearing().ladder
    for contract in contracts():
        if contract.code == code and contract.month:
            return rate_bp(stage_of(contract, day_from_iso(on), ladder, calendar()), ladder)
    return ladder.listing_bp


def credit_pairs(codes: Sequence[str], on: str) -> tuple[Pair, ...]:
    """The ladder's credits (§6.3) between contracts of the catalogue, by their places in `codes`; others have none."""
    listed = {contract.code: contract for contract in contracts() if contract.month}
    places = [place for place, code in enumerate(codes) if code in listed]
    found = pairs_of([listed[codes[place]] for place in places], _clearing().credits, day_from_iso(on))
    return tuple((places[one], places[other], rate_bp) for one, other, rate_bp in found)


def _clearing() -> ClearingTerms:
    """The catalogue's terms of clearing; whose accounts they name is no matter here."""
    return clearing_terms(house_accounts(tuple(facts.grade for facts in grades().values())))


def _of(column: Mapping[str, NDArray[np.generic]], number: np.generic, kind: str) -> Ints:
    """A contract's moves of one kind, in the order of their numbers."""
    rows = (column["contract"] == number) & (column["kind"] == kind)
    moves: Ints = column["move_ticks"][rows][np.argsort(column["scenario"][rows])].astype(np.int64)
    return moves


def _no_model(folder: Path, found: str) -> Malformed:
    return Malformed(f"run folder {folder}", found=found, expected=f"a readable {MODEL_TABLE}",
                     remedy="Play a run with `ciyuan run`, or give --prices.")  # fmt: skip


def _labels(history: PriceHistory, terms: FilterTerms) -> dict[tuple[str, int], str]:
    """The dates between which each scenario's prices moved. A stressed one that is no window of the past is a launch."""
    returns, days = log_returns(history.usd), terms.horizon_days
    past = windows(returns, days)
    spans = [f"{history.dates[row]} to {history.dates[row + days]}" for row in range(len(past))]
    labels = {(FILTERED, number): span for number, span in enumerate(spans[-terms.filtered :])}
    for number, moved in enumerate(stressed_returns(returns, terms)):
        same = np.flatnonzero((past == moved).all(axis=1))
        labels[STRESSED, number] = spans[int(same[0])] if len(same) else "a launch"
    return labels
