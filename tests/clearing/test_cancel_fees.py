"""Fees of cancels (§5.3)."""

import pytest

from ciyuan.basics.rows import kind_word, row
from ciyuan.clearing.messages import CancelTerms, ClearingEvent, ClearingTerms
from ciyuan.exchange.messages import ExchangeEvent
from tests.clearing.floor import HOUSE, MAKER, OCT, SPECULATOR, Floor

TERMS = ClearingTerms(HOUSE, cancels=CancelTerms(free=500, fee_micro=10_000))


@pytest.mark.parametrize(
    ("account", "cancels", "fee"), [(1, 500, 0), (1, 501, 10_000), (1, 750, 2_500_000), (2, 750, 0)]
)
def test_cancels_over_the_free_ones_cost_a_fee_but_not_a_market_maker(account: int, cancels: int, fee: int):
    floor = Floor(roles=(SPECULATOR, MAKER, SPECULATOR), terms=TERMS)
    words = (account, OCT, cancels + 9, cancels, 3, floor.day)
    floor.hear(row(kind_word(ExchangeEvent.ACTIVITY), floor.tick(), words))
    before = floor.money(account)
    floor.close()
    assert before - floor.money(account) == fee
    assert [event[2:4] for event in floor.events(ClearingEvent.FEE)] == [(account, fee)] * (fee > 0)


def test_each_contract_has_free_cancels_of_its_own():
    floor = Floor(terms=TERMS)
    for contract in (OCT, OCT + 1):
        words = (1, contract, 600, 501, 0, floor.day)
        floor.hear(row(kind_word(ExchangeEvent.ACTIVITY), floor.tick(), words))
    floor.close()
    assert [event[3] for event in floor.events(ClearingEvent.FEE)] == [20_000]
