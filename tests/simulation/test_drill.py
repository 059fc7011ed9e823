"""The drill: the same from the same seed, and its laws hold whoever takes part and however deep prices fall."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.basics.rows import CODE_MASK
from ciyuan.clearing.messages import ClearingEvent, Layer, MemberRole
from ciyuan.exchange.messages import ExchangeEvent
from ciyuan.simulation.drill import DrillTerms, play_drill
from ciyuan.simulation.price_paths import LAUNCH_LOG, PathTerms, month_paths


def of(played, *codes):
    rows = played.events[np.isin(played.events[:, 0] & CODE_MASK, codes)]
    return rows.tolist()


@pytest.fixture(scope="module")
def played():
    return play_drill(DrillTerms())


def test_the_same_seed_gives_the_same_drill_and_another_one_another(played):
    again, other = play_drill(DrillTerms()), play_drill(DrillTerms(seed=8))
    assert (again.events == played.events).all()
    assert again.state_hash == played.state_hash != other.state_hash


def test_nobody_is_refused_anything(played):
    assert of(played, ClearingEvent.REFUSED) == []
    assert of(played, ExchangeEvent.REFUSED) == []


def test_the_largest_member_is_called_and_goes_through_every_step(played):
    assert {member.role for member in played.members} == {
        MemberRole.MAKER,
        MemberRole.HEDGER,
        MemberRole.SPECULATOR,
    }
    steps = (
        ClearingEvent.MARGIN_CALL,
        ClearingEvent.DEFAULTED,
        ClearingEvent.SLICED,
        ClearingEvent.CLOSED_OUT,
    )
    times = [min(row[1] for row in of(played, step) if row[2] == played.defaulter) for step in steps]
    assert times == sorted(times)
    assert of(played, ClearingEvent.AUCTION_CLOSED)
    assert of(played, ClearingEvent.TRANSFERRED)
    assert any(row[2] == played.defaulter for row in of(played, ExchangeEvent.FILLED))


def test_only_the_largest_member_defaults(played):
    assert {row[2] for row in of(played, ClearingEvent.DEFAULTED)} == {played.defaulter}


def test_prices_follow_as_far_as_the_limits_let_them(played):
    settled = [row for row in of(played, ExchangeEvent.SETTLEMENT_PRICE) if row[2] == 1]
    for before, after in pairwise(settled):
        assert before[7] <= after[3] <= before[6]
    assert len(of(played, ExchangeEvent.LIMIT_LOCKED)) >= 3, (
        "three months are locked on the first day of the fall"
    )


@settings(max_examples=12, deadline=None)
@given(
    members=st.integers(6, 20),
    seed=st.integers(1, 10**6),
    jump=st.floats(-0.38, -0.01),
)
def test_the_layers_are_the_loss_and_survivors_keep_their_margin(members, seed, jump):
    """The drill itself audits the venue every evening: every asset sums to zero, nobody is overdrawn."""
    played = play_drill(DrillTerms(members, seed, jump))
    covered = of(played, ClearingEvent.LOSS_COVERED)
    for row in of(played, ClearingEvent.CLOSED_OUT):
        assert row[3] == sum(each[5] for each in covered if each[2] == row[2]) + row[4]
    assert [row[3] for row in covered] == sorted(row[3] for row in covered), "layers are used in their order"
    for number, before in played.before.items():
        after = played.after[number]
        if number != played.defaulter:
            assert after.cash_micro >= min(before.cash_micro, before.requirement_micro)
            assert after.fund_micro >= 0
    if any(row[3] == Layer.OTHERS_FUND for row in covered):
        assert played.after[played.defaulter].fund_micro == 0


@pytest.mark.parametrize("terms", [{"members": 5}, {"members": 41}, {"jump_log": 0.0}, {"jump_log": -0.5}])
def test_what_cannot_be_played_is_malformed(terms):
    with pytest.raises(Malformed, match="drill"):
        DrillTerms(**terms)


# --- the paths ---


def test_a_launch_takes_its_part_off_every_month():
    calm, fallen = (month_paths(3, 50, 3, PathTerms(launch_days=days)) for days in ((), (20,)))
    assert np.allclose(calm[:20], fallen[:20])
    assert np.allclose(np.log(fallen[20:] / calm[20:]), LAUNCH_LOG)


def test_paths_start_where_they_are_told_and_months_move_together():
    paths = month_paths(5, 2_000, 3, PathTerms(start_usd=2.0))
    assert (paths[0] == 2.0).all()
    moves = np.diff(np.log(paths), axis=0)
    assert (np.corrcoef(moves.T) > 0.6).all()
    assert 0.3 < moves[:, 0].std() * np.sqrt(365) < 0.6, "near the volatility of 0.45 a year"
    assert moves[:, 0].std() > moves[:, 2].std(), "the nearest month moves most"
