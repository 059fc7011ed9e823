"""How a replica is laid out over GPUs, what its memory holds, and which layouts are worth trying.

An *engine* holds one copy of the model on `tensor` x `data` x `pipeline` GPUs. Attention is split over `tensor` GPUs and copied
over `data` groups, each of which has its own sequences; layers are cut into `pipeline` stages; experts lie on `expert`
ranks (1:
every GPU holds a slice of every expert). A *layout* is one or more engines that decode and, if prompts are read apart from
decoding (disaggregated), one or more that read them.

| bytes of one GPU | |
|---|---|
| weights | (mixers + dense MLPs + head + idle) / (tensor x pipeline) + experts / GPUs of the engine |
| cache of one sequence | cache of its context / (min(tensor, shards that a sequence's cache can be split into) x pipeline) |
| kept free | `RESERVED_BYTES` for activations, graphs and libraries, and 1 - `MEMORY_SHARE` of the memory |
"""

from dataclasses import dataclass

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import arithmetic_precision
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision

GIGA = 1e9
MEMORY_SHARE = 0.9
"""Share of a GPU's memory that engines take (the usual default of vLLM, SGLang and TensorRT-LLM)."""
RESERVED_BYTES = 3e9
"""Of that, what holds neither weights nor caches, per GPU."""
SEQUENCES_MAX = 2048
"""The most sequences that one attention rank runs at once: the usual upper end of engines' settings."""
GPUS_OF_SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Engine:
    """One copy of the model over `gpus` GPUs; see the module. Each count is 1 or more."""

    tensor: int = 1
    data: int = 1
    pipeline: int = 1
    expert: int = 1

    def __post_init__(self) -> None:
        for name in ("tensor", "data", "pipeline", "expert"):
            if getattr(self, name) < 1:
                raise Malformed(f"engine, {name}", found=getattr(self, name), expected="1 or more",
                                remedy="Leave out what is not split.")  # fmt: skip
        if self.gpus % self.expert:
            raise Malformed("engine, expert", found=self.expert, expected=f"a divisor of its {self.gpus} GPUs",
                            remedy="Spread experts over all GPUs of the engine, or over none.")  # fmt: skip

    @property
    def gpus(self) -> int:
        """GPUs of the engine."""
        return self.tensor * self.data * self.pipeline

    @property
    def name(self) -> str:
        """As engines' users say it: "tp8", "dp8 ep8", "tp4 pp2"."""
        parts = [("tp", self.tensor), ("dp", self.data), ("pp", self.pipeline), ("ep", self.expert)]
        return " ".join(f"{word}{count}" for word, count in parts if count > 1) or "tp1"


@dataclass(frozen=True, slots=True)
class Layout:
    """Engines of one replica. `prefill` is None where the decoding engines read prompts themselves (aggregated)."""

    decode: Engine
    decode_workers: int = 1
    prefill: Engine | None = None
    prefill_workers: int = 0

    def __post_init__(self) -> None:
        if self.decode_workers < 1 or (self.prefill is None) != (self.prefill_workers == 0):
            raise Malformed("layout, workers", found=(self.prefill_workers, self.decode_workers),
                            expected="at least one engine of each side that there is",
                            remedy="Give prefill and prefill_workers together, or neither.")  # fmt: skip

    @property
    def disaggregated(self) -> bool:
        """Whether prompts are read by engines of their own."""
        return self.prefill is not None

    @property
    def gpus(self) -> int:
        """GPUs of all engines."""
        apart = self.prefill.gpus * self.prefill_workers if self.prefill else 0
        return self.decode.gpus * self.decode_workers + apart

    @property
    def name(self) -> str:
        """Such as "tp8", "1 x tp4 + 2 x dp8 ep8" (prefill + decode)."""
        if self.prefill is None:
            return (
                self.decode.name
                if self.decode_workers == 1
                else f"{self.decode_workers} x {self.decode.name}"
            )
        return f"{self.prefill_workers} x {self.prefill.name} + {self.decode_workers} x {self.decode.name}"


def gpu_weight_bytes(model: Model, precision: Precision, engine: Engine) -> float:
    """Bytes of weights on the fullest GPU of an engine."""
    weights = model.weight_bytes(precision)
    experts = model.moe_layers * model.experts * weights.expert
    return (weights.total - experts) / (engine.tensor * engine.pipeline) + experts / engine.gpus


