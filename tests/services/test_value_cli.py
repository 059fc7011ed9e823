"""`ciyuan factory value`: worth and order of retirement, rents beside them, a picture."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.services.value_cli import value

APP = typer.Typer()
APP.command()(value)
RENTS = """date,chip,spot_us_central1,spot_median,od_us_central1,od_median
2025-01-01,A100-40GB,1.0,2.0,3.0,4.0
2026-01-01,A100-40GB,1.3,1.5,3.0,4.0
2026-01-01,L4,1.3,1.5,3.0,4.0
"""


@pytest.fixture
def rents(tmp_path: Path) -> Path:
    path = tmp_path / "rents.csv"
    path.write_text(RENTS, encoding="utf-8")
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(APP, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_all_measured_chips_in_order_of_retirement():
    chips = json.loads(run("--json"))["chips_in_order_of_retirement"]
    limits = [chip["power_usd_per_mwh_max"] for chip in chips]
    assert len(chips) >= 3
    assert limits == sorted(limits)
    assert all(chip["value_usd"] >= 500 for chip in chips)


def test_dear_power_leaves_scrap():
    (chip,) = json.loads(run("--chip", "h200_sxm:fp8", "--power-price", "9000", "--scrap", "321", "--json"))[
        "chips_in_order_of_retirement"
    ]
    assert (chip["value_usd"], chip["kept_years"]) == (321.0, 0.0)
    assert chip["rent_usd_per_hour"] < 0


def test_the_history_of_rents_stands_beside(rents: Path, tmp_path: Path):
    told = json.loads(run("--history", str(rents), "--json"))["rents"]
    assert [(one["chip"], one["series"]) for one in told] == [
        ("A100-40GB", "spot_us_central1"),
        ("A100-40GB", "spot_median"),
    ]
    assert told[0]["change"] == pytest.approx(0.3)
    text = run("--history", str(rents), "--plot", str(tmp_path / "value.png"))
    assert "+30.0%" in text
    assert "retires" in text
    assert (tmp_path / "value.png").stat().st_size > 10_000


def test_a_picture_without_history(tmp_path: Path):
    run("--plot", str(tmp_path / "value.svg"), "--power-price=-30")
    assert (tmp_path / "value.svg").stat().st_size > 5_000


def test_what_makes_no_sense_is_refused(rents: Path):
    for arguments in (["--model", "Qwen/Qwen3-8B"], ["--decline", "1.5"], ["--prices", "1"],
                      ["--history", str(rents), "--region-chip", "L4"]):  # fmt: skip
        assert isinstance(CliRunner().invoke(APP, arguments).exception, Malformed)
