"""The factory's catalogue as shipped: shapes that add up to the published counts, names that resolve, bad facts refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.hardware import Cooling
from ciyuan.factory.model import Attention, Model, Precision
from ciyuan.factory.software import Backend, Software
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models, names, software, systems
from ciyuan.services.catalog_table import FACTS

COUNT_TOLERANCE = 0.02
COUNTED_ROUGHLY = {"Qwen/Qwen3.5-397B-A17B": 0.03}
"""Active counts published in whole billions, so that rounding alone is up to 3%."""


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of the facts in which one text of one file is another."""

    def edit(name: str, old: str, new: str) -> Path:
        shutil.copytree(str(FACTS), tmp_path, dirs_exist_ok=True)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
        return tmp_path

    return edit


@pytest.mark.parametrize("model", models().values(), ids=models().keys())
def test_the_shape_adds_up_to_the_published_total(model: Model):
    assert model.parameters_total == pytest.approx(model.parameters_published, rel=COUNT_TOLERANCE)


@pytest.mark.parametrize("model", models().values(), ids=models().keys())
def test_the_shape_adds_up_to_the_published_active_count(model: Model):
    """Makers count active parameters with both embeddings, with the output head alone, or with neither."""
    embedding = 0 if model.tied_embeddings else model.head_parameters
    counts = (
        model.parameters_active + embedding,
        model.parameters_active,
        model.parameters_active - model.head_parameters,
    )
    nearest = min(counts, key=lambda count: abs(count - model.active_published))
    tolerance = COUNTED_ROUGHLY.get(model.code, COUNT_TOLERANCE)
    assert nearest == pytest.approx(model.active_published, rel=tolerance)


def test_caches_are_as_published():
    """DeepSeek-V3: 576 elements a layer; GPT-OSS: half its layers see 128 tokens; V4 keeps about a tenth of V3's."""
    found = models()
    deepseek, oss, pro = (
        found[code]
        for code in ("deepseek-ai/DeepSeek-R1", "openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V4-Pro")
    )
    assert deepseek.cache_elements(1.0) == 61 * 576
    assert oss.cache_elements(10_000.0) == 1024 * (18 * 10_000 + 18 * 128)
    assert pro.cache_elements(1e6) / deepseek.cache_elements(1e6) == pytest.approx(0.13, abs=0.02)


def test_hybrids_keep_a_state_and_grow_slowly():
    found = models()
    hybrid, dense = found["Qwen/Qwen3.5-397B-A17B"], found["Qwen/Qwen3-32B"]
    assert (hybrid.layers, hybrid.attention_layers, hybrid.linear_layers) == (60, 15, 45)
    assert hybrid.state_bytes == 45 * 64 * 128 * 128 * 4
    assert hybrid.cache_elements(1000.0) < dense.cache_elements(1000.0) / 8


def test_a_model_fits_where_it_is_known_to():
    """gpt-oss-120b in one 80 GB GPU, DeepSeek-R1 in fp8 in eight 141 GB ones, while eight 80 GB ones have no room beside it."""
    found, held = models(), chips()
    assert (
        60e9
        < found["openai/gpt-oss-120b"].weight_bytes(Precision.MXFP4).total
        < held["h100_sxm"].memory_gb * 1e9
    )
    deepseek = found["deepseek-ai/DeepSeek-R1"].weight_bytes(Precision.FP8).total
    assert 8 * held["h100_sxm"].memory_gb * 1e9 < deepseek < 8 * held["h200_sxm"].memory_gb * 1e9
    assert found["moonshotai/Kimi-K2.5"].weight_bytes(Precision.INT4).total == pytest.approx(594e9, rel=0.03)


def test_every_attention_and_every_precision_is_of_some_model():
    assert {model.attention for model in models().values()} == set(Attention)
    assert {model.native_precision for model in models().values()} >= {
        Precision.BF16,
        Precision.FP8,
        Precision.MXFP4,
        Precision.INT4,
    }


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("nvidia/DeepSeek-R1-NVFP4", "deepseek-ai/DeepSeek-R1"),
        ("DSR1", "deepseek-ai/DeepSeek-R1"),
        ("llama2-70b-99.9", "meta-llama/Llama-2-70b-chat-hf"),
        ("zhipuai/GLM-5", "zai-org/GLM-5"),
        ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"),
    ],
)
def test_models_go_by_other_names(name: str, code: str):
    assert names().model(name).code == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gb200", "gb200_nvl72"),
        ("B200", "b200_sxm"),
        ("A100-80GB", "a100_sxm"),
        ("a100-40gb", "a100_40gb"),
        ("NVIDIA H100-SXM-80GB", "h100_sxm"),
    ],
)
def test_chips_go_by_other_names(name: str, code: str):
    assert names().chip(name).code == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NVIDIA H200-NVL-141GB", "h200_nvl"),
        ("NVIDIA H100-PCIe-80GB", "h100_pcie"),
        ("NVIDIA GB300 NVL72", "gb300_nvl72"),
        ("NVIDIA B200-SXM-180GB-CTS", "b200_sxm"),
        ("AMD Instinct MI355X, 288 GB, liquid", "mi355x"),
    ],
)
def test_accelerators_are_found_by_their_one_designation(name: str, code: str):
    assert names().accelerator(name).code == code


