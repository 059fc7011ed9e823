"""`ciyuan factory cost`: tables, one JSON object, a picture; what is malformed is refused before anything is written."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.services.cost_cli import cooling_of, cost, price_list, read_shock
from tests.sources import ROOT

APP = typer.Typer()
APP.command()(cost)
HERE = ["--chip", "h200_sxm", "--chip", "b200_sxm:fp4", "--pue", "1.3", "--cached", "0.4"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(APP, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_json_sums():
    answers = json.loads(run(*HERE, "--json", "--shock", "power=2", "--shock", "chip=1.3,software=2"))
    assert [one["rates"]["chip"] for one in answers] == ["h200_sxm", "b200_sxm"]
    for one in answers:
        for leg in ("input", "cached", "output"):
            assert sum(one["usd_per_mtok"][leg].values()) == pytest.approx(one["usd_per_mtok_by_leg"][leg])
        assert sum(one["usd_per_mtok_output_with_input"].values()) == pytest.approx(
            one["usd_per_mtok_output_with_input_total"]
        )
        links = one["losses_of_a_megawatt"]
        assert links[0]["watts_before"] <= 1e6
        assert set(one["shocks"]) == {"power x2", "chip x1.3,software x2"}
        last = links[-1]["watts_after"] * one["tokens_per_joule_at_the_last_watt"]
        assert last == pytest.approx(one["tokens_per_s_per_mw"])


def test_tables_name_parts_losses_and_shocks():
    told = run(*HERE)
    for word in ("capital", "distribution", "power supplies", "rejected drafts", "software x2", "margin, USD per MW-year",
                 "Elasticity of the cost of a token"):  # fmt: skip
        assert word in told


@pytest.mark.parametrize("name", ["cost.svg", "cost.png"])
def test_the_waterfall_is_drawn(tmp_path: Path, name: str):
    run(*HERE, "--plot", str(tmp_path / name))
    assert (tmp_path / name).stat().st_size > 5_000


def test_a_loss_is_drawn_below_nothing(tmp_path: Path):
    run(*HERE, "--power-price=-900", "--plot", str(tmp_path / "cost.svg"))
    assert (tmp_path / "cost.svg").stat().st_size > 5_000


def test_a_bad_picture_is_refused_first(tmp_path: Path):
    result = CliRunner().invoke(APP, [*HERE, "--plot", str(tmp_path / "cost.pdf")])
    assert isinstance(result.exception, Malformed)


def test_a_plant_file_says_it_all_but_shocks_and_failures():
    plant = str(ROOT / "examples" / "plant.toml")
    answers = json.loads(run(plant, "--failed", "0.02", "--shock", "power=3", "--json"))
    assert set(answers[0]["shocks"]) == {"power x3"}
    failed = next(link for link in answers[0]["losses_of_a_megawatt"] if link["name"] == "failed GPUs")
    assert failed["passed"] < 1
    for option in (("--model", "x"), ("--input", "10"), ("--power-price", "3")):
        result = CliRunner().invoke(APP, [plant, *option])
        assert isinstance(result.exception, Malformed)
        assert option[0] in str(result.exception)


@pytest.mark.parametrize("text", ["power", "sun=2", "power=much", "power=-1"])
def test_a_shock_that_is_none_is_refused(text: str):
    with pytest.raises(Malformed, match="shock"):
        read_shock(text)


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(Malformed, match="three prices"):
        price_list("1,2")
    with pytest.raises(Malformed, match="--cooling"):
        cooling_of(None, "water", 20.0, 50.0)
    assert cooling_of(None, "liquid", 20.0, 50.0).method == "liquid"
    assert cooling_of(1.2, "water", 20.0, 50.0).pue == 1.2
