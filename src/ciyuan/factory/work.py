"""What serving asks of an engine, in seconds at the chip's peaks: the side of the roofline that needs no measurement.

`work_of` gives one engine's work for requests of one shape as a row of scalars; `stacked` puts many side by side, as a
struct of
arrays over which `roofline` computes whole sweeps at once. With n GPUs, tp attention shards, dp attention groups and ep expert
ranks of an engine, S the mean context (input + output / 2):

| field | formula |
|---|---|
| weights_s | (mixers + MLPs + head) bytes / (tp x pp) / bandwidth |
| experts_s | layers x experts x bytes of one / n / bandwidth |
| cache_s | bytes that one token of output reads of its context / (dp x pp x min(tp, shards)) / bandwidth |
| expert_width | of one expert's hidden layer; 1 without experts |
| dense_s, expert_flops_s | FLOPs of a token outside and inside routed experts / n / peak |
| attention_s | attention FLOPs of a token at S / n / bf16 peak |
| reduce_s | all-reduces x 2 (tp - 1) / tp x hidden x 2 bytes / dp / link |
| exchange_s | (ep and dp above 1) layers x experts per token x hidden x (1 byte out + 2 back) x (1 - 1/n) / n / link |
| prompt_* | the same of a whole prompt without its cached part, on the engine that reads it |

The link is the scale-up one within its domain, else the scale-out one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import arithmetic_precision, peak_flops
from ciyuan.factory.layout import (
    GIGA,
    SEQUENCES_MAX,
    Engine,
    Layout,
    cache_element_bytes,
    check_layout,
    sequences_held,
)
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision

Reals = NDArray[np.float64]

TERA = 1e12
ACTIVATION_BYTES = 2
"""Bytes of an activation in an all-reduce."""
EXCHANGE_BYTES = 3
"""Bytes that an all-to-all moves per activation: 1 (fp8) to the expert, 2 (bf16) back."""
SCALE_OUT_GB_S = 50.0
"""Where a chip names none: one 400 Gbit/s port per GPU."""
ARITHMETIC = (Precision.BF16, Precision.FP8, Precision.FP4)
"""The order of `Work.arithmetic`."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A request: tokens in, of which `cached_share` (0 to below 1) is read from a cache of prompts, and tokens out."""

    input_tokens: float
    output_tokens: float
    cached_share: float = 0.0

    def __post_init__(self) -> None:
        if not (self.input_tokens >= 1 and self.output_tokens >= 1 and 0 <= self.cached_share < 1):
            raise Malformed("request shape", found=(self.input_tokens, self.output_tokens, self.cached_share),
                            expected="1 token in and out or more, a cached share from 0 to below 1",
                            remedy="Mend the shape.")  # fmt: skip

    @property
    def tokens(self) -> float:
        """In and out."""
        return self.input_tokens + self.output_tokens

    @property
    def context(self) -> float:
        """Mean context of a token of output."""
        return self.input_tokens + self.output_tokens / 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """Columns of the module's table, all of one shape (n,) or broadcastable against each other; float64.

    `layers`, `expert_layers`, `reduces` (of which `reduces_out` leave the scale-up domain), `exchanges`, `indexed` count
    what has a fixed cost in each step; `arithmetic` is the
    place in `ARITHMETIC`; `hopper`, `amd` and `cdna3` are 1 or 0. `apart` is 1 for disaggregated layouts. `decoders` and
    `prefillers` are
    numbers of engines; `gpus` is the decoding engine's, `gpus_total` the layout's. `held` is the most sequences that one
    decoding engine runs. `speculative` is 1 where tokens are drafted ahead.
    """

    weights_s: Reals
    experts_s: Reals
    expert_miss: Reals
    expert_width: Reals
    cache_s: Reals
    dense_s: Reals
    expert_flops_s: Reals
    attention_s: Reals
    reduce_s: Reals
    exchange_s: Reals
    prompt_dense_s: Reals
    prompt_expert_s: Reals
    prompt_attention_s: Reals
    prompt_reduce_s: Reals
    layers: Reals
    expert_layers: Reals
    reduces: Reals
    reduces_out: Reals
    exchanges: Reals
    indexed: Reals
    tensor: Reals
    data: Reals
    gpus: Reals
    gpus_total: Reals
    arithmetic: Reals
    hopper: Reals
    amd: Reals
    cdna3: Reals
    apart: Reals
    decoders: Reals
    prefillers: Reals
    held: Reals
    input_tokens: Reals
    output_tokens: Reals
    cached_share: Reals
    speculative: Reals