@pytest.mark.parametrize(
    "name", ["AMD Instinct MI300X (x32), AMD Instinct MI325X (x16)", "NVIDIA GeForce RTX 4090", "N/A", ""]
)
def test_an_accelerator_that_is_two_or_none_is_refused(name: str):
    with pytest.raises(Malformed, match="chip"):
        names().accelerator(name)


@pytest.mark.parametrize(
    ("model", "name", "precision"),
    [
        ("openai/gpt-oss-120b", "fp4", Precision.MXFP4),
        ("openai/gpt-oss-120b", "fp8", Precision.MXFP4),
        ("openai/gpt-oss-120b", "bf16", Precision.BF16),
        ("moonshotai/Kimi-K2.5", "fp4", Precision.FP4),
        ("moonshotai/Kimi-K2.5", "", Precision.INT4),
        ("Qwen/Qwen3-32B", "", Precision.BF16),
        ("deepseek-ai/DeepSeek-R1", "FP8", Precision.FP8),
        ("Qwen/Qwen3-8B", "bfloat16", Precision.BF16),
    ],
)
def test_a_precision_is_what_the_model_s_checkpoint_is(model: str, name: str, precision: Precision):
    assert names().precision(name, models()[model]) is precision


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(Malformed, match="precision of Qwen/Qwen3-8B"):
        names().precision("fp3", models()["Qwen/Qwen3-8B"])


def test_announced_chips_and_systems_are_marked_and_no_others():
    assert [chip.code for chip in chips().values() if chip.announced] == ["vr200_nvl72"]
    assert [system.code for system in systems().values() if system.announced] == ["vr200_rack"]


def test_systems_are_of_known_chips_and_draw_more_busy_than_idle():
    for system in systems().values():
        chip = chips()[system.chip]
        assert chip.scale_up_gpus == system.scale_up_gpus
        assert system.announced == chip.announced
        if system.load_w is not None:
            assert system.load_w > (system.idle_w or 0) + (system.host_w or 0)
            assert system.load_w >= system.gpus * chip.tdp_w
    assert systems()["hgx_b200_liquid"].cooling is Cooling.LIQUID


def test_software_has_days_and_versions_of_a_line_stand_in_their_order():
    found = software()
    assert found[Software(Backend.SGLANG, "", "0.5.9")] == "2026-02-27"
    for line in {one.line for one in found}:
        numbered = sorted(
            (one for one in found if one.line == line and one.version_key), key=lambda one: one.version_key
        )
        assert [found[one] for one in numbered] == sorted(found[one] for one in numbered)


@pytest.mark.parametrize(
    ("name", "old", "new", "read", "thing"),
    [
        ("models.toml", "hidden = 4096", "hidden = 4096.0", models, "models.toml, [Qwen/Qwen3-8B], hidden"),
        ("models.toml", "heads = 32", "haeds = 32", models, "models.toml, [Qwen/Qwen3-8B], heads"),
        (
            "models.toml",
            'attention = "gqa"',
            'attention = "none"',
            models,
            "models.toml, [Qwen/Qwen3-8B], attention",
        ),
        (
            "models.toml",
            "{ layers = 36 }",
            "{ layers = 36, depth = 2 }",
            models,
            "models.toml, [Qwen/Qwen3-8B], spans[0], depth",
        ),
        (
            "models.toml",
            "{ layers = 36, width = 12288 }",
            "{ layers = 36 }",
            models,
            "models.toml, [Qwen/Qwen3-8B], dense, width",
        ),
        ("models.toml", "per_token = 8", "per_token = 800", models, "model Qwen/Qwen3-30B-A3B, experts"),
        ("models.toml", '"qwen3-8b"', '"qwen3-14b"', names, "models.toml, [Qwen/Qwen3-14B], aliases"),
        ("chips.toml", '"v100"', '"h100"', names, "chips.toml, [h100_sxm], aliases"),
        ("systems.toml", 'chip = "a100_sxm"', 'chip = "abacus"', systems, "systems.toml, [dgx_a100], chip"),
        ("systems.toml", 'cooling = "air"', 'cooling = "ice"', systems, "systems.toml, [dgx_a100], cooling"),
        ("systems.toml", "load_w = 6500.0", "load_w = -1.0", systems, "system dgx_a100, load_w"),
        (
            "software.toml",
            'backend = "atom"',
            'backend = "abacus"',
            software,
            "software.toml, [[line]] 1, backend",
        ),
        (
            "software.toml",
            'version = "0.1.1"',
            'number = "0.1.1"',
            software,
            "software.toml, [[line]] 1, releases[0], version",
        ),
    ],
)
def test_a_bad_fact_is_refused_where_it_stands(
    edited: Callable[[str, str, str], Path],
    name: str,
    old: str,
    new: str,
    read: Callable[[Path], object],
    thing: str,
):
    with pytest.raises(Malformed) as refused:
        read(edited(name, old, new))
    assert refused.value.thing == thing
