"""The venue as one machine: what it refuses to hear, and that batches, snapshots and repeats change nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK, Row, code_of, row
from ciyuan.basics.state import state_hash
from ciyuan.clearing.messages import ClearingCommand
from ciyuan.exchange.messages import ExchangeCommand, Refusal
from ciyuan.gateway.messages import MeterCommand, MeterEvent, deliver_row, hold_row, parties_word, tick_row
from ciyuan.index.messages import IndexCommand
from ciyuan.ledger.messages import Command as LedgerCommand
from ciyuan.venue.machine import Venue
from ciyuan.venue.messages import Purse, VenueCommand, VenueEvent, VenueRefusal
from tests.venue.flows import FLOWS, flow_of, prepared
from tests.venue.market import (
    ADA,
    BO,
    BUSY,
    DAY,
    DEE,
    EVE,
    KIMI,
    OCT,
    SECOND,
    SPOT,
    TERMS,
    USD,
    Market,
    matrix,
    own,
)

INSIDE = (
    *LedgerCommand,
    MeterCommand.ENROL,
    ClearingCommand.MEMBER,
    ClearingCommand.FINAL,
    ClearingCommand.RECEIPTS,
    IndexCommand.OBSERVE,
    ExchangeCommand.ACCOUNT,
    ExchangeCommand.CREDIT,
    ExchangeCommand.RISK,
    ExchangeCommand.POSITION,
)
"""What the venue itself says to its stages, and nobody else."""


# --- what may come from outside ---


@pytest.mark.parametrize("code", [*map(int, INSIDE), 0, 1, 600, 620, 699, 2**16 - 1])
def test_what_is_the_venues_to_say_is_refused_from_outside(code):
    market = Market().join()
    before = market.venue.snapshot()
    said = market.tell(row(code, market.tick(), (1, 2, 3, 4, 5, 6)))
    assert [event[0] for event in said] == [VenueEvent.REFUSED]
    assert said[0][2:] == (1, 2, 3, 4, 5, VenueRefusal.UNKNOWN_COMMAND)
    after = market.venue.snapshot()
    assert [name for name in before if before[name].tolist() != after[name].tolist()] == ["clock"]


# --- malformed batches ---


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 7), dtype=np.int64),
        np.zeros(8, dtype=np.int64),
        np.zeros((1, 8), dtype=np.int32),
        np.zeros((1, 8), dtype=np.float64),
        matrix([tick_row(-1)]),
    ],
)
def test_what_is_not_a_batch_of_rows_is_malformed(rows):
    venue = Venue(TERMS)
    before = venue.state_hash()
    for told in (venue.check, venue.apply):
        with pytest.raises(Malformed, match="batch"):
            told(rows)
    assert venue.state_hash() == before


@pytest.mark.parametrize("steps", [(-1,), (5, 4), (5, 6, 5), (0, -1)])
def test_time_backwards_is_malformed_and_nothing_of_the_batch_is_applied(steps):
    market = Market().join()
    before = market.venue.state_hash()
    rows = [own(VenueCommand.DEPOSIT, market.now + step, 700 + n, EVE, 0, 1) for n, step in enumerate(steps)]
    for told in (market.venue.check, market.venue.apply):
        with pytest.raises(Malformed, match="earlier than the one before"):
            told(matrix(rows))
    assert market.venue.state_hash() == before
    assert (
        market.codes(market.tell(own(VenueCommand.DEPOSIT, market.now, 700, EVE, 0, 1)))[0]
        == VenueEvent.DEPOSITED
    )


def test_an_empty_batch_says_nothing():
    venue = Venue(TERMS)
    before = venue.state_hash()
    assert venue.apply(np.empty((0, 8), dtype=np.int64)).shape == (0, 8)
    assert venue.state_hash() == before


def test_a_check_changes_nothing():
    market = prepared()
    before = market.venue.state_hash()
    market.venue.check(matrix([own(VenueCommand.DEPOSIT, market.tick(), 700, EVE, 0, 1)]))
    assert market.venue.state_hash() == before


def test_a_read_only_batch_will_do():
    market = prepared()
    rows = matrix([tick_row(market.tick()), own(VenueCommand.DEPOSIT, market.tick(), 700, EVE, 0, 1)])
    rows.flags.writeable = False
    assert [code_of(int(event[0])) for event in market.venue.apply(rows)][:2] == [MeterEvent.TICKED, 652]


# --- order inside a command, across stages ---


def test_a_hold_that_expires_while_money_moves_is_said_once():
    market = prepared()
    parties = parties_word(DEE, BO, KIMI)
    market.tell(hold_row(market.tick(), 1, parties, 1000, 1000, SECOND))
    held = market.venue.ledger.account(TERMS.chart.purse(DEE, Purse.PREPAID)).debits_pending
    assert held > 0
    market.now += 2 * SECOND
    market.ask(VenueCommand.DEPOSIT, 700, EVE, Purse.CASH, 1)
    assert market.venue.ledger.account(TERMS.chart.purse(DEE, Purse.PREPAID)).debits_pending == 0
    said = market.tell(deliver_row(market.tick(), 1, parties, 10, 0, 10))
    assert market.codes(said) == [MeterEvent.EXPIRED, MeterEvent.REFUSED]
    assert len(market.of(MeterEvent.EXPIRED)) == 1


@pytest.mark.parametrize("alone", [False, True])
def test_an_auction_that_falls_due_is_held_in_its_place(alone: bool):
    """Among the gateway's rows or before another command: what came before its end is before it, and what came at it after."""
    market = Market(BUSY).join().receipts().open()
    market.order(ADA, SPOT, -1, 1500)
    market.order(DEE, SPOT, 1, 1500)
    market.order(ADA, SPOT, -2, 1550)
    market.order(DEE, SPOT, 2, 1550)
    (due,) = {event[7] for event in market.of(351) if event[7]}
    parties = parties_word(DEE, BO, KIMI)
    rows = [tick_row(due - 1), tick_row(due), hold_row(due + 1, 1, parties, 1, 1, SECOND)]
    rows.append(own(VenueCommand.DEPOSIT, due + 2, 700, EVE, Purse.CASH, 1))
    rows = rows[3:] if alone else rows
    said = market.tell(*rows)
    assert [event[1] for event in said] == sorted(event[1] for event in said)
    at_end = [code_of(event[0]) for event in said if event[1] == due]
    assert at_end[:5] == [351, 357, 355, 355, 452]
    assert at_end.count(MeterEvent.TICKED) == (not alone)
    assert market.held_receipts(DEE) == 3


