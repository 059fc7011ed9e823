"""`ciyuan margin what-if`: what a portfolio that is not yet traded would have to have as margin, and why.

| figure | is |
|---|---|
| filtered, stressed | the expected shortfall of each set of scenarios; both, weighed, are the scenario part (§6.2) |
| scenario margin | scenario part + liquidity + concentration |
| ladder | the ladder's margin of the lots (§6.1), without offsets |
| credits | what its table gives back for opposite months (§6.3); the floor is a share of the rest, by the terms |
| requirement | the larger of scenario margin and floor |
| saved by offsets | the sum of the requirements of each contract alone, less that of all together |
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_ceil, format_micro
from ciyuan.clearing.credits import credits_micro
from ciyuan.clearing.margin import BP
from ciyuan.clearing.scenario_margin import LOTS_MAX, TAIL, Breakdown, Ints, add_on_micro, by_scenario
from ciyuan.clearing.scenarios import Reals
from ciyuan.services.margin_basis import FILTERED, STRESSED, Basis
from ciyuan.services.summary_print import usd

WIDTH = 110
SHOWN = 5
"""Tail scenarios of each set that are printed; JSON has all."""
POSITION = re.compile(r"(.+):([+-]?\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Leg:
    """One contract of the portfolio: what it asks alone, and its part of the whole (`share_micro`, below zero for a hedge)."""

    code: str
    lots: int
    settle_micro: int
    alone_micro: int
    share_micro: int
    liquidity_micro: int
    concentration_micro: int
    ladder_micro: int


@dataclass(frozen=True, slots=True)
class TailScenario:
    """A scenario of the tail: how much of it counts (in hundredths), the portfolio's loss, and each leg's, in their order."""

    kind: str
    number: int
    label: str
    weight: int
    loss_micro: int
    loss_by_leg_micro: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer, micro-dollars. `binding` says whether the requirement is the scenarios' or the floor's."""

    source: str
    day: str
    requirement_micro: int
    binding: str
    scenario_margin_micro: int
    scenario_part_micro: int
    filtered_micro: int
    filtered_scenarios: int
    stressed_micro: int
    stressed_scenarios: int
    stress_weight_bp: int
    liquidity_micro: int
    concentration_micro: int
    ladder_micro: int
    credit_micro: int
    floor_micro: int
    floor_bp: int
    alone_micro: int
    saved_micro: int
    legs: tuple[Leg, ...]
    tail: tuple[TailScenario, ...]


def positions_of(words: Iterable[str], file: Path | None) -> dict[str, int]:
    """Lots by contract code, of `CODE:LOTS` words and a CSV file of code,lots; what is given twice adds up.

    Raises Malformed for a word that is none, a file that cannot be read as such, and a portfolio of nothing.
    """
    held: dict[str, int] = {}
    for where, text in [*((f"position {word}", word) for word in words), *_lines(file)]:
        found = POSITION.fullmatch(text.strip())
        if found is None or abs(int(found[2])) > LOTS_MAX:
            raise Malformed(where, found=text, expected=f"CODE:LOTS, lots a whole number within {LOTS_MAX:,}, sold ones negative",
                            remedy="Write it like KIMI26.2611:-20.")  # fmt: skip
        held[found[1]] = held.get(found[1], 0) + int(found[2])
    held = {code: lots for code, lots in held.items() if lots}
    if not held:
        raise Malformed(
            "portfolio",
            found="no position",
            expected="one at least",
            remedy="Give --position CODE:LOTS, or --portfolio FILE.",
        )
    return held


def _lines(file: Path | None) -> list[tuple[str, str]]:
    if file is None:
        return []
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.reader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Malformed(f"portfolio {file}", found=str(error), expected="a CSV file of code,lots",
                        remedy="Check the path, and write it as UTF-8.") from None  # fmt: skip
    first = 1 if rows and rows[0][:1] == ["code"] else 0
    return [
        (f"portfolio {file.name}, line {number}", ":".join(row))
        for number, row in enumerate(rows, 1)
        if number > first and row
    ]


