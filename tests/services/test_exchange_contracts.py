"""The market of a replay: contracts made to fit the orders, or read from a file; and its room."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.room import LADDER_TICKS_MAX
from ciyuan.exchange.settlement import FIRST_DAY_LIMITS, daily_limits
from ciyuan.services.exchange_contracts import Terms, contracts_for, limits_for, room_for
from ciyuan.services.exchange_source import Prices, Survey
from tests.services.orders import DAY
from tests.sources import PACKAGE

FIRST_NS = DAY * 86_400 * 10**9


def prices(*found):
    """A survey's prices."""
    span = Prices()
    span.take(np.array(found, dtype=np.int64))
    return span


def survey(named=None, **given):
    """A survey of a file with prices in micro-units of money."""
    spans = {"": prices(950_000, 955_000)} if named is None else named
    return Survey(rows=3, first_ns=FIRST_NS, prices=spans, **given)


def listed(tmp_path, text, found=None):
    """The contracts of a file."""
    path = tmp_path / "contracts.toml"
    path.write_text(text)
    return contracts_for(Terms(path), found or survey())


@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=20))
def test_inferred_limits_let_in_every_price_that_a_ladder_can_hold(found):
    span = prices(*found)
    middle, rate = limits_for(span, 1)
    lower, upper = daily_limits(middle, FIRST_DAY_LIMITS * rate)
    assert upper - lower + 1 <= LADDER_TICKS_MAX
    if max(found) < LADDER_TICKS_MAX:
        assert lower <= min(found)
        assert max(found) <= upper
    else:
        assert lower <= span.typical <= upper


def test_the_typical_price_is_not_moved_by_a_few_strays():
    span = Prices()
    for _ in range(9):
        span.take(np.array([100, 101, 102], dtype=np.int64))
    span.take(np.array([10**9], dtype=np.int64))
    assert (span.typical, span.highest) == (101, 10**9)


@pytest.mark.parametrize(
    ("found", "tick_micro"),
    [((950_000, 955_000), 1_000), ((950_000,), 10_000), ((7_000_000,), 1_000_000), ((1,), 1), ((40,), 10)],
)
def test_the_tick_is_one_of_the_last_decimal(found, tick_micro):
    (contract,) = contracts_for(Terms(code="ORE"), survey({"": prices(*found)}))
    assert (contract.code, contract.tick_micro, contract.first_day) == ("ORE", tick_micro, DAY)


def test_numbers_are_the_files_own_if_it_has_numbers():
    named = {"7": prices(10), "3": prices(20)}
    assert [(contract.number, contract.code) for contract in contracts_for(Terms(), survey(named))] == [
        (7, "7"),
        (3, "3"),
    ]
    mixed = {"7": prices(10), "X": prices(20)}
    assert [contract.number for contract in contracts_for(Terms(), survey(mixed))] == [1, 2]


def test_a_file_without_prices_has_a_contract_all_the_same():
    (contract,) = contracts_for(Terms(), survey({}))
    assert (contract.tick_micro, contract.initial_price_ticks) == (1_000, 1_000)


def test_the_room_holds_every_order_and_account():
    found = survey(orders=5_000, accounts=70)
    room = room_for(contracts_for(Terms(), found), found)
    assert (room.orders, room.accounts) == (5_000, 70)
    assert room.ladder_ticks < LADDER_TICKS_MAX
    found.days.add(DAY)
    assert room_for(contracts_for(Terms(), found), found).ladder_ticks == LADDER_TICKS_MAX


def test_the_markets_own_contracts_can_be_given():
    contracts = contracts_for(Terms(PACKAGE / "data" / "contracts.toml"), survey())
    assert [contract.code for contract in contracts][:2] == ["KIMI26.SPOT", "KIMI26.2610"]
    assert contracts[0].kind is ContractKind.SPOT
    assert (contracts[1].tick_micro, contracts[1].limit_rate_bp, contracts[1].month) == (
        1_000,
        1_000,
        202_610,
    )


def test_a_spread_names_its_legs_by_code(tmp_path):
    text = '[[contract]]\ncode = "A"\n[[contract]]\ncode = "B"\n[[contract]]\ncode = "A-B"\nnear = "A"\nfar = "B"\n'
    spread = listed(tmp_path, text)[-1]
    assert (spread.kind, spread.near, spread.far) == (ContractKind.SPREAD, 1, 2)


@pytest.mark.parametrize(
    ("text", "said_of_it"),
    [
        ("", "no [[contract]]"),
        ("[[contract]]\nnumber = 1\n", "code"),
        ('[[contract]]\ncode = "A"\ncolour = 1\n', "colour"),
        ('[[contract]]\ncode = "A"\n[[contract]]\ncode = "A"\n', "expected each once"),
        ('[[contract]]\ncode = "A"\nnear = "B"\nfar = "C"\n', "List the legs first"),
        ('[[contract]]\ncode = "A"\nlimit_rate_bp = 0\n', "limit_rate_bp"),
        ("[[contract]\n", "expected TOML"),
    ],
)
def test_a_file_of_contracts_that_cannot_be_is_malformed(tmp_path, text, said_of_it):
    with pytest.raises(Malformed) as problem:
        listed(tmp_path, text)
    assert said_of_it in str(problem.value)


def test_too_many_accounts_are_malformed():
    found = survey(accounts=2**40)
    with pytest.raises(Malformed, match="Number the accounts"):
        room_for(contracts_for(Terms(), found), found)