def test_an_order_sees_the_margin_that_the_fill_before_it_took():
    """Each order of 60 lots needs 18,000 USD: eve, who has 20,000, is admitted once."""
    market = Market().join().open()
    market.ask(VenueCommand.DEPOSIT, 700, EVE, Purse.CASH, 10_000 * USD)
    market.ask(VenueCommand.DEPOSIT, 701, DEE, Purse.CASH, 90_000 * USD)
    market.order(DEE, OCT, -100, 1500)
    first, second = market.order(EVE, OCT, 60, 1500), market.order(EVE, OCT, 60, 1500)
    assert 355 in market.codes(first)
    assert [event[7] for event in market.of(354, second)] == [Refusal.MARGIN]


# --- batches, snapshots, repeats ---


def cut(rows: list[Row], places: set[int]) -> list[list[Row]]:
    edges = [0, *sorted(place for place in places if 0 < place < len(rows)), len(rows)]
    return [rows[start:end] for start, end in pairwise(edges)]


@settings(max_examples=60)
@given(flow=FLOWS, places=st.sets(st.integers(1, 119), max_size=20))
def test_how_commands_are_cut_into_batches_changes_nothing(flow, places):
    whole, parts, single = prepared(), prepared(), prepared()
    said = whole.tell(*flow)
    assert [event for batch in cut(flow, places) for event in parts.tell(*batch)] == said
    assert [event for one in flow for event in single.tell(one)] == said
    assert whole.venue.state_hash() == parts.venue.state_hash() == single.venue.state_hash()


@settings(max_examples=40)
@given(flow=FLOWS, place=st.integers(0, 120))
def test_a_snapshot_taken_anywhere_has_the_same_future(flow, place):
    market, resumed = prepared(), Venue(BUSY)
    before, after = flow[:place], flow[place:]
    market.tell(*before)
    resumed.restore(market.venue.snapshot())
    assert resumed.state_hash() == market.venue.state_hash()
    said = [tuple(event) for event in resumed.apply(matrix(after)).tolist()]
    assert said == market.tell(*after)
    assert resumed.state_hash() == market.venue.state_hash()


