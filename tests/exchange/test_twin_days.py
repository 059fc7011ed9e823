"""The twins agree over flows of weeks, and on what is no command: the other half of `test_twin`, so that two
processes share them.
"""

import numpy as np
import pytest

from ciyuan.exchange import ExchangeEvent
from tests.exchange.checked import anything
from tests.exchange.listings import FIRST_DAY
from tests.exchange.tally import Tally
from tests.exchange.twins import MACHINES, matrix, played, rows_of

SEEDS, COMMANDS = range(1_000, 1_010), 10_000


@pytest.mark.parametrize("seed", SEEDS)
def test_the_twins_agree_over_weeks(seed):
    twins = played(seed, COMMANDS).twins
    days = [twins.kernel.book(listed.number).trading_day for listed in twins.setting.contracts]
    assert max(days) > FIRST_DAY + 10, "a flow of weeks"
    assert twins.kernel.state_hash() == twins.plain.state_hash()
    tally = Tally(twins.setting.contracts)
    for said in twins.said:
        tally.hear(said)
    tally.check(twins.parts)
    assert rows_of(twins.events, ExchangeEvent.LIMIT_LOCKED)
    kernel, plain = (twins.other(kind, twins.parts) for kind in MACHINES)
    strange = anything(matrix(twins.rows), seed, 2_000)
    assert np.array_equal(kernel.apply(strange), plain.apply(strange))
    assert kernel.state_hash() == plain.state_hash()
    played.cache_clear()
