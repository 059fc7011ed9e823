"""`ciyuan clearing statement`: what a member of a run is told of its money, margin and positions, per day and for the month.

| line of the money | is |
|---|---|
| opening | cash at the statement before |
| deposits less withdrawals | what came in and went out, prepaid and earned money among it |
| variation | of its positions, daily and final (§7.2, §7.4) |
| fees | of its fills (§7.3), counted off |
| receipts bought, sold | paid for and got for receipts (§2.1) |
| default fund | paid in less given back, and assessments (§10.4, §10.3), counted off |
| penalties | of delivery, paid less got (§9.3), counted off |
| lent | by the house less repaid (§10.1) |
| closing | all of these together |

Everything is read from the run's tables. `clearing_ledger` holds it against the ledger.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.contract import Contract
from ciyuan.services.clearing_positions import Entries, Fill, PositionLine, Settled
from ciyuan.services.manifest import TABLES, read_manifest
from ciyuan.services.world import venue_terms
from ciyuan.simulation.scenario import scenario_from

SUMMED = (
    "transferred_micro", "variation_micro", "fees_micro", "bought_micro", "sold_micro", "receipts_bought",
    "receipts_sold", "fund_micro", "penalties_micro", "lent_micro",
)  # fmt: skip
"""What the month has of its days, added up."""
AT_THE_END = ("closing_micro", "ladder_micro", "scenario_micro", "requirement_micro", "excess_micro")


@dataclass(frozen=True, slots=True)
class StatementLines:
    """One statement's money and margin in micro-dollars, receipts counted, and its positions.

    `last_day` is the last of the days that it is of; `part` counts the statements of one day, from 1: a final settlement closes a
    second one. `excess_micro` below zero is the amount called.
    """

    first_day: str
    last_day: str
    part: int
    opening_micro: int
    transferred_micro: int
    variation_micro: int
    fees_micro: int
    bought_micro: int
    sold_micro: int
    receipts_bought: int
    receipts_sold: int
    fund_micro: int
    penalties_micro: int
    lent_micro: int
    closing_micro: int
    ladder_micro: int
    scenario_micro: int
    requirement_micro: int
    excess_micro: int
    positions: tuple[PositionLine, ...]

    @property
    def explained_micro(self) -> int:
        """The closing balance that the lines add up to."""
        moved = self.transferred_micro + self.variation_micro - self.fees_micro + self.lent_micro
        return (
            self.opening_micro
            + moved
            + self.sold_micro
            - self.bought_micro
            - self.fund_micro
            - self.penalties_micro
        )


@dataclass(frozen=True, slots=True)
class MemberStatement:
    """A member's statements of a run: each day's, and the month's."""

    run: str
    participant: str
    number: int
    days: tuple[StatementLines, ...]
    month: StatementLines


def member_statement(folder: Path, participant: str) -> MemberStatement:
    """All statements of a member, by its name or number. Malformed for a folder that is no run's, and for who is no member."""
    contracts = {contract.code: contract for contract in _contracts(folder)}
    number, name = _who(folder, participant)
    days = _days(folder, name, contracts)
    if not days:
        raise Malformed(f"participant {name}", found="no statement", expected="a member of the clearing house",
                        remedy="Statements are told at each settlement; finish the run first.")  # fmt: skip
    return MemberStatement(folder.name, name, number, days, month_of_days(days))


def names_of(folder: Path) -> dict[int, str]:
    """The participants' names by number."""
    return {int(row["participant"]): str(row["name"]) for row in _table(folder, "participants")}


def month_of_days(days: Sequence[StatementLines]) -> StatementLines:
    """One statement of all days: the first opening, sums, what stands at the last closing, and each contract's last line."""
    sums = {name: sum(getattr(day, name) for day in days) for name in SUMMED}
    ends = {name: getattr(days[-1], name) for name in AT_THE_END}
    found = {
        "first_day": days[0].first_day,
        "last_day": days[-1].last_day,
        "part": 1,
        "opening_micro": days[0].opening_micro,
        "positions": _month_positions(days),
    }
    return StatementLines(**(sums | ends | found))


def statements_of_day(statement: MemberStatement, day: str) -> tuple[StatementLines, ...]:
    """The statements of one day, ISO text. Raises Malformed for a day that has none."""
    found = tuple(lines for lines in statement.days if lines.last_day == day)
    if not found:
        raise Malformed(f"day {day}", found="no statement", expected="a business day of the run",
                        remedy=f"Give one from {statement.month.first_day} to {statement.month.last_day}.")  # fmt: skip
    return found


