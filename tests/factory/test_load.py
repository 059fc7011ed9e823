"""The shares of the peaks that a measured speed implies."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.load import steady_load
from ciyuan.factory.model import Precision
from ciyuan.services.catalog_factory import models
from tests.factory.cases import CHIP

DENSE, SPARSE = models()["Qwen/Qwen3-8B"], models()["Qwen/Qwen3-30B-A3B"]


def test_a_dense_model_at_a_batch_of_one_reads_its_weights():
    """At one short sequence a step reads the weights (less the input embedding) and nearly nothing else."""
    one = steady_load(
        CHIP,
        DENSE,
        Precision.BF16,
        gpus=1,
        sequences=1.0,
        steps_per_s=100.0,
        prompt_tokens=0.0,
        output_tokens=2.0,
    )
    weights = DENSE.weight_bytes(Precision.BF16)
    read = weights.total - weights.idle
    assert one.read_bytes == pytest.approx(read, rel=1e-3)
    assert one.memory_use == pytest.approx(read * 100 / 4e12, rel=1e-3)
    assert one.arithmetic_use == pytest.approx(DENSE.flops_per_token * 100 / 1e15, rel=1e-2)
    assert not one.narrow_experts


@given(st.floats(1.0, 512.0), st.floats(1.1, 4.0))
def test_more_sequences_read_and_multiply_more(sequences: float, times: float):
    few, many = (
        steady_load(
            CHIP,
            SPARSE,
            Precision.FP8,
            gpus=2,
            sequences=count,
            steps_per_s=20.0,
            prompt_tokens=500.0,
            output_tokens=500.0,
        )
        for count in (sequences, sequences * times)
    )
    assert many.read_bytes > few.read_bytes
    assert many.arithmetic_use > few.arithmetic_use
    assert few.narrow_experts


def test_copies_of_attention_read_it_more_often():
    def reads(replicas: int) -> float:
        found = steady_load(CHIP, SPARSE, Precision.FP8, gpus=8, sequences=8.0, steps_per_s=20.0, prompt_tokens=1.0,
                            output_tokens=2.0, replicas=replicas)  # fmt: skip
        return float(found.read_bytes)

    weights = SPARSE.weight_bytes(Precision.FP8)
    more = 7 * (weights.mixers + weights.mlps + weights.head) / 8
    assert reads(8) - reads(1) == pytest.approx(more, rel=1e-3)


def test_what_a_chip_lacks_or_makes_no_sense_is_refused():
    with pytest.raises(Malformed, match="precision on Chip A"):
        steady_load(replace(CHIP, fp8_tflops=None), DENSE, Precision.FP8, gpus=1, sequences=1.0, steps_per_s=1.0,
                    prompt_tokens=1.0, output_tokens=1.0)  # fmt: skip
    with pytest.raises(Malformed, match="steady load"):
        steady_load(
            CHIP,
            DENSE,
            Precision.BF16,
            gpus=1,
            sequences=0.0,
            steps_per_s=1.0,
            prompt_tokens=1.0,
            output_tokens=1.0,
        )
