"""What a chip can do at a precision, and the systems that chips stand in.

A precision that a chip's tensor cores lack is refused, not emulated, with two exceptions that serving engines do everywhere:
`INT4` keeps only weights narrow and multiplies in bf16, and `MXFP4` weights are widened as they are read: to bf16 where there is
no 4-bit arithmetic, to fp8 on NVIDIA chips that have it (engines pair them with 8-bit activations there); AMD's pair them with
4-bit ones.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Precision

TERA = 1e12


class Cooling(StrEnum):
    """How heat leaves the chips."""

    AIR = "air"
    LIQUID = "liquid"


def arithmetic_precision(chip: Chip, precision: Precision) -> Precision:
    """The precision that the tensor cores multiply in. Raises Malformed, naming what the chip has, if it lacks it."""
    if precision is Precision.INT4:
        return Precision.BF16
    if precision is Precision.MXFP4:
        if chip.fp4_tflops is None:
            return Precision.BF16
        return Precision.FP4 if chip.vendor == "amd" else Precision.FP8
    held = _tflops(chip)
    if precision not in held:
        raise Malformed(f"precision on {chip.name}", found=precision,
                        expected=f"one that its tensor cores have: {', '.join(held)}",
                        remedy="Choose another precision or chip.")  # fmt: skip
    return precision


def peak_flops(chip: Chip, precision: Precision) -> float:
    """Peak dense FLOP/s of one GPU for a model kept at `precision`. Raises Malformed if the chip lacks it."""
    return _tflops(chip)[arithmetic_precision(chip, precision)] * TERA


def _tflops(chip: Chip) -> dict[Precision, float]:
    """The chip's dense tensor TFLOPS by the precisions that it has."""
    figures = {Precision.BF16: chip.bf16_tflops, Precision.FP8: chip.fp8_tflops, Precision.FP4: chip.fp4_tflops,
               Precision.INT8: chip.int8_tops}  # fmt: skip
    return {precision: tflops for precision, tflops in figures.items() if tflops is not None}


@dataclass(frozen=True, slots=True)
class System:
    """What chips are bought in: a box or a rack of `gpus` of one chip, sharing a host and a scale-up domain.

    Watts are of the whole system before PUE. `idle_w` is measured at the wall with GPUs idle, `host_w` what all but the GPUs
    draws at the wall (CPUs, network, fans at rest, losses of the supply), `load_w` with every GPU at its TDP. None: no figure
    found. `basis` says how the figures came to be ("measured", "model", "nameplate").
    """

    code: str
    name: str
    chip: str
    gpus: int
    cooling: Cooling
    scale_up_gpus: int
    idle_w: float | None
    host_w: float | None
    load_w: float | None
    basis: str
    announced: bool
    source: str
    observed_on: str

    def __post_init__(self) -> None:
        for name in ("gpus", "scale_up_gpus", "idle_w", "host_w", "load_w"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and isfinite(value)):
                raise Malformed(f"system {self.code}, {name}", found=value, expected="a finite number above 0",
                                remedy="Mend the figure, or leave it out if nobody published one.")  # fmt: skip
        if self.scale_up_gpus > self.gpus:
            raise Malformed(f"system {self.code}, scale_up_gpus", found=self.scale_up_gpus,
                            expected=f"at most its {self.gpus} GPUs",
                            remedy="Give the GPUs of one system that reach each other over the fast links.")  # fmt: skip