@settings(max_examples=30)
@given(flow=FLOWS)
def test_the_books_balance_whatever_comes(flow):
    market = prepared()
    for one in flow:
        market.tell(one)
        market.venue.ledger.check()
        market.venue.clearing.check()
        for number in market.venue.clearing.members:
            asked = market.venue.clearing.requirement_micro(number) + market.venue.clearing.reserved_micro(
                number
            )
            assert market.venue.exchange.requirement_micro(number) == asked
        accounts = market.venue.ledger.accounts[1:]
        assert accounts[:, 3].sum() == accounts[:, 5].sum()


@settings(max_examples=40)
@given(flow=FLOWS)
def test_a_keyed_command_that_was_done_is_repeated_and_moves_nothing(flow):
    market = prepared()
    keyed = {*map(int, (VenueCommand.DEPOSIT, VenueCommand.WITHDRAW, VenueCommand.MOVE, VenueCommand.ISSUE))}
    for one in flow:
        said = market.tell(one)
        if one[0] & CODE_MASK in keyed and VenueEvent.REFUSED not in market.codes(said):
            before = market.venue.ledger.transfer_count
            assert market.codes(market.tell(one)) == [VenueEvent.REPEATED]
            assert market.venue.ledger.transfer_count == before


def test_the_flows_reach_what_they_should():
    """The flows above would prove little if nothing came of them."""
    reached: set[int] = set()
    for seed in range(40):
        market = prepared()
        reached.update(market.codes(market.tell(*flow_of(seed, 120))))
    assert {
        253,
        254,
        255,
        256,
        257,
        259,
        351,
        352,
        354,
        355,
        356,
        359,
        360,
        362,
        363,
        366,
        368,
        369,
        452,
    } <= reached
    assert {551, 553, 555, 558, 559, 652, 653, 654, 655, 656, 657, 658, 659, 660} <= reached


# --- snapshots ---


def test_a_snapshot_of_every_stage_has_its_name():
    parts = prepared().venue.snapshot()
    assert {name.partition(".")[0] for name in parts} == {
        "ledger",
        "meter",
        "exchange",
        "clearing",
        "index",
        "venue",
        "clock",
    }
    assert all(part.dtype == np.int64 and part.ndim == 2 for part in parts.values())
    assert state_hash(parts) == prepared().venue.state_hash()


def test_the_state_hash_is_of_what_happened():
    one, other = prepared(), prepared()
    assert one.venue.state_hash() == other.venue.state_hash()
    one.ask(VenueCommand.DEPOSIT, 700, EVE, Purse.CASH, 1)
    other.ask(VenueCommand.DEPOSIT, 700, EVE, Purse.CASH, 2)
    assert one.venue.state_hash() != other.venue.state_hash()


@pytest.mark.parametrize(
    "name",
    ["clock", "venue.participants", "venue.keyed", "ledger.accounts", "index.clock", "exchange.orders"],
)
def test_a_snapshot_without_a_part_is_malformed(name):
    parts = prepared().venue.snapshot()
    del parts[name]
    with pytest.raises(Malformed):
        Venue(BUSY).restore(parts)


@pytest.mark.parametrize("name", ["clock", "venue.capacity", "venue.lapsed"])
def test_a_part_of_another_width_is_malformed(name):
    parts = prepared().venue.snapshot()
    parts[name] = np.zeros((1, 9), dtype=np.int64)
    with pytest.raises(Malformed, match=name.replace("venue.", "")):
        Venue(BUSY).restore(parts)


def test_a_restored_venue_knows_the_keys_the_capacity_and_the_lapses():
    market = prepared()
    market.ask(VenueCommand.LAPSE, KIMI, 202609)
    resumed = Market(BUSY)
    resumed.venue.restore(market.venue.snapshot())
    resumed.now = market.now
    assert resumed.answer(VenueCommand.LAPSE, KIMI, 202609) == VenueEvent.REPEATED
    assert resumed.answer(VenueCommand.DEPOSIT, 1, ADA, Purse.CASH, 10_000 * USD) == VenueEvent.REPEATED
    assert resumed.answer(VenueCommand.ISSUE, 900, ADA, KIMI, 1, 202610) == VenueRefusal.OVER_CAPACITY
    assert resumed.answer(VenueCommand.SAMPLE, SPOT) == VenueEvent.SAMPLED
    assert resumed.venue.clearing.trading_day == DAY
