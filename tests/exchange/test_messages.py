"""Contracts as listed, rows as built, and the page that says the rules as built."""

import re

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import FLAG_MASK, Row, flags_of, reason_of
from ciyuan.exchange import (
    AccountFlag,
    AmendFlag,
    CancelCause,
    ContractKind,
    Effect,
    ExchangeCommand,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    Permission,
    Refusal,
    SelfTrade,
    SessionState,
    SettlementMethod,
    Side,
    account_row,
    amend_row,
    cancel_row,
    close_day_row,
    credit_row,
    disconnect_row,
    kill_row,
    mass_cancel_row,
    messages,
    notice_row,
    order_row,
    position_row,
    quota_row,
    reduce_row,
    risk_row,
    session_row,
    tick_row,
)
from ciyuan.exchange.room import LADDER_TICKS_MAX, Room
from ciyuan.exchange.session import ORDER_TYPES, TYPE_BITS
from tests.exchange.listings import contract
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
        {"max_lots_per_order": 2**31},
        {"limit_rate_bp": 0},
        {"limit_rate_bp": 10_001},
        {"last_day": 19_999},
        {"near": 2, "far": 3},
        {"near": 2, "far": 2, "kind": ContractKind.SPREAD},
        {"near": 2, "kind": ContractKind.SPREAD},
        {"breaker_bp": 100},
        {"breaker_minutes": 5},
        {"breaker_bp": 100, "breaker_minutes": 17},
    ],
)
def test_a_contract_that_cannot_be_is_malformed(wrong):
    with pytest.raises(Malformed, match=next(iter(wrong)).split("_")[0]):
        contract(**({"number": 1} | wrong))


@pytest.mark.parametrize(
    "wrong", [{"accounts": 0}, {"accounts": 2**31}, {"orders": 0}, {"orders": 2**31}, {"ladder_ticks": 0},
              {"ladder_ticks": LADDER_TICKS_MAX + 1}]
)  # fmt: skip
def test_a_room_that_cannot_be_is_malformed(wrong):
    with pytest.raises(Malformed, match=next(iter(wrong))):
        Room(**wrong)


def test_what_a_contract_is_worth_and_who_may_trade_it():
    assert contract(1).tick_value_micro == 10_000
    assert (contract(1).permission, contract(1, ContractKind.SPOT).permission) == (
        Permission.FUTURES,
        Permission.SPOT,
    )
    spread = contract(1, ContractKind.SPREAD, near=2, far=3)
    assert (spread.is_spread, spread.permission, contract(1).is_spread) == (True, Permission.FUTURES, False)


def test_the_flags_of_an_order():
    assert flags_of(order_row(0, 1, 1, 1, Side.SELL, 0, 1, kind=OrderFlag.MARKET)[0]) == 3
    assert flags_of(order_row(0, 1, 1, 1, Side.BUY, 100, 1)[0]) == 0
    assert int(Side.SELL) == int(OrderFlag.SIDE_SELL)
    assert sum(OrderFlag) == FLAG_MASK, "a flag for every bit"
    assert TYPE_BITS == FLAG_MASK & ~(OrderFlag.SIDE_SELL | OrderFlag.GTC)
    assert all(kind & ~TYPE_BITS == 0 for kind in ORDER_TYPES)


def test_an_order_carries_its_last_day_effect_and_second_word():
    row = order_row(
        9,
        1,
        2,
        3,
        Side.BUY,
        100,
        8,
        kind=OrderFlag.ICEBERG,
        shown_lots=2,
        last_day=20_001,
        effect=Effect.CLOSE,
    )
    assert row[2:] == (1, 2, 3 | 20_001 << messages.LAST_DAY_SHIFT, 100, 8, 2)
    assert (reason_of(row[0]), row[4] & messages.CONTRACT_MASK) == (Effect.CLOSE, 3)
    assert order_row(9, 1, 2, 3, Side.BUY, 100, 8, kind=OrderFlag.FAK, min_lots=5)[7] == 5
    assert order_row(9, 1, 2, 3, Side.BUY, 100, 8, kind=OrderFlag.STOP, trigger_ticks=99)[7] == 99


