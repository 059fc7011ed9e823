"""From the meter to the token: every loss has a name, and their product is exact."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciyuan.basics.errors import Malformed
from ciyuan.factory.losses import SECONDS_PER_YEAR, Duty, chain
from tests.factory.cases import CASE, RATES, site

DUTIES = st.builds(Duty, st.floats(0.01, 1.0), st.floats(0.0, 0.5), st.floats(0.0, 0.5))


@given(DUTIES, st.floats(0.0, 0.95), st.floats(0.0, 0.5), st.floats(0.1, 1e6))
def test_the_chain_is_exact(duty: Duty, prefill: float, cooling: float, gpus: float):
    """Watts x shares x tokens per joule is GPUs x rate x busy share."""
    rates = replace(RATES, prefill_share=prefill)
    found = chain(site(cooling), rates, duty, gpus)
    assert found.tokens_per_s == pytest.approx(gpus * 200.0 * duty.busy)
    assert found.meter_w == pytest.approx(gpus * site(cooling).meter_w(duty.busy))
    assert found.tokens_per_s_per_mw * found.meter_w / 1e6 == pytest.approx(found.tokens_per_s)
    assert found.joules_per_token == pytest.approx(found.meter_w / found.tokens_per_s)


@given(DUTIES)
def test_each_link_takes_what_the_last_one_left(duty: Duty):
    links = chain(site(), RATES, duty, 1000.0).links
    for one, then in pairwise(links):
        assert then.watts_before == one.watts_after
    assert all(0 < link.passed <= 1 + 1e-12 for link in links)


def test_pue_is_distribution_and_cooling():
    distribution, cooling = chain(site(0.2), RATES, Duty(0.5), 10.0).links[:2]
    assert distribution.watts_before / cooling.watts_after == pytest.approx(1.25)


def test_what_is_named_is_what_is_lost():
    named = {link.name: link.passed for link in chain(site(), RATES, Duty(1.0, 0.0, 0.2), 1.0).links}
    assert named["failed GPUs"] == named["idle time"] == 1.0
    assert named["prompts"] == pytest.approx(1 - RATES.prefill_share)
    assert named["rejected drafts"] == pytest.approx(0.8)
    idle = {link.name: link.passed for link in chain(site(), RATES, Duty(0.5, 0.1), 1.0).links}
    """Of 0.45 x 700 + 0.55 x 100 W, 10 W are of failed GPUs and 45 W of waiting ones."""
    assert idle["failed GPUs"] == pytest.approx(1 - 10 / 370)
    assert idle["idle time"] == pytest.approx(315 / 360)


def test_revenue_is_tokens_per_watt_times_gigawatts():
    one = chain(site(), RATES, Duty(0.6), 1.0)
    gigawatt = chain(site(), RATES, Duty(0.6), 1e9 / one.meter_w)
    assert gigawatt.meter_w == pytest.approx(1e9)
    expected = one.tokens_per_s / one.meter_w * 1e9 * SECONDS_PER_YEAR / 1e6 * 5.0
    assert gigawatt.revenue_usd_per_year(5.0) == pytest.approx(expected)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(Malformed, match="utilisation"):
        Duty(0.0)
    with pytest.raises(Malformed, match="failed"):
        Duty(0.5, 1.0)
    with pytest.raises(Malformed, match="GPUs"):
        chain(site(), RATES, CASE.duty, 0.0)