def what_if(basis: Basis, held: dict[str, int]) -> WhatIf:
    """Margin the portfolio. Raises Malformed for a contract that the basis does not have."""
    for code in held:
        if code not in basis.codes:
            raise Malformed(f"contract {code}", found="no scenarios", expected=f"one of {', '.join(basis.codes)}",
                            remedy="Give its prices, or a run in which it is traded.")  # fmt: skip
    lots = np.array([held.get(code, 0) for code in basis.codes], dtype=np.int64)
    whole = by_scenario(lots, basis.model)
    ladder = np.abs(lots) * basis.margin_lot_micro
    credit = int(credits_micro(lots[None, :], basis.margin_lot_micro, basis.pairs)[0])
    floor = _floor(int(ladder.sum()) - credit, basis)
    legs = tuple(_leg(basis, lots, place, whole) for place in np.flatnonzero(lots).tolist())
    requirement = max(whole.margin_micro, floor)
    alone = sum(leg.alone_micro for leg in legs)
    return WhatIf(
        source=basis.source,
        day=basis.day,
        requirement_micro=requirement,
        binding="scenarios" if whole.margin_micro >= floor else "floor",
        scenario_margin_micro=whole.margin_micro,
        scenario_part_micro=int(whole.contribution_micro.sum()),
        filtered_micro=whole.filtered.shortfall_micro,
        filtered_scenarios=len(basis.model.filtered_ticks),
        stressed_micro=whole.stressed.shortfall_micro,
        stressed_scenarios=len(basis.model.stressed_ticks),
        stress_weight_bp=basis.model.stress_weight_bp,
        liquidity_micro=sum(leg.liquidity_micro for leg in legs),
        concentration_micro=sum(leg.concentration_micro for leg in legs),
        ladder_micro=int(ladder.sum()),
        credit_micro=credit,
        floor_micro=floor,
        floor_bp=basis.floor_bp,
        alone_micro=alone,
        saved_micro=alone - requirement,
        legs=legs,
        tail=(*_tail(basis, lots, whole, FILTERED), *_tail(basis, lots, whole, STRESSED)),
    )


def _floor(ladder_micro: int, basis: Basis) -> int:
    return div_ceil(ladder_micro * basis.floor_bp, BP)


def _leg(basis: Basis, lots: Ints, place: int, whole: Breakdown) -> Leg:
    alone = np.zeros_like(lots)
    alone[place] = lots[place]
    ladder = int(np.abs(lots)[place] * basis.margin_lot_micro[place])
    liquidity = int(abs(lots[place]) * basis.model.lot_cost_micro[place])
    return Leg(
        basis.codes[place],
        int(lots[place]),
        int(basis.settle_micro[place]),
        max(by_scenario(alone, basis.model).margin_micro, _floor(ladder, basis)),
        int(whole.contribution_micro[place]),
        liquidity,
        int(add_on_micro(lots, basis.model)[place]) - liquidity,
        ladder,
    )


def _tail(basis: Basis, lots: Ints, whole: Breakdown, kind: str) -> list[TailScenario]:
    """The scenarios of a set's tail, worst first."""
    tail = whole.filtered if kind == FILTERED else whole.stressed
    moves = basis.model.filtered_ticks if kind == FILTERED else basis.model.stressed_ticks
    held = np.flatnonzero(lots)
    return [
        TailScenario(
            kind,
            number,
            basis.label(kind, number),
            weight,
            loss,
            tuple((-(lots * moves[number] * basis.model.tick_value_micro))[held].tolist()),
        )
        for number, weight, loss in zip(
            tail.scenarios.tolist(), tail.weights.tolist(), tail.losses_micro.tolist(), strict=True
        )
    ]


def profits_usd(basis: Basis, held: dict[str, int]) -> tuple[Reals, Reals]:
    """What the portfolio gains in each filtered and each stressed scenario, in USD, to be drawn."""
    lots = np.array([held.get(code, 0) for code in basis.codes], dtype=np.int64)
    worth = lots * basis.model.tick_value_micro
    return basis.model.filtered_ticks @ worth / 1e6, basis.model.stressed_ticks @ worth / 1e6


