"""Small chips and models for the tests of the factory's physics: round figures, made up."""

from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Attention, Model, Precision
from ciyuan.factory.span import Span


def chip(**changes: object) -> Chip:
    """A chip of one terabyte a second and a petaflop; `changes` replace fields."""
    figures: dict[str, object] = {
        "code": "made_up", "name": "Made up", "vendor": "nvidia", "architecture": "blackwell", "year": 2025, "tdp_w": 1000.0,
        "memory_gb": 100.0, "memory_tb_s": 1.0, "bf16_tflops": 1000.0, "fp8_tflops": 2000.0, "fp4_tflops": None,
        "int8_tops": None,
        "scale_up_gb_s": 500.0, "scale_up_gpus": 8, "scale_out_gb_s": 50.0, "it_kw": 1.5, "cost_usd_per_hour": 2.0,
        "rent_usd_per_hour": 2.0, "announced": False, "source": "the tests", "observed_on": "2026-01-01",
    }  # fmt: skip
    return Chip(**(figures | changes))  # type: ignore[arg-type]


def model(**changes: object) -> Model:
    """A dense model of about 14 billion parameters with grouped heads; `changes` replace fields."""
    figures: dict[str, object] = {
        "code": "made/up", "name": "Made up", "family": "made-up", "hidden": 5120, "vocabulary": 100_000,
        "tied_embeddings": False,
        "context_tokens_max": 32_768, "attention": Attention.GQA, "spans": (Span(40),), "linear_layers": 0, "heads": 40,
        "kv_heads": 8, "head_size": 128, "gated_attention": False, "query_rank": 0, "kv_rank": 0, "nope_size": 0, "rope_size": 0,
        "value_size": 0, "output_rank": 0, "output_groups": 0, "index_heads": 0, "index_size": 0, "linear_key": 0,
        "linear_value": 0, "linear_scalars": 0, "linear_state": 0, "mlp_matrices": 3, "dense_layers": 40, "dense_width": 15_000,
        "moe_layers": 0, "experts": 0, "experts_per_token": 0, "shared_experts": 0, "expert_width": 0, "attention_bits_at_4": 0,
        "dense_bits_at_4": 0, "native_precision": Precision.BF16, "draft_layers": 0, "other_parameters": 0.0,
        "parameters_published": 14e9, "active_published": 14e9, "source": "the tests", "observed_on": "2026-01-01",
    }  # fmt: skip
    return Model(**(figures | changes))  # type: ignore[arg-type]


def sparse_model(**changes: object) -> Model:
    """A mixture of 64 experts, 4 a token, with one layer that drafts."""
    experts: dict[str, object] = {"dense_layers": 0, "dense_width": 0, "moe_layers": 40, "experts": 64, "experts_per_token": 4,
                                  "expert_width": 1024, "draft_layers": 1}  # fmt: skip
    return model(**(experts | changes))
