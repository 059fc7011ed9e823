"""The clearing house and its plain twin hear the same, and say and hold the same after every command and every event."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.rows import kind_word, row
from ciyuan.clearing.messages import ClearingCommand, ClearingEvent, ClearingRefusal, Standing
from tests.clearing.floor import MONDAY
from tests.clearing.flow import Flow
from tests.clearing.twins import FUTURES, TERMS, matrix

SEEDS, STEPS, EXCHANGED = range(24), 1_000, 60
"""Flows, steps of each, and moves between two exchanges of snapshots."""


@cache
def played(seed: int) -> Flow:
    """The flow of a seed, played once in this process; every so many moves one twin goes on from the other's snapshot, or
    each does: what a machine does next does not depend on whether it was restored.
    """
    flow, moves = Flow(seed), 0
    while flow.twins.steps < STEPS:
        flow.step()
        moves += 1
        if moves % EXCHANGED == 0:
            flow.twins.exchange_states()
        elif moves % EXCHANGED == EXCHANGED // 3:
            flow.twins.house.restore(flow.twins.plain.snapshot())
        elif moves % EXCHANGED == EXCHANGED * 2 // 3:
            flow.twins.plain.restore(flow.twins.house.snapshot())
    return flow


@pytest.mark.parametrize("seed", SEEDS)
def test_the_twins_agree_over_many_days(seed):
    flow = played(seed)
    assert flow.twins.steps >= STEPS
    assert flow.day > MONDAY, "a flow of several days"
    assert flow.twins.house.state_hash() == flow.twins.plain.state_hash()
    flow.twins.house.check()
    flow.twins.plain.check()


@given(seed=st.integers(100, 2**32), moves=st.integers(1, 60))
@settings(max_examples=30)
def test_the_twins_agree_on_any_flow(seed: int, moves: int):
    flow = Flow(seed)
    for _ in range(moves):
        flow.step()
    flow.twins.house.check()
    assert flow.twins.house.state_hash() == flow.twins.plain.state_hash()


def test_what_can_be_asked_is_the_same():
    for seed in SEEDS[: len(TERMS)]:
        house, plain = played(seed).twins.house, played(seed).twins.plain
        assert house.members == plain.members
        for number in plain.members:
            asked = [
                (
                    one.equity_micro(number),
                    one.excess_micro(number),
                    one.credit_micro(number),
                    one.standing(number),
                )
                for one in (house, plain)
            ]
            assert asked[0] == asked[1]
        for contract in FUTURES:
            assert house.open_interest(contract) == plain.open_interest(contract)
            assert house.risk(contract) == plain.risk(contract)


# --- that the flows reach everything ---


def total(of: str) -> Counter[int]:
    counted: Counter[int] = Counter()
    for seed in SEEDS:
        counted.update(getattr(played(seed).twins, of))
    return counted


def test_the_flows_hear_every_command():
    assert set(ClearingCommand) - set(total("heard")) == set()


def test_the_flows_hear_every_event_that_concerns_clearing():
    concerning = set(played(0).twins.house.hearers)
    assert concerning - set(total("heard")) == set()


def test_the_flows_say_every_event():
    assert set(ClearingEvent) - set(total("said")) == set()


def test_the_flows_are_refused_for_nearly_every_reason():
    reasons = {reason for seed in SEEDS for reason in played(seed).twins.refusals}
    assert len(reasons) > len(ClearingRefusal) // 2


def test_the_flows_default_and_close_out():
    standings = {
        played(seed).twins.plain.standing(number) for seed in SEEDS for number in played(seed).members
    }
    assert standings == set(Standing)


# --- one settlement of many rows ---


def test_a_settlement_says_the_same_to_a_list_as_to_a_matrix():
    """`apply` hands out a matrix, `apply_one` appends to a list; the events are the same."""
    one, other = Flow(1), Flow(1)
    for flow in (one, other):
        for _ in range(40):
            flow.step()
    command = row(kind_word(ClearingCommand.SETTLE_DAY), one.tick(), (one.day,))
    listed: list[tuple[int, ...]] = []
    one.twins.house.apply_one(command, listed)  # type: ignore[arg-type]
    assert np.array_equal(matrix(listed), other.twins.house.apply(matrix([command])))  # type: ignore[arg-type]
    assert one.twins.house.state_hash() == other.twins.house.state_hash()
