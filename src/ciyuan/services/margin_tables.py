"""What a run leaves of its clearing house: the model that margin stood on last, and what every member held at the end."""

from pathlib import Path

import numpy as np

from ciyuan.services.tables import write_table
from ciyuan.venue.machine import Venue

MODEL, HOLDINGS = "margin_model.parquet", "holdings.parquet"


def write_margin_tables(folder: Path, venue: Venue, names: dict[int, str]) -> None:
    """Write `margin_model` (one row a contract and scenario) and `holdings` (one row a position) of a venue."""
    _write_model(folder, venue)
    _write_holdings(folder, venue, names)


def _write_model(folder: Path, venue: Venue) -> None:
    clearing = venue.clearing
    model, numbers = clearing.margin_model
    codes = {contract.number: contract.code for contract in venue.terms.contracts}
    filtered = stressed = 0
    moves = np.zeros((0, 0), dtype=np.int64)
    costs = np.zeros((3, 0), dtype=np.int64)
    values = np.zeros(0, dtype=np.int64)
    if model is not None:
        filtered, stressed = len(model.filtered_ticks), len(model.stressed_ticks)
        moves = np.concatenate((model.filtered_ticks, model.stressed_ticks))
        costs = np.stack((model.lot_cost_micro, model.free_lots, model.over_cost_micro))
        values = model.tick_value_micro
    rows = filtered + stressed
    each = np.array(numbers, dtype=np.int64)
    kind = np.array(["filtered"] * filtered + ["stressed"] * stressed, dtype=object)
    settled = np.array([clearing.settlement_ticks(number) for number in numbers], dtype=np.int64)
    margin = np.array([clearing.margin_lot_micro(number) for number in numbers], dtype=np.int64)
    write_table(
        folder / MODEL,
        {
            "day": np.full(len(numbers) * rows, clearing.margin_model_day).astype("datetime64[D]"),
            "contract": np.repeat(each, rows),
            "code": np.repeat(np.array([codes[number] for number in numbers], dtype=object), rows),
            "kind": np.tile(kind, len(numbers)),
            "scenario": np.tile(np.arange(rows, dtype=np.int64), len(numbers)),
            "move_ticks": moves.T.reshape(-1),
            "tick_value_micro": np.repeat(values, rows),
            "lot_cost_micro": np.repeat(costs[0], rows),
            "free_lots": np.repeat(costs[1], rows),
            "over_cost_micro": np.repeat(costs[2], rows),
            "settle_ticks": np.repeat(settled, rows),
            "margin_lot_micro": np.repeat(margin, rows),
        },
    )


def _write_holdings(folder: Path, venue: Venue, names: dict[int, str]) -> None:
    clearing = venue.clearing
    codes = {contract.number: contract.code for contract in venue.terms.contracts}
    held = [
        position
        for member in clearing.members
        for number in clearing.contracts
        for position in clearing.positions(member, number)
        if not position.is_flat
    ]
    settled = [position.market.settle_ticks for position in held]
    values = np.array([position.market.tick_value_micro for position in held], dtype=np.int64)
    unrealised = [at.unrealised_micro(price) for at, price in zip(held, settled, strict=True)]
    words = ("long", "short", "long_today", "short_today")
    write_table(
        folder / HOLDINGS,
        {
            "participant": np.array([names[at.member.number] for at in held], dtype=object),
            "contract": np.array([codes[at.market.number] for at in held], dtype=object),
            "hedging": np.array([at.hedge == 1 for at in held], dtype=np.bool_),
            **{
                f"{word}_lots": np.array([getattr(at, word) for at in held], dtype=np.int64) for word in words
            },
            "long_cost_micro": np.array([at.long_cost for at in held], dtype=np.int64) * values,
            "short_cost_micro": np.array([at.short_cost for at in held], dtype=np.int64) * values,
            "settlement_ticks": np.array(settled, dtype=np.int64),
            "realised_micro": np.array([at.realised for at in held], dtype=np.int64) * values,
            "unrealised_micro": np.array(unrealised, dtype=np.int64),
        },
    )
