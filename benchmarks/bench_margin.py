"""Scenario margin on one core: a hundred thousand portfolios at once, and a thousand again, against what the machine can do.

Everything is measured in a process of its own whose BLAS has one thread (`python -m benchmarks.bench_margin` prints its figures
as JSON). There are two bounds: the products (against the same library's speed on square matrices) and the bytes of the losses,
written once and read once (against copying a large array). How far each is reached is said, and what the rest of the time is.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Result, wall_time
from ciyuan.clearing.scenario_kernels import loss_blocks
from ciyuan.clearing.scenario_margin import (
    MarginModel,
    plain_scenario_margin_micro,
    scenario_margin_micro,
    two_largest,
)

ROOT = Path(__file__).parent.parent
SEED = 20261121
ACCOUNTS, CONTRACTS, FILTERED, STRESSED, AGAIN = 100_000, 24, 1_000, 250, 1_000
ROUNDS, CHECKED, PEER_BLOCK = 5, 50, 2_048
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
SQUARE, STREAM = 1_536, 1 << 25
ALL_S, AGAIN_MS, RSS_GB = 5.0, 100.0, 2.0
"""The project's goals, at most."""
SCENARIOS = FILTERED + STRESSED
GFLOP = 2 * ACCOUNTS * CONTRACTS * SCENARIOS / 1e9
GBYTES = 2 * 8 * ACCOUNTS * SCENARIOS / 1e9
"""Of the losses: each is written once and read once."""
WORLD = (
    f"{ACCOUNTS:,} portfolios of {CONTRACTS} contracts (two in five held), {FILTERED:,} filtered and {STRESSED} stressed "
    f"scenarios with fat tails and a common factor; one core, BLAS with one thread; {CHECKED} portfolios equal to the plain twin"
)
SAME = "the same portfolios and scenarios"
LEFT_OUT = "making the scenarios, compiling, reading positions"

Figures = dict[str, float]
Ints = NDArray[np.int64]


def world() -> tuple[MarginModel, Ints]:
    """The model and the portfolios, from one seed."""
    chance = np.random.default_rng(SEED)
    common, own = chance.standard_t(4, (SCENARIOS, 1)), chance.standard_t(4, (SCENARIOS, CONTRACTS))
    moves = np.rint(20 * common + 8 * own).astype(np.int64)
    of_each = np.full(CONTRACTS, 10**6, dtype=np.int64)
    model = MarginModel(
        moves[:FILTERED], moves[FILTERED:], of_each, of_each // 2, of_each // 10_000, of_each // 5
    )
    held = chance.random((ACCOUNTS, CONTRACTS)) < 0.4
    return model, chance.integers(-500, 501, (ACCOUNTS, CONTRACTS)) * held


def peer(lots: Ints, model: MarginModel) -> Ints:
    """The same margin as NumPy would have it: a product of floats and a partition, in blocks that memory can hold."""
    moves = np.concatenate([model.filtered_ticks, model.stressed_ticks]) * model.tick_value_micro
    by_contract = -moves.astype(np.float64).T
    size = np.abs(lots)
    margin = size @ model.lot_cost_micro + np.maximum(size - model.free_lots, 0) @ model.over_cost_micro
    scenario = np.empty(len(lots))
    for first in range(0, len(lots), PEER_BLOCK):
        losses = lots[first : first + PEER_BLOCK] @ by_contract
        shortfalls = []
        for part in (losses[:, :FILTERED], losses[:, FILTERED:]):
            tail, n = part.shape[1] // 100, part.shape[1]
            worst = np.sort(np.partition(part, n - tail - 1, axis=1)[:, n - tail - 1 :], axis=1)
            shortfalls.append((100 * worst[:, 1:].sum(axis=1) + n % 100 * worst[:, 0]) / n)
        mixed = 0.75 * np.maximum(shortfalls[0], 0) + 0.25 * np.maximum(shortfalls[1], 0)
        scenario[first : first + PEER_BLOCK] = np.ceil(mixed)
    return np.asarray(margin + scenario, dtype=np.int64)


