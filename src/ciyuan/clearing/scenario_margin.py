"""Scenario margin (§6.2): what a whole portfolio may lose over the horizon, in exact integers and the same on every
machine.

| quantity | is, in integers |
|---|---|
| loss of a portfolio in a scenario | - sum over contracts of lots x move in ticks x tick value |
| expected shortfall of n losses | (100 x the m worst + (n - 100 m) x the next) / n, rounded up; m = floor(n / 100) |
| scenario part | ((10,000 - w) x that of the filtered + w x that of the stressed) / 10,000, rounded up; w >= 2,500 |
| liquidity of a contract | cost of a lot x \\|lots\\| |
| concentration of a contract | cost of a lot over x max(0, \\|lots\\| - free lots) |
| scenario margin | scenario part + liquidity + concentration of all contracts |
| requirement | max(scenario margin, floor share of the ladder's margin §6.1, rounded up) |

Expected shortfall (99%) is that of Acerbi & Tasche, "On the coherence of expected shortfall" (Journal of Banking & Finance 26,
2002): where 1% of n is no whole number, the scenario on the edge counts for its part, which keeps the measure subadditive: but
for rounding, the scenario part of a merged portfolio is never more than that of its parts. A shortfall below zero is a gain and
counts as zero, in each of the two sets by itself: what a portfolio would gain under stress does not pay for what it may lose in
ordinary days.

Exactness. Losses are counted in the greatest common divisor of the tick values ("units"). For each contract let the
peak be its largest |move| x tick value in units, and B = lots_max x the sum of the peaks: no partial sum of any
account's losses is larger.

| bound, checked once when the model is made | because |
|---|---|
| B < 2^53 | float64 products and sums of integers are then exact in any order (`scenario_kernels`) |
| B x scenarios < 2^62 | the numerator of the shortfall fits in 64 bits |
| B x unit + lots_max x all costs of a lot < 2^62 | so do micro-dollars |
"""

from dataclasses import dataclass, fields
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.basics.money import div_ceil
from ciyuan.clearing.margin import BP
from ciyuan.clearing.scenario_kernels import EXACT, keep_two, loss_blocks, worst

Ints = NDArray[np.int64]

TAIL = 100
"""One scenario in so many is in the tail: 99%."""
LOTS_MAX = 2**26
"""The largest net position, in lots, that a model may be asked about: a gross member's speculative and hedging one together."""
MOVE_MAX = 2**31 - 1
"""The largest move of a scenario, in ticks; also the largest tick value, in micro-dollars."""
COST_MAX = 2**40
STRESS_WEIGHT_MIN_BP = 2_500
FITS = 2**62


def _is(condition: bool, thing: str, found: object, expected: str, remedy: str) -> None:
    if not condition:
        raise Malformed(f"margin model: {thing}", found=found, expected=expected, remedy=remedy)


def _between(thing: str, values: Ints, low: int, high: int) -> None:
    found = (int(values.min()), int(values.max())) if values.size else (low, high)
    _is(low <= found[0] and found[1] <= high, thing, found, f"{low:,} to {high:,}", "Check its unit.")


