"""`ciyuan margin`: a portfolio's margin taken apart, a back-test of a history, and what is said of input that will not do."""

import csv
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ciyuan.clearing.scenario_margin import plain_scenario_margin_micro
from ciyuan.clearing.scenarios import FilterTerms
from ciyuan.services.margin_basis import MODEL_COLUMNS, Listing, basis_of_prices, basis_of_run
from ciyuan.services.margin_prices import read_gpu_rents, read_prices, weighted_median
from tests.services.runs import said
from tests.sources import ROOT

CODES = ("KIMI26.2610", "KIMI26.2611", "KIMI26.2612")


def dates(count, first=date(2024, 1, 1)):
    return [(first + timedelta(days=number)).isoformat() for number in range(count)]


def written(path, columns):
    """A CSV file of columns by name."""
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    """750 simulated days of the catalogue's three futures, with one launch."""
    path = tmp_path_factory.mktemp("prices") / "prices.csv"
    assert said("margin", "prices", "--out", path, "--launch", "300").status == 0
    return path


def asked(*words):
    """The answer of a command, as JSON."""
    found = said(*words, "--json")
    assert found.status == 0, found.err
    return json.loads(found.out)


PORTFOLIO = ("--position", "KIMI26.2611:100", "--position", "KIMI26.2612:-60")
COSTS = ("--lot-cost", "1.5", "--free-lots", "50", "--over-cost", "5")


# --- the command line ---


