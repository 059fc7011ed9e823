from dataclasses import replace

import numpy as np

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.rows import Row
from ciyuan.desk.curve import curve_of
from ciyuan.exchange.contract import Contract, ContractKind
from ciyuan.exchange.messages import ExchangeEvent

DAY = day_from_iso("2026-10-05")


def contract(number: int, month: int, grade: int = 1, last_day: int = DAY + 90) -> Contract:
    kind = ContractKind.CASH_FUTURE if month else ContractKind.SPOT
    return Contract(
        number, f"K.{month}", kind, grade, 1_000, 1_000, DAY - 5, last_day, month, 1_000, 950, 500
    )


def settled(number: int, ticks: int, day: int) -> Row:
    return (int(ExchangeEvent.SETTLEMENT_PRICE), 0, number, ticks, day, 1, 0, 0)


CONTRACTS = [
    contract(3, 202611),
    contract(1, 0),
    contract(2, 202610),
    contract(4, 202612),
    contract(5, 202610, grade=2),
]


def test_the_curve_is_spot_and_then_month_by_month():
    rows = [settled(number, 900 + number, DAY) for number in (3, 1, 2, 5)]
    rows.insert(0, (int(ExchangeEvent.FILLED), 0, 1, 1, 1, 1, 1, 1))
    curve = curve_of(np.array(rows, dtype=np.int64), CONTRACTS, 1, DAY)
    assert [(point.contract, point.month, point.price_micro) for point in curve] == [
        (1, 0, 901_000), (2, 202610, 902_000), (3, 202611, 903_000),
    ]  # fmt: skip
    assert [point.code for point in curve] == ["K.0", "K.202610", "K.202611"]


def test_a_spread_is_no_point_of_the_curve():
    spread = replace(contract(9, 202610), kind=ContractKind.SPREAD, near=2, far=3)
    rows = np.array([settled(number, 900, DAY) for number in (2, 3, 9)], dtype=np.int64)
    assert [point.contract for point in curve_of(rows, [*CONTRACTS, spread], 1, DAY)] == [2, 3]


def test_each_price_is_the_latest_of_the_day_or_before():
    rows = np.array(
        [settled(2, 950, DAY - 1), settled(3, 940, DAY - 1), settled(2, 951, DAY), settled(2, 999, DAY + 1)],
        dtype=np.int64,
    )
    assert [(point.contract, point.day, point.price_micro) for point in curve_of(rows, CONTRACTS, 1, DAY)] == [
        (2, DAY, 951_000), (3, DAY - 1, 940_000),
    ]  # fmt: skip


def test_a_contract_past_its_last_day_is_off_the_curve():
    rows = np.array([settled(2, 950, DAY)], dtype=np.int64)
    ended = [contract(2, 202610, last_day=DAY)]
    assert len(curve_of(rows, ended, 1, DAY)) == 1
    assert curve_of(rows, ended, 1, DAY + 1) == ()
    assert curve_of(np.empty((0, 8), dtype=np.int64), CONTRACTS, 1, DAY) == ()
