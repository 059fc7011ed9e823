"""Profiles laid over hours, and sizes drawn from quantiles without chance."""

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR, ns_from_iso
from ciyuan.services.catalog import power_profiles, sizes
from ciyuan.services.catalog_facts import SizeFacts, profile_prices

AZURE = sizes()["azure_2023_conv"]


def test_a_profile_repeats_by_the_utc_hour():
    profiles = [power_profiles()[zone] for zone in ("DE-LU", "JP-TK")]
    prices = profile_prices(profiles, ns_from_iso("2026-09-29T00:00:00+08:00"), 49)  # 16:00 UTC
    assert prices.shape == (49, 2)
    assert prices[0].tolist() == [profile.by_utc_hour[16] for profile in profiles]
    assert prices[8].tolist() == [profile.by_utc_hour[0] for profile in profiles]
    assert (prices[:25] == prices[24:]).all()
    assert profile_prices(profiles, 30 * NS_PER_HOUR, 0).shape == (0, 2)


def ranks(values):
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


@pytest.mark.parametrize("count", [1000, 4096, 20_000])
def test_a_sample_has_the_facts_means_quantiles_and_correlation(count):
    inputs, outputs = AZURE.sample(count)
    assert inputs.dtype == outputs.dtype == np.int64
    assert inputs.shape == outputs.shape == (count,)
    assert inputs.mean() == pytest.approx(AZURE.input_mean, rel=0.01)
    assert outputs.mean() == pytest.approx(AZURE.output_mean, rel=0.01)
    for permille, size_in, size_out in zip(
        AZURE.permille[1:-1], AZURE.input_tokens[1:-1], AZURE.output_tokens[1:-1], strict=True
    ):
        assert (inputs <= size_in + 0.5).mean() == pytest.approx(permille / 1000, abs=0.06)
        assert (outputs <= size_out + 0.5).mean() == pytest.approx(permille / 1000, abs=0.06)
    assert np.corrcoef(ranks(inputs), ranks(outputs))[0, 1] == pytest.approx(AZURE.rank_correlation, abs=0.02)


def test_a_sample_is_the_same_every_time_and_within_the_facts_bounds():
    first, again = AZURE.sample(500), AZURE.sample(500)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert AZURE.input_tokens[0] <= first[0].min() <= first[0].max() <= AZURE.input_tokens[-1]
    assert AZURE.output_tokens[0] <= first[1].min() <= first[1].max() <= AZURE.output_tokens[-1]


def test_a_strong_correlation_is_kept():
    tied = SizeFacts(
        "t",
        "tied",
        1,
        1,
        1,
        50.0,
        50.0,
        0.9,
        (0, 1000),
        (0, 100_000),
        (0, 100_000),
        "none",
        "made up",
        "2026-01-01",
    )
    inputs, outputs = tied.sample(5000)
    assert np.corrcoef(ranks(inputs), ranks(outputs))[0, 1] == pytest.approx(0.9, abs=0.01)


def test_nothing_cannot_be_sampled():
    with pytest.raises(Malformed, match="number of sizes"):
        AZURE.sample(0)
