"""A matching engine from the package registry beside ours: lightmatchingengine, on the first messages of the same flow.

It knows limit orders and cancels, so a reprice is a cancel and a new order of what was left. It checks no risk.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.exchange_flow import AMEND, BUY, SELL, Bare, Flow, digest
from benchmarks.record import cpu_time

NAME = "lightmatchingengine"
MESSAGES = 50_000
INSTRUMENT = "bench"


def peer_ns(flow: Flow, rounds: int) -> float | None:
    """CPU nanoseconds a message, best of `rounds`; None if the package is not installed. Its trades must be the flow's."""
    try:
        engine = import_module(f"{NAME}.{NAME}").LightMatchingEngine
    except ModuleNotFoundError:
        return None
    best = float("inf")
    for _ in range(rounds):
        play, trades = _player(engine())
        play(flow.bare[: flow.prefill].tolist())
        timed = flow.bare[flow.prefill : flow.prefill + MESSAGES].tolist()
        best = min(best, cpu_time(lambda: play(timed), 1))  # noqa: B023 - called at once
        _check(flow, trades)
    return best / MESSAGES * 1e9


def _player(engine: Any) -> tuple[Callable[[list[list[int]]], None], list[tuple[int, int, int, int]]]:
    """What plays bare rows on an engine, and the (maker, taker, price, lots) that it will have traded."""
    orders: dict[int, Any] = {}
    numbers: dict[int, int] = {}
    trades: list[tuple[int, int, int, int]] = []

    def add(number: int, tick: int, lots: int, side: int) -> None:
        order, told = engine.add_order(INSTRUMENT, tick, lots, side)
        orders[number], numbers[order.order_id] = order, number
        made = [trade for trade in told if trade.order_id != order.order_id]
        trades.extend((numbers[trade.order_id], number, trade.trade_price, trade.trade_qty) for trade in made)

    def play(rows: list[list[int]]) -> None:
        for kind, number, tick, lots in rows:
            if kind <= SELL:
                add(number, tick, lots, 1 if kind == BUY else 2)
                continue
            order = orders[number]
            left = order.leaves_qty
            engine.cancel_order(order.order_id, INSTRUMENT)
            if kind == AMEND:
                add(number, tick, left, order.side)

    return play, trades


def _check(flow: Flow, trades: list[tuple[int, int, int, int]]) -> None:
    """Raises RuntimeError unless the engine traded what the flow trades as far as it was played."""
    played: Bare = flow.bare[: flow.prefill + MESSAGES]
    last = played[played[:, 0] <= SELL][-1, 1]
    due = flow.trades[flow.trades[:, 1] <= last]
    if digest(np.array(trades, dtype=np.int64)) != digest(due):
        raise RuntimeError(f"{NAME} came to other trades than the flow's: {len(trades):,}, not {len(due):,}")
