"""The chart of accounts against the accounts that the ledger really has, and the terms that it follows from."""

from dataclasses import replace
from itertools import pairwise

import pytest

from ciyuan.basics.calendar import Calendar
from ciyuan.gateway.messages import CUSTOMER_MAX, GRADE_MAX, SUPPLIER_MAX
from ciyuan.ledger.messages import AccountFlag
from ciyuan.venue.accounts import (
    CUSTOMERS_MAX,
    MONEY,
    RECEIPTS_ASSET,
    STANDARD_TOKENS_ASSET,
    SUPPLIERS_MAX,
    ChartOfAccounts,
    House,
)
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse
from ciyuan.venue.terms import house_accounts
from tests.venue.market import CALENDAR, GRADES, KIMI, QWEN, ROLES, TERMS, Market, future

CHART = ChartOfAccounts((KIMI, QWEN))
GUARDED = AccountFlag.NO_OVERDRAFT


def test_a_new_venue_has_the_house_accounts_and_no_others():
    ledger = Venue(TERMS).ledger
    assert ledger.account_count == CHART.house_accounts == len(House) + 6
    for account in House:
        found = ledger.account(account)
        assert found.asset == MONEY
        assert (found.flags == 0) == (account in (House.WORLD, House.RECEIVABLES))
    for grade in (KIMI, QWEN):
        issuance, desk = ledger.account(CHART.issuance(grade)), ledger.account(CHART.spot_receipts(grade))
        assert (issuance.asset, issuance.flags) == (RECEIPTS_ASSET + grade, 0)
        assert (desk.asset, desk.flags) == (RECEIPTS_ASSET + grade, GUARDED)
        tokens = ledger.account(CHART.tokens(grade))
        assert (tokens.asset, tokens.flags) == (STANDARD_TOKENS_ASSET + grade, 0)


def test_participants_have_the_accounts_that_their_number_says():
    ledger = Market().join().venue.ledger
    assert ledger.account_count == CHART.house_accounts + len(ROLES) * CHART.purses
    seen = set()
    for number in ROLES:
        for purse in range(CHART.purses):
            account = CHART.purse(number, purse)
            found = ledger.account(account)
            assert (found.asset, found.flags) == (CHART.asset_of_purse(purse), GUARDED)
            seen.add(account)
    assert seen == set(range(CHART.house_accounts + 1, ledger.account_count + 1))


def test_purses_hold_money_and_then_receipts_by_grade():
    assert [CHART.asset_of_purse(purse) for purse in Purse] == [1, 1, 1, 1, RECEIPTS_ASSET + KIMI]
    assert CHART.asset_of_purse(Purse.RECEIPTS + 1) == RECEIPTS_ASSET + QWEN
    assert CHART.receipts(3, QWEN) == CHART.purse(3, Purse.RECEIPTS + 1)


def test_the_last_purses_hold_standard_tokens_to_ask_for_and_served():
    of_three = CHART.purse(3, 0)
    accounts = [
        CHART.standard_tokens(3, KIMI),
        CHART.standard_tokens(3, QWEN),
        CHART.served(3, KIMI),
        CHART.served(3, QWEN),
    ]
    assert accounts == [of_three + 6, of_three + 7, of_three + 8, of_three + 9]
    assert accounts[-1] + 1 == CHART.purse(4, 0)
    assets = [CHART.asset_of_purse(purse) for purse in range(6, CHART.purses)]
    assert assets == [STANDARD_TOKENS_ASSET + grade for grade in (KIMI, QWEN, KIMI, QWEN)]


@pytest.mark.parametrize("count", [1, 2, 3, 127])
def test_the_meters_parties_have_numbers_of_their_own(count):
    chart = ChartOfAccounts(tuple(range(1, count + 1)))
    for most, largest, party in (
        (CUSTOMERS_MAX, CUSTOMER_MAX, chart.holder),
        (chart.issuers_max, SUPPLIER_MAX, chart.issuer),
    ):
        blocks = [(party(1, grade), party(most, grade)) for grade in chart.grades]
        ordinary = CUSTOMERS_MAX if party == chart.holder else SUPPLIERS_MAX
        assert blocks[0][0] > ordinary
        assert all(last < first for (_, last), (first, _) in pairwise(blocks))
        assert blocks[-1][1] <= largest
    assert chart.issuers_max == 32_768 // count


def test_no_two_assets_have_one_number():
    largest_grade = GRADE_MAX
    assert MONEY < RECEIPTS_ASSET
    assert RECEIPTS_ASSET + largest_grade < STANDARD_TOKENS_ASSET


def test_the_clearing_house_works_on_the_charts_accounts():
    house = house_accounts(GRADES)
    assert (house.variation, house.spot_money, house.fees, house.capital, house.receivables) == (
        2,
        3,
        4,
        5,
        6,
    )
    assert house.spot_receipts == ((KIMI, CHART.spot_receipts(KIMI)), (QWEN, CHART.spot_receipts(QWEN)))


def test_terms_of_one_value_have_one_digest():
    offset, days = CALENDAR.utc_offset_ns, (20_000, 20_008, 20_016)
    one, other = (replace(TERMS, calendar=Calendar(offset, frozenset(order))) for order in (days, days[::-1]))
    assert one.digest() == other.digest() != TERMS.digest()
    assert len(TERMS.digest()) == 32


@pytest.mark.parametrize(
    "other",
    [
        replace(TERMS, calendar=Calendar(0)),
        replace(TERMS, contracts=(*TERMS.contracts, future(9, 202612))),
        replace(TERMS, grades=TERMS.grades[:1]),
        replace(TERMS, index=replace(TERMS.index, observations_min=6)),
        replace(TERMS, clearing=replace(TERMS.clearing, report_bp=1)),
        replace(TERMS, room=replace(TERMS.room, orders=1_000)),
        replace(TERMS, bond_bp=1),
    ],
)
def test_every_part_of_the_terms_is_in_the_digest(other):
    assert other.digest() != TERMS.digest()
