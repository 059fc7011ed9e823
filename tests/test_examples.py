"""Every example runs as its docstring says, and prints what it should; every question of the analyst's guide has its answer."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from ciyuan.services.usage import read_usage
from tests.sources import ROOT

EXAMPLES = sorted((ROOT / "examples").iterdir())
CIYUAN = "import sys; from ciyuan.services.cli import main; sys.argv[0] = 'ciyuan'; main()"
DOCUMENTED_AS = {"date32[day]": "date", "string": "text"}
SMALL = ("--scenario", "examples/scenario_small.toml", "--progress", "none", "--json")
GUIDE = (ROOT / "docs" / "guide" / "analyst.md").read_text(encoding="utf-8")


def said_by(*command: str, cwd: Path = ROOT) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def example(name: str, *words: str) -> str:
    return said_by(sys.executable, str(ROOT / "examples" / name), *words)


def ciyuan(*words: str) -> str:
    return said_by(sys.executable, "-c", CIYUAN, *words)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The small scenario, played: its folder and its summary."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    return folder, json.loads(ciyuan("run", *SMALL, "--out", str(folder)))


def test_ledger_holds():
    said = example("ledger_holds.py")
    assert re.findall(r"  (?:REFUSED )?([A-Z_]+) +balance", said) == [
        "TRANSFERRED", "HELD", "OVERDRAWN", "POSTED", "REPEATED", "EXISTS_WITH_DIFFERENT_AMOUNT", "PENDING_ALREADY_POSTED",
    ]  # fmt: skip
    assert said.rstrip().endswith("every asset sums to zero, and nobody is overdrawn")
    assert said.count("balance 0.88, available 0.88") == 4


def test_meter_and_bill():
    said = example("meter_and_bill.py")
    assert said.count("SETTLED") == 2
    assert "REFUSED  INSUFFICIENT_BALANCE" in said
    assert "charged 2,794 micro-dollars, carried to the next charge 500,000 pico-dollars" in said
    assert "exact cost of what was delivered: 2,794,500,000 pico-dollars: the same" in said
    assert "prepaid money left: 0.007206 USD" in said


def test_order_book():
    said = example("order_book.py")
    assert "auction price 0.952, 30 lots, surplus -10" in said
    assert "Dora: 15 lots taken back, FAK_REMAINDER" in said
    assert "Anne: refused, PRICE_LIMIT" in said
    assert said.endswith("the book now\n  SELL 0.958 x 5\n  BUY  0.948 x 6\n")


def test_06_trade():
    said = example("06_trade.py")
    turns = re.findall(
        r"^([\d.]+) x ([\d.]+) +the taker (buys|sells) +(\d+) of +(\d+) at ([\d.]+) +the maker holds +(-?\d+)$",
        said,
        re.MULTILINE,
    )
    assert len(turns) == 12
    held = cash = 0
    for bid, ask, side, filled, wanted, price, holds in turns:
        bought = int(filled) if side == "sells" else -int(filled)
        held, cash = held + bought, cash - bought * int(price.replace(".", ""))
        assert price == (bid if side == "sells" else ask)
        assert int(filled) == min(int(wanted), 10)
        assert int(holds) == held
    result = cash + held * int(turns[-1][5].replace(".", ""))
    assert said.endswith(f"the maker's result, at the last price: {result} USD\n")


def test_07_margin():
    said = example("07_margin.py")
    asked = {
        name.strip(): float(amount.replace(",", ""))
        for name, amount in re.findall(r"^(.{12}) +([\d.,]+) USD   filtered", said, re.MULTILINE)
    }
    assert set(asked) == {"100 December", "-60 January", "both"}
    saved = float(re.findall(r"the offset saves ([\d.,]+) USD", said)[0].replace(",", ""))
    assert saved == pytest.approx(asked["100 December"] + asked["-60 January"] - asked["both"], abs=0.02)
    assert saved > 0
    assert len(re.findall(r"^scenario +\d+: .* lost [\d,]+ USD$", said, re.MULTILINE)) == 3


def test_08_default():
    said = example("08_default.py")
    assert said.startswith("speculator 1 is called, does not pay, and is closed out")
    layers = re.findall(r"^  ([A-Z_]+) +\S.*pays", said, re.MULTILINE)
    assert list(dict.fromkeys(layers)) == ["OWN_FUND", "CAPITAL", "OTHERS_FUND"]
    assert said.endswith("not covered: 0.00\nthe layers sum to it: True\n")


def test_orders_csv_is_replayed_and_its_ladder_shown(tmp_path: Path):
    folder = str(tmp_path / "replay")
    summary = json.loads(
        ciyuan("exchange", "replay", "examples/orders.csv", "--out", folder, "--progress", "none", "--json")
    )
    assert (summary["messages"], summary["trades"], summary["lots"]) == (60, 29, 294)
    assert summary["refused"] == {"ORDER_NOT_OPEN": 5, "UNKNOWN_ORDER": 1}
    shown = ciyuan("exchange", "book", "KIMI26.2610", "--from", folder, "--depth", "4")
    page = (ROOT / "docs" / "guide" / "market.md").read_text(encoding="utf-8")
    assert "\n".join(line.rstrip() for line in shown.splitlines()).strip() in page, (
        "the guide shows the ladder as it is"
    )
    ladder = json.loads(ciyuan("exchange", "book", "KIMI26.2610", "--from", folder, "--json"))
    assert [level["price"] for level in ladder["asks"]] == ["0.954", "0.955", "0.956"]
    assert [level["price"] for level in ladder["bids"]] == ["0.949", "0.948", "0.947", "0.946"]


def test_cost_of_a_token():
    said = example("cost_of_a_token.py")
    costs = {
        name: float(total) for name, total in re.findall(r"^(\w+), \S+ .* ([\d.]+)$", said, re.MULTILINE)
    }
    assert set(costs) == {"Texas", "Frankfurt", "Tokyo"}
    assert all(0.1 < cost < 1.5 for cost in costs.values()), (
        "a million tokens cost cents to a dollar and a half"
    )
    hours = [
        list(map(int, row.replace(",", "").split()[1:]))
        for row in re.findall(r"^\d\d:00 .*$", said, re.MULTILINE)
    ]
    assert len(hours) == 6
    assert all(sum(made) == 9_000 for made in hours), "each hour's demand is made, and no more"
    assert "unserved: 0 tokens" in said


def test_plan_a_gigawatt():
    """The best split of plant_1gw.toml leaves more than the equal one; endless demand would earn more, if it existed."""
    said = example("plan_a_gigawatt.py")
    splits = {
        name: (int(revenue.replace(",", "")), int(margin.replace(",", "")))
        for name, revenue, margin in re.findall(
            r"^(optimal|equal|keynote|unlimited) +([-\d,]+) +([-\d,]+)", said, re.MULTILINE
        )
    }
    assert set(splits) == {"optimal", "equal", "keynote", "unlimited"}
    assert splits["optimal"][1] > splits["equal"][1]
    assert splits["unlimited"][0] > splits["keynote"][0]
    sizes = re.findall(r"^ +[\d,]+ MW +earns +([\d,]+) +costs", said, re.MULTILINE)
    earns = [int(usd.replace(",", "")) for usd in sizes]
    assert earns == sorted(earns, reverse=True), "one more megawatt is worth ever less"


@pytest.mark.parametrize(("name", "tiers"), [("plant.toml", 5), ("plant_1gw.toml", 5), ("keynote.toml", 4)])
def test_the_plants_are_planned(name: str, tiers: int):
    plan = json.loads(ciyuan("factory", "plan", f"examples/{name}", "--json"))
    assert len(plan["tiers"]) == tiers
    assert 0 < plan["drawn_mw"] <= plan["power_mw"]
    assert plan["revenue_usd_per_hour"] > 0


def test_fix_a_day():
    said = example("fix_a_day.py")
    assert "seller 5 set aside: 1.9000 against the others' 0.9525" in said
    assert re.findall(r"version (\d): ([\d.]+) USD per MTok, from TRANSACTIONS", said) == [
        ("1", "0.9525"),
        ("2", "0.9500"),
    ]
    assert re.findall(r"on record: version (\d), ([\d.]+)", said) == [("1", "0.9525"), ("2", "0.9500")]
    assert "seller 4 struck out" in said
    assert "withheld, TOO_FEW_SELLERS" in said
    assert said.rstrip().endswith("of 1 day; 21 are missing, so by rule §8.5")


def test_hedge_a_bill():
    said = example("hedge_a_bill.py")
    assert "minimum-variance ratio: 1.020 from 21 days" in said
    assert "buy 13 lots" in said
    amounts = {
        name: int(amount.replace(",", "").replace(".", ""))
        for name, amount in re.findall(r"^  (\S.*?) {2,}([\d.,]+)$", said, re.MULTILINE)
    }
    together = amounts.pop("together")
    assert sum(amounts.values()) == together == 12_568_034_000, (
        "the parts sum to the bill, to the micro-dollar"
    )
    assert re.search(r"with the hedge +12,568\.03 USD", said)


def test_many_seeds():
    said = example("many_seeds.py")
    assert said.startswith("seed 20261001, the default: ")
    shares = [int(share) for share in re.findall(r"(\d+)%(?: of them)?$", said, re.MULTILINE)]
    assert len(shares) >= 2
    assert shares[0] < 50, "with drift and jumps down the month is mostly below what it was before"


def test_usage_is_metered_to_the_token(tmp_path: Path):
    said = ciyuan(
        "run", *SMALL, "--usage", "examples/usage.csv", "--no-report", "--out", str(tmp_path / "usage")
    )
    summary = json.loads(said)
    totals = read_usage(ROOT / "examples" / "usage.csv").totals
    assert (summary["tokens_in"], summary["tokens_cached"], summary["tokens_out"]) == (
        totals.input,
        totals.cached,
        totals.output,
    )
    assert summary["requests_metered"] == summary["requests_asked"] == 24


def test_the_small_scenario_plays_a_whole_month(small: tuple[Path, dict[str, object]]):
    folder, summary = small
    assert summary["seed"] == 7
    assert summary["requests_asked"] == 20_000
    assert 0 < int(str(summary["requests_refused"])) < 1_000, (
        "the thrifty buyer is refused when its money is spent"
    )
    assert int(str(summary["trades"])) > 0
    assert summary["fixings"] == 3 * 24, "three legs, 22 business days and the two before them"
    hedges = summary["hedges"]
    assert isinstance(hedges, list)
    assert len(hedges) == 3
    assert all(bill["lots"] > 0 for bill in hedges)
    assert (folder / "report.html").read_text(encoding="utf-8").count("<svg") == 5


def test_the_readme_can_be_refreshed_from_a_run(small: tuple[Path, dict[str, object]]):
    folder, summary = small
    script = runpy.run_path(str(ROOT / "scripts" / "refresh_docs.py"))
    table = script["results_table"]([script["results_of"](folder)])
    assert f"| state hash | {summary['state_hash']} |" in table
    assert "buyer 01's bill with it" in table
    assert all(text.startswith("<svg") for text in script["plots_of"](folder).values())


def test_query_tables(small: tuple[Path, dict[str, object]]):
    folder, summary = small
    said = example("query_tables.py", str(folder))
    assert said.startswith("asked with DuckDB")
    lines = re.findall(r"^ +\d .*$", said.replace(",", ""), re.MULTILINE)
    totals = [sum(column) for column in zip(*(map(int, line.split()[1:4]) for line in lines), strict=True)]
    assert totals == [summary["requests_metered"], summary["tokens_in"], summary["tokens_out"]]
    assert said.count("over 24 days") == 3


def test_query_tables_without_duckdb(small: tuple[Path, dict[str, object]]):
    folder, _ = small
    hide = "find = util.find_spec; util.find_spec = lambda name: None if name == 'duckdb' else find(name)"
    play = "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import importlib.util as util, runpy, sys; {hide}; {play}"
    plain = said_by(
        sys.executable, "-c", code, str(ROOT / "examples" / "query_tables.py"), str(folder)
    ).splitlines()
    assert plain[0] == "asked with PyArrow"
    assert plain[1:] == example("query_tables.py", str(folder)).splitlines()[1:]


def test_query_tables_says_what_is_missing(tmp_path: Path):
    command = [sys.executable, str(ROOT / "examples" / "query_tables.py"), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "play one first" in done.stderr


def documented() -> dict[str, list[tuple[str, str]]]:
    """The tables of the analyst's guide: name to (column, type), in order."""
    parts = re.split(
        r"^### (\w+)$", GUIDE.partition("## Tables")[2].partition("## Questions")[0], flags=re.MULTILINE
    )[1:]
    row = re.compile(r"^\| `(\w+)` \| (\w+) \|", re.MULTILINE)
    return {name: row.findall(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def documented_as(kind: str) -> str:
    """An Arrow type as the guide names it."""
    return "timestamp" if kind.startswith("timestamp") else DOCUMENTED_AS.get(kind, kind)


def test_the_tables_are_as_documented(small: tuple[Path, dict[str, object]]):
    folder, _ = small
    written = {}
    for path in (folder / "tables").glob("*.parquet"):
        schema = pq.read_schema(path)
        written[path.stem] = [(field.name, documented_as(str(field.type))) for field in schema]
    assert written == documented()


QUESTIONS = re.findall(r"^```sql\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: " ".join(question.split()[:6]))
def test_the_guides_questions_have_answers(small: tuple[Path, dict[str, object]], question: str):
    folder, _ = small
    rows = duckdb.execute(question.replace("'tables/", f"'{folder}/tables/")).fetchall()
    if "HAVING net <> 0" in question:
        assert rows == [], "long and short agree"
    elif "AS wrong" in question:
        assert rows == [(0,)], "every statement adds up"
    else:
        assert rows


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    missing = [path.name for path in EXAMPLES if path.is_file() and path.name not in text]
    assert not missing, f"no test runs {missing}"
