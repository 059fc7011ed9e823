"""The teller: keys that are a function of what was done, and a refusal of the ledger as a broken invariant."""

import numpy as np
import pytest

from ciyuan.basics.errors import InvariantBroken
from ciyuan.clearing.messages import LEDGER_KEY_BASE, Reason
from ciyuan.clearing.teller import Teller, post, transfer
from ciyuan.ledger.messages import hold_row
from tests.clearing.floor import USD, WORLD, Floor


def test_keys_count_up_from_the_base():
    floor = Floor()
    teller = Teller(floor.ledger)
    first = teller.hold(floor.tick(), Reason.SPOT_MONEY_HELD, floor.cash(1), floor.cash(2), 10)
    teller.chain(
        floor.tick(),
        (
            post(Reason.SPOT_PAYMENT, first, 4, keep=True),
            transfer(Reason.SPOT_PAYMENT, floor.cash(2), floor.cash(3), 4),
        ),
    )
    teller.void(floor.tick(), Reason.SPOT_RELEASED, first)
    keys = [move[2] - LEDGER_KEY_BASE for move in floor.ledger.transfers[-4:].tolist()]
    assert keys == [1, 2, 3, 4]
    assert teller.key == LEDGER_KEY_BASE + 4


def test_an_empty_chain_is_nothing():
    floor = Floor()
    teller, moves = Teller(floor.ledger), floor.ledger.transfer_count
    teller.chain(floor.tick(), ())
    assert (teller.key, floor.ledger.transfer_count) == (LEDGER_KEY_BASE, moves)


def test_what_the_ledger_refuses_stops_the_machine():
    floor = Floor()
    teller = Teller(floor.ledger)
    with pytest.raises(InvariantBroken, match="covered"):
        teller.hold(floor.tick(), Reason.SPOT_MONEY_HELD, floor.cash(1), WORLD, 100_001 * USD)
    assert floor.ledger.available(floor.cash(1)) == 100_000 * USD


def test_a_chain_that_the_ledger_refuses_moves_nothing():
    floor = Floor()
    pair = (floor.cash(1), floor.cash(2))
    steps = (transfer(Reason.FEES, *pair, 1), transfer(Reason.FEES, *pair, 100_000 * USD))
    with pytest.raises(InvariantBroken, match="covered"):
        Teller(floor.ledger).chain(floor.tick(), steps)
    assert floor.money(1) == 100_000 * USD


def test_a_hold_of_others_that_falls_due_is_no_answer_to_us():
    floor = Floor()
    teller = Teller(floor.ledger)
    due = hold_row(floor.tick(), 77, floor.cash(1), floor.cash(2), 5, 1_000)
    floor.ledger.apply(np.array([due]))
    teller.hold(floor.tick(), Reason.SPOT_MONEY_HELD, floor.cash(1), floor.cash(2), 10)
    assert floor.ledger.account(floor.cash(1)).debits_pending == 10
