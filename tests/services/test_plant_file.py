"""The plant file: the examples are read as they are meant, and every mistake is named with its table and key."""

from math import inf
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import ElasticDemand, FlatDemand, LinearDemand, SteppedDemand
from ciyuan.factory.plant import Cooling, Fleet, Plant, Purchase, Rental
from ciyuan.services.plant_file import read_plant

EXAMPLES = Path(__file__).parents[2] / "examples"

SMALL = """
[plant]
name = "small"
power_mw = 2
power_usd_per_mwh = -3.5
utilisation = 0.5
pue = 1.25

[[plant.fleet]]
chip = "h200_sxm"
gpus = 800
capital = { kind = "rental", usd_per_gpu_hour = 2.0 }

[service]
model = "model_a"
precision = "fp8"
software = "vllm"
input_tokens = 2000
output_tokens = 1000
cached_share = 0.25

[[tier]]
name = "medium"
price_input_usd_per_mtok = 1.0
price_cached_usd_per_mtok = 0.2
price_output_usd_per_mtok = 4.0
tokens_per_s_per_user_min = 40
ttft_s_max = 2
demand = { kind = "flat" }
"""
LIST = 4.0 + 1.5 * 1.0 + 0.5 * 0.2


def read(tmp_path: Path, text: str) -> Plant:
    file = tmp_path / "plant.toml"
    file.write_text(text, encoding="utf-8")
    return read_plant(file)


def test_a_small_plant(tmp_path: Path):
    plant = read(tmp_path, SMALL)
    assert (plant.name, plant.power_mw, plant.power_usd_per_mwh, plant.gpu_cap_w) == (
        "small",
        2.0,
        -3.5,
        None,
    )
    assert plant.cooling == Cooling(pue=1.25)
    assert plant.fleets == (Fleet("h200_sxm", 800, None, Rental(2.0)),)
    assert plant.tiers[0].demand == FlatDemand(LIST, inf)
    assert plant.tiers[0].service.version is None


def test_the_example_of_100_mw():
    plant = read_plant(EXAMPLES / "plant.toml")
    assert [tier.name for tier in plant.tiers] == ["free", "medium", "high", "premium", "ultra"]
    assert plant.cooling == Cooling(None, "liquid", 14.0, 60.0)
    assert plant.fleets[0] == Fleet("b200_sxm", None, 0.75, Purchase(46_000.0, 5.0, 0.1, 0.09), "fp4")
    assert plant.tiers[0].tokens_per_s_min == 4e6
    kinds = [type(tier.demand) for tier in plant.tiers]
    assert kinds == [FlatDemand, ElasticDemand, LinearDemand, SteppedDemand, LinearDemand]


def test_the_example_of_a_gigawatt():
    plant = read_plant(EXAMPLES / "plant_1gw.toml")
    assert plant.power_mw == 1000.0
    assert sum(fleet.share or 0.0 for fleet in plant.fleets) == pytest.approx(1.0)
    speeds = [tier.tokens_per_s_per_user_min for tier in plant.tiers]
    assert speeds == sorted(speeds)


@pytest.mark.parametrize("name", ["plant.toml", "plant_1gw.toml"])
def test_at_the_list_price_the_examples_sell_what_they_say(name: str):
    """A curve told against the list price passes through it."""
    for tier in read_plant(EXAMPLES / name).tiers:
        if isinstance(tier.demand, ElasticDemand):
            assert float(tier.demand.price(tier.demand.tokens_per_s_at)) == pytest.approx(
                tier.list_usd_per_mtok
            )
        if isinstance(tier.demand, LinearDemand):
            share = 1 - tier.list_usd_per_mtok / tier.demand.usd_per_mtok_max
            assert 0 < share < 1