ROWS: list[tuple[ExchangeCommand, Row, tuple[int, ...]]] = [
    (ExchangeCommand.SESSION, session_row(9, 1, SessionState.BREAK, 20_000), (1, 6, 20_000)),
    (ExchangeCommand.CANCEL, cancel_row(9, 1, 2), (1, 2)),
    (ExchangeCommand.MASS_CANCEL, mass_cancel_row(9, 1, 2), (1, 2)),
    (ExchangeCommand.CLOSE_DAY, close_day_row(9, 1, 20_000), (1, 0, 20_000)),
    (ExchangeCommand.AMEND, amend_row(9, 1, 2, 100, 5), (1, 2, 0, 100, 5)),
    (ExchangeCommand.ACCOUNT, account_row(9, 1, self_trade=SelfTrade.DECREMENT, orders_per_second_max=4), (1, 3, 4, 3)),
    (ExchangeCommand.CREDIT, credit_row(9, 1, 50, 2), (1, 2, 50)),
    (ExchangeCommand.RISK, risk_row(9, 1, margin_lot_micro=2, fee_lot_micro=3, limit_lots=4, hedger_limit_lots=5, share_bp=6),
     (1, 2, 3, 4, 5, 6)),
    (ExchangeCommand.QUOTA, quota_row(9, 1, 2, 3), (1, 2, 3)),
    (ExchangeCommand.POSITION, position_row(9, 1, 2, 3, 4, -5), (1, 2, 3, 4, -5)),
    (ExchangeCommand.KILL, kill_row(9, 1), (1, 1)),
    (ExchangeCommand.DISCONNECT, disconnect_row(9, 1), (1,)),
    (ExchangeCommand.NOTICE, notice_row(9, 1, 500), (1, 500)),
    (ExchangeCommand.REDUCE, reduce_row(9, 1), (1,)),
    (ExchangeCommand.TICK, tick_row(9), ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "row", "words"), ROWS, ids=lambda given: given.name if isinstance(given, ExchangeCommand) else ""
)
def test_a_row_is_its_words(code, row, words):
    assert row == (int(code), 9, *words, *(0,) * (6 - len(words)))


def test_the_flags_of_the_clearing_house_s_rows():
    assert flags_of(account_row(9, 1, flags=AccountFlag.GROSS | AccountFlag.HEDGER)[0]) == 3
    assert (
        flags_of(quota_row(9, 1, 2, 3, hedge=True)[0])
        == flags_of(position_row(9, 1, 2, 3, 4, hedge=True)[0])
        == 1
    )
    assert kill_row(9, 1, on=False)[3] == 0


def test_sides_are_one_flag_everywhere():
    flags = {OrderFlag.SIDE_SELL.value, FillFlag.SIDE_SELL.value, AmendFlag.SIDE_SELL.value, Side.SELL.value}
    assert flags == {1}


# --- the page of rules ---


def test_refusals_are_numbered_and_listed_in_the_order_in_which_they_are_looked_for():
    assert [refusal.value for refusal in Refusal] == list(range(1, len(Refusal) + 1))
    listed = re.findall(
        r"^\| (\d+) \| `([A-Z_]+)` \|", PAGE[PAGE.index("| value | refusal |") :], re.MULTILINE
    )
    sided = [refusal for refusal in Refusal if refusal.name.startswith("ID_USED")]
    expected = [(str(refusal.value), refusal.name) for refusal in Refusal if refusal not in sided]
    assert [found for found in listed if found in expected] == expected
    assert f"| {sided[0]} to {sided[-1]} | `ID_USED_WITH_OTHER_...` |" in PAGE
    assert all(f"`{refusal.name.removeprefix('ID_USED_WITH_OTHER_')}`" in PAGE for refusal in sided)


def test_the_table_of_messages_names_every_one():
    text = messages.__doc__ or ""
    named = set(re.findall(r"^\| ([A-Z_]+)", text, re.MULTILINE))
    assert named == {code.name for code in (*ExchangeCommand, *ExchangeEvent)}


@pytest.mark.parametrize(
    "enum",
    [
        ExchangeEvent,
        ExchangeCommand,
        Refusal,
        CancelCause,
        SessionState,
        SettlementMethod,
        OrderFlag,
        SelfTrade,
        AccountFlag,
    ],
)
def test_the_page_of_rules_names_every_code(enum):
    """But for those that only the row's own tables speak of, and the four fields that a repeat may differ in."""
    in_tables = {"LIMIT", "SIDE_SELL", "AUCTION_PRICED", "SET"}
    names = [code.name for code in enum if not code.name.startswith("ID_USED") and code.name not in in_tables]
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []


def test_the_page_names_every_scenario():
    names = sorted(path.name for path in (ROOT / "scenarios" / "exchange").glob("*.txt"))
    patterns = re.findall(r"`(\d\.\d-[\w*-]*\.txt|\d\.\d-\*\.txt)`", PAGE)
    missing = [
        name
        for name in names
        if not any(re.fullmatch(pattern.replace("*", ".*"), name) for pattern in patterns)
    ]
    assert missing == []
