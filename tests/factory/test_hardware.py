"""What a chip multiplies in, what it refuses, and systems that cannot be."""

from dataclasses import replace

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import TERA, Cooling, System, arithmetic_precision, peak_flops
from ciyuan.factory.model import Precision
from ciyuan.services.catalog import chips

SYSTEM = System(
    "box", "Box", "h100_sxm", 8, Cooling.AIR, 8, 2000.0, 1500.0, 8000.0, "test", False, "a test", "2026-11-21"
)


def test_each_chip_does_what_its_figures_say():
    for chip in chips().values():
        figures = {Precision.BF16: chip.bf16_tflops, Precision.FP8: chip.fp8_tflops, Precision.FP4: chip.fp4_tflops,
                   Precision.INT8: chip.int8_tops}  # fmt: skip
        for precision, tflops in figures.items():
            if tflops is None:
                with pytest.raises(Malformed, match="tensor cores"):
                    peak_flops(chip, precision)
            else:
                assert arithmetic_precision(chip, precision) is precision
                assert peak_flops(chip, precision) == tflops * TERA


def test_a_precision_that_a_chip_lacks_is_refused_by_name():
    with pytest.raises(Malformed) as refused:
        arithmetic_precision(chips()["h100_sxm"], Precision.FP4)
    assert refused.value.found == "fp4"
    assert refused.value.expected == "one that its tensor cores have: bf16, fp8, int8"
    with pytest.raises(Malformed, match="NVIDIA A100"):
        arithmetic_precision(chips()["a100_sxm"], Precision.FP8)


def test_narrow_weights_are_widened_where_arithmetic_is_wide():
    hopper, blackwell = chips()["h100_sxm"], chips()["b200_sxm"]
    assert arithmetic_precision(hopper, Precision.INT4) is Precision.BF16
    assert arithmetic_precision(blackwell, Precision.INT4) is Precision.BF16
    assert arithmetic_precision(hopper, Precision.MXFP4) is Precision.BF16
    assert arithmetic_precision(blackwell, Precision.MXFP4) is Precision.FP8
    assert arithmetic_precision(chips()["mi355x"], Precision.MXFP4) is Precision.FP4
    assert peak_flops(hopper, Precision.MXFP4) == hopper.bf16_tflops * TERA


@pytest.mark.parametrize("name", ["gpus", "scale_up_gpus", "idle_w", "host_w", "load_w"])
@pytest.mark.parametrize("value", [0, -1, float("inf")])
def test_a_system_without_sense_is_refused(name: str, value: float):
    with pytest.raises(Malformed, match=f"system box, {name}"):
        replace(SYSTEM, **{name: value})  # type: ignore[arg-type]


def test_a_fast_domain_is_within_its_system():
    with pytest.raises(Malformed, match="at most its 8 GPUs"):
        replace(SYSTEM, scale_up_gpus=72)