def work_of(chip: Chip, model: Model, precision: Precision, layout: Layout, shape: Shape, *, speculative: bool = False,
            check: bool = True) -> Work:  # fmt: skip
    """One layout's work, as columns of length 1.

    Raises Malformed for a precision that the chip lacks or a layout that does not fit, unless `check` is False (measured
    runs are taken at their word: their `held` is then at least 1).
    """
    if check:
        check_layout(chip, model, precision, layout, shape.tokens)
        if speculative and not model.draft_layers:
            raise Malformed(f"speculative decoding of {model.code}", found="no layers that draft",
                            expected="a model that ships them", remedy="Turn speculation off.")  # fmt: skip
    engine = layout.decode
    held = sequences_held(chip, model, precision, engine, shape.tokens)
    figures = {
        **_decode_seconds(chip, model, precision, engine, shape),
        **_prompt_seconds(chip, model, precision, layout.prefill or engine, shape),
        **_counts(model, engine),
        "gpus_total": layout.gpus,
        "arithmetic": ARITHMETIC.index(_arithmetic(chip, precision)),
        "hopper": chip.architecture.lower() == "hopper",
        "amd": chip.vendor.lower() == "amd",
        "cdna3": chip.architecture.lower() == "cdna3",
        "reduces_out": model.blocks if engine.tensor > chip.scale_up_gpus else 0,
        "apart": layout.disaggregated,
        "decoders": layout.decode_workers,
        "prefillers": max(1, layout.prefill_workers),
        "held": min(max(held, 1.0), SEQUENCES_MAX * engine.data),
        "input_tokens": shape.input_tokens,
        "output_tokens": shape.output_tokens,
        "cached_share": shape.cached_share,
        "speculative": speculative,
    }
    return Work(**{name: np.array([figure], dtype=np.float64) for name, figure in figures.items()})


def _arithmetic(chip: Chip, precision: Precision) -> Precision:
    kind = arithmetic_precision(chip, precision)
    return kind if kind in ARITHMETIC else Precision.FP8


def _link(chip: Chip, gpus: int) -> float:
    """Bytes/s of one GPU to the others of a group."""
    if gpus <= chip.scale_up_gpus:
        return chip.scale_up_gb_s * GIGA
    return (chip.scale_out_gb_s or SCALE_OUT_GB_S) * GIGA


def _decode_seconds(
    chip: Chip, model: Model, precision: Precision, engine: Engine, shape: Shape
) -> dict[str, float]:
    weights = model.weight_bytes(precision)
    bandwidth, flops = chip.memory_tb_s * TERA, peak_flops(chip, precision)
    gpus, tensor, data = engine.gpus, engine.tensor, engine.data
    shards = min(tensor, model.cache_shards_max) * data * engine.pipeline
    cache = float(model.cache_bytes_read(shape.context, cache_element_bytes(precision)))
    routed = 2.0 * model.moe_layers * model.experts_per_token * model.expert_parameters
    exchanged = model.moe_layers * model.experts_per_token * model.hidden * EXCHANGE_BYTES
    return {
        "weights_s": (weights.mixers + weights.mlps + weights.head) / (tensor * engine.pipeline) / bandwidth,
        "experts_s": model.moe_layers * model.experts * weights.expert / gpus / bandwidth,
        "expert_miss": model.expert_miss,
        "expert_width": max(model.expert_width, 1),
        "cache_s": cache / shards / bandwidth,
        "dense_s": (model.flops_per_token - routed) / gpus / flops,
        "expert_flops_s": routed / gpus / flops,
        "attention_s": float(model.decode_attention_flops(shape.context)) / gpus / (chip.bf16_tflops * TERA),
        "reduce_s": _reduce_seconds(chip, model, engine),
        "exchange_s": exchanged * (1 - 1 / gpus) / gpus / _link(chip, gpus) if _exchanges(engine) else 0.0,
    }


def _reduce_seconds(chip: Chip, model: Model, engine: Engine) -> float:
    """Seconds that all-reduces move one token's activations, at the link's peak."""
    moved = model.blocks * 2 * (engine.tensor - 1) / engine.tensor * model.hidden * ACTIVATION_BYTES
    return moved / engine.data / _link(chip, engine.tensor)


def _exchanges(engine: Engine) -> bool:
    """Whether tokens travel to their experts: with attention in one group, all its GPUs have them already."""
    return engine.data > 1 and engine.expert > 1


def _prompt_seconds(
    chip: Chip, model: Model, precision: Precision, engine: Engine, shape: Shape
) -> dict[str, float]:
    cached = shape.input_tokens * shape.cached_share
    tokens = shape.input_tokens - cached
    flops = peak_flops(chip, precision)
    routed = 2.0 * model.moe_layers * model.experts_per_token * model.expert_parameters
    attention = float(model.prefill_attention_flops(shape.input_tokens, cached))
    return {
        "prompt_dense_s": tokens * (model.flops_per_token - routed) / engine.gpus / flops,
        "prompt_expert_s": tokens * routed / engine.gpus / flops,
        "prompt_attention_s": attention / engine.gpus / (chip.bf16_tflops * TERA),
        "prompt_reduce_s": tokens * _reduce_seconds(chip, model, engine),
    }


def _counts(model: Model, engine: Engine) -> dict[str, float]:
    return {
        "layers": model.layers,
        "expert_layers": model.moe_layers,
        "reduces": model.blocks if engine.tensor > 1 else 0,
        "exchanges": model.moe_layers if _exchanges(engine) else 0,
        "indexed": sum(span.layers for span in model.spans if span.chosen),
        "tensor": engine.tensor,
        "data": engine.data,
        "gpus": engine.gpus,
    }


def stacked(works: Sequence[Work]) -> Work:
    """Works one after the other, as longer columns."""
    return Work(
        **{
            field.name: np.concatenate([np.atleast_1d(getattr(work, field.name)) for work in works])
            for field in fields(Work)
        }
    )


def taken(work: Work, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Work:
    """Some rows of a work, by index or mask."""
    return Work(**{field.name: getattr(work, field.name)[rows] for field in fields(Work)})


def as_column(work: Work) -> Work:
    """The same works as columns (n, 1), to be met by a row of loads."""
    return Work(**{field.name: getattr(work, field.name)[:, None] for field in fields(Work)})
