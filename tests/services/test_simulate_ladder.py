"""The software of one hardware is changed step by step, as far as chip, model, trace and replicas allow."""

from dataclasses import replace

import pytest

from ciyuan.factory.scheduler_ladder import Rung
from ciyuan.factory.scheduler_terms import Batching
from ciyuan.services.simulate_engine import Machine
from ciyuan.services.simulate_ladder import LadderOrder, best, climbed, print_ladder, rungs, told
from tests.factory.test_scheduler_capacity import uneven

DEEPSEEK = LadderOrder(Machine("b200_sxm", "deepseek-ai/DeepSeek-R1", tensor=8), replicas=2)


def test_what_is_allowed_is_stacked():
    stack = rungs(DEEPSEEK, uneven(200))
    assert list(stack) == [
        "static batching, fp8", "continuous batching", "chunked prefill", "quantised to fp4", "speculative decoding",
        "one engine, experts over 16", "apart: 1 read, 1 decode",
    ]  # fmt: skip
    static, *_, drafted, wide, apart = stack.values()
    assert (wide.replicas, wide.engine.step.gpus) == (1, 16)
    assert static.engine.batching is Batching.STATIC
    assert drafted.engine.step.context_tokens_max > static.engine.step.context_tokens_max
    assert drafted.engine.positions > 1
    assert apart.decode is not None
    assert apart.decode.engine == apart.engine == drafted.engine


def test_a_chip_without_fp4_and_one_replica_have_fewer_rungs():
    hopper = replace(DEEPSEEK, machine=replace(DEEPSEEK.machine, chip="h200_sxm"), replicas=1)
    assert list(rungs(hopper, uneven(200)))[-2:] == ["chunked prefill", "speculative decoding"]


def test_a_ladder_is_told_and_printed(capsys: pytest.CaptureFixture[str]):
    found = climbed(replace(DEEPSEEK, replicas=1), uneven(300), 50.0)
    assert best(found) == pytest.approx(
        found[-1].output_tokens_per_s_per_gpu / found[0].output_tokens_per_s_per_gpu
    )
    assert told(found, 50.0, "here")["best_factor"] == best(found)
    print_ladder(found, 50.0, "here")
    assert "software alone is x" in capsys.readouterr().out


def test_too_slow_is_said(capsys: pytest.CaptureFixture[str]):
    found = (Rung("static", 0, 0.0, 0.0, 0.0), Rung("chunked", 3, 5.0, 50.0, 0.1))
    assert best(found) is None
    print_ladder(found, 50.0, "here")
    assert "too slow" in capsys.readouterr().out
