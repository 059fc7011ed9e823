"""A small month, played whole: audited after every command, the same again from the same seed, another from another."""

from dataclasses import replace

import numpy as np
import pytest

from ciyuan.basics.calendar import day_from_iso
from ciyuan.basics.rows import CODE_MASK
from ciyuan.exchange.contract import ContractKind
from ciyuan.exchange.messages import Refusal
from ciyuan.ledger.messages import AccountFlag
from ciyuan.simulation.month import Month
from ciyuan.simulation.opening import opening_rows
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import VenueEvent
from tests.simulation.small import SMALL, TRADING_DAYS, ExchangeView, Played, played, small_world

SETTLED, METER_REFUSED, NOVATED, FIXED, FINAL_SETTLED, LAPSED, ORDER_REFUSED = (
    254,
    259,
    452,
    551,
    458,
    657,
    354,
)


@pytest.fixture(scope="module")
def run() -> Played:
    """The month with an audit after every batch of its world."""
    return played()


def in_slices(time_ns: int) -> bool:
    """Where every command is played alone: the first day to half past nine, and the last one from ten to three on."""
    calendar, (first, last) = (
        small_world()[0].calendar,
        (day_from_iso("2026-09-29"), day_from_iso(TRADING_DAYS[-1])),
    )
    return time_ns < calendar.ns_at(first, "09:30") or time_ns >= calendar.ns_at(last, "14:50")


@pytest.fixture(scope="module")
def slowly() -> Played:
    """The same month with an audit after every command of the slices, and after every batch of the rest."""
    return played(one_by_one=in_slices)


@pytest.fixture(scope="module")
def other() -> Played:
    return played(seed=SMALL.seed + 1)


def test_every_command_leaves_the_laws_unbroken(run, slowly):
    alone = [rows for rows in slowly.rows if in_slices(int(rows[0, 1]))]
    assert slowly.auditor.audits == slowly.pieces
    assert slowly.pieces == len(slowly.rows) - len(alone) + sum(map(len, alone))
    assert sum(map(len, alone)) > 650
    kinds = {int(code) for rows in alone for code in rows[:, 0] & CODE_MASK}
    assert {203, 204, 301, 302, 303, 305, 402, 502, 602, 607, 608, 609} <= kinds
    assert run.pieces == len(run.rows)


def test_the_same_seed_plays_the_same_month_however_it_is_cut(run, slowly):
    assert np.concatenate(run.rows).tolist() == np.concatenate(slowly.rows).tolist()
    assert np.concatenate(run.events).tolist() == np.concatenate(slowly.events).tolist()
    assert run.venue.state_hash() == slowly.venue.state_hash()


def test_another_seed_plays_another_month(run, other):
    assert np.concatenate(run.rows).tolist() != np.concatenate(other.rows).tolist()
    assert run.venue.state_hash() != other.venue.state_hash()
    assert len(other.of(FINAL_SETTLED)) == 1


def test_time_runs_forward_and_every_row_is_sent_once(run):
    rows = np.concatenate(run.rows)
    assert (np.diff(rows[:, 1]) >= 0).all()
    first, last = run.world.days
    assert rows[0, 1] == run.world.calendar.start_ns(first)
    assert rows[-1, 1] == run.world.calendar.start_ns(last + 1) - 1
    orders = rows[rows[:, 0] & CODE_MASK == 302][:, 2:4].tolist()
    assert len(set(map(tuple, orders))) == len(orders)
    for command in (203, 204):
        assert sorted(rows[rows[:, 0] == command, 2].tolist()) == list(range(1, SMALL.requests + 1))


def test_the_venue_refuses_nothing_that_the_world_sends(run):
    assert run.of(VenueEvent.REFUSED) == []
    assert run.of(VenueEvent.REPEATED) == []
    assert run.of(459) == [], "the clearing house"
    assert run.of(559) == [], "the index"
    kinds = {event[7] for event in run.of(ORDER_REFUSED)}
    expected = {Refusal.WRONG_STATE, Refusal.ORDER_NOT_OPEN, Refusal.MARGIN}
    assert kinds <= expected, "a cancel after the close or of what is gone, or an order without margin"


def test_only_the_thrifty_buyer_is_refused(run):
    thrifty = run.world.cast.buyers[-1]
    refused = run.of(METER_REFUSED)
    assert {event[3] >> 32 for event in refused} == {thrifty}
    settled = run.of(SETTLED)
    assert len(settled) + len(refused) // 2 == SMALL.requests
    assert run.auditor.asked == SMALL.requests


