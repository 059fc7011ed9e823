"""The plan on the command line: tables and JSON say the same, mistakes are refused, pictures are drawn."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.services.plan_cli import plan
from ciyuan.services.plan_sweep import megawatts_of

PLANT = """
[plant]
name = "small"
power_mw = 10
power_usd_per_mwh = 50
utilisation = 0.6
pue = 1.2

[[plant.fleet]]
chip = "b200_sxm"
share = 0.5
capital = { kind = "rental", usd_per_gpu_hour = 2.6 }

[[plant.fleet]]
chip = "mi355x"
gpus = 1000
capital = { kind = "rental", usd_per_gpu_hour = 2.1 }

[service]
model = "deepseek-ai/DeepSeek-R1"
precision = "fp4"
software = "sglang"
input_tokens = 1024
output_tokens = 1024
cached_share = 0

[[tier]]
name = "medium"
price_input_usd_per_mtok = 1
price_cached_usd_per_mtok = 0.1
price_output_usd_per_mtok = 4
tokens_per_s_per_user_min = 40
ttft_s_max = 4
demand = { kind = "elastic", tokens_per_s_at_list = 400000, elasticity = 1.5, price_factor_max = 3, tokens_per_s_max = 3000000 }

[[tier]]
name = "premium"
price_input_usd_per_mtok = 4
price_cached_usd_per_mtok = 0.4
price_output_usd_per_mtok = 30
tokens_per_s_per_user_min = 100
ttft_s_max = 4
demand = { kind = "linear", tokens_per_s_at_list = 60000, price_factor_max = 2 }
"""
app = typer.Typer()
app.command()(plan)
runner = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plant.toml"
    path.write_text(PLANT, encoding="utf-8")
    return path


def said(*words: str) -> str:
    done = runner.invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_tables_name_every_loss_and_how_rates_are_known(file: Path):
    text = said(str(file))
    for word in ("distribution", "cooling", "power supplies", "idle time", "prompts", "medium", "premium", "b200_sxm", "mi355x",
                 "calibrated", "one more MW earns", "revenue = "):  # fmt: skip
        assert word in text


def test_json_adds_up(file: Path):
    shown = json.loads(said(str(file), "--json", "--sweep", "5:20:4"))
    margin = (
        sum(tier["margin"] for tier in shown["tiers"])
        - shown["unused_capital_usd_per_hour"]
        - shown["staff_usd_per_hour"]
    )
    assert margin == pytest.approx(shown["margin_usd_per_hour"])
    tokens = sum(tier["sold_tokens_per_s"] for tier in shown["tiers"])
    assert tokens == pytest.approx(shown["tokens_per_s_per_watt"] * shown["drawn_mw"] * 1e6)
    assert [row["power_mw"] for row in shown["sweep"]] == [5.0, 10.0, 15.0, 20.0]
    assert shown["sweep"][1]["margin_usd_per_hour"] == pytest.approx(shown["margin_usd_per_hour"])
    prices = [row["grown_mw_usd_per_hour"] for row in shown["sweep"]]
    assert prices == sorted(prices, reverse=True), "ever less"
    assert {rate["provenance"] for rate in shown["rates"]} <= {"calibrated", "extrapolated"}
    measured = json.loads(said(str(file), "--json", "--rates", "measured"))
    assert {rate["provenance"] for rate in measured["rates"]} == {"measured"}


@pytest.mark.parametrize("scenario", ["optimal", "equal", "keynote", "unlimited"])
def test_every_scenario_is_shown(file: Path, scenario: str):
    assert json.loads(said(str(file), "--scenario", scenario, "--json"))["scenario"] == scenario
    assert f"{scenario} split" in said(str(file), "--scenario", scenario)


@pytest.mark.parametrize("name", ["split.svg", "split.png"])
def test_a_picture_is_drawn(file: Path, tmp_path: Path, name: str):
    picture = tmp_path / name
    said(str(file), "--plot", str(picture), "--sweep", "5:20:3")
    assert picture.stat().st_size > 5_000


def test_what_cannot_be_done_is_refused_before_anything_is_written(file: Path, tmp_path: Path):
    for words in (
        (str(file), "--plot", str(tmp_path / "split.gif")),
        (str(file), "--sweep", "5:1:3"),
        (str(tmp_path / "no.toml"),),
    ):
        with pytest.raises(Malformed):
            runner.invoke(app, list(words), catch_exceptions=False)


@pytest.mark.parametrize(
    "text", ["", "5", "5:6", "5:6:1", "6:5:3", "0:5:3", "a:b:c", "1:inf:4", "1:2:3:4", "1:2:1000"]
)
def test_a_sweep_that_is_none_is_refused(text: str):
    with pytest.raises(Malformed, match="FROM:TO:STEPS"):
        megawatts_of(text)


def test_a_sweep_is_even():
    assert megawatts_of("100:300:3") == (100.0, 200.0, 300.0)


def test_a_plant_without_buyers_says_that_it_stands_still(file: Path):
    lines = file.read_text(encoding="utf-8").splitlines()
    nobody = 'demand = { kind = "flat", tokens_per_s_max = 0 }'
    file.write_text(
        "\n".join(nobody if line.startswith("demand") else line for line in lines), encoding="utf-8"
    )
    assert "the plant stands still" in said(str(file))
    assert json.loads(said(str(file), "--json"))["revenue_usd_per_hour"] == 0.0


def test_a_tier_that_no_chip_serves_is_named(file: Path):
    text = file.read_text(encoding="utf-8").replace(
        "tokens_per_s_per_user_min = 100", "tokens_per_s_per_user_min = 5000"
    )
    file.write_text(text, encoding="utf-8")
    shown = said(str(file), "--rates", "measured")
    assert "no chip of the plant serves premium" in shown
    assert "cannot serve" in shown