# --- for people ---


def print_what_if(answer: WhatIf) -> None:
    """Print the margin, what it is made of, each contract's part, and the tail."""
    console = Console(width=WIDTH)
    title = f"Requirement {usd(answer.requirement_micro)} USD"
    table = Table(title=title, box=SIMPLE_HEAD, show_header=False, title_justify="left", title_style="bold")
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, value, note in figures_of(answer):
        table.add_row(name, usd(value), note)
    console.print(table)
    console.print(_legs(answer))
    console.print(_scenarios(answer))
    console.print(f"from {answer.source}", style="dim", markup=False, highlight=False)


def figures_of(answer: WhatIf) -> list[tuple[str, int, str]]:
    """(name, micro-dollars, what it is) of the figures of an answer, as people read them."""
    weight = answer.stress_weight_bp / 100
    return [
        (
            "expected shortfall, filtered",
            answer.filtered_micro,
            f"99%, two days, {answer.filtered_scenarios:,} scenarios, weight {100 - weight:g}%",
        ),
        (
            "expected shortfall, stressed",
            answer.stressed_micro,
            f"99%, two days, {answer.stressed_scenarios:,} scenarios, weight {weight:g}%",
        ),
        ("scenario part", answer.scenario_part_micro, "the two, weighed"),
        ("+ liquidity", answer.liquidity_micro, "what closing costs"),
        ("+ concentration", answer.concentration_micro, "more for lots over the free ones"),
        ("= scenario margin", answer.scenario_margin_micro, _binds(answer, "scenarios")),
        ("ladder", answer.ladder_micro, "no offsets"),
        ("- credits", answer.credit_micro, "the ladder's table, for opposite months"),
        (
            f"floor, {answer.floor_bp / 100:g}% of the rest",
            answer.floor_micro,
            _binds(answer, "floor"),
        ),
        ("each contract alone, together", answer.alone_micro, ""),
        (
            "saved by offsets",
            answer.saved_micro,
            f"{answer.saved_micro / answer.alone_micro:.0%}" if answer.alone_micro else "",
        ),
    ]


def _binds(answer: WhatIf, what: str) -> str:
    return "this is what is asked" if answer.binding == what else ""


def _legs(answer: WhatIf) -> Table:
    table = Table(title="By contract, USD", box=SIMPLE_HEAD, title_justify="left")
    for name in ("contract", "lots", "price", "alone", "part of the whole", "liquidity", "concentration", "ladder"):  # fmt: skip
        table.add_column(name, justify="left" if name == "contract" else "right")
    for leg in answer.legs:
        amounts = (
            leg.alone_micro,
            leg.share_micro,
            leg.liquidity_micro,
            leg.concentration_micro,
            leg.ladder_micro,
        )
        table.add_row(
            leg.code, f"{leg.lots:+,}", format_micro(leg.settle_micro, 3), *(usd(micro) for micro in amounts)
        )
    return table


def _scenarios(answer: WhatIf) -> Table:
    table = Table(
        title="The tail: the worst scenarios, loss in USD (a gain is negative)",
        box=SIMPLE_HEAD,
        title_justify="left",
    )
    for name in ("set", "scenario", "counts", "loss", *(leg.code for leg in answer.legs)):
        table.add_column(name, justify="left" if name in ("set", "scenario") else "right")
    for kind in (FILTERED, STRESSED):
        rows = [row for row in answer.tail if row.kind == kind]
        for row in rows[:SHOWN]:
            named = row.label or f"number {row.number}"
            losses = (row.loss_micro, *row.loss_by_leg_micro)
            table.add_row(kind, named, f"{row.weight / TAIL:.2f}", *(usd(loss) for loss in losses))
        if len(rows) > SHOWN:
            table.add_row(kind, f"and {len(rows) - SHOWN} more (--json)", *[""] * (2 + len(answer.legs)))
    return table
