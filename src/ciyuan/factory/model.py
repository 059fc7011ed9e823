"""What a language model asks of a chip: weights to read, cache to hold, FLOPs to do, all worked out from its shape.

A model is a stack of *mixers* (attention, or a linear recurrence) and *MLPs* (dense, or a mixture of experts). One token of
output reads every weight that is not a routed expert's, the experts that the batch hits, and the context of its sequence.

| figure | formula |
|---|---|
| GQA mixer, parameters | hidden x head_size x (heads x (2, or 3 with an output gate) + 2 x kv_heads) |
| shared mixer, parameters | hidden x query_rank + query_rank x heads x head_size + hidden x head_size
                          + heads x head_size x output_rank + output_groups x output_rank x hidden |
| MLA mixer, parameters | hidden x query_rank + query_rank x heads x (nope + rope) + hidden x (kv_rank + rope)
                          + kv_rank x heads x (nope + value_size) + heads x value_size x hidden |
| linear mixer, parameters | hidden x (2 x linear_key + 3 x linear_value + linear_scalars) |
| MLP, parameters | matrices x hidden x width (3 matrices if gated, else 2) |
| cache per entry and layer, elements | GQA 2 x kv_heads x head_size; MLA kv_rank + rope; shared head_size (one for all heads) |
| entries that S tokens leave in a layer | S, at most the window; or S / stride + the last `local` tokens |
| state per sequence and linear layer, elements | linear_value x linear_state |
| FLOPs per token | 2 x active parameters, the input embedding apart, + 6 x state |
| attention FLOPs per token and entry, layer | GQA and shared 4 x heads x head_size; MLA absorbed
                          2 x heads x (2 x kv_rank + rope), expanded (prefill) 2 x heads x (nope + rope + value_size) |
| experts of a layer hit by n tokens | experts x (1 - (1 - experts_per_token / experts) ^ n) |

Left out, each below 0.2%: norms, biases, convolutions of linear mixers. `other_parameters` (a vision tower) are in the
published total and take memory, but decoding text does not read them. Routing is taken as even: a skewed router hits fewer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike

from ciyuan.basics.errors import Malformed
from ciyuan.factory.span import Reals, Span

STATE_BYTES = 4
"""A linear mixer's state is kept in 32-bit floats (`mamba_ssm_dtype` of the published configurations)."""

_BITS_KEPT = 16


class Precision(StrEnum):
    """How a model's weights are kept. What of it is narrow, and what stays wide, is `Model.weight_bytes`."""

    BF16 = "bf16"
    FP8 = "fp8"
    """8-bit floats, weights and activations; a scale for each block or channel (below 0.1%)."""
    INT8 = "int8"
    """8-bit integers, weights and activations."""
    FP4 = "fp4"
    """4-bit floats, weights and activations: NVFP4, a scale of 8 bits for 16 values."""
    MXFP4 = "mxfp4"
    """4-bit floats, a scale of 8 bits for 32 values; a chip without 4-bit arithmetic widens the weights as it reads them."""
    INT4 = "int4"
    """4-bit integers, weights alone, a scale of 16 bits for 32 values; arithmetic is in bf16."""

    @property
    def weight_bits(self) -> float:
        """Bits of one narrow weight, its share of the scales included."""
        return _WEIGHT_BITS[self]


_WEIGHT_BITS = {
    Precision.BF16: 16.0,
    Precision.FP8: 8.0,
    Precision.INT8: 8.0,
    Precision.FP4: 4.5,
    Precision.MXFP4: 4.25,
    Precision.INT4: 4.5,
}
_FOUR_BIT = (Precision.FP4, Precision.MXFP4, Precision.INT4)


class Attention(StrEnum):
    """What a model's softmax attention keeps of each token. How far it looks is its `Span`s; hybrids have linear layers too."""

    GQA = "gqa"
    """Keys and values of `kv_heads` heads; multi-head (kv_heads = heads) and multi-query (1) are its ends."""
    MLA = "mla"
    """One latent vector for all heads, expanded into keys and values (multi-head latent attention)."""
    SHARED = "shared"
    """One vector that is key and value for all heads (DeepSeek-V4)."""