@pytest.mark.parametrize("command", ["what-if", "backtest", "prices"])
def test_each_command_has_an_example_and_says_what_its_exit_status_means(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    helped = said("margin", command, "--help")
    assert helped.status == 0
    assert f"Example:  ciyuan margin {command} " in helped.out
    assert all(status in helped.out for status in ("0 done", "2 malformed input", "130 interrupted"))


def test_help_loads_no_kernel_and_no_table():
    heavy = {"numba", "numpy", "pyarrow", "matplotlib"}
    code = (
        "import sys; from ciyuan.services.cli import app\n"
        "for words in (['margin', 'what-if'], ['margin', 'backtest'], ['clearing', 'statement'], ['clearing', 'drill']):\n"
        "    app([*words, '--help'], standalone_mode=False)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"


# --- what-if ---


def test_a_margin_is_what_it_is_made_of(prices):
    answer = asked("margin", "what-if", "--prices", prices, *PORTFOLIO, *COSTS)
    parts = ("scenario_part_micro", "liquidity_micro", "concentration_micro")
    assert answer["scenario_margin_micro"] == sum(answer[part] for part in parts)
    assert answer["requirement_micro"] == max(answer["scenario_margin_micro"], answer["floor_micro"])
    assert answer["floor_micro"] == -(-(answer["ladder_micro"] - answer["credit_micro"]) // 2)
    near, far = (leg["ladder_micro"] // abs(leg["lots"]) for leg in answer["legs"])
    assert answer["credit_micro"] == 60 * ((near + far) * 3 // 4), "60 lots are opposite, credited at 75%"
    assert answer["liquidity_micro"] == 160 * 1_500_000
    assert answer["concentration_micro"] == (50 + 10) * 5_000_000
    mixed = (3 * answer["filtered_micro"] + answer["stressed_micro"]) / 4
    assert 0 <= answer["scenario_part_micro"] - mixed < 1


def test_every_contract_has_its_part_of_every_scenario(prices):
    answer = asked("margin", "what-if", "--prices", prices, *PORTFOLIO, *COSTS)
    assert [leg["code"] for leg in answer["legs"]] == ["KIMI26.2611", "KIMI26.2612"]
    assert sum(leg["share_micro"] for leg in answer["legs"]) == answer["scenario_part_micro"]
    assert sum(leg["ladder_micro"] for leg in answer["legs"]) == answer["ladder_micro"]
    assert len(answer["tail"]) == 8 + 3, "1% of 748, and of 250, begun ones counted"
    for scenario in answer["tail"]:
        assert sum(scenario["loss_by_leg_micro"]) == scenario["loss_micro"]
    assert {scenario["label"] for scenario in answer["tail"]} >= {"a launch"}


def test_offsets_save_what_the_legs_alone_would_ask_more(prices):
    answer = asked("margin", "what-if", "--prices", prices, *PORTFOLIO)
    alone = [
        asked("margin", "what-if", "--prices", prices, "--position", word)["requirement_micro"]
        for word in ("KIMI26.2611:100", "KIMI26.2612:-60")
    ]
    assert [leg["alone_micro"] for leg in answer["legs"]] == alone
    assert answer["saved_micro"] == sum(alone) - answer["requirement_micro"] > 0


def test_the_margin_is_the_plain_twins(prices):
    basis = basis_of_prices(read_prices(prices), Listing(), FilterTerms())
    answer = asked("margin", "what-if", "--prices", prices, *PORTFOLIO)
    assert answer["scenario_margin_micro"] == plain_scenario_margin_micro([0, 100, -60], basis.model)


def test_a_portfolio_file_adds_up_with_the_words(prices, tmp_path):
    file = tmp_path / "book.csv"
    file.write_text("code,lots\nKIMI26.2611,70\nKIMI26.2612,-60\n")
    by_file = asked(
        "margin", "what-if", "--prices", prices, "--portfolio", file, "--position", "KIMI26.2611:30"
    )
    assert by_file == asked("margin", "what-if", "--prices", prices, *PORTFOLIO)


def test_parquet_is_read_as_csv_is(prices, tmp_path):
    history = read_prices(prices)
    columns = [pa.array([date.fromisoformat(on) for on in history.dates])]
    columns += [pa.array(history.usd[:, place]) for place in range(len(history.codes))]
    path = tmp_path / "prices.csv"
    pq.write_table(pa.table(columns, names=["date", *history.codes]), path)
    assert asked("margin", "what-if", "--prices", path, *PORTFOLIO) == asked(
        "margin", "what-if", "--prices", prices, *PORTFOLIO
    )


def model_table(basis):
    """The table `margin_model` of a run whose margin stands on a basis."""
    moves = np.concatenate([basis.model.filtered_ticks, basis.model.stressed_ticks])
    kinds = ["filtered"] * len(basis.model.filtered_ticks) + ["stressed"] * len(basis.model.stressed_ticks)
    day, rows = date.fromisoformat(basis.day), []
    for place, code in enumerate(basis.codes):
        per_tick_micro = int(basis.model.tick_value_micro[place])
        settle_milli, lot_micro = int(basis.settle_micro[place]) // 1000, int(basis.margin_lot_micro[place])
        for number, kind in enumerate(kinds):
            move = (kind, number, int(moves[number, place]))
            row = (day, place + 2, code, *move, per_tick_micro, 0, 0, 0, settle_milli, lot_micro)
            rows.append(dict(zip(MODEL_COLUMNS, row, strict=True)))
    return pa.Table.from_pylist(rows)


def test_a_runs_model_gives_the_same_margin(prices, tmp_path):
    basis = basis_of_prices(read_prices(prices), Listing(), FilterTerms())
    (tmp_path / "run" / "tables").mkdir(parents=True)
    pq.write_table(model_table(basis), tmp_path / "run" / "tables" / "margin_model.parquet")
    of_run = asked("margin", "what-if", "--run", tmp_path / "run", *PORTFOLIO)
    of_prices = asked("margin", "what-if", "--prices", prices, *PORTFOLIO)
    same = set(of_prices) - {"source", "tail"}
    assert {name: of_run[name] for name in same} == {name: of_prices[name] for name in same}


def test_a_finished_run_can_be_asked(small_run):
    codes = basis_of_run(small_run).codes
    answer = asked("margin", "what-if", "--run", small_run, "--position", f"{codes[0]}:10")
    assert answer["requirement_micro"] >= answer["floor_micro"] > 0


def as_shown(text):
    """Lines as a page has them."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def test_the_guide_shows_a_portfolio_and_a_back_test_as_they_are(tmp_path):
    page = (ROOT / "docs" / "guide" / "clearing.md").read_text(encoding="utf-8")
    path = tmp_path / "prices.csv"
    assert said("margin", "prices", "--out", path, "--launch", "300", "--launch", "600").status == 0
    shown = as_shown(said("margin", "what-if", "--prices", path, *PORTFOLIO).out)
    assert shown.partition("\n\nThe tail")[0] in page
    tested = as_shown(said("margin", "backtest", path, "--column", CODES[1]).out).splitlines()
    assert "\n".join(tested[:6]) in page
    assert "\n".join(tested[14:18]) in page


def test_people_are_told_what_binds_and_what_the_tail_is(prices):
    shown = said("margin", "what-if", "--prices", prices, *PORTFOLIO).out
    assert "this is what is asked" in shown
    assert "saved by offsets" in shown
    assert "a launch" in shown


# --- back-test ---


@pytest.fixture(scope="module")
def fall(tmp_path_factory):
    """Two calm years, and a launch: 0.22 off the log of the price, on the last but third day."""
    rng = np.random.default_rng(3)
    moves = rng.normal(0, 0.01, 503)
    moves[-3] = -0.22
    usd = 2 * np.exp(np.cumsum(moves))
    path = tmp_path_factory.mktemp("fall") / "fall.csv"
    return written(path, {"date": dates(503), "GPU": [f"{price:.6f}" for price in usd]})


def test_a_fall_is_an_exception_for_who_is_long(fall):
    found = asked("margin", "backtest", fall)
    long, short = found["sides"]
    assert found["days"] == 503 - 252 - 2
    assert [hit["until"] for hit in long["exceptions"]][-2:] == dates(503)[-3:-1]
    assert all(hit["loss_micro"] > hit["margin_micro"] > 0 for hit in long["exceptions"])
    assert long["two_days"]["exceptions"] == len(long["exceptions"])
    assert short["two_days"]["exceptions"] <= 3
    assert long["peak_to_trough"] >= 1


def test_one_side_may_be_asked_for(fall):
    assert [side["side"] for side in asked("margin", "backtest", fall, "--side", "short")["sides"]] == [
        "short"
    ]


def test_a_faster_decay_follows_more_closely(fall):
    slow, fast = (
        asked("margin", "backtest", fall, "--decay", decay)["sides"][0] for decay in ("0.99", "0.90")
    )
    assert fast["peak_to_trough"] > slow["peak_to_trough"]


def test_a_short_window_is_cautioned_against(fall):
    cautions = asked("margin", "backtest", fall, "--window", "60")["cautions"]
    assert any("60 days, less than the 252" in caution for caution in cautions)
    assert "caution: " in said("margin", "backtest", fall, "--window", "60").out


def test_a_runs_index_can_be_tested(small_run):
    found = asked("margin", "backtest", small_run, "--window", "10")
    assert found["contract"] == "INDEX"
    assert any("too few" in caution for caution in found["cautions"])


@pytest.mark.parametrize("command", ["what-if", "backtest"])
def test_plots_are_written_as_their_names_say(command, prices, tmp_path):
    words = ("--prices", prices, *PORTFOLIO) if command == "what-if" else (prices, "--column", CODES[0])
    svg, png = tmp_path / "plot.svg", tmp_path / "plot.png"
    for path in (svg, png):
        assert said("margin", command, *words, "--plot", path).status == 0
    assert ET.parse(svg).getroot().tag.endswith("svg")  # noqa: S314 our own file
    assert png.read_bytes().startswith(b"\x89PNG")


# --- GPU rents ---


def rents(path, rows):
    heads = ("date", "source", "provider", "gpu", "kind", "usd_min", "usd_median", "usd_max", "n_offers")
    columns: dict[str, list[str]] = {head: [] for head in heads}
    for on, provider, usd, offers in rows:
        for head, cell in zip(
            heads, (on, "page", provider, "H100", "on_demand", usd, usd, usd, offers), strict=True
        ):
            columns[head].append(cell)
    return written(path, columns)


def test_who_comes_and_goes_is_left_out_and_a_gap_is_carried(tmp_path):
    days = dates(20)
    rows = [(on, "always", "2.00", "3") for on in days]
    rows += [(on, "mostly", "3.00", "5") for on in days if on != days[4]]
    rows += [(on, "once", "0.10", "900") for on in days[:2]]
    history = read_gpu_rents(rents(tmp_path / "rents.csv", rows), "H100", "on_demand")
    assert history.source.endswith("H100 on_demand, always, mostly")
    assert history.usd[:, 0].tolist() == [3.0] * 20
    assert len(history.dates) == 20


def test_weights_do_not_change_from_day_to_day(tmp_path):
    """The middle number of offers weighs, so a day on which many offers were counted moves nothing."""
    days = dates(9)
    rows = [(on, "a", "2.00", "4") for on in days]
    rows += [(on, "b", "5.00", "900" if on == days[3] else "2") for on in days]
    assert set(read_gpu_rents(rents(tmp_path / "r.csv", rows), "H100", "on_demand").usd[:, 0]) == {2.0}


def test_a_weighted_median_is_where_half_the_weight_is_reached():
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])) == 2.0
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([5.0, 1.0, 1.0])) == 3.0
    assert weighted_median(np.array([3.0, 1.0]), np.array([1.0, 1.0])) == 1.0


def test_a_gpu_that_nobody_has_is_malformed(tmp_path):
    file = rents(tmp_path / "rents.csv", [(on, "a", "2.00", "1") for on in dates(5)])
    found = said("margin", "backtest", file, "--gpu", "B200")
    assert (found.status, "no provider" in found.err) == (2, True)


# --- what will not do ---


def test_a_short_history_is_refused_by_its_length(tmp_path):
    file = written(tmp_path / "p.csv", {"date": dates(251), "X": ["1.0"] * 251})
    found = said("margin", "what-if", "--prices", file, "--position", "X:1")
    assert found.status == 2
    assert "251 days" in found.err
    assert "at least 252" in found.err


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("date,X\n2024-01-01,1.0\n2024-01-01,1.0\n", "line 3, column date"),
        ("date,X\n2024-01-02,1.0\n2024-01-01,1.0\n", "line 3, column date"),
        ("date,X\n2024-01-01,zero\n", "line 2, column X"),
        ("date,X\n2024-01-01,0\n", "line 2, column X"),
        ("date,X\n2024-01-01,nan\n", "line 2, column X"),
        ("date,X\n2024-01-01,\n", "line 2, column X"),
        ("date,X\nyesterday,1.0\n", "line 2, column date"),
        ("date,X\n2024-01-01,1.0,2.0\n", "line 2"),
        ("date,X,X\n2024-01-01,1.0,2.0\n", "line 1"),
        ("date\n2024-01-01\n", "line 2"),
        ("", "prices"),
    ],
)
def test_a_faulty_file_is_named_with_its_place(text, where, tmp_path):
    file = tmp_path / "bad.csv"
    file.write_text(text)
    found = said("margin", "backtest", file, "--window", "2")
    assert found.status == 2
    assert where in found.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--position", "KIMI26.2611:1"), "--run or --prices"),
        (("--run", "nowhere", "--position", "KIMI26.2611:1"), "margin_model.parquet"),
        (("--prices", "nowhere.csv", "--position", "KIMI26.2611:1"), "nowhere.csv"),
    ],
)
def test_a_basis_must_be_given_and_be_there(words, why):
    found = said("margin", "what-if", *words)
    assert (found.status, why in found.err) == (2, True)


@pytest.mark.parametrize(
    "position", ["KIMI26.2611", "KIMI26.2611:", "KIMI26.2611:1.5", "KIMI26.2611:99999999999", "KIMI26.2611:0"]
)
def test_positions_that_are_none_are_malformed(position, prices):
    assert said("margin", "what-if", "--prices", prices, "--position", position).status == 2


def test_a_contract_without_prices_is_named(prices):
    found = said("margin", "what-if", "--prices", prices, "--position", "GPU:1")
    assert found.status == 2
    assert "KIMI26.2611" in found.err


@pytest.mark.parametrize(
    "words",
    [
        ("--column", "GPU"),
        (),
        ("--column", CODES[0], "--plot", "plot.pdf"),
        ("--column", CODES[0], "--window", "5000"),
    ],
)
def test_a_back_test_that_cannot_be_is_malformed(words, prices):
    found = said("margin", "backtest", prices, *words)
    assert found.status == 2
    assert found.err.startswith("ciyuan: ")


def test_simulated_prices_are_their_seeds(tmp_path):
    one, same, other = (tmp_path / f"{name}.csv" for name in ("one", "same", "other"))
    for path, seed in ((one, 7), (same, 7), (other, 8)):
        assert said("margin", "prices", "--out", path, "--days", "300", "--seed", seed).status == 0
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()
    assert read_prices(one).codes == CODES
    assert said("margin", "prices", "--out", one, "--days", "300", "--launch", "300").status == 2
