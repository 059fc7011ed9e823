"""The tally against sums by hand, over events that were written by hand."""

import numpy as np

from ciyuan.basics.grade import ConversionVector
from ciyuan.basics.rows import FLAG_SHIFT, row
from ciyuan.basics.time import NS_PER_SECOND
from ciyuan.gateway.messages import parties_word
from ciyuan.simulation.tally import Tally
from tests.venue.market import CALENDAR, DAY, matrix

START = CALENDAR.start_ns(DAY)
DAY_NS = 86_400 * NS_PER_SECOND
SETTLED, BATCH = 254, 254 | 1 << FLAG_SHIFT


def tally(days: int = 3) -> Tally:
    return Tally(CALENDAR, DAY, days, 5, ConversionVector())


def test_deliveries_are_added_by_customer_supplier_and_venue_day():
    found, parties = tally(), parties_word(4, 2, 7)
    said = [
        row(SETTLED, START, (1, parties, 100, 40, 10, 7)),
        row(SETTLED, START + DAY_NS - 1, (2, parties, 1, 0, 0, 1)),
    ]
    found.hear(matrix(said))
    found.hear(matrix([row(SETTLED, START + DAY_NS, (3, parties_word(5, 2, 7), 10, 0, 0, 5))]))
    first = (60 * 100 + 40 * 20 + 10 * 421) + 100
    assert found.charged_micro[4].tolist() == [8, 0, 0]
    assert found.charged_micro[5].tolist() == [0, 5, 0]
    assert found.centitokens[4].tolist() == [first, 0, 0]
    assert found.supplied_centitokens[2].tolist() == [first, 1000, 0]
    assert found.tokens.tolist() == [111, 40, 10]
    assert found.settled == 3


def test_batch_usage_counts_half_up():
    found = tally()
    found.hear(matrix([row(BATCH, START, (1, parties_word(4, 2, 7), 0, 0, 1, 7))]))
    assert found.centitokens[4, 0] == 211


def test_variation_fees_and_trades_are_kept_by_their_owners():
    found = tally()
    found.hear(matrix([row(453, START, (4, 2, -50, 3, 1500, DAY)), row(453, START, (4, 2, 20, 3, 1500, DAY)),
                       row(454, START, (4, 9, 1, 0, 1, DAY)), row(452, START, (1, 4, 5, 2, 1500, 3))]))  # fmt: skip
    assert found.variation_micro == {(4, 2, DAY): -30}
    assert found.fees_micro == {(4, DAY): 9}
    assert found.bought == {(4, 2): [(START, 1500, 3)], (5, 2): [(START, 1500, -3)]}


def test_events_are_counted_by_code():
    found = tally()
    order, cancel = row(354, 1, (5, 1, 2, 900, 1, 42)), row(354, 1, (5, 1, 0, 0, 0, 7))
    found.hear(matrix([row(352, 1), order, cancel, row(352, 1), row(551, 1)]))
    found.hear(np.empty((0, 8), dtype=np.int64))
    assert (found.orders, found.orders_refused, found.counts[551], found.settled) == (3, 1, 1, 0)
