"""The opening: participants, their first money, proved capacity, issued receipts and price lists, before anything trades."""

from ciyuan.basics.calendar import month_days
from ciyuan.basics.money import div_ceil
from ciyuan.basics.rows import Row
from ciyuan.basics.tokens import MTOK
from ciyuan.simulation.cast import MAKER_CASH_MICRO, TRADER_CASH_MICRO
from ciyuan.simulation.treasury import deposit_row, price_row
from ciyuan.simulation.world import World
from ciyuan.venue.messages import Purse, VenueCommand

HOURS_PER_DAY = 24
BP = 10_000


def first_price_micro(world: World) -> int:
    """What a receipt is taken to be worth before the first fixing, in micro-units: the initial price of the first contract."""
    first = min(world.contracts, key=lambda contract: contract.number)
    return first.initial_price_ticks * first.tick_micro


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
        bond = div_ceil(issued * first_price_micro(world) * world.bond_bp, BP)
        if bond:
            rows.append(deposit_row(time_ns, key, factory, Purse.CASH, bond))
            rows.append((int(VenueCommand.BOND), time_ns, key + 1, factory, bond, 0, 0, 0))
            key += 2
        if issued:
            rows.append((int(VenueCommand.ISSUE), time_ns, key, factory, grade, issued, scenario.month, 0))
            key += 1
    rows += [price_row(time_ns, entry) for entry in world.factory_lists]
    rows += [price_row(time_ns, entry) for provider in world.providers for entry in provider.lists]
    return rows, key
