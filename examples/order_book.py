"""An exchange by itself: an opening auction, then continuous trading, on one future.

Run it from the project's folder:  .venv/bin/python examples/order_book.py
Everyone is known and covered here; in a venue the clearing house says who is. Rules: the auction is §4.2, order types §3.1.
"""

from ciyuan.basics.calendar import Calendar, day_from_iso
from ciyuan.basics.rows import Row, code_of, flags_of
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.exchange import (
    CancelCause,
    Contract,
    ContractKind,
    ExchangeEvent,
    FillFlag,
    OrderFlag,
    Refusal,
    SessionState,
    Side,
    order_row,
    session_row,
)
from ciyuan.exchange.machine import Exchange

DAY = day_from_iso("2026-10-08")
CALENDAR = Calendar(8 * NS_PER_HOUR)
FUTURE = Contract(
    number=1, code="KIMI26.2610", kind=ContractKind.CASH_FUTURE, grade=1, tick_micro=1_000, lot_mtok=1_000, first_day=DAY - 8,
    last_day=DAY + 22, month=202610, limit_rate_bp=1_000, initial_price_ticks=950, max_lots_per_order=500,
)  # fmt: skip
ANNE, BO, CHEN, DORA = 1, 2, 3, 4
NAMES = {ANNE: "Anne", BO: "Bo", CHEN: "Chen", DORA: "Dora"}


def shown(event: Row) -> str:
    """One event as a trader reads it."""
    code, flags = ExchangeEvent(code_of(event[0])), flags_of(event[0])
    who = NAMES.get(event[2], "")
    if code is ExchangeEvent.AUCTION_PRICED:
        return f"auction price {event[3] / 1000:.3f}, {event[4]} lots, surplus {event[5]:+d}"
    if code is ExchangeEvent.INDICATIVE:
        return f"would now be {event[3] / 1000:.3f}, {event[4]} lots, surplus {event[5]:+d}"
    if code is ExchangeEvent.FILLED:
        return f"{who} {'sells' if flags & FillFlag.SIDE_SELL else 'buys'} {event[6]} at {event[5] / 1000:.3f} (trade {event[7]})"
    if code is ExchangeEvent.CANCELLED:
        return f"{who}: {event[6]} lots taken back, {CancelCause(event[5]).name}"
    if code is ExchangeEvent.REFUSED:
        return f"{who}: refused, {Refusal(event[7]).name}"
    return ""


def main() -> None:
    exchange = Exchange([FUTURE], everyone=True)
    ids = iter(range(1, 100))

    def ring(clock: str, state: SessionState) -> None:
        print(f"{clock} {state.name}")
        tell(session_row(CALENDAR.ns_at(DAY, clock), FUTURE.number, state, DAY))

    def order(
        clock: str, who: int, side: Side, ticks: int, lots: int, kind: OrderFlag = OrderFlag.LIMIT
    ) -> None:
        price = f"{ticks / 1000:.3f}" if ticks else "the market"
        print(f"{clock}   {NAMES[who]} {kind.name} {side.name} {lots} at {price}")
        tell(
            order_row(CALENDAR.ns_at(DAY, clock), who, next(ids), FUTURE.number, side, ticks, lots, kind=kind)
        )

    def tell(row: Row) -> None:
        events: list[Row] = []
        exchange.apply_one(row, events)
        for event in events:
            if words := shown(event):
                print(f"          {words}")

    ring("08:55", SessionState.AUCTION_ENTRY)
    order("08:56", ANNE, Side.BUY, 955, 30)
    order("08:56", BO, Side.SELL, 945, 20)
    order("08:57", CHEN, Side.SELL, 952, 20)
    order("08:58", DORA, Side.BUY, 948, 10)
    ring("08:59", SessionState.AUCTION_FREEZE)
    ring("09:00", SessionState.AUCTION_MATCH)
    ring("09:00", SessionState.CONTINUOUS)
    order("09:01", DORA, Side.BUY, 952, 25, OrderFlag.FAK)
    order("09:02", CHEN, Side.SELL, 958, 5)
    order("09:03", ANNE, Side.BUY, 1_200, 1)
    order("09:04", BO, Side.SELL, 0, 4, OrderFlag.MARKET)

    view = exchange.book(FUTURE.number)
    print("the book now")
    for side in (Side.SELL, Side.BUY):
        for level in view.levels(side):
            print(f"  {side.name:<4} {level.price_ticks / 1000:.3f} x {level.lots}")


if __name__ == "__main__":
    main()
