"""The tables of a run of the month: which events go where. Names and units are in docs/guide/analyst.md."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ciyuan.basics.rows import ROW_WORDS
from ciyuan.clearing.messages import ClearingEvent, ClearingFlag
from ciyuan.exchange.contract import Contract
from ciyuan.exchange.messages import ExchangeEvent, FillFlag
from ciyuan.gateway.messages import MeterEvent, MeterFlag
from ciyuan.index.messages import IndexEvent
from ciyuan.services.tables import Column, TableSpec, day_column, flag, named, time_column, word

LEGS = {0: "standard", 1: "input", 2: "output"}
LEVELS = {1: "a: trades and deliveries", 2: "b: quotes", 3: "c: list prices"}


def run_specs(contracts: tuple[Contract, ...], names: Mapping[int, str]) -> tuple[TableSpec, ...]:
    """The specifications of a run's tables; `names` are the participants' by number."""
    return (_deliveries(), *_market(contracts, names), _fixings(), *_members(contracts, names))


def _deliveries() -> TableSpec:
    columns = (
        time_column(),
        word("request", 2),
        Column("customer", pa.int32(), lambda rows: rows[:, 3] >> 32),
        Column("supplier", pa.int32(), lambda rows: rows[:, 3] >> 16 & 0xFFFF),
        word("input_tokens", 4),
        word("cached_tokens", 5),
        word("output_tokens", 6),
        flag("batch", MeterFlag.BATCH),
        word("charge_micro", 7),
    )
    return TableSpec("deliveries", (MeterEvent.SETTLED,), columns)


def _market(contracts: tuple[Contract, ...], names: Mapping[int, str]) -> tuple[TableSpec, ...]:
    codes = {contract.number: contract.code for contract in contracts}
    ticks = {contract.number: contract.tick_micro for contract in contracts}

    def price(name: str, contract_word: int, price_word: int) -> Column:
        return Column(
            name, pa.int64(), lambda rows: rows[:, price_word] * _looked_up(rows[:, contract_word], ticks)
        )

    fills = (
        time_column(),
        word("trade", 7),
        named("contract", 4, codes),
        named("participant", 2, names),
        word("order_id", 3),
        flag("sell", FillFlag.SIDE_SELL),
        flag("taker", FillFlag.TAKER),
        flag("auction", FillFlag.AUCTION),
        price("price_micro", 4, 5),
        word("lots", 6),
    )
    settlements = (
        time_column(),
        named("contract", 2, codes),
        day_column("day", 4),
        price("settlement_micro", 2, 3),
        word("method", 5),
    )
    return (
        TableSpec("fills", (ExchangeEvent.FILLED,), fills),
        TableSpec("settlements", (ExchangeEvent.SETTLEMENT_PRICE,), settlements),
    )


def _fixings() -> TableSpec:
    columns = (
        time_column(),
        word("grade", 2),
        day_column("day", 3),
        named("leg", 4, LEGS),
        word("value_micro", 5),
        named("level", 6, LEVELS),
        word("version", 7),
    )
    return TableSpec("fixings", (IndexEvent.FIXED,), columns)


def _members(contracts: tuple[Contract, ...], names: Mapping[int, str]) -> tuple[TableSpec, ...]:
    codes = {contract.number: contract.code for contract in contracts}
    member = named("participant", 2, names)
    positions = (day_column("day", 7), member, named("contract", 3, codes), word("lots", 5))
    margin = (day_column("day", 7), member, word("requirement_micro", 3), word("equity_micro", 4))
    return (
        TableSpec(
            "positions",
            (ClearingEvent.VARIATION,),
            (time_column(), *positions, word("variation_micro", 4), flag("final", ClearingFlag.FINAL)),
        ),
        TableSpec(
            "coverage",
            (ClearingEvent.BACKTESTED,),
            (
                time_column(),
                day_column("day", 7),
                named("contract", 2, codes),
                word("days", 3),
                word("long_exceptions", 4),
                word("short_exceptions", 5),
                word("won_micro", 6),
            ),
        ),
        TableSpec("margin", (ClearingEvent.MARGIN,), (time_column(), *margin, word("excess_micro", 5))),
        _statements(member),
    )


def _statements(member: Column) -> TableSpec:
    """A statement is told in four events: money, spot, closing, fund."""
    told = (
        ClearingEvent.STATEMENT_MONEY,
        ClearingEvent.STATEMENT_SPOT,
        ClearingEvent.STATEMENT_CLOSING,
        ClearingEvent.STATEMENT_FUND,
    )
    parts = (
        ("opening_micro", "transferred_micro", "variation_micro", "fees_micro"),
        ("bought_micro", "sold_micro", "receipts_bought", "receipts_sold"),
        ("lent_micro", "closing_micro", "requirement_micro", "excess_micro"),
        ("fund_micro", "penalties_micro", "ladder_micro", "scenario_micro"),
    )
    figures = (
        word(name, ROW_WORDS * event + 4 + place)
        for event, names in enumerate(parts)
        for place, name in enumerate(names)
    )
    return TableSpec("statements", told, (time_column(), day_column("day", 3), member, *figures), joined=True)


def _looked_up(numbers: NDArray[np.int64], values: Mapping[int, int]) -> NDArray[np.int64]:
    table = np.zeros(max(values) + 1, dtype=np.int64)
    table[list(values)] = list(values.values())
    found: NDArray[np.int64] = table[numbers]
    return found
