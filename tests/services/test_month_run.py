"""`ciyuan run`: what it refuses before it writes a byte, what it meters, and how it goes on with a run."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services import month_run
from ciyuan.services.disk import lock_folder
from ciyuan.services.month_run import RunOrder, play_month
from tests.services.runs import QUIET, USAGE, copied, rows_of, said, scenario_file
from tests.services.summaries import SUMMARY

HEADER = "timestamp_s,input_tokens,output_tokens"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def usage_file(folder: Path, *lines: str, name: str = "usage.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def refused(out: Path, *words: object) -> str:
    """What a run says that is refused as malformed and has written nothing."""
    before = contents(out) if out.is_dir() else None
    ended = said("run", "--out", out, *QUIET, *words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("ciyuan: ")
    assert ended.err.count("\n") == 1
    assert (contents(out) if out.is_dir() else None) == before
    return ended.err


# --- where a run may be written ---


def test_a_folder_that_holds_a_run_is_replaced_only_when_asked(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    assert "Give --replace to replace the run, or --resume" in refused(run)


@pytest.mark.parametrize("words", [(), ("--replace",)])
@pytest.mark.parametrize("name", ["notes.txt", "manifest.json"])
def test_a_folder_that_is_no_run_is_not_touched(tmp_path, words, name):
    (tmp_path / name).write_text('{"name": "of something else"}')
    assert "a folder that holds something else" in refused(tmp_path, *words)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    assert "found 'a file'" in refused(path, "--replace")
    assert path.read_text() == "mine"


def test_a_run_that_is_being_played_is_not_replaced(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    lock = lock_folder(run / "journal")
    try:
        assert f"a writer, process {os.getpid()}" in refused(run, "--replace")
    finally:
        os.close(lock)


def test_a_replaced_run_leaves_nothing_of_the_old_one_but_what_is_not_its_own(
    small_run, small_scenario, quick_folder
):
    run, lines = quick_folder / "replaced", [f"{at},{100 + at},{10 + at}" for at in range(5)]
    shutil.copytree(small_run, run)
    (run / "notes.txt").write_text("mine")
    (run / "tables" / "old.parquet").write_text("old")
    usage = usage_file(quick_folder, *lines, name="five.csv")
    ended = said(
        *("run", "--out", run, "--replace", "--usage", usage, "--scenario", small_scenario, "--json", *QUIET)
    )
    assert ended.status == 0, ended.err
    summary = json.loads(ended.out)
    assert (summary["tokens_in"], summary["tokens_out"]) == (510, 60)
    assert (run / "notes.txt").read_text() == "mine"
    assert not (run / "tables" / "old.parquet").exists()


def test_what_a_run_left_that_died_before_it_began_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "manifest.draft").write_text("{")
    monkeypatch.setattr(month_run, "_play", lambda *_, **__: SUMMARY)
    assert play_month(RunOrder(tmp_path, requests=10, report=False), "none") == SUMMARY
    assert (tmp_path / "manifest.json").exists()


# --- what cannot be played ---


SITE = {"name": "texas", "list_provider": "novita"}
BAD_SCENARIOS = [
    ({"traderz": 3}, "scenario, traderz", "one of seed, month"),
    ({"buyers": "many"}, "scenario, buyers", "expected int"),
    ({"buyers": 1}, "scenario, buyers", "2 to 999"),
    ({"cached_share": 1.5}, "scenario, cached_share", "a share from 0 to 1"),
    ({"grade": "GPT9"}, "scenario, grade", "GPT9"),
    ({"month": 209901}, "scenario, month", "209901"),
    ({"sites": [SITE | {"name": "atlantis"}]}, "scenario, sites", "atlantis"),
    ({"sites": [SITE | {"list_provider": "nobody"}]}, "scenario, sites, list_provider", "nobody"),
    ({"sites": [SITE | {"gpus": 100_000}]}, "texas", "100000"),
    ({"sites": [SITE, SITE]}, "scenario, sites", "each site once"),
    ({"sites": [{"name": "texas"}]}, "scenario, sites", "list_provider"),
    ({"requests": 200_000, "bundle_calls": 100_000}, "hour", "standard tokens asked for"),
    ({"requests": 400, "bundle_calls": 2_000_000_000}, "request size", "bundle_calls"),
]


@pytest.mark.parametrize(("settings", "place", "words"), BAD_SCENARIOS, ids=lambda value: str(value)[:40])
def test_a_scenario_that_cannot_be_played_is_refused(tmp_path, settings, place, words):
    scenario = scenario_file(tmp_path, {"requests": 10} | settings)
    err = refused(tmp_path / "run", "--scenario", scenario)
    assert place in err
    assert words in err


@pytest.mark.parametrize("text", [b"seed = ", b"seed = 1\nseed = 2", b"\xff\xfe"])
def test_a_scenario_file_that_is_no_toml_is_refused(tmp_path, text):
    path = tmp_path / "scenario.toml"
    path.write_bytes(text)
    assert f"scenario file {path}" in refused(tmp_path / "run", "--scenario", path)


@pytest.mark.parametrize("option", ["--usage", "--sample", "--power"])
def test_an_input_file_that_is_not_there_is_refused(tmp_path, option):
    assert f"input file {tmp_path / 'absent'}" in refused(
        tmp_path / "run", option, tmp_path / "absent", "--seed", "10"
    )


@pytest.mark.parametrize("option", ["--usage", "--sample", "--power"])
def test_an_input_file_that_is_something_else_is_refused(tmp_path, option):
    path = tmp_path / "file.csv"
    path.write_text("a,b,c\n1,2,3\n")
    assert str(path) in refused(tmp_path / "run", option, path, "--seed", "10")


# --- usage files, from the command line ---

BAD_ROWS = [
    ("2,-5,1", "input_tokens", "a count of 0 or more"),
    ("2,five,1", "input_tokens", "a number of tokens in decimal digits"),
    ("2,5,1.5", "output_tokens", "a whole number of tokens"),
    ("0.5,5,1", "timestamp_s", "no earlier than the row before"),
    ("1,10,2", "the row", "differs from every earlier row"),
    ("2,5", "the row", "3 fields"),
]


@pytest.mark.parametrize(("line", "field", "words"), BAD_ROWS)
def test_a_bad_row_stops_the_run_before_it_starts(tmp_path, line, field, words):
    usage = usage_file(tmp_path, "1,10,2", line)
    err = refused(tmp_path / "run", "--usage", usage)
    assert f"usage file {usage}, line 3, field {field}" in err
    assert words in err
    assert "--lenient" in err


def test_a_missing_column_and_a_truncated_gzip_stop_the_run_too(tmp_path):
    usage = tmp_path / "usage.csv"
    usage.write_text("timestamp_s,input_tokens\n1,2\n")
    assert f"usage file {usage}, line 1, field output_tokens" in refused(
        tmp_path / "run", "--usage", usage, "--lenient"
    )
    torn = tmp_path / "usage.csv.gz"
    torn.write_bytes(b"\x1f\x8b\x08\x00")
    assert "gzip" in refused(tmp_path / "run", "--usage", torn)


def test_usage_longer_than_a_month_wants_to_be_stretched(tmp_path):
    usage = usage_file(tmp_path, "0,10,2", f"{40 * 86_400},20,4")
    err = refused(tmp_path / "run", "--usage", usage)
    assert "usage file, timestamp_s" in err
    assert "--stretch" in err


@pytest.mark.parametrize("also", [["--requests", "3"], ["--sample", "x.csv"]])
def test_usage_to_replay_and_traffic_to_draw_are_refused_together(tmp_path, also):
    assert "option --usage" in refused(tmp_path / "run", "--usage", tmp_path / "usage.csv", *also)


def test_more_customers_than_buyers_are_refused(tmp_path):
    usage = tmp_path / "usage.csv"
    rows = [f"{at},10,2,customer {at}" for at in range(5)]
    usage.write_text("\n".join([HEADER + ",customer", *rows]) + "\n")
    err = refused(tmp_path / "run", "--usage", usage, "--scenario", scenario_file(tmp_path, {"buyers": 4}))
    assert "usage file, customer" in err
    assert "buyers = 5" in err


def test_a_lenient_run_lists_the_bad_rows_and_meters_the_others(quick_folder, small_scenario):
    usage = usage_file(quick_folder, "1,10,2", "2,x,1", "3,20,4", "3.5,-1,4", name="lenient.csv")
    out = quick_folder / "lenient"
    ended = said("run", "--out", out, "--usage", usage, "--lenient", "--scenario", small_scenario, *QUIET)
    assert ended.status == 0, ended.err
    assert ended.out.count("left out: ") == 2
    summary = json.loads((out / "summary.json").read_text())
    assert [f"line {line}, field input_tokens" in row for line, row in zip((3, 5), summary["bad_rows"], strict=True)] == [
        True,
        True,
    ]  # fmt: skip
    assert (summary["tokens_in"], summary["tokens_out"], summary["requests_metered"]) == (30, 6, 2)


def test_metered_usage_is_the_files_to_the_token_and_each_customers_own(quick_folder, small_scenario):
    usage, out = quick_folder / "named.csv", quick_folder / "named"
    rows = [
        (at * 3_000, 1_000 + at * 7, 200 + at % 5, at * 3, ("Ada", "词元", "Bob")[at % 3]) for at in range(90)
    ]
    lines = [f"{at},{into},{outof},{cached},{name}" for at, into, outof, cached, name in rows]
    usage.write_text("\n".join([HEADER + ",cached_tokens,customer", *lines]) + "\n")
    ended = said("run", "--out", out, "--usage", usage, "--scenario", small_scenario, "--json", *QUIET)
    assert ended.status == 0, ended.err
    summary = json.loads(ended.out)
    totals = tuple(sum(row[place] for row in rows) for place in (1, 3, 2))  # type: ignore[misc]
    assert (summary["tokens_in"], summary["tokens_cached"], summary["tokens_out"]) == totals
    assert (summary["requests_metered"], summary["requests_refused"]) == (90, 0)
    by_customer: dict[int, int] = {}
    for delivery in rows_of(out, "deliveries"):
        key = int(str(delivery["customer"]))
        by_customer[key] = by_customer.get(key, 0) + int(str(delivery["input_tokens"]))
    wanted = [sum(row[1] for row in rows if row[4] == name) for name in sorted({row[4] for row in rows})]
    assert [by_customer[key] for key in sorted(by_customer)] == wanted


AWKWARD = (
    "0,0,0",
    "1,0,5",
    "2,5,0",
    "10,1000,100000",  # takes longer than a hold usually stands
    "86399.9,1000,100",  # is still being served when the next day begins
    "86400.1,1000,100",
    "86400.2,1000,100",
    "90000,900000000,2",
    "172799.999999999,5,3",
    "172800.000000000,5,3",
    "2600000,10,1000000",  # would take longer than the month
)


def test_no_row_of_a_usage_file_is_too_awkward_to_be_metered(quick_folder, small_scenario):
    usage = usage_file(quick_folder, *AWKWARD, name="awkward.csv")
    out = quick_folder / "awkward"
    ended = said("run", "--out", out, "--usage", usage, "--scenario", small_scenario, "--json", *QUIET)
    assert ended.status == 0, ended.err
    summary = json.loads(ended.out)
    assert (summary["tokens_in"], summary["tokens_out"], summary["requests_refused"]) == (
        sum(int(line.split(",")[1]) for line in AWKWARD),
        sum(int(line.split(",")[2]) for line in AWKWARD),
        0,
    )


@pytest.mark.skipif(not USAGE.is_dir(), reason="the shared data folder is not beside this checkout")
@pytest.mark.parametrize(
    ("name", "tokens_in", "tokens_out"),
    [("azure_2023_conv", 22_361_870, 4_088_665), ("azure_2023_code", 18_059_974, 245_896)],
)
def test_a_real_trace_is_metered_to_the_token(quick_folder, small_scenario, name, tokens_in, tokens_out):
    usage, out = USAGE / f"{name}.csv.gz", quick_folder / name
    ended = said("run", "--out", out, "--usage", usage, "--scenario", small_scenario, "--json", *QUIET)
    assert ended.status == 0, ended.err
    summary = json.loads(ended.out)
    assert (summary["tokens_in"], summary["tokens_out"], summary["requests_refused"]) == (
        tokens_in,
        tokens_out,
        0,
    )


# --- the same again, and resuming ---


def test_the_same_inputs_give_the_same_run(small_run, small_said, quick_folder, small_scenario):
    again = quick_folder / "again"
    ended = said("run", "--out", again, "--scenario", small_scenario, "--json", *QUIET)
    assert json.loads(ended.out) == json.loads(small_said.out)
    assert contents(again / "tables") == contents(small_run / "tables")


def test_another_seed_gives_another_run(small_said, quick_folder, small_scenario):
    ended = said(
        "run", "--out", quick_folder / "seed", "--scenario", small_scenario, "--seed", 7, "--json", *QUIET
    )
    summary = json.loads(ended.out)
    assert summary["seed"] == 7
    assert summary["state_hash"] != json.loads(small_said.out)["state_hash"]


def test_a_complete_run_that_is_resumed_is_what_it_was(small_run, small_said, tmp_path):
    run = copied(small_run, tmp_path)
    ended = said("run", "--out", run, "--resume", "--json", "--progress", "none")
    assert json.loads(ended.out) == json.loads(small_said.out)
    assert (run / "report.html").exists()


def test_a_folder_that_holds_no_run_is_not_resumed(tmp_path):
    assert "a readable manifest.json" in refused(tmp_path, "--resume")


@pytest.fixture
def begun(tmp_path, monkeypatch, small_scenario):
    """A run that was interrupted before it played, and its usage file."""
    usage = usage_file(tmp_path, "1,10,2", "2,20,4")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(month_run, "_play", stop)
        with pytest.raises(KeyboardInterrupt):
            play_month(RunOrder(tmp_path / "run", usage=usage, scenario=small_scenario), "none")
    return tmp_path / "run", usage


def test_a_run_is_not_resumed_with_a_changed_file(begun):
    run, usage = begun
    usage.write_text(usage.read_text() + "3,1,1\n")
    err = refused(run, "--resume")
    assert f"input file {usage}" in err
    assert "Put the old file back, or begin a new run." in err


def test_a_run_is_not_resumed_with_another_input(begun):
    run, usage = begun
    other = usage_file(run.parent, "1,10,3", name="other.csv")
    words_of = {
        ("--usage", other): "option --usage",
        ("--sample", usage): "option --sample",
        ("--power", usage): "option --power",
        ("--seed", 5): "scenario, seed",
        ("--requests", 401): "scenario, requests",
        ("--scenario", scenario_file(run.parent, {"traders": 9})): "scenario, traders",
        ("--lenient",): "option --lenient",
        ("--stretch",): "option --stretch",
        ("--replace",): "option --replace",
    }
    for words, place in words_of.items():
        assert f"{place}, with --resume" in refused(run, "--resume", *words)


def test_the_inputs_that_began_a_run_may_be_named_again(begun, small_scenario, monkeypatch):
    run, usage = begun
    monkeypatch.setattr(month_run, "_play", lambda *_, **__: SUMMARY)
    order = RunOrder(run, usage=usage, scenario=small_scenario, requests=400, resume=True, report=False)
    assert play_month(order, "none") == SUMMARY


def test_a_run_is_not_resumed_on_other_terms(begun):
    run, _ = begun
    path = run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"terms_digest": "00" * 16}))
    assert "venue terms" in refused(run, "--resume")


def test_a_run_whose_journal_goes_on_after_its_end_is_refused(small_run, quick_folder):
    run = quick_folder / "longer"
    shutil.copytree(small_run, run)
    (run / "summary.json").unlink()
    settings = json.loads((run / "manifest.json").read_text())
    settings["settings"]["noise_orders_per_minute"] = 0.0
    (run / "manifest.json").write_text(json.dumps(settings))
    with pytest.raises(Malformed, match="another row in the journal"):
        play_month(RunOrder(run, resume=True, report=False), "none")
