"""Traffic: as many requests as asked for, of sizes that were sampled, each held once and delivered once, in order of time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.rows import code_of
from ciyuan.basics.time import NS_PER_HOUR, NS_PER_SECOND
from ciyuan.gateway.messages import MeterCommand, parties_word
from ciyuan.simulation.scenario import Scenario
from ciyuan.simulation.traffic import HOLD_TIMEOUT_NS, MeterRows, Sizes, simulated_traffic, with_limits

START = 1_790_000_000 * NS_PER_SECOND
HOURS = START + NS_PER_HOUR * np.arange(48, dtype=np.int64)
WEEKDAY = np.repeat(np.array([4, 5], dtype=np.int64), 24)
SIZES = Sizes(np.array([100, 2000, 30]), np.array([10, 500, 64]), "three of them")
SCENARIO = Scenario(requests=3000, buyers=4, bundle_calls=7)
END = START + 49 * NS_PER_HOUR


def traffic(scenario: Scenario = SCENARIO):
    return simulated_traffic(scenario, SIZES, HOURS, WEEKDAY)


def test_there_are_as_many_requests_as_asked_for_in_order_within_the_hours():
    found = traffic()
    assert len(found) == 3000
    assert (np.diff(found.time_ns) >= 0).all()
    assert found.time_ns[0] >= START
    assert found.time_ns[-1] < START + 48 * NS_PER_HOUR
    assert set(found.customer.tolist()) == {0, 1, 2, 3}
    for column in (
        found.finish_ns,
        found.customer,
        found.input,
        found.cached,
        found.output,
        found.output_max,
    ):
        assert column.shape == (3000,)
        assert column.dtype == np.int64


def test_sizes_are_drawn_in_pairs_from_the_sample_only():
    found = traffic()
    pairs = set(zip((found.input // 7).tolist(), (found.output // 7).tolist(), strict=True))
    assert pairs == {(100, 10), (2000, 500), (30, 64)}
    assert not (found.input % 7).any()


def test_a_share_of_the_requests_reads_a_part_from_the_cache():
    found = traffic(replace(SCENARIO, cached_share=0.35, cached_depth=0.6))
    hit = found.cached > 0
    assert 0.31 < hit.mean() < 0.39
    assert (found.cached[hit] == (found.input[hit] * 0.6).astype(np.int64)).all()
    assert not traffic(replace(SCENARIO, cached_share=0.0)).cached.any()


def test_limits_are_the_next_power_of_two_and_64_at_least():
    outputs = np.array([0, 1, 10, 64, 65, 128, 129, 500], dtype=np.int64)
    zeros = np.zeros(8, dtype=np.int64)
    found = with_limits(zeros, zeros, zeros, zeros, outputs, 3)
    assert (found.output_max // 3).tolist() == [64, 64, 64, 64, 128, 128, 256, 512]
    assert found.output.tolist() == (outputs * 3).tolist()
    assert (found.finish_ns - found.time_ns).tolist() == [
        NS_PER_SECOND + n * 25_000_000 for n in outputs.tolist()
    ]


def test_the_first_buyer_asks_most_and_a_weekend_is_quieter():
    found = traffic(replace(SCENARIO, requests=20_000))
    counts = np.bincount(found.customer)
    assert (np.diff(counts) < 0).all()
    friday = (found.time_ns < START + 24 * NS_PER_HOUR).sum()
    assert 0.45 < (20_000 - friday) / friday < 0.65


def test_the_same_seed_asks_the_same_and_another_something_else():
    one, again, other = traffic(), traffic(), traffic(replace(SCENARIO, seed=1))
    assert one.time_ns.tolist() == again.time_ns.tolist() != other.time_ns.tolist()


def test_a_month_without_requests_is_empty():
    found = traffic(replace(SCENARIO, requests=0))
    assert len(found) == 0
    assert MeterRows(found, np.zeros(0, dtype=np.int64), END).between(0, END).shape == (0, 8)


# --- rows ---


def meter(count: int = 400) -> tuple[MeterRows, int]:
    found = traffic(replace(SCENARIO, requests=count))
    parties = np.array([parties_word(1 + c, 2, 7) for c in found.customer.tolist()], dtype=np.int64)
    return MeterRows(found, parties, END), count


def test_every_request_is_held_once_and_delivered_once_in_order():
    rows, count = meter()
    found = rows.between(0, END + 1)
    assert (np.diff(found[:, 1]) >= 0).all()
    for command in (MeterCommand.HOLD, MeterCommand.DELIVER):
        keys = found[found[:, 0] == int(command), 2]
        assert sorted(keys.tolist()) == list(range(1, count + 1))
    held: dict[int, list[int]] = {}
    for row in found.tolist():
        if code_of(row[0]) == MeterCommand.HOLD:
            held[row[2]] = row
            assert row[6] == HOLD_TIMEOUT_NS
        else:
            hold = held.pop(row[2])
            assert row[3] == hold[3]
            assert row[4] == hold[4]
            assert row[5] <= row[4]
            assert row[6] <= hold[5]
            assert row[1] - hold[1] < HOLD_TIMEOUT_NS
    assert not held


@given(cuts=st.lists(st.integers(START, END + 1), max_size=12))
def test_intervals_part_the_rows_exactly(cuts):
    rows, _ = meter(60)
    edges = [START, *sorted(cuts), END + 1]
    parts = [rows.between(edges[place], edges[place + 1]) for place in range(len(edges) - 1)]
    for place, part in enumerate(parts):
        assert ((part[:, 1] >= edges[place]) & (part[:, 1] < edges[place + 1])).all()
    assert np.concatenate(parts).tolist() == rows.between(START, END + 1).tolist()


def test_what_would_finish_after_the_month_finishes_with_it():
    zeros, at = np.zeros(1, dtype=np.int64), np.array([END - 5], dtype=np.int64)
    found = with_limits(at, zeros, zeros + 10, zeros, zeros + 10)
    rows = MeterRows(found, zeros + parties_word(1, 2, 7), END)
    assert rows.between(0, END + 1)[:, 1].tolist() == [END - 5, END]


@pytest.mark.parametrize("edge", [0, 1])
def test_an_interval_has_its_start_and_not_its_end(edge):
    rows, _ = meter(20)
    first = int(rows.between(START, END)[0, 1])
    assert len(rows.between(first + edge, first + 1 + edge)) == 1 - edge
