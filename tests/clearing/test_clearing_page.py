"""docs/spec/clearing.md is as built: its tables are read here, and its scenarios are played line by line."""

import re
from enum import IntEnum

import pytest

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.money import parse_micro
from ciyuan.clearing.default import slice_limit_ticks
from ciyuan.clearing.fund import shares_due
from ciyuan.clearing.margin import fill_fee_micro, margin_lot_micro, rate_bp, stage_of
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent, ClearingRefusal, Ladder, Reason
from ciyuan.clearing.waterfall import layers
from tests.clearing.floor import future
from tests.clearing.page import Player
from tests.clearing.watch import Watch
from tests.sources import ROOT, table

PAGE = (ROOT / "docs" / "spec" / "clearing.md").read_text(encoding="utf-8")
SCENARIOS = re.findall(r"```clearing\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_goes_as_the_page_says(scenario: str):
    player = Player()
    for line in scenario.splitlines():
        player.read(line)
    player.finish()
    assert player.checked > 3


def test_there_is_a_scenario_for_each_kind_of_settlement():
    assert len(SCENARIOS) >= 4


def test_the_player_notices_a_wrong_number():
    """A page that is wrong by a micro-dollar fails."""
    lines = SCENARIOS[1].replace("+80.00", "+80.000001").splitlines()
    player = Player()
    with pytest.raises(AssertionError, match=r"variation ada OCT \+80"):
        play(player, lines)


def play(player: Player, lines: list[str]) -> None:
    for line in lines:
        player.read(line)
    player.finish()


@pytest.mark.parametrize(
    ("head", "codes"), [("command", ClearingCommand), ("event", ClearingEvent), ("refusal", ClearingRefusal)]
)
def test_the_page_lists_every_code(head: str, codes: type[IntEnum]):
    columns = ("value", head, "the command") if head == "refusal" else ("value", head)
    assert [row[:2] for row in table(PAGE, *columns)] == [
        [str(int(code)), f"`{code.name}`"] for code in codes
    ]


def test_the_page_gives_each_reason_its_clause():
    assert table(PAGE, "value", "reason", "clause") == [[str(int(r)), f"`{r.name}`", r.rule] for r in Reason]
    assert all(
        (Reason.__members__[row[1].strip("`")].rule) == row[2]
        for row in table(PAGE, "value", "reason", "clause")
    )


def test_the_ladder_is_the_pages():
    for day, stage, rate in table(PAGE, "day", "stage", "rate"):
        found = stage_of(future(3, 202611), day_from_iso(day), Ladder(), Calendar())
        assert (found.name, rate_bp(found, Ladder())) == (stage, int(rate))


def test_margin_is_the_pages():
    head = ("rate, bp", "settlement price, ticks", "tick value of a lot, micro", "margin of a lot, micro")
    rows = [list(map(int, row)) for row in table(PAGE, *head)]
    assert [margin_lot_micro(*row[:3]) for row in rows] == [row[3] for row in rows]
    assert len(rows) == 4


def test_fees_are_the_pages():
    rows = table(PAGE, "lots", "price, USD per MTok", "per lot, micro", "ppm", "fee, micro")
    for lots, price, per_lot, ppm, fee in rows:
        turnover = parse_micro(price) * 1000 * int(lots)
        assert fill_fee_micro(turnover, int(lots), int(per_lot), int(ppm)) == int(fee)
    assert len(rows) == 3


def table_if_there(*head: str) -> list[list[str]]:
    """The cells of a table that a page without default management does not have."""
    if f"| {' | '.join(head)} |" not in PAGE:
        pytest.skip(f"docs/spec/clearing.md has no table | {' | '.join(head)} |")
    return table(PAGE, *head)


def test_the_limits_of_slices_are_the_pages():
    head = (
        "mark, ticks", "slip, bp", "lower limit", "upper limit", "buys at most at", "sells at least at",
    )  # fmt: skip
    market = Watch().house._books.markets[3]
    for row in table_if_there(*head):
        market.mark_ticks, slip_bp, market.lower_ticks, market.upper_ticks, *limits = map(int, row)
        assert [slice_limit_ticks(market, sells, slip_bp) for sells in (False, True)] == limits


def test_the_waterfall_is_the_pages():
    head = ("loss", "margin", "own share", "capital", "others' shares", "assessments", "not covered")
    for row in table_if_there(*head):
        paid, uncovered = layers(int(row[0]), 40, 10, 20, [(2, 60), (3, 30)], 10_000, 1)
        sums = {(int(each.layer), each.payer): each.amount_micro for each in paid}
        of = [sums.get((layer, payer), 0) for layer, payer in ((1, 1), (2, 1), (3, 0))]
        pairs = [" + ".join(str(sums.get((layer, payer), 0)) for payer in (2, 3)) for layer in (4, 5)]
        assert [str(amount) for amount in of] + pairs + [str(uncovered)] == row[1:]


def test_the_funds_shares_are_the_pages():
    for size, requirements, least, due in table_if_there("size", "requirements", "least", "due"):
        asked = [int(each) for each in requirements.split(",")]
        assert shares_due(int(size), asked, int(least)) == [int(each) for each in due.split(",")]
