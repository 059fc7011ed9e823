"""`ciyuan factory curve`: tables, JSON and a picture from the shipped calibration; refusals that say what to do."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from ciyuan.basics.errors import Malformed
from ciyuan.factory.work import Shape
from ciyuan.services.curve_case import CurveOrder, curves_of, measured_points, thinned
from ciyuan.services.curve_cli import EXAMPLE, curve

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
app = Typer()
app.command()(curve)


def order(*chips, **changes):
    made = CurveOrder(chips=chips, model="deepseek-ai/DeepSeek-R1", precision="fp8", shape=Shape(1024, 1024), software="",
                      speculative=False, apart=True)  # fmt: skip
    return replace(made, **changes)


def test_a_curve_falls_and_says_what_is_known():
    (found,) = curves_of(order("h200_sxm"))
    speeds = [row.tokens_per_s_per_user for row in found.rows]
    assert speeds == sorted(speeds)
    assert {row.provenance for row in found.rows} <= {"calibrated", "extrapolated"}
    assert any(row.provenance == "calibrated" for row in found.rows)
    for row in found.rows:
        assert row.tokens_per_s_per_mw == pytest.approx(row.tokens_per_s_per_gpu * 1e6 / row.it_watts)
        assert row.low < 1 < row.high
        assert row.ttft_s <= row.ttft_p95_s * 1.5
        assert row.ttft_p95_s <= row.ttft_p99_s


def test_newer_chips_make_more_and_drafts_are_faster():
    old, new = curves_of(order("h200_sxm", "b200_sxm:fp4"))
    assert new.front.rate_at(40.0) > 2 * old.front.rate_at(40.0) > 0
    (drafted,) = curves_of(order("h200_sxm", speculative=True))
    assert drafted.front.tokens_per_s_per_user[-1] > old.front.tokens_per_s_per_user[-1]
    (mixed,) = curves_of(order("h200_sxm", apart=False))
    assert all("+" not in row.layout for row in mixed.rows)


def test_tables_keep_the_ends_of_a_front():
    (found,) = curves_of(order("h200_sxm"))
    few = thinned(found.rows, 5)
    assert (few[0], few[-1]) == (found.rows[0], found.rows[-1])
    assert len(few) <= 5
    with pytest.raises(Malformed):
        thinned(found.rows, 1)


@pytest.mark.skipif(not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout")
def test_the_command_draws_prints_and_overlays_measured_runs(tmp_path):
    picture = tmp_path / "front.svg"
    arguments = [
        "--chip",
        "h200_sxm",
        "--chip",
        "b200_sxm:fp4",
        "--data",
        str(FACTORY),
        "--plot",
        str(picture),
    ]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    assert "Pareto front" in shown.output
    assert "measured runs" in shown.output
    assert picture.read_text().startswith("<?xml")
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert [one["chip"] for one in told["curves"]] == ["h200_sxm", "b200_sxm"]
    assert {point["provenance"] for point in told["measured"]} == {"measured"}
    points = measured_points(FACTORY, curves_of(order("h200_sxm")), order("h200_sxm"))
    assert len(points) > 20


@pytest.mark.parametrize(
    "arguments",
    [
        ["--chip", "abacus"],
        ["--chip", "h200_sxm:fp4"],
        ["--chip", "l4", "--model", "deepseek-ai/DeepSeek-R1"],
        ["--model", "meta-llama/Llama-3.1-70B-Instruct", "--speculative"],
        ["--plot", "front.doc"],
        ["--input", "0"],
    ],
)
def test_what_cannot_be_served_is_refused(arguments):
    failed = CliRunner().invoke(app, arguments)
    assert isinstance(failed.exception, Malformed)
    assert failed.exception.remedy


def test_the_example_is_of_the_command():
    assert EXAMPLE.startswith("Example:  ciyuan factory curve")