def test_tokens_and_money_of_the_tally_are_the_events(run):
    settled = np.array(run.of(SETTLED), dtype=np.int64)
    tally = run.month.tally
    assert tally.settled == len(settled)
    assert tally.tokens.tolist() == settled[:, 4:7].sum(axis=0).tolist() == run.auditor.deliveries.tokens
    assert tally.charged_micro.sum() == settled[:, 7].sum() > 0
    assert tally.centitokens.sum() == tally.supplied_centitokens.sum()
    buyers = run.world.cast.buyers
    assert set(np.flatnonzero(tally.charged_micro.sum(axis=1)).tolist()) == set(buyers)
    assert tally.orders == len(run.of(352)) + sum(row[4] > 0 for row in run.of(ORDER_REFUSED))
    assert tally.counts[FIXED] == len(run.of(FIXED)) == 3 * 4
    assert sum(tally.variation_micro.values()) == 0
    assert sum(tally.fees_micro.values()) == run.venue.ledger.posted(4)
    assert all(sum(lots for _, _, lots in trades) != 0 or trades for trades in tally.bought.values())


def test_the_future_is_settled_at_the_mean_of_its_fixings(run):
    world = run.world
    front = next(contract for contract in world.contracts if contract.month == 202610)
    days = [day_from_iso(day) for day in TRADING_DAYS]
    values = []
    for day in days:
        fixing = run.venue.index.fixing(world.grade.number, day, 0)
        assert fixing is not None
        values.append(fixing.value_micro)
    mean = (sum(values) + 1) // 2
    assert [event[2:6] for event in run.of(FINAL_SETTLED)] == [[front.number, mean, days[-1], 0]]
    assert all(
        run.venue.clearing.position(account, front.number) == 0 for account in run.venue.clearing.members
    )
    assert len(run.of(NOVATED)) > 300


def test_hedgers_reach_their_targets_while_it_trades(run):
    front = next(contract for contract in run.world.contracts if contract.month == 202610)
    held: dict[int, int] = {}
    for _, _, _, buyer, seller, contract, _, lots in run.of(NOVATED):
        if contract == front.number:
            held[buyer] = held.get(buyer, 0) + lots
            held[seller] = held.get(seller, 0) - lots
    for account, target in run.world.hedges.targets.items():
        assert held.get(account, 0) == target[front.number]


def test_all_receipts_lapse_with_the_month(run):
    assert run.of(LAPSED)
    chart, ledger = run.venue.terms.chart, run.venue.ledger
    grade = run.world.grade.number
    assert ledger.posted(chart.issuance(grade)) == 0
    assert all(ledger.posted(chart.receipts(person.number, grade)) == 0 for person in run.world.cast.everyone)
    assert {event[4] for event in run.of(LAPSED)} >= set(run.world.cast.factories)


def test_the_crowd_knows_its_own_positions(run):
    spot = next(contract.number for contract in run.world.contracts if contract.kind == ContractKind.SPOT)
    for account, pad in run.month._crowd.pads.items():
        for contract, lots in pad.position.items():
            if contract != spot and run.venue.clearing.life(contract) == 2:
                assert run.venue.clearing.position(account, contract) == lots
    assert not any(pad.open for pad in run.month._crowd.pads.values()), "day orders lapse"


def test_no_account_is_left_with_a_hold_and_none_is_overdrawn(run):
    accounts = run.venue.ledger.accounts[1:]
    assert not accounts[:, [2, 4]].any()
    guarded = accounts[:, 1] == AccountFlag.NO_OVERDRAFT
    assert (accounts[guarded, 5] >= accounts[guarded, 3]).all()


# --- the parts of playing ---


def test_progress_is_told_of_every_step_and_listeners_of_every_batch():
    world, terms = small_world()
    quiet = replace(world, contracts=world.contracts[:1])
    venue = Venue(terms)
    told: list[int] = []
    batches: list[tuple[int, int]] = []
    submitted: list[int] = []

    def submit(rows):
        submitted.append(len(rows))
        return venue.apply(rows)

    month = Month(
        quiet, submit, ExchangeView(venue), (lambda rows, events: batches.append((len(rows), len(events))),)
    )
    month.play(told.append)
    assert told == sorted(set(told))
    assert told[-1] == world.calendar.start_ns(month.last_day + 1)
    assert [rows for rows, _ in batches] == submitted
    assert 0 not in submitted


def test_the_opening_gives_each_key_once_and_is_taken_whole():
    world, terms = small_world()
    rows, next_key = opening_rows(world, world.calendar.start_ns(world.days[0]))
    keys = [row[2] for row in rows if row[0] in (602, 606, 612)]
    assert keys == list(range(1, next_key))
    events = Venue(terms).apply(np.array(rows, dtype=np.int64))
    codes = (events[:, 0] & CODE_MASK).tolist()
    assert VenueEvent.REFUSED not in codes
    assert codes.count(VenueEvent.BONDED) == len(world.cast.factories)
    assert 259 not in codes
    assert codes.count(VenueEvent.PARTICIPANT_ADDED) == len(world.cast.everyone)
    assert codes.count(252) == len(world.factory_lists) + sum(
        len(provider.lists) for provider in world.providers
    )


def test_the_prologue_is_business_days_before_the_month():
    world, _ = small_world()
    assert world.days == (day_from_iso("2026-09-29"), day_from_iso("2026-10-31"))
    longer = replace(world, scenario=replace(world.scenario, prologue_days=4))
    assert longer.days[0] == day_from_iso("2026-09-25")