def _month_positions(days: Sequence[StatementLines]) -> tuple[PositionLine, ...]:
    """Each contract's last line, with the month's sums of what was paid and won."""
    lines: dict[str, list[PositionLine]] = defaultdict(list)
    for day in days:
        for line in day.positions:
            lines[line.contract].append(line)
    months = []
    for _, of in sorted(lines.items()):
        last, realised = of[-1], [line.realised_micro for line in of]
        known = None if None in realised else sum(won for won in realised if won is not None)
        kept = {field.name: getattr(last, field.name) for field in fields(PositionLine)}
        paid = sum(line.variation_micro for line in of)
        months.append(PositionLine(**(kept | {"variation_micro": paid, "realised_micro": known})))
    return tuple(months)


def _contracts(folder: Path) -> tuple[Contract, ...]:
    return venue_terms(scenario_from(read_manifest(folder).settings)).contracts


def _who(folder: Path, participant: str) -> tuple[int, str]:
    rows = _table(folder, "participants")
    for row in rows:
        if participant in (row["name"], str(row["participant"])):
            return int(row["participant"]), str(row["name"])
    names = ", ".join(str(row["name"]) for row in rows if row["trades"])
    raise Malformed(f"participant {participant}", found="nobody of that name or number", expected=f"one of {names}",
                    remedy="Quote a name that has a blank in it.")  # fmt: skip


def _table(folder: Path, name: str, participant: str | None = None) -> list[dict[str, Any]]:
    """A table's rows in order, of one participant if one is named; `time` in nanoseconds."""
    path = folder / TABLES / f"{name}.parquet"
    chosen = [("participant", "==", participant)] if participant is not None else None
    try:
        table = pq.read_table(path, filters=chosen)
    except (pa.ArrowException, OSError) as error:
        raise Malformed(f"table {path}", found=str(error).splitlines()[0], expected="a table of a run",
                        remedy="Play the run again with this version.") from None  # fmt: skip
    if "time" in table.column_names:
        place = table.column_names.index("time")
        table = table.set_column(place, "time", table.column("time").cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _days(folder: Path, name: str, contracts: dict[str, Contract]) -> tuple[StatementLines, ...]:
    entries = Entries(contracts)
    fills = iter(_fills(folder, name, contracts))
    settled, prices = _settled(folder, name), _prices(folder, contracts)
    days: list[StatementLines] = []
    waiting = next(fills, None)
    for row in _table(folder, "statements", name):
        day: date = row["day"]
        at: int = row["time"]
        while waiting is not None and waiting.time_ns <= at:
            entries.trade(waiting)
            waiting = next(fills, None)
        part = sum(lines.last_day == day.isoformat() for lines in days) + 1
        lines = entries.settle(settled.get((day, part), ()), prices.get(day, {}))
        days.append(_lines(row, day.isoformat(), part, lines))
    return tuple(days)


def _lines(row: dict[str, Any], day: str, part: int, positions: tuple[PositionLine, ...]) -> StatementLines:
    names = {field.name for field in fields(StatementLines)} & set(row)
    return StatementLines(
        **{name: row[name] for name in names}, first_day=day, last_day=day, part=part, positions=positions
    )


def _fills(folder: Path, name: str, contracts: dict[str, Contract]) -> list[Fill]:
    rows = _table(folder, "fills", name)
    return [
        Fill(
            row["time"],
            row["contract"],
            -row["lots"] if row["sell"] else row["lots"],
            row["price_micro"] // contracts[row["contract"]].tick_micro,
        )
        for row in rows
    ]


def _settled(folder: Path, name: str) -> dict[tuple[date, int], list[Settled]]:
    """The settlements of a member's positions by day and part: a contract's second one of a day is its last."""
    found: dict[tuple[date, int], list[Settled]] = defaultdict(list)
    seen: set[tuple[date, str]] = set()
    for row in _table(folder, "positions", name):
        place = (row["day"], row["contract"])
        again = place in seen
        seen.add(place)
        line = Settled(row["contract"], row["lots"], row["variation_micro"], again)
        found[row["day"], 1 + again].append(line)
    return found


def _prices(folder: Path, contracts: dict[str, Contract]) -> dict[date, dict[str, int]]:
    """Settlement prices in ticks, by day and contract code."""
    prices: dict[date, dict[str, int]] = defaultdict(dict)
    for row in _table(folder, "settlements"):
        code = row["contract"]
        prices[row["day"]][code] = row["settlement_micro"] // contracts[code].tick_micro
    return prices
