"""Names of serving software are read for engine, version and frame, and versions stand in order."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.software import Backend, Software, in_order, software_from

NAMES = {
    "lmsysorg/sglang:v0.5.8.post1-cu130-runtime": "sglang 0.5.8.post1",
    "lmsysorg/sglang-rocm:v0.5.12-rocm720-mi35x-20260519": "sglang 0.5.12",
    "lmsysorg/sglang:nightly-dev-cu13-20260401-b6fe0cca": "sglang nightly-dev-cu13-20260401-b6fe0cca",
    "rocm/sgl-dev:sglang-0.5.9-rocm720-mi35x-mori-0227-3": "sglang 0.5.9",
    "rocm/atom:rocm7.1.1-ubuntu24.04-pytorch2.9-atom0.1.1-MI350x": "atom 0.1.1",
    "rocm/atom:rocm7.2.3_ubuntu24.04_py3.12_pytorch_release_2.10.0_atom20260511": "atom 20260511",
    "vllm/vllm-openai:v0.17.0-cu130": "vllm 0.17.0",
    "vllm/vllm-openai:nightly-5b8c30d62b754b575e043ce2fc0dcbf8a64f6306": "vllm nightly-5b8c30d62b754b575e043ce2fc0dcbf8a64f6306",
    "nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:0.8.1.post2": "trtllm (dynamo 0.8.1.post2)",
    "nvcr.io#nvidia/ai-dynamo/tensorrtllm-runtime:0.8.1.post2": "trtllm (dynamo 0.8.1.post2)",
    "nvcr.io/nvidia/ai-dynamo/sglang-runtime:0.5.1-rc0.pre1": "sglang (dynamo 0.5.1-rc0.pre1)",
    "nvcr.io/nvidia/tensorrt-llm/release:1.2.0rc6.post3": "trtllm 1.2.0rc6.post3",
    "nvcr.io/nvidia/tensorrt-llm/release:gpt-oss-dev": "trtllm gpt-oss-dev",
    "vLLM 0.4.3+rocm614, PyTorch 2.3.0, ROCm 6.1.2": "vllm 0.4.3",
    "vLLM 0.9.0.2.dev108+g71faa1880.d20250730.rocm641, Pytorch 2.7.0": "vllm 0.9.0.2.dev108",
    "Mango LLMBoost AI Enterprise Platform, vllm-0.9.0.2.dev108+g71faa1880": "llmboost",
    "TensorRT 10.11, CUDA 12.9": "trtllm (tensorrt 10.11)",
    "SGLang v0.4.9": "sglang 0.4.9",
    "deepsparse v1.5.2": "deepsparse 1.5.2",
    "PyTorch: Retinanet: 1.12.0a0+gitb278502": "pytorch",
    "dynamo-trt": "trtllm",
    "mori-sglang": "sglang",
    "vllm": "vllm",
}


@pytest.mark.parametrize(("name", "software"), NAMES.items())
def test_names_are_read(name: str, software: str):
    assert software_from(name).name == software


@pytest.mark.parametrize("name", ["", "CUDA 12.4", "llama.cpp b4000"])
def test_a_name_without_a_known_engine_is_refused(name: str):
    with pytest.raises(Malformed, match="name of serving software"):
        software_from(name)


def test_versions_stand_in_order():
    order = ["0.5.1-rc0.pre1", "0.5.1-rc0", "0.5.1", "0.5.1.post1", "0.5.5", "0.5.10", "0.6.5.dev964", "0.6.5", "1.2.0rc6.post2",
             "1.2.0rc6.post3", "1.2.0"]  # fmt: skip
    keys = [Software(Backend.SGLANG, "", version).version_key for version in order]
    for one, two in pairwise(keys):
        assert one < two


def test_a_nightly_build_has_a_day_and_no_place_among_the_numbers():
    nightly = software_from("lmsysorg/sglang:nightly-dev-cu13-20260317-1eea7448")
    assert (nightly.dated, nightly.version_key) == ("2026-03-17", ())
    assert software_from("rocm/atom:x_atom20260511").dated == "2026-05-11"
    assert software_from("vllm/vllm-openai:v0.17.0").dated is None


def test_releases_stand_in_order_of_their_days_then_of_their_numbers():
    early, late = Software(Backend.VLLM, "", "0.9.1"), Software(Backend.SGLANG, "", "0.5.9")
    twin = Software(Backend.SGLANG, "", "0.5.10")
    assert in_order({twin: "2026-02-01", late: "2026-02-01", early: "2025-06-10"}) == (early, late, twin)


@given(st.lists(st.integers(0, 99), min_size=2, max_size=4), st.integers(0, 3))
def test_the_next_version_is_later(numbers: list[int], place: int):
    place = min(place, len(numbers) - 1)
    later = [*numbers[:place], numbers[place] + 1, *numbers[place + 1 :]]
    keys = [Software(Backend.VLLM, "", ".".join(map(str, one))).version_key for one in (numbers, later)]
    assert keys[0] < keys[1]


@given(st.text(max_size=40))
def test_no_name_breaks_the_reader(name: str):
    try:
        found = software_from(name)
    except Malformed:
        return
    assert found.backend in Backend
