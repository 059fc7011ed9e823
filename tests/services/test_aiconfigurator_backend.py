"""The optional backend: the sum of its steps by hand, what is refused and how, and the package itself where it is installed."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.layout import Engine
from ciyuan.factory.model import Precision
from ciyuan.factory.software import Backend
from ciyuan.services import aiconfigurator_backend
from ciyuan.services.aiconfigurator_backend import PACKAGE, Aiconfigurator, Asked
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models


def installed() -> bool:
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        return False
    return True


def asked(
    model: str = "Qwen/Qwen3-32B", precision: Precision = Precision.FP8, chip: str = "h200_sxm", data: int = 1, expert: int = 1,
    input_tokens: int = 4096, output_tokens: int = 100, sequences: int = 8,
) -> Asked:  # fmt: skip
    engine = Engine(tensor=2, data=data, expert=expert)
    kept = chips()[chip], models()[model], precision
    return Asked(*kept, Backend.TRTLLM, engine, input_tokens, output_tokens, sequences)


class FakeEngine:
    """An engine whose steps take a millisecond, and one more for each 1,024 prompt tokens beside them."""

    compiled: list[tuple[tuple[str, ...], dict[str, object]]]

    @classmethod
    def compile(cls, *names: str, **options: object) -> "FakeEngine":
        cls.compiled.append((names, options))
        if names[1] == "l4":
            raise RuntimeError("no kernels of l4")
        return cls()

    def decode_step_latency(self, gen_tokens: int, isl: int, osl: int) -> float:
        return 1.0

    def mixed_step_latency(self, ctx_tokens: int, gen_tokens: int, isl: int, osl: int) -> float:
        return 1.0 + ctx_tokens / 1024


class FakeModule:
    EngineHandle = FakeEngine


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Aiconfigurator:
    """The backend over a package that is not there, which knows four checkpoints."""
    known = (
        "Qwen--Qwen3-32B",
        "Qwen--Qwen3-32B-FP8",
        "deepseek-ai--DeepSeek-R1",
        "nvidia--DeepSeek-V3.1-NVFP4",
    )
    held = [PurePosixPath(f"aiconfigurator_core/model_configs/{name}_config.json") for name in known]
    FakeEngine.compiled = []
    monkeypatch.setattr(aiconfigurator_backend, "version", lambda name: "0.12.0")
    monkeypatch.setattr(aiconfigurator_backend, "import_module", lambda name: FakeModule)
    monkeypatch.setattr(
        aiconfigurator_backend,
        "files",
        lambda name: [PurePosixPath("aiconfigurator_core/__init__.py"), *held],
    )
    return Aiconfigurator()


def test_a_package_that_is_not_installed_is_refused_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(aiconfigurator_backend, "version", absent)
    with pytest.raises(Malformed) as refused:
        Aiconfigurator()
    assert "pip install aiconfigurator-core==0.12.0" in refused.value.remedy


def test_times_are_the_sum_of_the_steps(backend: Aiconfigurator):
    """8 sequences with prompts of 2 chunks: 16 mixed steps of 3 ms and 84 plain ones of 1 ms make 100 tokens."""
    times = backend.times(asked())
    assert times.tpot_s == pytest.approx((16 * 3 + 84 * 1) / 100 / 1000)
    assert times.ttft_s == pytest.approx(2 * 3 / 1000)


def test_prompts_that_fill_every_step_leave_no_plain_ones(backend: Aiconfigurator):
    times = backend.times(asked(output_tokens=4))
    assert (times.tpot_s, times.ttft_s) == pytest.approx((16 * 3 / 4 / 1000, 6 / 1000))


def test_copies_of_attention_share_the_sequences(backend: Aiconfigurator):
    times = backend.times(asked("deepseek-ai/DeepSeek-R1", chip="b200_sxm", data=4, expert=8))
    assert times.tpot_s == pytest.approx((2 * 2 * 3 + 96) / 100 / 1000)


def test_an_engine_is_compiled_once_for_a_layout(backend: Aiconfigurator):
    backend.times(asked())
    backend.times(asked(sequences=64))
    backend.times(asked("deepseek-ai/DeepSeek-R1", chip="gb200_nvl72", data=4, expert=8))
    assert FakeEngine.compiled == [
        (("Qwen/Qwen3-32B-FP8", "h200_sxm", "trtllm"), {"tp_size": 2, "pp_size": 1, "attention_dp_size": 1}),
        (
            ("deepseek-ai/DeepSeek-R1", "gb200", "trtllm"),
            {
                "tp_size": 2,
                "pp_size": 1,
                "attention_dp_size": 4,
                "moe_tp_size": 1,
                "moe_ep_size": 8,
                "fmha_quant_mode": "bfloat16",
            },
        ),
    ]


@pytest.mark.parametrize(
    ("model", "precision", "checkpoint"),
    [
        ("Qwen/Qwen3-32B", Precision.BF16, "Qwen/Qwen3-32B"),
        ("deepseek-ai/DeepSeek-R1", Precision.FP8, "deepseek-ai/DeepSeek-R1"),
        ("deepseek-ai/DeepSeek-R1", Precision.FP4, "nvidia/DeepSeek-V3.1-NVFP4"),
    ],
)
def test_a_precision_is_that_of_a_published_checkpoint(
    backend: Aiconfigurator, model: str, precision: Precision, checkpoint: str
):
    backend.times(asked(model, precision))
    assert FakeEngine.compiled[-1][0][0] == checkpoint


def test_a_precision_without_a_checkpoint_is_refused(backend: Aiconfigurator):
    with pytest.raises(Malformed) as refused:
        backend.times(asked(precision=Precision.FP4))
    assert refused.value.expected == "a precision of one that it knows: Qwen/Qwen3-32B, Qwen/Qwen3-32B-FP8"
    with pytest.raises(Malformed, match="it knows: none"):
        backend.times(asked("google/gemma-3-12b-it", Precision.BF16))


def test_what_the_package_cannot_do_is_refused_in_its_words(backend: Aiconfigurator):
    with pytest.raises(Malformed) as refused:
        backend.times(asked(chip="l4"))
    assert refused.value.found == "no kernels of l4"


@pytest.mark.skipif(not installed(), reason=f"{PACKAGE} is not installed")
def test_the_package_answers_and_more_load_is_slower():
    backend = Aiconfigurator()
    light, heavy = (backend.times(asked(sequences=sequences)) for sequences in (1, 64))
    assert 0.002 < light.tpot_s < heavy.tpot_s < 0.2
    with pytest.raises(Malformed):
        backend.times(asked(chip="mi300x"))
