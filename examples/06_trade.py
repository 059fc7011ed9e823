"""A market maker and a taker in forty lines. Run it from the project's folder:  .venv/bin/python examples/06_trade.py"""

from itertools import count

import numpy as np

from ciyuan import exchange as ex
from ciyuan.basics.rows import code_of
from ciyuan.exchange.machine import Exchange

DAY, MAKER, TAKER = 20_734, 1, 2  # 8 October 2026, in days since 1970
FUTURE = ex.Contract(
    number=1, code="KIMI26.2610", kind=ex.ContractKind.CASH_FUTURE, grade=1, tick_micro=1_000, lot_mtok=1_000, first_day=DAY,
    last_day=DAY + 22, month=202610, limit_rate_bp=1_000, initial_price_ticks=950, max_lots_per_order=500,
)  # fmt: skip


def main() -> None:
    exchange, chance = Exchange([FUTURE], everyone=True), np.random.default_rng(10)
    ids, now = count(1), count(1)
    exchange.apply_one(ex.session_row(next(now), 1, ex.SessionState.CONTINUOUS, DAY), [])
    held = cash = 0  # lots, and what they cost in ticks: a tick of 0.001 USD is 1 USD on a lot of 1,000 MTok
    for value in (950 + chance.integers(-1, 2, 12).cumsum()).tolist():
        bid, ask = value - 1 - held // 8, value + 1 - held // 8  # the maker leans against what it holds
        side, lots = ex.Side(int(chance.integers(2))), int(chance.integers(1, 15))
        price = bid if side else ask
        rows = [
            ex.mass_cancel_row(next(now), MAKER),
            ex.order_row(next(now), MAKER, next(ids), 1, ex.Side.BUY, bid, 10),
            ex.order_row(next(now), MAKER, next(ids), 1, ex.Side.SELL, ask, 10),
            ex.order_row(next(now), TAKER, next(ids), 1, side, price, lots, kind=ex.OrderFlag.FAK),
        ]
        for kind, _, account, _, _, ticks, filled, _ in exchange.apply(np.array(rows)).tolist():
            if code_of(kind) == ex.ExchangeEvent.FILLED and account == MAKER:
                bought = filled if side else -filled
                held, cash = held + bought, cash - bought * ticks
                done = f"{'sells' if side else 'buys '} {filled:>2} of {lots:>2} at {ticks / 1000:.3f}"
                print(f"{bid / 1000:.3f} x {ask / 1000:.3f}   the taker {done}   the maker holds {held:>3}")
    print(f"the maker's result, at the last price: {cash + held * exchange.last(1)} USD")


if __name__ == "__main__":
    main()
