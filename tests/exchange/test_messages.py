"""Contracts as listed, rows as built, and the page that says the rules as built."""

import re

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import flags_of
from ciyuan.exchange import (
    ADMIT_ALL,
    CancelCause,
    ExchangeCommand,
    ExchangeEvent,
    OrderFlag,
    Refusal,
    SessionState,
    SettlementMethod,
    Side,
    messages,
    order_row,
)
from tests.exchange.flows import contract
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "exchange.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 0},
        {"tick_micro": 0},
        {"lot_mtok": 0},
        {"initial_price_ticks": 0},
        {"max_lots_per_order": 0},
        {"limit_rate_bp": 0},
        {"limit_rate_bp": 10_001},
        {"last_day": 19_999},
    ],
)
def test_a_contract_that_cannot_be_is_malformed(wrong):
    with pytest.raises(Malformed, match=next(iter(wrong))):
        contract(**({"number": 1} | wrong))


def test_what_a_tick_is_worth():
    assert contract(1).tick_value_micro == 1_000_000


def test_the_flags_of_an_order():
    assert flags_of(order_row(0, 1, 1, 1, Side.SELL, 0, 1, kind=OrderFlag.MARKET)[0]) == 3
    assert flags_of(order_row(0, 1, 1, 1, Side.BUY, 100, 1)[0]) == 0
    assert int(Side.SELL) == int(OrderFlag.SIDE_SELL)


def test_the_exchange_alone_admits_all():
    assert ADMIT_ALL.permitted(1, 1) is None
    assert ADMIT_ALL.admit(0, 1, 1, True, 100, 1) is None


def test_refusals_are_declared_in_the_order_of_the_rule():
    """§3.5, by the first code of each of its groups."""
    rule = ["UNKNOWN_ACCOUNT", "NOT_PERMITTED", "UNKNOWN_CONTRACT", "WRONG_STATE", "PRICE_NOT_POSITIVE", "LOTS_NOT_POSITIVE",
            "MIN_LOTS_NOT_ALLOWED", "LOTS_OVER_MAXIMUM", "PRICE_LIMIT", "ID_USED_WITH_OTHER_SIDE", "POSITION_LIMIT", "ORDER_RATE",
            "MARGIN"]  # fmt: skip
    codes = [Refusal[name] for name in rule]
    assert codes == sorted(codes)
    assert [refusal.value for refusal in Refusal] == list(range(1, len(Refusal) + 1))


def test_the_table_of_messages_names_every_one():
    text = messages.__doc__ or ""
    named = set(re.findall(r"^\| ([A-Z_]+)", text, re.MULTILINE))
    assert named == {code.name for code in (*ExchangeCommand, *ExchangeEvent)}


@pytest.mark.parametrize(
    "enum", [ExchangeCommand, ExchangeEvent, Refusal, CancelCause, SessionState, SettlementMethod]
)
def test_the_page_of_rules_names_every_code(enum):
    assert [code.name for code in enum if f"`{code.name}`" not in PAGE] == []


def test_the_page_names_every_scenario():
    names = sorted(path.name for path in (ROOT / "scenarios" / "exchange").glob("*.txt"))
    assert [name for name in names if name not in PAGE] == []
