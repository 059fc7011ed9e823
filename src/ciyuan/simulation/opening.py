"""The opening: participants, their first money, proved capacity, issued receipts and price lists, before anything trades."""

from ciyuan.basics.calendar import month_days
from ciyuan.basics.rows import Row
from ciyuan.basics.tokens import MTOK
from ciyuan.simulation.cast import MAKER_CASH_MICRO, TRADER_CASH_MICRO
from ciyuan.simulation.treasury import deposit_row, price_row
from ciyuan.simulation.world import World
from ciyuan.venue.messages import Purse, VenueCommand

HOURS_PER_DAY = 24


def opening_rows(world: World, time_ns: int) -> tuple[list[Row], int]:
    """The rows, all at `time_ns`, and the next free key of deposits and issues."""
    cast, scenario = world.cast, world.scenario
    rows: list[Row] = [
        (
            int(VenueCommand.PARTICIPANT),
            time_ns,
            participant.number,
            participant.roles,
            0,
            participant.role,
            0,
            0,
        )
        for participant in cast.everyone
    ]
    cash = (
        dict.fromkeys(cast.makers, MAKER_CASH_MICRO)
        | dict.fromkeys(cast.traders, TRADER_CASH_MICRO)
        | dict(world.hedges.cash_micro)
    )
    key = 1
    for participant, amount in cash.items():
        rows.append(deposit_row(time_ns, key, participant, Purse.CASH, amount))
        key += 1
    first, last = month_days(scenario.month)
    grade = world.grade.number
    for place, factory in enumerate(cast.factories):
        receipts = int(world.plant.capacity_tokens[place]) * HOURS_PER_DAY * (last - first + 1) // MTOK
        issued = int(receipts * scenario.receipts_share)
        rows.append((int(VenueCommand.CAPACITY), time_ns, factory, grade, scenario.month, receipts, 0, 0))
        if issued:
            rows.append((int(VenueCommand.ISSUE), time_ns, key, factory, grade, issued, scenario.month, 0))
            key += 1
    rows += [price_row(time_ns, entry) for entry in world.factory_lists]
    rows += [price_row(time_ns, entry) for provider in world.providers for entry in provider.lists]
    return rows, key
