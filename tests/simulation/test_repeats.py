"""Senders who are not sure send again, and networks reorder: nothing happens twice, and the books balance all the same."""

import numpy as np
import pytest

from ciyuan.basics.rows import CODE_MASK, Row, code_of, row
from ciyuan.basics.state import state_hash
from ciyuan.exchange.state import ACCOUNT_COLUMNS, POSITION_COLUMNS
from ciyuan.simulation.auditor import Auditor
from tests.venue.flows import flow_of, prepared
from tests.venue.market import Market

KEYED = frozenset({203, 204, 205, 302, 602, 603, 604, 606})
"""HOLD, DELIVER, VOID, ORDER, DEPOSIT, WITHDRAW, MOVE, ISSUE: commands that have a key of their sender."""
SAID_AGAIN = frozenset({257, 259, 353, 354, 659, 660})
"""REPEATED and REFUSED of the meter, the exchange and the venue."""
EXPIRED = 256


def audited(rows: list[Row]) -> tuple[Market, list[list[Row]]]:
    """Send rows one by one, with every law checked after each; what was said of each."""
    market = prepared()
    auditor = Auditor(market.venue)
    auditor.hear(np.empty((0, 8), dtype=np.int64), np.array(market.said, dtype=np.int64))
    said = []
    for one in rows:
        events = market.tell(one)
        auditor.hear(np.array([one], dtype=np.int64), np.array(events, dtype=np.int64).reshape(-1, 8))
        auditor.check()
        market.venue.clearing.check()
        said.append(events)
    return market, said


def state_but_credit(market: Market) -> str:
    """The state's hash, but for the credit and receipts that the exchange was last told of: it is before a repeated order too."""
    parts = {name: part.copy() for name, part in market.venue.snapshot().items()}
    parts["exchange.accounts"][:, ACCOUNT_COLUMNS.index("credit_micro")] = 0
    parts["exchange.positions"][:, POSITION_COLUMNS.index("receipts")] = 0
    return state_hash(parts)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_done_is_not_done_again(seed):
    """Every keyed row is sent three times in a row: the copies are repeated or refused, and leave no trace in the ledger."""
    flow = [one for one in flow_of(seed, 120) if one[0] & CODE_MASK not in (605, 607)]
    thrice = [copy for one in flow for copy in [one] * (3 if code_of(one[0]) in KEYED else 1)]
    once, first = audited(flow)
    often, all_said = audited(thrice)
    said, copies = iter(all_said), 0
    for one, answer in zip(flow, first, strict=True):
        assert next(said) == answer
        for _ in range(2 if code_of(one[0]) in KEYED else 0):
            again = next(said)
            copies += 1
            assert {code_of(event[0]) for event in again} <= SAID_AGAIN
    assert copies > 80
    assert often.venue.ledger.accounts.tolist() == once.venue.ledger.accounts.tolist()
    assert often.venue.ledger.transfers.tolist() == once.venue.ledger.transfers.tolist()
    assert state_but_credit(often) == state_but_credit(once)


@pytest.mark.parametrize("seed", range(6))
def test_a_whole_flow_sent_again_later_moves_no_money_by_its_old_keys(seed):
    flow = [one for one in flow_of(seed, 120) if code_of(one[0]) in KEYED]
    market, first = audited(flow)
    done = [
        one
        for one, said in zip(flow, first, strict=True)
        if not {code_of(event[0]) for event in said} & SAID_AGAIN
    ]
    before = market.venue.ledger.transfers.tolist()
    market.now = market.rows[-1][1]
    for kind, _, *words in done:
        said = market.tell(row(kind, market.tick(), words))
        assert {code_of(event[0]) for event in said} <= SAID_AGAIN | {EXPIRED}
    assert market.venue.ledger.transfers.tolist() == before
    assert len(done) > 20


@pytest.mark.parametrize("seed", range(6))
def test_rows_in_another_order_are_another_story_with_the_same_laws(seed):
    """The times stay where they are; what is said at them is shuffled."""
    flow = flow_of(seed, 120)
    order = np.random.default_rng(seed).permutation(len(flow)).tolist()
    shuffled = [row(flow[place][0], one[1], flow[place][2:]) for one, place in zip(flow, order, strict=True)]
    market, said = audited(shuffled)
    assert len(said) == 120
    market.venue.ledger.check()
    assert market.venue.state_hash() == audited(shuffled)[0].venue.state_hash()