@dataclass(frozen=True, slots=True)
class WeightBytes:
    """Bytes of a model's weights at a precision. A step reads `mixers`, `mlps` and `head` whole, of the experts those hit."""

    mixers: float
    """Attention and linear mixers, all layers."""
    mlps: float
    """Dense MLPs, shared experts and routers, all layers."""
    expert: float
    """One routed expert of one layer; 0 without experts."""
    head: float
    """The output head."""
    idle: float
    """Held but not read in a step: the input embedding (unless it is the head), vision towers."""
    total: float
    """All of it, every expert of every layer included: what memory must hold."""


@dataclass(frozen=True, slots=True)
class Model:
    """A language model's shape, as its configuration publishes it. Counts are whole; a count of 0 says: has none.

    Mixers: attention layers, by `spans`, and `linear_layers` that keep a state. An indexer (of spans with `chosen`) has
    `index_heads` heads of `index_size`. MLPs: `dense_layers` of `dense_width`, `moe_layers` with `experts` of `expert_width` of
    which `experts_per_token` run, and `shared_experts` of the same width that always run. `mlp_matrices` is 3 for gated
    MLPs, else 2. `attention_bits_at_4` and `dense_bits_at_4` are what mixers, and dense MLPs with shared experts, keep in the
    published 4-bit checkpoint; 0: 4 bits as well. `draft_layers` predict further tokens for speculative decoding, as the
    maker ships them. `parameters_published` and `active_published` are the maker's counts; the physics uses the derived ones.
    """

    code: str
    name: str
    family: str
    hidden: int
    vocabulary: int
    tied_embeddings: bool
    context_tokens_max: int
    attention: Attention
    spans: tuple[Span, ...]
    linear_layers: int
    heads: int
    kv_heads: int
    head_size: int
    gated_attention: bool
    query_rank: int
    kv_rank: int
    nope_size: int
    rope_size: int
    value_size: int
    output_rank: int
    output_groups: int
    index_heads: int
    index_size: int
    linear_key: int
    linear_value: int
    linear_scalars: int
    linear_state: int
    mlp_matrices: int
    dense_layers: int
    dense_width: int
    moe_layers: int
    experts: int
    experts_per_token: int
    shared_experts: int
    expert_width: int
    attention_bits_at_4: int
    dense_bits_at_4: int
    native_precision: Precision
    draft_layers: int
    other_parameters: float
    parameters_published: float
    active_published: float
    source: str
    observed_on: str
    aliases: tuple[str, ...] = ()
    """What checkpoints of it and result tables are called."""

    def __post_init__(self) -> None:
        for name in (
            "hidden",
            "vocabulary",
            "layers",
            "context_tokens_max",
            "parameters_published",
            "active_published",
        ):
            value = getattr(self, name)
            if not (value > 0 and isfinite(value)):
                raise Malformed(f"model {self.code}, {name}", found=value, expected="a finite number above 0",
                                remedy="Mend the model's entry.")  # fmt: skip
        if self.experts_per_token > self.experts or bool(self.experts) != bool(self.moe_layers):
            raise Malformed(f"model {self.code}, experts",
                            found=f"{self.experts_per_token} of {self.experts} in {self.moe_layers} layers",
                            expected="at most as many per token as there are, and none without layers for them",
                            remedy="Mend the model's entry.")  # fmt: skip

    @property
    def attention_layers(self) -> int:
        """Mixers that attend."""
        return sum(span.layers for span in self.spans)

    @property
    def layers(self) -> int:
        """Mixers: attention and linear."""
        return self.attention_layers + self.linear_layers

    @property
    def blocks(self) -> int:
        """Mixers and MLPs: each ends in one all-reduce under tensor parallelism."""
        return self.layers + self.dense_layers + self.moe_layers

    # Parameters.

    @property
    def attention_layer_parameters(self) -> int:
        """Of one softmax attention layer, the indexer's included."""
        index = (
            self.query_rank * self.index_heads + self.hidden
        ) * self.index_size + self.hidden * self.index_heads
        if self.attention is Attention.GQA:
            matrices = self.heads * (3 if self.gated_attention else 2) + 2 * self.kv_heads
            return self.hidden * self.head_size * matrices
        if self.attention is Attention.SHARED:
            wide = self.heads * self.head_size
            out = wide * self.output_rank + self.output_groups * self.output_rank * self.hidden
            return (self.hidden + wide) * self.query_rank + self.hidden * self.head_size + out + index
        wide = self.heads * (self.nope_size + self.rope_size)
        queries = (self.hidden + wide) * self.query_rank if self.query_rank else self.hidden * wide
        expand = self.kv_rank * self.heads * (self.nope_size + self.value_size)
        out = self.heads * self.value_size * self.hidden
        return queries + self.hidden * (self.kv_rank + self.rope_size) + expand + out + index

    @property
    def linear_layer_parameters(self) -> int:
        """Of one linear mixer: in for query, key, value and gate, out for the value."""
        return self.hidden * (2 * self.linear_key + 3 * self.linear_value + self.linear_scalars)

    @property
    def mixer_parameters(self) -> int:
        """Of all mixers."""
        return (
            self.attention_layers * self.attention_layer_parameters
            + self.linear_layers * self.linear_layer_parameters
        )

    @property
    def expert_parameters(self) -> int:
        """Of one routed expert of one layer."""
        return self.mlp_matrices * self.hidden * self.expert_width

    @property
    def dense_parameters(self) -> int:
        """Of the MLPs that every token passes: dense ones and shared experts, all layers."""
        dense = self.dense_layers * self.mlp_matrices * self.hidden * self.dense_width
        return dense + self.moe_layers * self.shared_experts * self.expert_parameters

    @property
    def router_parameters(self) -> int:
        """Of all routers."""
        return self.moe_layers * self.hidden * self.experts

    @property
    def head_parameters(self) -> int:
        """Of the output head, which is also the input embedding where they are tied."""
        return self.vocabulary * self.hidden

    @property
    def parameters_total(self) -> float:
        """All of them, `other_parameters` included."""
        routed = self.moe_layers * self.experts * self.expert_parameters
        embeddings = self.head_parameters * (1 if self.tied_embeddings else 2)
        return (
            self.mixer_parameters
            + self.dense_parameters
            + self.router_parameters
            + routed
            + embeddings
            + self.other_parameters
        )

    @property
    def parameters_active(self) -> int:
        """Those that multiply one token: all but the input embedding, the experts not chosen and `other_parameters`."""
        routed = self.moe_layers * self.experts_per_token * self.expert_parameters
        return (
            self.mixer_parameters
            + self.dense_parameters
            + self.router_parameters
            + routed
            + self.head_parameters
        )

    # Memory.

    def weight_bytes(self, precision: Precision) -> WeightBytes:
        """Bytes of the weights. Embeddings, head and routers are always bf16. At 8 bits all mixers and MLPs are narrow; at
        4 bits routed experts are, and the rest as the published checkpoint has it (`attention_bits_at_4`)."""
        narrow = precision.weight_bits
        mixer_bits = mlp_bits = narrow
        if precision in _FOUR_BIT:
            mixer_bits, mlp_bits = self.attention_bits_at_4 or narrow, self.dense_bits_at_4 or narrow
        embedding = self.head_parameters * _BITS_KEPT / 8
        mixers = self.mixer_parameters * mixer_bits / 8
        mlps = (self.dense_parameters * mlp_bits + self.router_parameters * _BITS_KEPT) / 8
        expert = self.expert_parameters * narrow / 8
        idle = (0.0 if self.tied_embeddings else embedding) + self.other_parameters * _BITS_KEPT / 8
        total = mixers + mlps + self.moe_layers * self.experts * expert + embedding + idle
        return WeightBytes(mixers, mlps, expert, embedding, idle, total)

    def experts_hit(self, tokens: ArrayLike) -> Reals:
        """Of one layer's experts, how many `tokens` tokens need between them, on average; of the shape of `tokens`."""
        if not self.experts:
            return np.zeros_like(np.asarray(tokens, dtype=np.float64))
        return np.asarray(self.experts * (1.0 - self.expert_miss ** np.asarray(tokens, dtype=np.float64)))

    @property
    def expert_miss(self) -> float:
        """The probability that one token needs nothing of a given expert; 0 without experts."""
        return 1.0 - self.experts_per_token / self.experts if self.experts else 0.0

    @property
    def cache_entry_elements(self) -> int:
        """Elements of one cache entry in one attention layer, without an indexer's key."""
        if self.attention is Attention.MLA:
            return self.kv_rank + self.rope_size
        return self.head_size * (1 if self.attention is Attention.SHARED else 2 * self.kv_heads)

    @property
    def cache_shards_max(self) -> int:
        """Over how many GPUs tensor parallelism can split the cache of one sequence: its kv heads, 1 if all heads share."""
        return self.kv_heads if self.attention is Attention.GQA else 1

    def cache_elements(self, context: ArrayLike) -> Reals:
        """Elements that a sequence of `context` tokens holds in attention caches, an indexer's keys included."""
        tokens = np.asarray(context, dtype=np.float64)
        return self._over_spans(
            Span.entries, Span.indexed, tokens, self.cache_entry_elements, self.index_size
        )

    def cache_bytes(self, context: ArrayLike, bytes_per_element: float) -> Reals:
        """Bytes that a sequence of `context` tokens holds: attention caches at `bytes_per_element`, and its linear states."""
        return np.asarray(self.cache_elements(context) * bytes_per_element + self.state_bytes)

    @property
    def state_bytes(self) -> int:
        """Bytes of the linear mixers' states of one sequence, whatever its length. A step reads and writes them once."""
        return self.linear_layers * self.linear_value * self.linear_state * STATE_BYTES

    def cache_bytes_read(self, context: ArrayLike, bytes_per_element: float) -> Reals:
        """Bytes that one decoded token moves for its sequence of `context` tokens: the entries it attends to, an indexer's
        keys, and linear states read and written."""
        tokens = np.asarray(context, dtype=np.float64)
        read = self._over_spans(
            Span.attended, Span.indexed, tokens, self.cache_entry_elements, self.index_size
        )
        return np.asarray(read * bytes_per_element + 2 * self.state_bytes)

    # Arithmetic.

    @property
    def flops_per_token(self) -> float:
        """FLOPs of one token apart from its attention to the context."""
        return 2.0 * self.parameters_active + 6.0 * self.state_bytes / STATE_BYTES

    @property
    def decode_entry_flops(self) -> int:
        """FLOPs of one new token for one cache entry in one attention layer (MLA: absorbed)."""
        if self.attention is Attention.MLA:
            return 2 * self.heads * (2 * self.kv_rank + self.rope_size)
        return 4 * self.heads * self.head_size

    @property
    def prefill_entry_flops(self) -> int:
        """The same while a prompt is read (MLA: keys and values expanded)."""
        if self.attention is Attention.MLA:
            return 2 * self.heads * (self.nope_size + self.rope_size + self.value_size)
        return 4 * self.heads * self.head_size

    def decode_attention_flops(self, context: ArrayLike) -> Reals:
        """FLOPs with which one new token attends to `context` tokens, all layers, its indexers' included."""
        tokens = np.asarray(context, dtype=np.float64)
        return self._over_spans(
            Span.attended, Span.indexed, tokens, self.decode_entry_flops, self._index_entry_flops
        )

    def prefill_attention_flops(self, prompt: ArrayLike, cached: ArrayLike = 0.0) -> Reals:
        """FLOPs with which the tokens of a prompt attend to those before them; the first `cached` tokens need no reading."""
        whole, skipped = np.asarray(prompt, dtype=np.float64), np.asarray(cached, dtype=np.float64)
        both = [
            self._over_spans(
                Span.attended_sum, Span.indexed_sum, tokens, self.prefill_entry_flops, self._index_entry_flops
            )
            for tokens in (whole, skipped)
        ]
        return both[0] - both[1]

    @property
    def _index_entry_flops(self) -> int:
        return 2 * self.index_heads * self.index_size

    def _over_spans(self, attended: Callable[[Span, Reals], Reals], indexed: Callable[[Span, Reals], Reals], tokens: Reals,
                    per_attended: int, per_indexed: int) -> Reals:  # fmt: skip
        """The sum over all attention layers of what attention and indexer cost for `tokens` tokens."""
        total = np.zeros_like(tokens)
        for span in self.spans:
            total += span.layers * (
                attended(span, tokens) * per_attended + indexed(span, tokens) * per_indexed
            )
        return total
