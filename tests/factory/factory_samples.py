"""Made-up measured runs: what the physics says, times factors that the calibration ought to find again."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from ciyuan.factory.calibration import Setting
from ciyuan.factory.constants import GUESSES, Constants
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.model import Precision
from ciyuan.factory.prefill import ROUND_FIGURES, closed_loop_seconds
from ciyuan.factory.roofline import Roofline
from ciyuan.factory.samples import Place, Samples
from ciyuan.factory.work import Shape, stacked, work_of
from tests.factory.factory_shapes import chip, sparse_model

LAYOUTS = (Layout(Engine(2)), Layout(Engine(4)), Layout(Engine(data=4, expert=4)))
CHIPS = {"slow": chip(code="slow", memory_tb_s=1.0), "fast": chip(code="fast", memory_tb_s=3.0)}


def setting(**changes: str) -> Setting:
    """A setting; `changes` replace words."""
    words = {"chip": "slow", "backend": "vllm", "model": "made/up", "precision": "fp8", "speculation": "none", "mode": "mixed",
             "layout": "2.1", "version": "1.0", "shape": "1024/512", "month": "2026-01"}  # fmt: skip
    return Setting(**(words | changes))


def samples(factors: dict[str, float], *, constants: Constants = GUESSES, drafted: Sequence[int] = (), noise: float = 0.0,
            loads: Sequence[float] = (1, 4, 16, 64), seed: int = 0) -> Samples:  # fmt: skip
    """Runs of every chip, backend, layout and load. `factors` are on the time per token, by chip or backend; runs in `drafted`
    (their numbers) drafted tokens, which their table does not say."""
    chance = np.random.default_rng(seed)
    shape = Shape(1024, 512)
    rows = list(product(CHIPS, ("vllm", "sglang"), LAYOUTS, loads))
    flags = np.array([row in set(drafted) for row in range(len(rows))])
    work = stacked(
        [
            work_of(CHIPS[name], sparse_model(), Precision.FP8, layout, shape, speculative=bool(flags[row]))
            for row, (name, _, layout, _) in enumerate(rows)
        ]
    )
    concurrency = np.array([load for *_, load in rows], dtype=np.float64)
    roofline = Roofline(work, constants)
    times = roofline.times(roofline.sequences_at(concurrency))
    factor = np.array([factors.get(name, 1.0) * factors.get(backend, 1.0) for name, backend, *_ in rows])
    made = Samples(
        settings=tuple(
            setting(chip=name, backend=backend, layout=layout.name) for name, backend, layout, _ in rows
        ),
        work=work,
        concurrency=concurrency,
        tpot_s=times.tpot * factor * np.exp(noise * chance.standard_normal(len(rows))),
        ttft_s=closed_loop_seconds(work, times, ROUND_FIGURES, concurrency),
        weights=np.ones(len(rows)),
        unknown=np.full(len(rows), bool(drafted)),
        places=tuple(Place("a", row) for row in range(len(rows))),
        run=np.arange(len(rows)),
    )
    return made.speculating(np.zeros(len(rows), dtype=np.bool_)) if drafted else made
