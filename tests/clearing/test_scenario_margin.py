"""Scenario margin is exact: it equals its plain twin on any portfolio, in any order, in any block; and the page's numbers."""

import re
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ciyuan.basics.errors import Malformed
from ciyuan.clearing import scenario_kernels
from ciyuan.clearing.scenario_margin import (
    LOTS_MAX,
    MOVE_MAX,
    Breakdown,
    Ints,
    MarginModel,
    TwoLargest,
    add_on_micro,
    by_scenario,
    plain_scenario_margin_micro,
    requirement_micro,
    scenario_margin_micro,
    two_largest,
)
from tests.sources import ROOT, table

PAGE = (ROOT / "docs" / "spec" / "clearing.md").read_text(encoding="utf-8")


def ints(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int64)


def model_of(parts: Sequence[Ints], stress_weight_bp: int = 2_500, lots_max: int = LOTS_MAX) -> MarginModel:
    """A model of its six arrays in order."""
    return MarginModel(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], stress_weight_bp, lots_max)


def free(contracts: int) -> tuple[Ints, Ints, Ints]:
    """No liquidity and no concentration."""
    return ints(*[0] * contracts), ints(*[0] * contracts), ints(*[0] * contracts)


@st.composite
def models(draw: st.DrawFn) -> MarginModel:
    contracts = draw(st.integers(1, 4))
    moves = st.integers(-5_000, 5_000)
    n, s = draw(st.sampled_from((1, 2, 99, 100, 101, 250))), draw(st.sampled_from((1, 3, 100, 130)))
    values = st.sampled_from((1_000, 1_000_000, 250_000))
    costs = arrays(np.int64, contracts, elements=st.integers(0, 10**7))
    return MarginModel(
        draw(arrays(np.int64, (n, contracts), elements=moves)),
        draw(arrays(np.int64, (s, contracts), elements=moves)),
        draw(arrays(np.int64, contracts, elements=values)),
        draw(costs),
        draw(arrays(np.int64, contracts, elements=st.integers(0, 1_000))),
        draw(costs),
        draw(st.sampled_from((2_500, 3_333, 10_000))),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[MarginModel, Ints]:
    model = draw(models())
    size = st.one_of(st.integers(-20, 20), st.sampled_from((-LOTS_MAX, LOTS_MAX)))
    shape = draw(st.integers(1, 6)), len(model.tick_value_micro)
    return model, draw(arrays(np.int64, shape, elements=size))


@given(worlds())
def test_margin_is_that_of_the_plain_twin(world: tuple[MarginModel, Ints]):
    model, lots = world
    due = [plain_scenario_margin_micro(row, model) for row in lots.tolist()]
    assert scenario_margin_micro(lots, model).tolist() == due


@given(worlds(), st.randoms(use_true_random=False))
def test_neither_order_nor_block_matters(world: tuple[MarginModel, Ints], chance):
    model, lots = world
    whole = scenario_margin_micro(lots, model).tolist()
    rows, columns = list(range(len(model.filtered_ticks))), list(range(len(model.tick_value_micro)))
    chance.shuffle(rows)
    chance.shuffle(columns)
    moves = (model.filtered_ticks[rows], model.stressed_ticks[::-1])
    others = (model.tick_value_micro, model.lot_cost_micro, model.free_lots, model.over_cost_micro)
    turned = model_of([array[..., columns] for array in (*moves, *others)], model.stress_weight_bp)
    assert scenario_margin_micro(lots[:, columns], turned).tolist() == whole
    assert [int(scenario_margin_micro(row[None], model)[0]) for row in lots] == whole


def test_more_accounts_than_a_block():
    chance = np.random.default_rng(11)
    model = MarginModel(
        chance.integers(-99, 99, (137, 3)),
        chance.integers(-99, 99, (41, 3)),
        ints(1000, 7000, 3000),
        *free(3),
    )
    lots = chance.integers(-50, 50, (2 * scenario_kernels.BLOCK + 3, 3))
    due = [plain_scenario_margin_micro(row, model) for row in lots.tolist()]
    assert scenario_margin_micro(lots, model).tolist() == due


def test_no_accounts_have_no_margin():
    model = MarginModel(ints(1, 2)[:, None], ints(3)[:, None], ints(1), *free(1))
    assert scenario_margin_micro(np.empty((0, 1), dtype=np.int64), model).tolist() == []


@pytest.mark.parametrize(("lots_max", "value"), [(LOTS_MAX, 2**10 + 1), (1, 2**23 - 1)])
def test_exact_up_to_the_last_unit_and_refused_beyond(lots_max: int, value: int):
    """B = lots_max x the peaks is the last multiple of lots_max below 2^53; one tick more and it is 2^53."""
    far, near = divmod((2**53 - 1) // lots_max, value)
    moves = np.array([[-far, -near], [far, 1 - near]])
    model = MarginModel(moves, moves, ints(value, 1), *free(2), lots_max=lots_max)
    lots = lots_max * np.array([[1, 1], [-1, -1], [1, -1]])
    due = [plain_scenario_margin_micro(row, model) for row in lots.tolist()]
    assert scenario_margin_micro(lots, model).tolist() == due
    assert due[0] == 2**53 - lots_max
    moves[0, 1] -= 1
    with pytest.raises(Malformed, match=r"less than 2\^53 units"):
        MarginModel(moves, moves, ints(value, 1), *free(2), lots_max=lots_max)


def test_a_common_factor_of_tick_values_is_no_size():
    """In micro-dollars this would be over 2^53; in units of a dollar it is not."""
    moves = np.array([[-900] * 24])
    model = MarginModel(moves, moves, ints(*[10**6] * 24), *free(24))
    lots = np.full((1, 24), LOTS_MAX)
    assert int(scenario_margin_micro(lots, model)[0]) == 24 * LOTS_MAX * 900 * 10**6 > 2**53


@given(worlds())
def test_a_merged_portfolio_needs_no_more_than_its_parts(world: tuple[MarginModel, Ints]):
    model, lots = world
    parts = np.sign(lots) * (np.abs(lots) // len(lots))
    arrays = (model.filtered_ticks, model.stressed_ticks, model.tick_value_micro)
    costless = model_of([*arrays, *free(lots.shape[1])], model.stress_weight_bp)
    merged = scenario_margin_micro(parts.sum(axis=0, keepdims=True), costless)
    assert merged[0] <= scenario_margin_micro(parts, costless).sum() + 2 * len(parts)


@given(worlds())
def test_margin_is_never_below_zero_and_nothing_needs_nothing(world: tuple[MarginModel, Ints]):
    model, lots = world
    assert (scenario_margin_micro(lots, model) >= add_on_micro(lots, model).sum(axis=1)).all()
    assert scenario_margin_micro(np.zeros_like(lots), model).tolist() == [0] * len(lots)


def test_a_gain_under_stress_does_not_pay_for_ordinary_losses():
    model = MarginModel(ints(-10, 20)[:, None], ints(-100)[:, None], ints(1), *free(1))
    assert scenario_margin_micro(ints(1, -1)[:, None], model).tolist() == [
        33,
        15,
    ]  # 32.5 up; 0.75 x 20 + 0.25 x 0


def test_the_requirement_is_the_larger():
    scenario, ladder = ints(50, 60, 0, 2**61), ints(100, 101, 2**61, 0)
    assert requirement_micro(scenario, ladder, 6_000).tolist() == [
        60,
        61,
        -(-(2**61) * 6_000 // 10_000),
        2**61,
    ]
    with pytest.raises(Malformed, match="floor share"):
        requirement_micro(scenario, ladder, 10_001)


# --- Cover 2 ---


def plain_two_largest(lots: list[list[int]], model: MarginModel, covered: list[int]) -> TwoLargest:
    """Every pair of accounts in every scenario; -1 stands for nobody, who loses nothing."""
    values = model.tick_value_micro.tolist()
    best = TwoLargest(0, 0, -1, -1)
    for scenario, row in enumerate(model.stressed_ticks.tolist()):
        over = {-1: 0, -2: 0}
        for account, held in enumerate(lots):
            loss = -sum(x * move * value for x, move, value in zip(held, row, values, strict=True))
            over[account] = max(0, loss - covered[account])
        for one, other in permutations(sorted(over, key=lambda a: (-over[a], a < 0, a))[:3], 2):
            if over[one] + over[other] > best.total_micro and over[one] >= over[other]:
                best = TwoLargest(
                    over[one] + over[other],
                    scenario,
                    max(one, -1) if over[one] else -1,
                    other if over[other] else -1,
                )
    return best


@given(worlds(), st.integers(0, 10**9))
def test_the_two_largest_are_those_of_all_pairs(world: tuple[MarginModel, Ints], cover: int):
    model, lots = world
    covered = np.full(len(lots), cover, dtype=np.int64)
    assert two_largest(lots, model, covered) == plain_two_largest(lots.tolist(), model, covered.tolist())


def test_ties_go_to_the_lowest():
    model = MarginModel(ints(0)[:, None], ints(-5, -7, -7)[:, None], ints(10), *free(1))
    lots = ints(1, 3, 3, 2, 3)[:, None]
    assert two_largest(lots, model, ints(0, 0, 0, 0, 0)) == TwoLargest(420, 1, 1, 2)
    assert two_largest(lots, model, ints(0, 200, 0, 0, 10)) == TwoLargest(210 + 200, 1, 2, 4)
    assert two_largest(lots, model, ints(999, 999, 999, 999, 999)) == TwoLargest(0, 0, -1, -1)
    assert two_largest(lots[:1], model, ints(0)) == TwoLargest(70, 1, 0, -1)


def test_the_two_largest_are_found_across_blocks():
    size = 3 * scenario_kernels.BLOCK
    lots = np.ones((size, 1), dtype=np.int64)
    lots[5], lots[size - 1] = 40, 50
    model = MarginModel(ints(0)[:, None], ints(4, -9)[:, None], ints(1), *free(1))
    assert two_largest(lots, model, np.zeros(size, dtype=np.int64)) == TwoLargest(810, 1, size - 1, 5)


# --- one portfolio, taken apart ---


@given(worlds())
def test_the_parts_are_the_whole(world: tuple[MarginModel, Ints]):
    model, lots = world
    found = by_scenario(lots[0], model)
    assert found.margin_micro == scenario_margin_micro(lots[:1], model)[0]
    assert int(found.contribution_micro.sum() + found.add_on_micro.sum()) == found.margin_micro
    check_tail(found, model, lots[0])


def check_tail(found: Breakdown, model: MarginModel, lots: Ints) -> None:
    for tail, moves in ((found.filtered, model.filtered_ticks), (found.stressed, model.stressed_ticks)):
        losses = -(moves * model.tick_value_micro * lots).sum(axis=1)
        order = sorted(range(len(losses)), key=lambda i: (-losses[i], i))[: len(tail.scenarios)]
        assert tail.scenarios.tolist() == order
        assert tail.losses_micro.tolist() == [losses[i] for i in order]
        assert int(tail.weights.sum()) == len(moves)
        exact = sum(int(w) * int(loss) for w, loss in zip(tail.weights, tail.losses_micro, strict=True))
        assert tail.shortfall_micro == max(0, -(-exact // len(moves)))


def test_a_hedge_contributes_less_than_nothing():
    model = MarginModel(np.array([[-10, -9], [8, 7]]), np.array([[-30, -28]]), ints(100, 100), *free(2))
    found = by_scenario(ints(10, -4), model)
    assert found.filtered.scenarios.tolist() == [0]
    # 0.75 x (10,000 - 3,600) + 0.25 x (30,000 - 11,200), contract by contract
    assert found.contribution_micro.tolist() == [15_000, -5_500]
    assert found.margin_micro == 9_500


# --- what is refused ---

GOOD = (ints(1, -2)[:, None], ints(3)[:, None], ints(1000), ints(0), ints(0), ints(0))


@pytest.mark.parametrize(
    ("place", "wrong", "thing"),
    [
        (0, np.empty((0, 1), dtype=np.int64), "filtered_ticks"),
        (0, ints(1), "filtered_ticks"),
        (0, np.array([[1.0]]), "filtered_ticks"),
        (1, np.array([[1, 2]]), "stressed_ticks"),
        (1, ints(MOVE_MAX + 1)[:, None], "moves, ticks"),
        (2, ints(0), "tick values, micro-dollars"),
        (2, np.empty(0, dtype=np.int64), "tick values"),
        (3, ints(-1), "costs of a lot"),
        (4, ints(-1), "free lots"),
        (5, ints(1, 2), "over_cost_micro"),
    ],
)
def test_a_model_that_cannot_be_is_refused(place: int, wrong: Ints, thing: str):
    parts = [*GOOD]
    parts[place] = wrong
    with pytest.raises(Malformed, match=thing):
        model_of(parts)


@pytest.mark.parametrize(("weight", "most"), [(2_499, 1), (10_001, 1), (2_500, 0), (2_500, LOTS_MAX + 1)])
def test_stress_weighs_a_quarter_at_least(weight: int, most: int):
    with pytest.raises(Malformed, match=r"weight of stress|lots_max"):
        model_of(GOOD, weight, most)


@pytest.mark.parametrize("lots", [ints(1), np.array([[1, 2]]), np.array([[1.0]]), np.array([[LOTS_MAX + 1]])])
def test_lots_that_cannot_be_are_refused(lots: Ints):
    with pytest.raises(Malformed, match="lots"):
        scenario_margin_micro(lots, model_of(GOOD))


def test_covers_that_cannot_be_are_refused():
    for covered in (ints(1, 2), ints(-1)):
        with pytest.raises(Malformed, match="what is covered"):
            two_largest(ints(1)[:, None], model_of(GOOD), covered)


# --- the page ---


def numbers(cell: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"[+-]?\d[\d,]*\b", cell)]


def test_expected_shortfall_is_the_page_s():
    rows = table(PAGE, "scenarios", "worst losses", "expected shortfall")
    for count, worst, due in rows:
        losses = np.zeros((int(count.replace(",", "")), 1), dtype=np.int64)
        named = numbers(worst.replace(", ", " "))
        losses[: len(named), 0] = named
        model = MarginModel(-losses, -losses, ints(1), *free(1))
        assert scenario_margin_micro(ints(1)[:, None], model).tolist() == numbers(due)
    assert len(rows) == 5


def test_margin_is_the_page_s():
    moves = {
        row[0]: numbers(f"{row[1]} {row[2]}") for row in table(PAGE, "scenario", "near, ticks", "far, ticks")
    }
    filtered, stressed = (
        np.array([move for name, move in moves.items() if name.startswith(kind)]) for kind in "FS"
    )
    values, costs, free_lots, over = ([amount] * 2 for amount in (1_000_000, 500_000, 100, 1_500_000))
    model = MarginModel(filtered, stressed, ints(*values), ints(*costs), ints(*free_lots), ints(*over))
    rows = table(
        PAGE, "near, lots", "far, lots", "filtered", "stressed", "scenario part", "add-ons", "scenario margin"
    )
    for row in rows:
        near, far, ordinary, stress, part, add_on, margin = (numbers(cell)[0] for cell in row)
        found = by_scenario(ints(near, far), model)
        assert (found.filtered.shortfall_micro, found.stressed.shortfall_micro) == (ordinary, stress)
        assert (int(found.contribution_micro.sum()), int(found.add_on_micro.sum())) == (part, add_on)
        assert found.margin_micro == margin == plain_scenario_margin_micro([near, far], model)
    assert len(rows) == 5