def cache_element_bytes(precision: Precision) -> float:
    """Bytes of one element of an attention cache: 2 beside weights of 16 bits, else 1, as the measured runs set it."""
    return 2.0 if precision is Precision.BF16 else 1.0


def cache_bytes_per_gpu(model: Model, precision: Precision, engine: Engine, context: float) -> float:
    """Bytes that one sequence of `context` tokens takes on each GPU that holds it."""
    whole = float(model.cache_bytes(context, cache_element_bytes(precision)))
    return whole / (min(engine.tensor, model.cache_shards_max) * engine.pipeline)


def room_bytes(chip: Chip) -> float:
    """Bytes of one GPU for weights and caches."""
    return MEMORY_SHARE * chip.memory_gb * GIGA - RESERVED_BYTES


def sequences_held(chip: Chip, model: Model, precision: Precision, engine: Engine, context: float) -> float:
    """Sequences of `context` tokens whose caches an engine can hold; below 1 (or negative) if not even one."""
    room = room_bytes(chip) - gpu_weight_bytes(model, precision, engine)
    return engine.data * room / cache_bytes_per_gpu(model, precision, engine, context)


def check_engine(chip: Chip, model: Model, precision: Precision, engine: Engine, context: float) -> None:
    """Raise Malformed for a precision that the chip lacks, experts where there are none, or weights and the cache of one
    sequence that do not fit: with the bytes needed, the bytes there, and the least tensor size that fits."""
    arithmetic_precision(chip, precision)
    if engine.expert > 1 and not model.experts:
        raise Malformed(f"engine {engine.name} for {model.code}", found=f"ep{engine.expert}",
                        expected="no expert ranks: the model is dense", remedy="Leave expert out.")  # fmt: skip
    if context > model.context_tokens_max:
        raise Malformed(f"request to {model.code}", found=f"{context:g} tokens",
                        expected=f"at most its context of {model.context_tokens_max}",
                        remedy="Shorten the request or choose another model.")  # fmt: skip
    if sequences_held(chip, model, precision, engine, context) >= 1:
        return
    needed = gpu_weight_bytes(model, precision, engine)
    needed += cache_bytes_per_gpu(model, precision, engine, context)
    least = least_engine(chip, model, precision, context)
    remedy = f"The least that fits is {least.name}." if least else "No layout of up to 64 GPUs fits."
    raise Malformed(f"{model.code} in {precision} on {chip.code}, {engine.name}",
                    found=f"{needed / GIGA:.1f} GB needed per GPU for weights and one sequence of {context:g} tokens",
                    expected=f"at most the {room_bytes(chip) / GIGA:.1f} GB there",
                    remedy=f"{remedy} A narrower precision or a larger chip needs less.")  # fmt: skip


def least_engine(chip: Chip, model: Model, precision: Precision, context: float) -> Engine | None:
    """The smallest engine of one tensor group, experts spread where there are any, that holds a sequence; None if none does."""
    for gpus in GPUS_OF_SIZES:
        engine = Engine(tensor=gpus)
        if sequences_held(chip, model, precision, engine, context) >= 1:
            return engine
    return None


def check_layout(chip: Chip, model: Model, precision: Precision, layout: Layout, context: float) -> None:
    """`check_engine` of each side of a layout."""
    check_engine(chip, model, precision, layout.decode, context)
    if layout.prefill:
        check_engine(chip, model, precision, layout.prefill, context)


def sensible_layouts(
    chip: Chip, model: Model, precision: Precision, context: float, gpus_max: int = 64
) -> tuple[Layout, ...]:
    """The layouts that fit `context` tokens and are in use: tensor groups within one scale-up domain, and for mixtures of
    experts data-parallel attention with experts spread over all GPUs (wide where the scale-up domain is).

    Raises Malformed if none of up to `gpus_max` GPUs fits, as `check_engine` does.
    """
    engines = []
    for gpus in (size for size in GPUS_OF_SIZES if size <= gpus_max):
        if gpus <= min(chip.scale_up_gpus, 8):
            engines.append(Engine(tensor=gpus))
            if model.experts and gpus > 1:
                engines.append(Engine(tensor=gpus, expert=gpus))
        if model.experts and 1 < gpus <= model.experts:
            engines.append(Engine(data=gpus, expert=gpus))
    fitting = [engine for engine in engines if sequences_held(chip, model, precision, engine, context) >= 1]
    if not fitting:
        check_engine(chip, model, precision, max(engines, key=lambda engine: engine.gpus), context)
    return tuple(Layout(engine) for engine in fitting)
