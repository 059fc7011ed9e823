"""docs/spec/desk.md says what the code does: its tables and its worked examples."""

import re
from collections.abc import Iterator

import pytest

from ciyuan.basics.calendar import iso_of_day
from ciyuan.basics.money import format_micro, parse_micro
from ciyuan.desk.hedge import POINTS_MIN, plan_hedge
from ciyuan.desk.messages import (
    CENTI_PER_MTOK,
    Decomposition,
    FuturesResult,
    FuturesTrade,
    HedgeRatio,
    HedgeReport,
)
from ciyuan.desk.report import hedge_report
from tests.desk.ledgers import exposed, october
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "desk.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```desk\n(.*?)```", PAGE, re.DOTALL)
SIZES = re.findall(r"^\| ([\d,]+) \| ([\d.]+) \| ([\d,]+) \| (\d+) \| (-?[\d,]+) \|$", PAGE, re.MULTILINE)


def usd(micro: int) -> str:
    """Two decimals, or more if there are more."""
    whole, _, part = format_micro(micro).partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def reported(block: str) -> HedgeReport:
    """The report on what a block gives."""
    charges: dict[int, tuple[int, int]] = {}
    fixings: dict[int, int] = {}
    trades: list[FuturesTrade] = []
    received = fees = rule = 0
    final = mean = None
    for line in re.findall(r"^> (.*)$", block, re.MULTILINE):
        if found := re.fullmatch(r"(\S+) used (\d+) MTok, charged (\S+)", line):
            charges[october(found[1])] = (int(found[2]) * CENTI_PER_MTOK, parse_micro(found[3]))
        elif found := re.fullmatch(r"(\S+) fixed at (\S+)", line):
            fixings[october(found[1])] = parse_micro(found[2])
        elif found := re.fullmatch(r"bought (\d+) MTok at (\S+)", line):
            trades.append(FuturesTrade(parse_micro(found[2]), int(found[1])))
        elif found := re.fullmatch(r"received (\S+), paid fees of (\S+)", line):
            received, fees = parse_micro(found[1]), parse_micro(found[2])
        elif found := re.fullmatch(r"settled at (\S+)( by rule 85)?", line):
            final, rule = parse_micro(found[1]), 85 if found[2] else 0
        else:
            found = re.fullmatch(r"mean (\S+)", line)
            assert found, f"no such line: {line}"
            mean = parse_micro(found[1])
    return hedge_report(
        exposed(charges), fixings, FuturesResult(tuple(trades), received, fees, final, rule), mean
    )


def told(report: HedgeReport, days: list[str]) -> Iterator[str]:
    for words, amount, price in (
        ("without", report.unhedged_micro, report.unhedged_price_micro),
        ("with", report.hedged_micro, report.hedged_price_micro),
    ):
        yield f"< {words} the hedge {usd(amount)}" + (f", {usd(price)} per MTok" if price is not None else "")
    assert report.decomposition is not None
    yield "< " + ", ".join(f"{name} {usd(getattr(report.decomposition, name + '_micro'))}" for name in PARTS)
    yield from (day_line(report, text) for text in days)
    yield from (f"< {finding}" for finding in report.findings)


PARTS = [name.removesuffix("_micro") for name in Decomposition.__slots__]


def day_line(report: HedgeReport, text: str) -> str:
    place = report.bills.days.tolist().index(october(text))
    bills = report.bills
    line = f"< {iso_of_day(bills.days[place].item())} without {usd(bills.unhedged_micro[place].item())}"
    line += f", with {usd(bills.hedged_micro[place].item())}"
    if bills.locked_micro is not None:
        line += f", locked {usd(bills.locked_micro[place].item())}"
    return line + (
        f", basis {usd(report.basis.basis_micro[place].item())}" if report.basis.known[place] else ""
    )


@pytest.mark.parametrize("block", BLOCKS)
def test_its_examples_are_reported_as_written(block: str):
    days = re.findall(r"^< (\d{4}-\d\d-\d\d) ", block, re.MULTILINE)
    assert list(told(reported(block), days)) == [line for line in block.splitlines() if line.startswith("<")]


@pytest.mark.parametrize(("exposure", "ratio", "lot", "lots", "open_mtok"), SIZES)
def test_its_table_of_lots(exposure: str, ratio: str, lot: str, lots: str, open_mtok: str):
    mtok = int(exposure.replace(",", ""))
    plan = plan_hedge(
        mtok * CENTI_PER_MTOK, int(lot.replace(",", "")), HedgeRatio(float(ratio), 30, None, None)
    )
    assert plan.lots == int(lots)
    assert plan.residual_centitokens == int(open_mtok.replace(",", "")) * CENTI_PER_MTOK


def test_its_figures_and_tables_are_read():
    assert f"fewer than {POINTS_MIN} changes" in PAGE
    assert (len(SIZES), len(BLOCKS)) == (7, 4)
    assert re.findall(r"^\| (\w+) \| [^|]+ \|$", PAGE.split("| amount | is |")[1], re.MULTILINE) == PARTS
