"""Long flows through a whole venue with its clearing house: everything adds up all the time, whatever members do, and nothing
depends on how rows are batched, on snapshots, or on having been there. The flows are `fuzz.Driver`'s, drawn from seeds.
"""

from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from ciyuan.basics.rows import Row
from ciyuan.clearing.plain import PlainClearingHouse
from ciyuan.exchange.plain import PlainExchange
from ciyuan.services.store import Store
from ciyuan.simulation.auditor import Auditor
from ciyuan.venue.machine import Venue
from tests.venue.fuzz import Driver, played
from tests.venue.fuzz_floor import Played

SEEDS = range(6)
SOAK = range(100, 160)
OCCUR = {
    # Rules of orders and prices.
    "SPREAD_TRADED": 5, "TRIGGERED": 5, "RELOADED": 3, "auction fill": 5, "INDICATIVE": 5, "REPORTED": 3, "LARGE_POSITION": 5,
    "LIMIT_LOCKED": 6, "REDUCED": 1, "forced": 2, "LIMITS": 1, "MARGIN_NOTICED": 3, "review by price": 50, "REBATED": 5,
    # Default.
    "MARGIN_CALL": 30, "CALL_MET": 10, "DEFAULTED": 20, "SLICED": 50, "slice filled": 50, "AUCTION_OPENED": 30, "BID_TAKEN": 20,
    "awarded": 10, "torn up": 30, "CLOSED_OUT": 20, "LENT": 2, "FUND_MOVED": 20, "MODEL_TAKEN": 10,
    "layer MARGIN": 1, "layer OWN_FUND": 1, "layer CAPITAL": 1, "layer OTHERS_FUND": 3, "layer ASSESSMENT": 3, "not covered": 1,
    "collateral sold": 2, "ASSESSED": 3,
    # Receipts and contracts' ends.
    "PLEDGED": 20, "TENDERED": 3, "goods delivered": 3, "NOT_DELIVERED": 10, "FINAL_SETTLED": 8, "REDEEMED": 10, "SERVED": 1,
    "TOKENS_LAPSED": 3, "LAPSED": 10, "SUBSTITUTED": 10, "COMPENSATED": 20, "BONDED": 10, "UNBONDED": 5,
}  # fmt: skip
"""What has to occur in the flows, and how often at least: without it they would prove little."""


@cache
def flow(seed: int) -> Played:
    """A flow, audited as it was played."""
    return played(seed)


def differ(one: np.ndarray, other: np.ndarray) -> str:
    """Where two accounts of what was said first differ, if they do."""
    both = min(len(one), len(other))
    places = np.flatnonzero((one[:both] != other[:both]).any(axis=1))
    if not len(places) and len(one) == len(other):
        return ""
    at = int(places[0]) if len(places) else both
    return f"event {at}: {one[at : at + 1].tolist()}, {other[at : at + 1].tolist()}"


def check_replayed(flow: Played, cuts: list[int]) -> None:
    """The flow in other batches: the same is said, and the state is the same."""
    venue = Venue(flow.terms)
    said = np.concatenate([venue.apply(batch) for batch in np.split(flow.rows, cuts)])
    assert not differ(said, flow.events)
    assert venue.state_hash() == flow.state_hash


def check_resumed(flow: Played, cuts: list[int]) -> None:
    """The flow with a snapshot at each cut, from which another venue goes on."""
    venue, said = Venue(flow.terms), []
    for batch in np.split(flow.rows, cuts):
        before, parts = venue, venue.snapshot()
        venue = Venue(flow.terms)
        venue.restore(parts)
        assert venue.state_hash() == before.state_hash()
        venue.clearing.check()
        said.append(venue.apply(batch))
    assert not differ(np.concatenate(said), flow.events)
    assert venue.state_hash() == flow.state_hash


class PlainHouse(PlainClearingHouse):
    """The plain clearing house, hearing many events at once one by one."""

    def hear(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What was said, and after how many of the rows each of it was said."""
        said: list[Row] = []
        after: list[int] = []
        for count, row in enumerate(rows.tolist(), start=1):
            self.on_event(row, said)
            after += [count] * (len(said) - len(after))
        return np.array(said, dtype=np.int64).reshape(-1, 8), np.array(after, dtype=np.int64)


def places(flow: Played, seed: int, count: int) -> list[int]:
    """Some places between rows."""
    return sorted(Random(seed).sample(range(1, len(flow.rows)), count))  # noqa: S311 - no secret


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_adds_up_whatever_is_said(seed):
    assert len(flow(seed).rows) > 3_000
    refused = {name for name in flow(seed).counts if name.startswith("slice refused")}
    assert refused <= {"slice refused TYPE_NOT_IN_STATE"}, "an earlier slice may have set off the breaker"


def test_everything_adds_up_after_every_row():
    found = Driver(7, audit_every=1).play(4, 60)
    assert len(found.rows) > 1_000
    assert found.counts["DEFAULTED"]


def test_the_flows_reach_what_they_should():
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        reached += flow(seed).counts
    assert not {name: (reached[name], least) for name, least in OCCUR.items() if reached[name] < least}
    assert sum(len(flow(seed).rows) for seed in SEEDS) > 20_000


@pytest.mark.parametrize("seed", SEEDS)
def test_how_rows_are_cut_into_batches_changes_nothing(seed):
    found = flow(seed)
    for cuts in ([], list(range(1, len(found.rows))), places(found, seed, 300)):
        check_replayed(found, cuts)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_snapshot_anywhere_has_the_same_future(seed):
    check_resumed(flow(seed), places(flow(seed), seed, 40))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("stage", "twin"), [("ClearingHouse", PlainHouse), ("Exchange", PlainExchange)])
def test_a_plain_twin_in_a_stages_place_says_the_same(seed, stage, twin, monkeypatch):
    found = flow(seed)
    monkeypatch.setattr(f"ciyuan.venue.machine.{stage}", twin)
    venue = Venue(found.terms)
    assert not differ(venue.apply(found.rows), found.events)
    assert venue.state_hash() == found.state_hash


@pytest.mark.parametrize("seed", [1, 3])
def test_the_journal_replays_to_the_same_state_and_passes_another_audit(seed, tmp_path: Path):
    found = flow(seed)
    with Store.create(tmp_path / "journal", found.terms.digest()) as store:
        for first, last in pairwise((0, *found.cuts)):
            store.stage(found.rows[first:last])
        store.commit()
    venue, said = Venue(found.terms), []
    auditor = Auditor(venue)
    with Store.open(tmp_path / "journal", found.terms.digest()) as store:
        for rows in store.read():
            said.append(venue.apply(rows))
            auditor.hear(rows, said[-1])
    auditor.check()
    assert not differ(np.concatenate(said), found.events)
    assert venue.state_hash() == found.state_hash


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK)
def test_longer_flows(seed, monkeypatch):
    found = played(seed, days=20, steps=160, audit_every=12)
    check_replayed(found, [])
    check_replayed(found, places(found, seed, 900))
    check_resumed(found, places(found, seed, 60))
    for stage, twin in (("ClearingHouse", PlainHouse), ("Exchange", PlainExchange)):
        monkeypatch.setattr(f"ciyuan.venue.machine.{stage}", twin)
    check_replayed(found, places(found, seed, 90))
