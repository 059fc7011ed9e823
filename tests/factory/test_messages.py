"""What a chip, a point and a site may be: positive, finite, and a PUE of at least 1."""

from dataclasses import replace

import pytest

from ciyuan.basics.errors import Malformed
from tests.factory.points import LONG, SHORT, SITE


def test_input_goes_with_the_output():
    assert SHORT.input_tokens_per_s == 100.0
    assert LONG.input_tokens_per_s == 400.0


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "output_tokens_per_s", "tokens_per_s_per_user", "ttft_ms",
                                  "gpus_per_replica", "it_watts_per_gpu"])  # fmt: skip
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_a_point_has_positive_finite_figures(name, value):
    with pytest.raises(Malformed, match=name):
        replace(SHORT, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pue", 0.99),
        ("pue", float("nan")),
        ("power_mw_max", -0.1),
        ("power_mw_max", float("inf")),
        ("capital_usd_per_gpu_hour", -1.0),
    ],
)
def test_a_site_has_sane_figures(name, value):
    with pytest.raises(Malformed, match=name):
        replace(SITE, **{name: value})