def test_curves_are_told_against_the_list_price(tmp_path: Path):
    def demand(text: str) -> object:
        return read(tmp_path, SMALL.replace('{ kind = "flat" }', text)).tiers[0].demand

    line = demand('{ kind = "linear", tokens_per_s_at_list = 600, price_factor_max = 2.5 }')
    assert isinstance(line, LinearDemand)
    assert float(line.price(600.0)) == pytest.approx(LIST)
    assert line.usd_per_mtok_max == pytest.approx(2.5 * LIST)
    steps = demand('{ kind = "steps", tokens_per_s = [5, 10], price_factors = [2, 0.5] }')
    assert steps == SteppedDemand((2 * LIST, 0.5 * LIST), (5.0, 10.0))
    assert demand('{ kind = "flat", tokens_per_s_max = 9 }') == FlatDemand(LIST, 9.0)


def test_a_tier_may_serve_its_own_model_and_a_fleet_its_own_precision(tmp_path: Path):
    text = SMALL.replace(
        "ttft_s_max = 2", 'ttft_s_max = 2\nservice = { model = "model_b", input_tokens = 500 }'
    )
    plant = read(tmp_path, text.replace("gpus = 800", 'gpus = 800\nprecision = "fp4"'))
    service = plant.tiers[0].service
    assert (service.model, service.software, service.input_tokens) == ("model_b", "vllm", 500.0)
    assert plant.fleets[0].precision == "fp4"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("power_mw = 2", "", ", plant, power_mw"),
        ("power_mw = 2", "power_mw = 2\nmegawatts = 3", "megawatts"),
        ("pue = 1.25", 'pue = 1.25\ncooling = "air"', "cooling"),
        ("pue = 1.25", 'cooling = "steam"', "one of air, liquid"),
        ("pue = 1.25", 'cooling = "air"\ndry_bulb_c = 12', "relative_humidity_pct"),
        ("gpus = 800", "gpus = 800.5", "whole number"),
        ("gpus = 800", "gpus = 800\nshare = 0.5", "gpus or share"),
        ('kind = "rental"', 'kind = "lease"', "one of rental, purchase"),
        ("usd_per_gpu_hour = 2.0", "usd_per_gpu = 2.0", "usd_per_gpu_hour"),
        ("cached_share = 0.25", "cached_share = 25", "cached_share"),
        ('{ kind = "flat" }', '{ kind = "flat", elasticity = 2 }', "elasticity"),
        (
            '{ kind = "flat" }',
            '{ kind = "linear", tokens_per_s_at_list = 5, price_factor_max = 1 }',
            "above 1",
        ),
        ('{ kind = "flat" }', '{ kind = "cubic" }', "one of flat, linear, elastic, steps"),
        ('{ kind = "flat" }', "4", "a table"),
        ("[service]", "[services]", "service"),
        ('name = "medium"', 'name = ""', "a text with words"),
        ("ttft_s_max = 2", "ttft_s_max = 2\ntokens_per_s_min = 5\n", None),
        ("utilisation = 0.5", "utilisation = 0.5 %", "TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, named: str | None):
    assert old in SMALL
    text = SMALL.replace(old, new)
    if named is None:
        assert read(tmp_path, text).tiers[0].tokens_per_s_min == 5.0
        return
    with pytest.raises(Malformed) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "plant.toml")), "the file is named first"
    assert named in str(caught.value)


def test_a_free_tier_has_a_flat_demand(tmp_path: Path):
    free = (
        SMALL.replace("_mtok = 1.0", "_mtok = 0")
        .replace("_mtok = 0.2", "_mtok = 0")
        .replace("_mtok = 4.0", "_mtok = 0")
    )
    assert read(tmp_path, free).tiers[0].demand == FlatDemand(0.0, inf)
    with pytest.raises(Malformed, match="list price of 0"):
        read(tmp_path, free.replace('"flat"', '"linear", tokens_per_s_at_list = 5, price_factor_max = 2'))


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(Malformed, match=r"nowhere\.toml.*can be read"):
        read_plant(tmp_path / "nowhere.toml")