@dataclass(frozen=True, slots=True, eq=False)
class MarginModel:
    """The scenarios of a day and what positions cost to close. All arrays int64, k contracts.

    `filtered_ticks` (n, k), `stressed_ticks` (s, k): moves from the present prices, within +-`MOVE_MAX`; n and s at least 1.
    `tick_value_micro` (k,): what a tick is worth on a lot. `lot_cost_micro` (k,): liquidity, of a lot. `free_lots` and
    `over_cost_micro` (k,): concentration, of a lot over so many. `stress_weight_bp`: 2,500 to 10,000 (§6.2). `lots_max`: the
    largest position that will be asked about, at most `LOTS_MAX`; a model that is made margins every portfolio within it.

    Raises Malformed for shapes that do not fit, numbers outside their ranges, and scenarios so far that exactness would be lost.
    """

    filtered_ticks: Ints
    stressed_ticks: Ints
    tick_value_micro: Ints
    lot_cost_micro: Ints
    free_lots: Ints
    over_cost_micro: Ints
    stress_weight_bp: int = STRESS_WEIGHT_MIN_BP
    lots_max: int = LOTS_MAX

    def __post_init__(self) -> None:
        self._check_shapes()
        for moves in (self.filtered_ticks, self.stressed_ticks):
            _between("moves, ticks", moves, -MOVE_MAX, MOVE_MAX)
        _between("tick values, micro-dollars", self.tick_value_micro, 1, MOVE_MAX)
        _between("costs of a lot, micro-dollars", self.lot_cost_micro, 0, COST_MAX)
        _between("costs of a lot over, micro-dollars", self.over_cost_micro, 0, COST_MAX)
        _between("free lots", self.free_lots, 0, FITS)
        weight, most = self.stress_weight_bp, self.lots_max
        _is(
            STRESS_WEIGHT_MIN_BP <= weight <= BP,
            "weight of stress, bp",
            weight,
            "2,500 to 10,000",
            "See §6.2.",
        )
        _is(1 <= most <= LOTS_MAX, "lots_max", most, f"1 to {LOTS_MAX:,}", "Give the widest position limit.")
        self._check_exact()

    def _check_shapes(self) -> None:
        arrays = [getattr(self, field.name) for field in fields(self)[:6]]
        contracts = arrays[2].shape[-1] if arrays[2].ndim == 1 else 0
        _is(
            contracts > 0,
            "tick values",
            arrays[2].shape,
            "(contracts,)",
            "One for each contract, one at least.",
        )
        for field, array in zip(fields(self), arrays, strict=False):
            rows = array.shape[:-1] if array.ndim else ()
            fits = array.dtype == np.int64 and array.shape == (*rows, contracts) and 0 not in rows
            fits = fits and len(rows) == (1 if field.name.endswith("ed_ticks") else 0)
            _is(fits, field.name, (str(array.dtype), array.shape), f"int64, {contracts} contracts in the last axis",
                "Give one column for each contract, and at least one scenario of each kind.")  # fmt: skip

    def _check_exact(self) -> None:
        reach = self.lots_max * sum(map(int, np.abs(self._units(all_of(self))).max(axis=0)))
        costs = self.lots_max * int((self.lot_cost_micro + self.over_cost_micro).sum())
        scenarios = max(len(self.filtered_ticks), len(self.stressed_ticks))
        fits = reach < EXACT and reach * scenarios < FITS and reach * self.unit_micro + costs < FITS
        _is(fits, "largest loss", f"{reach:,} units of {self.unit_micro:,} micro-dollars, {scenarios:,} scenarios",
            "less than 2^53 units; times scenarios, and in micro-dollars, less than 2^62",
            "Lower lots_max to the widest position limit, or margin fewer contracts together.")  # fmt: skip

    def _units(self, moves: Ints) -> Ints:
        """What one lot loses at these moves, in units, (rows, k)."""
        units: Ints = -moves * (self.tick_value_micro // self.unit_micro)
        return units

    @property
    def unit_micro(self) -> int:
        """The greatest common divisor of the tick values, in micro-dollars: what losses are counted in."""
        return gcd(*self.tick_value_micro.tolist())

    @property
    def filtered_units(self) -> Ints:
        """What one lot loses in each filtered scenario, in units, (n, k)."""
        return self._units(self.filtered_ticks)

    @property
    def stressed_units(self) -> Ints:
        """What one lot loses in each stressed scenario, in units, (s, k)."""
        return self._units(self.stressed_ticks)


def all_of(model: MarginModel) -> Ints:
    """The moves of all scenarios, filtered ones first, (n + s, k)."""
    return np.concatenate([model.filtered_ticks, model.stressed_ticks])


def scenario_margin_micro(lots: Ints, model: MarginModel) -> Ints:
    """The scenario margin of each account, micro-dollars, (accounts,) int64. `lots` (accounts, k) int64, sold negative.

    Raises Malformed for lots of another shape or over `model.lots_max`. Uses a few megabytes beside its input, whatever the
    number of accounts.
    """
    _check_lots(lots, model)
    filtered, stressed = _far_first(model.filtered_units), _far_first(model.stressed_units)
    n, s = len(filtered), len(stressed)
    tails = np.empty((4, len(lots)), dtype=np.int64)
    for first, losses in loss_blocks(lots, np.concatenate([filtered, stressed])):
        here = tails[:, first : first + len(losses)]
        worst(losses, 0, n, n // TAIL, here[0], here[1])
        worst(losses, n, n + s, s // TAIL, here[2], here[3])
    ordinary = _shortfall_micro(tails[0], tails[1], n, model.unit_micro)
    stress = _shortfall_micro(tails[2], tails[3], s, model.unit_micro)
    margin: Ints = _mixed_micro(ordinary, stress, model.stress_weight_bp) + add_on_micro(lots, model).sum(
        axis=1
    )
    return margin


def add_on_micro(lots: Ints, model: MarginModel) -> Ints:
    """Liquidity and concentration by contract, micro-dollars, in the shape of `lots`."""
    size: Ints = np.abs(lots)
    over: Ints = np.maximum(size - model.free_lots, 0)
    return size * model.lot_cost_micro + over * model.over_cost_micro


def requirement_micro(scenario_micro: Ints, ladder_micro: Ints, floor_share_bp: int) -> Ints:
    """The larger of scenario margin and `floor_share_bp` (0 to 10,000) of the ladder's, rounded up (§6.2). Arrays (accounts,)."""
    _is(0 <= floor_share_bp <= BP, "floor share, bp", floor_share_bp, "0 to 10,000", "See §6.2.")
    share: Ints = ladder_micro // BP * floor_share_bp - (-(ladder_micro % BP * floor_share_bp) // BP)
    return np.maximum(scenario_micro, share)


def _check_lots(lots: Ints, model: MarginModel) -> None:
    contracts, most = len(model.tick_value_micro), model.lots_max
    fits = lots.ndim == 2 and lots.shape[1] == contracts and lots.dtype == np.int64
    _is(
        fits,
        "lots",
        (str(lots.dtype), lots.shape),
        f"int64, (accounts, {contracts})",
        "One column a contract.",
    )
    _between("lots", lots, -most, most)


def _far_first(units: Ints) -> Ints:
    """Scenarios in the order of how far they go, so that the tail is met early; margin does not depend on their order."""
    return units[np.argsort(-np.abs(units).sum(axis=1), kind="stable")]


def _shortfall_micro(tail: Ints, following: Ints, scenarios: int, unit_micro: int) -> Ints:
    """Expected shortfall from the sum of the m worst losses and the next one, in units; rounded up, not below zero."""
    numerator = TAIL * tail + scenarios % TAIL * following
    whole, rest = numerator // scenarios, numerator % scenarios
    return np.maximum(whole * unit_micro - (-rest * unit_micro // scenarios), 0)


def _mixed_micro(ordinary: Ints, stress: Ints, weight_bp: int) -> Ints:
    """((10,000 - w) x ordinary + w x stress) / 10,000, rounded up, without leaving 64 bits."""
    whole = ordinary // BP * (BP - weight_bp) + stress // BP * weight_bp
    rest = ordinary % BP * (BP - weight_bp) + stress % BP * weight_bp
    mixed: Ints = whole - (-rest // BP)
    return mixed


# --- stress over all accounts (§10.4) ---


@dataclass(frozen=True, slots=True)
class TwoLargest:
    """The stressed scenario in which the two largest losses beyond what is covered are largest together.

    `first` and `second` are rows of the lots, -1 where nobody loses more than is covered (then also `total_micro` is less or 0).
    """

    total_micro: int
    scenario: int
    first: int
    second: int


def two_largest(lots: Ints, model: MarginModel, covered_micro: Ints) -> TwoLargest:
    """Cover 2 (§10.4): of all stressed scenarios the worst sum of the two largest losses beyond `covered_micro` (accounts,).

    Ties go to the lowest scenario and the lowest account. Raises Malformed as `scenario_margin_micro`, and for covers of another
    shape, below zero or of 2^62 or more.
    """
    _check_lots(lots, model)
    shape = covered_micro.shape
    _is(shape == lots.shape[:1], "what is covered", shape, f"({len(lots)},)", "One for each account.")
    _between("what is covered, micro-dollars", covered_micro, 0, FITS - 1)
    kept = np.zeros((len(model.stressed_ticks), 4), dtype=np.int64)
    kept[:, 1::2] = -1
    for first, losses in loss_blocks(lots, model.stressed_units):
        keep_two(losses, model.unit_micro, covered_micro, first, kept)
    scenario = int(np.argmax(kept[:, 0] + kept[:, 2]))
    largest, one, second, other = kept[scenario].tolist()
    return TwoLargest(largest + second, scenario, one, other)


# --- one portfolio, taken apart ---


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The scenarios that make a portfolio's expected shortfall, worst first, ties to the lowest number.

    `scenarios` (m or m + 1,): rows of the set; `weights`: of each, in parts of `TAIL` (the last may count for less than the
    others); `losses_micro`: the portfolio's loss in each; `shortfall_micro`: their weighted mean, rounded up, not below zero.
    """

    scenarios: Ints
    weights: Ints
    losses_micro: Ints
    shortfall_micro: int


@dataclass(frozen=True, slots=True, eq=False)
class Breakdown:
    """A portfolio's scenario margin by scenario and by contract; for what-if.

    `contribution_micro` (k,) says how much of the scenario part is each contract's: its own weighted loss in the tail (Euler
    allocation), less than zero for a hedge; rounded so that the sum is the scenario part. With `add_on_micro` (k,) it sums to
    `margin_micro`.
    """

    margin_micro: int
    filtered: Tail
    stressed: Tail
    contribution_micro: Ints
    add_on_micro: Ints


def by_scenario(lots: Ints, model: MarginModel) -> Breakdown:
    """Take one portfolio's margin apart. `lots` (k,) int64. Raises Malformed as `scenario_margin_micro`."""
    margin = int(scenario_margin_micro(lots[None], model)[0])
    add_on = add_on_micro(lots, model)
    filtered, ordinary = _tail(lots * model.filtered_units, model.unit_micro)
    stressed, stress = _tail(lots * model.stressed_units, model.unit_micro)
    weight = model.stress_weight_bp
    shares = [
        (Fraction((BP - weight) * one, len(model.filtered_ticks)) + Fraction(weight * two, len(model.stressed_ticks)))
        * Fraction(model.unit_micro, BP)
        for one, two in zip(ordinary, stress, strict=True)
    ]  # fmt: skip
    return Breakdown(margin, filtered, stressed, _whole(shares, margin - int(add_on.sum())), add_on)


def _tail(units: Ints, unit_micro: int) -> tuple[Tail, list[int]]:
    """The tail of one set, and each contract's part of the shortfall's numerator. `units` (scenarios, k): losses by contract."""
    scenarios, losses = len(units), units.sum(axis=1)
    counted = div_ceil(scenarios, TAIL)
    order = np.argsort(-losses, kind="stable")[:counted]
    weights = np.full(counted, TAIL, dtype=np.int64)
    weights[-1] = scenarios - TAIL * (counted - 1)
    numerators = [int(part) for part in weights @ units[order]]
    shortfall = max(0, div_ceil(sum(numerators) * unit_micro, scenarios))
    parts = numerators if sum(numerators) > 0 else [0] * len(numerators)
    return Tail(order, weights, losses[order] * unit_micro, shortfall), parts


def _whole(shares: list[Fraction], total: int) -> Ints:
    """Whole numbers that add up to `total`: each share rounded down, what is left by ones to the largest remainders in turn."""
    floors = [share.numerator // share.denominator for share in shares]
    order = sorted(range(len(shares)), key=lambda i: (floors[i] - shares[i], i))
    for turn in range(total - sum(floors)):
        floors[order[turn % len(order)]] += 1
    return np.array(floors, dtype=np.int64)


# --- the plain twin ---


def plain_scenario_margin_micro(lots: list[int], model: MarginModel) -> int:
    """The scenario margin of one account, as the table above says it and nothing else. For comparison."""
    values = model.tick_value_micro.tolist()
    shortfalls = []
    for moves in (model.filtered_ticks.tolist(), model.stressed_ticks.tolist()):
        losses = [
            -sum(x * move * value for x, move, value in zip(lots, row, values, strict=True)) for row in moves
        ]
        losses.sort(reverse=True)
        n, m = len(losses), len(losses) // 100
        shortfalls.append(max(0, div_ceil(100 * sum(losses[:m]) + (n - 100 * m) * losses[m], n)))
    weight = model.stress_weight_bp
    margin = div_ceil((10_000 - weight) * shortfalls[0] + weight * shortfalls[1], 10_000)
    costs = zip(
        lots,
        model.lot_cost_micro.tolist(),
        model.free_lots.tolist(),
        model.over_cost_micro.tolist(),
        strict=True,
    )
    for x, cost, free, over in costs:
        margin += cost * abs(x) + over * max(0, abs(x) - free)
    return margin