def products(lots: Ints, model: MarginModel) -> int:
    """All losses, block by block, and nothing done with them."""
    units = np.concatenate([model.filtered_units, model.stressed_units])
    return sum(len(losses) for _, losses in loss_blocks(lots, units))


def measured() -> Figures:
    """All figures of this process, which must have a BLAS with one thread."""
    model, lots = world()
    margin = scenario_margin_micro(lots, model)
    two_largest(lots[:1], model, margin[:1])
    for account in range(0, ACCOUNTS, ACCOUNTS // CHECKED):
        if plain_scenario_margin_micro(lots[account].tolist(), model) != margin[account]:
            raise RuntimeError(f"portfolio {account}: the margin is not that of the plain twin")
    seconds = wall_time(lambda: scenario_margin_micro(lots, model), ROUNDS)
    multiplied = wall_time(lambda: products(lots, model), ROUNDS)
    again = wall_time(lambda: scenario_margin_micro(lots[:AGAIN], model), 3 * ROUNDS)
    cover = wall_time(lambda: two_largest(lots, model, margin), ROUNDS)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    if np.abs(peer(lots, model) - margin).max() > 1:
        raise RuntimeError("the peer's margin is another one")
    square = np.random.default_rng(SEED).random((SQUARE, SQUARE))
    source, target = np.ones(STREAM), np.zeros(STREAM)
    return {
        "seconds": seconds, "products_s": multiplied, "again_ms": again * 1e3, "cover_s": cover, "rss_gb": rss,
        "peer_s": wall_time(lambda: peer(lots, model), 2),
        "dgemm_gflops": 2 * SQUARE**3 / wall_time(lambda: square @ square, ROUNDS) / 1e9,
        "stream_gbytes": 2 * source.nbytes / wall_time(lambda: np.copyto(target, source), ROUNDS) / 1e9,
    }  # fmt: skip


def alone() -> Figures:
    """The figures of a process of its own with one thread."""
    environment = os.environ | dict.fromkeys(THREADS, "1")
    command = [sys.executable, "-m", "benchmarks.bench_margin"]
    said = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    found: Figures = json.loads(said)
    return found


def bounds(found: Figures) -> str:
    """What was reached of either bound, which is nearer, and where the rest of the time goes."""
    flops, rate = GFLOP / found["seconds"], GBYTES / found["seconds"]
    of_dgemm, of_stream = flops / found["dgemm_gflops"], rate / found["stream_gbytes"]
    nearer = "the products" if of_dgemm > of_stream else "the bytes"
    return (
        f"{flops:.1f} GFlop/s, {of_dgemm:.0%} of dgemm's {found['dgemm_gflops']:.1f} in this process; {rate:.1f} GB/s of losses, "
        f"{of_stream:.0%} of a copy's {found['stream_gbytes']:.1f}. The nearer bound is {nearer}; alone they take "
        f"{found['products_s']:.3f} s in our blocks, and choosing the worst takes the rest"
    )


def run() -> list[Result]:
    """All portfolios beside NumPy and beside their products, a thousand again, Cover 2, and memory."""
    found = alone()
    straight = f"NumPy's matmul and partition in blocks of {PEER_BLOCK:,}, in floats, one thread; same margins to a micro-dollar"
    square = "their products at dgemm's speed on square matrices, in the same process"
    once_more = f"{AGAIN:,} of {SAME}; best of {3 * ROUNDS}"
    cover = f"the two largest stressed losses beyond margin, over {SAME}"
    return [
        Result("margin: all portfolios", found["seconds"], "s", f"{WORLD}; {bounds(found)}; best of {ROUNDS}", LEFT_OUT,
               found["peer_s"], straight, at_most=ALL_S),
        Result("margin: all portfolios, the bound", found["seconds"], "s", SAME, LEFT_OUT, GFLOP / found["dgemm_gflops"], square),
        Result("margin: a thousand again", found["again_ms"], "ms", once_more, LEFT_OUT, at_most=AGAIN_MS),
        Result("margin: Cover 2", found["cover_s"], "s", cover, LEFT_OUT),
        Result("margin: memory", found["rss_gb"], "GB", f"peak of resident memory of the process, {SAME}",
               "the peer and the yardsticks, which run later", at_most=RSS_GB),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured()))
