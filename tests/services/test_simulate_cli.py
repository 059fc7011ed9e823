"""`ciyuan factory simulate`: what it prints, what it draws, what it refuses."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from ciyuan.basics.errors import Malformed
from ciyuan.factory.step import StepTime
from ciyuan.services.simulate_cli import finite, simulate
from tests.factory.scheduler_worlds import STEP

SERVEGEN = Path(__file__).parents[3] / "shared" / "data" / "usage"
app = typer.Typer()
app.command()(simulate)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    dice = np.random.default_rng(2)
    times = np.cumsum(dice.exponential(0.4, 250))
    rows = [
        f"{s:.3f},{i},{o},{b} {b + 1000 * n}"
        for n, (s, i, o, b) in enumerate(
            zip(
                times,
                dice.integers(513, 1024, 250),
                dice.integers(2, 200, 250),
                dice.integers(0, 9, 250),
                strict=True,
            )
        )
    ]
    path = tmp_path / "trace.csv"
    path.write_text("timestamp_s,input_tokens,output_tokens,hash_ids\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def step(tmp_path: Path) -> Path:
    path = tmp_path / "step.toml"
    path.write_text("[step]\n" + "".join(f"{f.name} = {getattr(STEP, f.name)}\n" for f in fields(StepTime)))
    return path


def called(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_run_as_json(trace: Path, step: Path):
    shown = called(
        trace, "--coefficients", step, "--slo", "ttft=1,tpot=0.05", "--tier-shares", "0.5,0.5", "--json"
    )
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["requests"] == told["served"] == 250
    assert [tier["requests"] for tier in told["tiers"]] == [125, 125]
    assert 0 < told["cached_share"] < 1
    assert told["what"] == "trace.csv on 1 x 8 GPUs of step.toml"


def test_a_run_as_tables_with_every_option(trace: Path, step: Path):
    shown = called(
        trace, "--coefficients", step, "--rate", 5, "--since", 10, "--until", 60, "--times", 2, "--replicas", 2, "--batching",
        "chunked", "--step-tokens", 512, "--eviction", "reused-last", "--policy", "tier-aged", "--preempt-lower", "--preemption",
        "swap", "--routing", "prefix-affinity", "--slo", "ttft=1,tpot=0.05", "--slo", "ttft=9", "--tier-shares", "0.3,0.7",
        "--ration", "share=1", "--ration", "share=0.5,queue=30", "--speculation", "tokens=2,positions=3", "--decode-replicas", 1,
        "--transfer-us", 1.5, "--swap-us", 1,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    for words in ("served as promised", "GPU-hours", "ttft 1 tpot 0.05", "ttft 9"):
        assert words in shown.stdout


def test_policies_are_compared(trace: Path, step: Path, tmp_path: Path):
    plot = tmp_path / "policies.svg"
    words = (trace, "--coefficients", step, "--slo", "ttft=3,tpot=0.06", "--compare", "--share", 0.9)
    shown = called(*words, "--json", "--plot", plot)
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)["policies"]
    assert [one["policy"] for one in told] == [
        "static batching",
        "continuous batching",
        "chunked prefill",
        "prefix cache",
    ]
    assert told[0]["output_tokens_per_s"] < told[-1]["output_tokens_per_s"]
    assert "</svg>" in plot.read_text()
    assert "x the first" in called(*words).stdout.replace("\n", " ")


def test_waits_are_drawn(trace: Path, step: Path, tmp_path: Path):
    plot = tmp_path / "waits.png"
    shown = called(trace, "--coefficients", step, "--concurrency", 8, "--plot", plot)
    assert shown.exit_code == 0, shown.output
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_autoscaling_from_one_to_three(trace: Path, step: Path):
    shown = called(
        trace,
        "--coefficients",
        step,
        "--autoscale",
        "1:3",
        "--requests-per-replica",
        4,
        "--start-up",
        5,
        "--json",
    )
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["gpu_hours"] > 0


def test_a_ladder_as_json(trace: Path):
    words = ("--chip", "b200_sxm", "--tensor", 8, "--ladder", 50, "--slo", "ttft=20", "--json")
    shown = called(trace, *words)
    assert shown.exit_code == 0, shown.output
    assert [rung["name"] for rung in json.loads(shown.stdout)["rungs"]][:2] == [
        "static batching, fp8",
        "continuous batching",
    ]


@pytest.mark.parametrize("words", [("--compare",), ("--plot", "ladder.svg"), ("--coefficients", "step.toml")])
def test_a_ladder_stands_alone(trace: Path, words: tuple[str, ...]):
    refused = called(trace, "--ladder", 50, *words)
    assert isinstance(refused.exception, Malformed)
    assert words[0] in str(refused.exception)


@pytest.mark.skipif(not SERVEGEN.is_dir(), reason="the shared data folder is not beside this checkout")
def test_requests_are_generated_from_servegens_clients(step: Path):
    words = (
        SERVEGEN,
        "--servegen",
        "deepseek-r1",
        "--since",
        43_200,
        "--until",
        43_300,
        "--coefficients",
        step,
        "--json",
    )
    one, other = (called(*words, "--seed", seed) for seed in (1, 2))
    assert one.exit_code == other.exit_code == 0, one.output
    assert json.loads(one.stdout)["requests"] != json.loads(other.stdout)["requests"]


def test_a_span_of_servegen_ends(step: Path):
    refused = called(SERVEGEN, "--servegen", "deepseek-r1", "--coefficients", step)
    assert "slice of ServeGen" in str(refused.exception)


def test_a_chip_and_a_model_make_a_step(trace: Path):
    shown = called(trace, "--chip", "h200_sxm", "--model", "deepseek-ai/DeepSeek-R1", "--json")
    assert shown.exit_code == 0, shown.output
    assert "H200" in json.loads(shown.stdout)["what"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--slo", "ttft=x"), "--slo"),
        (("--slo", "speed=3"), "--slo"),
        (("--slo", "ttft=1", "--slo", "ttft=2"), "--slo"),
        (("--slo", "ttft=0"), "service level"),
        (("--ration", "share=0"), "sequences_share"),
        (("--autoscale", "4"), "--autoscale"),
        (("--speculation", "tokens=3,positions=2"), "tokens_per_step"),
        (("--until", "-1"), "no request"),
        (("--rate", "0"), "rate of a trace"),
        (("--plot", "waits.pdf"), "waits.pdf"),
        (("--compare",), "promises"),
        (("--decode-replicas", "1"), "--transfer-us"),
        (("--preemption", "swap"), "--swap-us"),
    ],
)
def test_what_cannot_be_is_refused(trace: Path, step: Path, words: tuple[str, ...], what: str):
    refused = called(trace, "--coefficients", step, *words)
    assert isinstance(refused.exception, Malformed)
    assert what in str(refused.exception)


@pytest.mark.parametrize(
    ("text", "what"),
    [("", "missing or unknown"), ("[step]\ngpus = 8\n", "missing or unknown"), ("[step", "TOML")],
)
def test_coefficients_are_whole_or_refused(trace: Path, tmp_path: Path, text: str, what: str):
    path = tmp_path / "half.toml"
    path.write_text(text)
    refused = called(trace, "--coefficients", path)
    assert isinstance(refused.exception, Malformed)
    assert what in str(refused.exception)


@pytest.mark.parametrize("wrong", ["gpus = 8.5", "gpus = true"])
def test_a_count_is_whole(trace: Path, step: Path, wrong: str):
    step.write_text(step.read_text().replace("gpus = 8", wrong))
    assert "gpus" in str(called(trace, "--coefficients", step).exception)


def test_json_has_no_word_for_what_is_not_finite():
    assert finite({"a": [float("inf"), 1.0], "b": float("nan")}) == {"a": [None, 1.0], "b": None}
