"""Calendar, bells, contracts and terms as shipped follow the rulebook; bad ones are refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ciyuan.basics.calendar import day_from_iso, iso_of_day
from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.clearing.messages import HouseAccounts
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import SessionState
from ciyuan.services.catalog_table import FACTS
from ciyuan.services.catalog_venue import calendar, clearing_terms, contracts, group_of, session_bells

HOUSE = HouseAccounts(variation=1, spot_money=2, fees=3, capital=4, receivables=5, default_fund=6)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of the facts in which one text of one file is another."""

    def edit(name: str, old: str, new: str) -> Path:
        shutil.copytree(str(FACTS), tmp_path, dirs_exist_ok=True)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
        return tmp_path

    return edit


def test_the_venue_is_eight_hours_east_and_open_all_weekdays_of_october():
    days = calendar()
    assert days.utc_offset_ns == 8 * NS_PER_HOUR
    assert len(days.business_days(day_from_iso("2026-10-01"), day_from_iso("2026-10-31"))) == 22


def test_the_day_runs_as_rulebook_4_1_says():
    for group in ("spot", "futures"):
        bells = [bell for bell in session_bells() if bell.group == group]
        assert [bell.state for bell in bells] == [
            SessionState.AUCTION_ENTRY, SessionState.AUCTION_FREEZE, SessionState.AUCTION_MATCH, SessionState.CONTINUOUS,
            SessionState.BREAK, SessionState.CONTINUOUS, SessionState.BREAK, SessionState.CONTINUOUS,
            SessionState.CLOSING, SessionState.SETTLEMENT, SessionState.CLOSED,
        ]  # fmt: skip
        assert [bell.clock for bell in bells[:8]] == [
            "08:55",
            "08:59",
            "09:00",
            "09:00",
            "10:15",
            "10:30",
            "11:30",
            "13:30",
        ]
    ends = {bell.group: bell.clock for bell in session_bells() if bell.state == SessionState.CLOSING}
    assert ends == {"futures": "15:00", "spot": "16:00"}


def test_contracts_are_those_of_rulebook_2():
    spot, *futures = contracts()
    assert (spot.code, spot.kind, spot.lot_mtok, spot.month) == ("KIMI26.SPOT", ContractKind.SPOT, 1, 0)
    assert [future.code for future in futures] == ["KIMI26.2610", "KIMI26.2611", "KIMI26.2612"]
    assert [iso_of_day(future.last_day) for future in futures] == ["2026-10-30", "2026-11-30", "2026-12-31"]
    for future in futures:
        assert (future.kind, future.lot_mtok, future.tick_value_micro) == (
            ContractKind.CASH_FUTURE,
            1000,
            10**6,
        )
        assert future.limit_rate_bp == 1000
    assert {contract.grade for contract in contracts()} == {1}
    assert (group_of(spot.kind), group_of(futures[0].kind)) == ("spot", "futures")


def test_terms_are_those_of_rulebook_6_1():
    terms = clearing_terms(HOUSE)
    assert terms.house is HOUSE
    ladder = terms.ladder
    assert (ladder.listing_bp, ladder.month_before_bp, ladder.delivery_month_bp, ladder.last_days_bp) == (
        1200,
        1500,
        2000,
        2500,
    )
    assert (ladder.last_days, terms.report_bp, terms.orders_per_second_max) == (2, 8000, 0)
    assert (terms.futures_fees.maker_turnover_ppm, terms.spot_fees.taker_turnover_ppm) == (50, 100)
    assert (terms.limits.ordinary, terms.limits.month_before, terms.limits.delivery_month) == (
        8000,
        3000,
        1000,
    )
    assert terms.hedger_limits.delivery_month > terms.limits.ordinary


def terms_of(folder: Path):
    return clearing_terms(HOUSE, folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "read", "thing"),
    [
        ("calendar.toml", '"+08:00"', '"8"', calendar, "calendar.toml, [venue], utc_offset"),
        ("calendar.toml", "holidays = []", 'holidays = ["1 Oct"]', calendar, "date"),
        ("calendar.toml", "[venue]", "[place]", calendar, "calendar.toml, [venue]"),
        ("calendar.toml", "[spot]", "[spott]", session_bells, "calendar.toml, [spott]"),
        (
            "calendar.toml",
            '"auction_entry"',
            '"entry"',
            session_bells,
            "calendar.toml, [futures], bells[0], state",
        ),
        ("calendar.toml", '"08:59"', '"08:54"', session_bells, "calendar.toml, [futures], bells[1], clock"),
        ("calendar.toml", '"08:59"', '"8h59"', session_bells, "time of day"),
        ("contracts.toml", "number = 2", "number = 5", contracts, "contracts.toml, number"),
        (
            "contracts.toml",
            'kind = "spot"',
            'kind = "swap"',
            contracts,
            "contracts.toml, [[contract]] 1, kind",
        ),
        (
            "contracts.toml",
            'grade = "KIMI26"',
            'grade = "KIMI"',
            contracts,
            "contracts.toml, [[contract]] 1, grade",
        ),
        ("contracts.toml", "month = 202610", "month = 202613", contracts, "month"),
        ("contracts.toml", "lot_mtok = 1\n", "lot_mtok = 0\n", contracts, "contract KIMI26.SPOT, lot_mtok"),
        (
            "contracts.toml",
            "last_day = 2026-12-31",
            "last_day = 2026-01-01",
            contracts,
            "contract KIMI26.SPOT, ",
        ),
        ("contracts.toml", "[fees_spot]", "[fees_sopt]", contracts, "contracts.toml, [fees_sopt]"),
        ("contracts.toml", "[fees_spot]", "[fees_sopt]", terms_of, "contracts.toml, [fees_spot]"),
        (
            "contracts.toml",
            "listing_bp = 1200",
            "listing_bp = -1",
            terms_of,
            "contracts.toml, [margin_ladder], listing_bp",
        ),
        (
            "contracts.toml",
            "listing_bp = 1200",
            "listing_bp = 12.0",
            terms_of,
            "contracts.toml, [margin_ladder], listing_bp",
        ),
        (
            "contracts.toml",
            "per_second_max = 0",
            "per_second_max = 0\nburst = 1",
            terms_of,
            "contracts.toml, [orders], burst",
        ),
    ],
)
def test_a_bad_fact_is_refused_where_it_stands(edited, name, old, new, read, thing):
    with pytest.raises(Malformed) as refused:
        read(edited(name, old, new))
    assert refused.value.thing.startswith(thing)
    assert refused.value.remedy


def test_a_venue_west_of_utc_and_its_holidays(edited):
    days = calendar(
        edited(
            "calendar.toml",
            'utc_offset = "+08:00"\nholidays = []',
            'utc_offset = "-04:30"\nholidays = ["2026-10-02"]',
        )
    )
    assert days.utc_offset_ns == -4.5 * NS_PER_HOUR
    assert not days.is_business(day_from_iso("2026-10-02"))
