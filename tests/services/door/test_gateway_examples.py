"""The gateway's examples run as they say, and the guide's files are read as it says."""

import csv
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ciyuan.gateway.messages import LimitUnit, LimitWindow
from ciyuan.services.door.registry_schema import SpenderKind
from ciyuan.services.door.registry_team import read_entries, read_team
from tests.sources import ROOT, text_of

EXAMPLES = ROOT / "examples" / "gateway"
GUIDE = "docs/guide/gateway.md"


def said(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_first_request_costs_what_it_should():
    """6 words in at 100 USD a million, 8 out at 400: 0.0038 USD, off the balance and in the sums of usage."""
    lines = said(str(EXAMPLES / "first_request.py"))
    assert "before   1.000000 USD" in lines
    assert "answered You said: How much is that in tokens?" in lines
    assert "after    0.996200 USD" in lines
    assert re.search(r"ada +1 +6 +0\.0 % +8 +0\.003800", lines)


def test_two_hundred_engineers_come_from_one_sheet(tmp_path: Path):
    sheet = EXAMPLES / "staff.csv"
    team = tmp_path / "team.toml"
    team.write_text(said(str(EXAMPLES / "team_from_csv.py"), str(sheet)), encoding="utf-8")
    entries = read_team(team)
    people = list(csv.DictReader(sheet.read_text(encoding="utf-8").splitlines()))
    engineers = [entry for entry in entries if entry.kind is SpenderKind.ENGINEER]
    assert (
        len(people)
        == len(engineers)
        == len([entry for entry in entries if entry.kind is SpenderKind.KEY])
        == 200
    )
    yearly = [
        (terms.most, terms.window)
        for entry in engineers
        for terms in entry.limits or ()
        if terms.unit is LimitUnit.MONEY
    ]
    assert sum(most for most, _ in yearly) == sum(int(person["usd_a_year"]) for person in people) * 10**6
    assert {window for _, window in yearly} == {LimitWindow.YEAR}


def test_every_file_of_the_gateways_examples_is_met_by_a_test():
    tested = Path(__file__).read_text(encoding="utf-8") + text_of("tests/services/test_catalog_suppliers.py")
    met = {"tiny.toml": "first_request.py", "tiny_supplier.py": "first_request.py"}
    shown = (EXAMPLES / "first_request.py").read_text(encoding="utf-8")
    for path in sorted(EXAMPLES.iterdir()):
        if path.is_file():
            assert (path.stem in shown) if path.name in met else (path.name in tested), path.name


def test_the_guides_team_is_one():
    (text,) = re.findall(r"^```toml\n(.*?)^```$", text_of(GUIDE), re.MULTILINE | re.DOTALL)
    entries = read_entries("guide", tomllib.loads(text))
    assert [entry.path for entry in entries] == [
        "acme/research",
        "acme/research/ada",
        "acme/research/ada/laptop",
    ]
    assert all(entry.limits for entry in entries[:2])
