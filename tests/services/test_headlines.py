"""Headlines: every figure of ours is worked out, judged by the row's own tolerance, and a claim stays a claim."""

from pathlib import Path

import pytest

from ciyuan.factory.messages import Provenance
from ciyuan.services.headline_evidence import Answer, Unanswered, best_at
from ciyuan.services.headlines import headline_rows, headlines_report, judged, print_headlines, summary
from ciyuan.services.measurements_published import Headline, HeadlineKind

SHARED = Path(__file__).parents[3] / "shared" / "data" / "factory"
HEAD = "id,what,value,unit,kind,tol,source\n"


def row(value: float | None = 100.0, tolerance: float | None = 0.1, kind: HeadlineKind = HeadlineKind.MEASURED,
        value_from: float | None = None, bound: bool = False) -> Headline:  # fmt: skip
    return Headline("H0", "a figure", value, value_from, bound, "tok/s", kind, tolerance, "made up")


def answer(value: float, value_from: float | None = None, of_other: bool = False) -> Answer:
    return Answer(value, "by hand", Provenance.CALIBRATED, value_from, of_other)


def test_a_figure_is_judged_by_the_rows_tolerance():
    assert judged(row(), answer(109.0)).outcome == "within"
    assert judged(row(), answer(91.0)).difference == pytest.approx(-0.09)
    assert judged(row(), answer(111.0)).outcome == "out of it"


def test_no_tolerance_at_all_is_the_figures_own_rounding():
    assert judged(row(1.336, 0.0), answer(1.3361)).outcome == "within"
    assert judged(row(1.336, 0.0), answer(1.3370)).outcome == "out of it"
    assert judged(row(87072.0, 0.0), answer(87072.4)).outcome == "within"
    assert judged(row(87072.0, 0.0), answer(87073.0)).outcome == "out of it"


def test_of_a_change_both_ends_count():
    change = row(500.0, 0.1, value_from=300.0)
    assert judged(change, answer(505.0, 320.0)).outcome == "within"
    assert judged(change, answer(505.0, 340.0)).difference == pytest.approx(340 / 300 - 1)
    assert judged(change, answer(505.0)).outcome == "other", "one end alone is not the change"


def test_a_claim_stays_a_claim_and_another_figure_another():
    assert judged(row(kind=HeadlineKind.CLAIM), answer(100.0)).outcome == "claim"
    assert judged(row(), answer(100.0, of_other=True)).outcome == "other"
    assert judged(row(tolerance=None), answer(100.0)).outcome == "other"
    assert judged(row(bound=True), answer(5.0)).difference is None
    assert judged(row(), Unanswered("nobody knows")).outcome == "none"


def test_the_front_of_runs_is_read_between_its_neighbours():
    speeds, rates = [20.0, 40.0, 30.0, 80.0], [800.0, 400.0, 100.0, 100.0]
    assert best_at(speeds, rates, 10.0) == pytest.approx(800.0)
    assert best_at(speeds, rates, 40.0) == pytest.approx(400.0)
    assert best_at(speeds, rates, 60.0) == pytest.approx(200.0), "halfway in logarithms"
    assert best_at(speeds, rates, 81.0) is None
    assert best_at([], [], 1.0) is None


def day_folder(tmp_path: Path, hours: int = 24) -> Path:
    """A folder with four headlines of the day, its hours and a history of rents."""
    (tmp_path / "headline_results.csv").write_text(
        HEAD + "H1,cost,87072,USD/day,published,0.0,x\nH2,revenue,562027,USD/day,published,0.001,x\n"
        "H21,index 2026-03-06 -> 2026-03-08,1.5,ratio,measured,0.02,x\n"
        "H22,spot 2025-06-05 -> 2026-07-22,1.336,ratio,measured,0.0,x\n"
        "H99,unheard of,5,ratio,claim,0.1,x\n",
        encoding="utf-8",
    )
    (tmp_path / "deepseek_day6.csv").write_text(
        "hour_index,local_hour,node_count_mean,cost_usd,income_usd\n"
        + "".join(f"{hour},{hour:02d}:00,226.75,3628,23418\n" for hour in range(hours)),
        encoding="utf-8",
    )
    (tmp_path / "gpu_rental_gcp.csv").write_text(
        "date,chip,spot_us_central1,spot_median,od_us_central1,od_median\n"
        "2025-05-01,A100-40GB,1.443,1.5,3.6,4.3\n2026-06-25,A100-40GB,1.928,0.6,3.6,4.3\n",
        encoding="utf-8",
    )
    (tmp_path / "gpu_rental.csv").write_text(
        "date,source,provider,gpu,kind,usd_min,usd_median,usd_max,n_offers\n"
        "2026-03-06,x,neocloud,A100,index (average),,2.0,,\n2026-03-06,x,hyperscaler,A100,index (average),,9.0,,\n"
        "2026-03-08,x,neocloud,A100,index (average),,3.0,,\n",
        encoding="utf-8",
    )
    return tmp_path


def test_figures_are_worked_out_of_the_folders_tables(tmp_path: Path):
    rows = {one.headline.code: one for one in headline_rows(day_folder(tmp_path))}
    assert [rows[code].outcome for code in ("H1", "H2", "H21", "H22", "H99")] == ["within"] * 4 + ["none"]
    ours = {code: one.answer.value for code, one in rows.items() if isinstance(one.answer, Answer)}
    assert ours["H1"] == pytest.approx(87_072.0)
    assert ours["H2"] == pytest.approx(562_100.0, rel=1e-6)
    assert ours["H21"] == pytest.approx(1.5)
    assert ours["H22"] == pytest.approx(1.928 / 1.443)


def test_another_table_gives_another_figure(tmp_path: Path):
    folder = day_folder(tmp_path)
    rents = folder / "gpu_rental.csv"
    rents.write_text(rents.read_text(encoding="utf-8").replace(",3.0,", ",2.5,"), encoding="utf-8")
    (index,) = [one for one in headline_rows(folder) if one.headline.code == "H21"]
    assert isinstance(index.answer, Answer)
    assert index.answer.value == pytest.approx(1.25)
    assert index.outcome == "out of it"


def test_what_is_missing_is_said(tmp_path: Path):
    folder = day_folder(tmp_path, hours=23)
    (folder / "gpu_rental.csv").unlink()
    rows = {one.headline.code: one for one in headline_rows(folder)}
    assert isinstance(rows["H1"].answer, Unanswered)
    assert "23 of 24" in rows["H1"].answer.why
    assert isinstance(rows["H21"].answer, Unanswered)


def test_the_table_and_the_report_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = headline_rows(day_folder(tmp_path))
    print_headlines(rows)
    text = capsys.readouterr().out
    report = headlines_report(rows)
    assert summary(rows) == report["summary"]
    assert "4 of 4 measured or published figures within" in text
    assert "87,072" in text


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not beside this checkout")
def test_the_published_rows():
    """Of the rows that are measured or published, those that can be worked out from the part of the tables that is here."""
    rows = {one.headline.code: one for one in headline_rows(SHARED)}
    assert len(rows) == 24
    for code in ("H1", "H2", "H3", "H4", "H21", "H22"):
        assert rows[code].outcome == "within", code
    assert {rows[code].outcome for code in ("H23", "H24")} == {"none"}
    assert all(rows[code].outcome in {"claim", "other", "none"} for code in ("H16", "H17", "H18", "H19"))
