"""The shipped facts of power against what was measured: wall watts, tokens per wall joule, power caps."""

from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.facility import CoolingMethod, server_power
from ciyuan.factory.load import steady_load
from ciyuan.factory.model import Precision
from ciyuan.factory.power import capped, gpu_power, idle_watts
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models
from ciyuan.services.catalog_power import COOLING, POWER_MODEL, hall, power_model, server_for, servers
from ciyuan.services.catalog_table import FACTS
from ciyuan.services.measurements_energy import system_powers

SYSTEMS = Path(__file__).parents[3] / "shared" / "data" / "factory" / "power_systems.csv"
shared = pytest.mark.skipif(
    not SYSTEMS.is_file(), reason="the shared data folder is not beside this checkout"
)
POWER, SERVERS, CHIPS = power_model(), servers(), chips()
MEAN_TOKENS = 294.0
"""Input, and output, of a mean request of MLPerf's OpenOrca set for Llama 2 70B."""


def wall_w(chip: str, server: str, gpu_w: float) -> float:
    return 8 * float(server_power(SERVERS[server], CHIPS[chip], gpu_w).wall_w)


@shared
def test_servers_meet_measured_wall_power_within_a_tenth():
    """Idle GPUs at their idle watts; loaded ones at the top of the power model, or at the power cap that the run had."""
    off = []
    for row in system_powers(SYSTEMS).rows:
        if row.kind == "model" and row.gpu_w is not None and row.load_w is not None:
            chip = "h100_sxm" if "h100" in row.system else "b200_sxm"
            off.append(wall_w(chip, "air_8", row.gpu_w) / row.load_w - 1)
        if row.kind != "measured" or row.idle_w is None or row.load_w is None:
            continue
        chip = "b200_sxm" if "B200" in row.system else "h200_sxm"
        server = "air_8" if row.cooling == "air" else "water_8"
        top = min(POWER.top * CHIPS[chip].tdp_w, row.gpu_w_max)
        off.append(wall_w(chip, server, idle_watts(POWER, CHIPS[chip])) / row.idle_w - 1)
        off.append(wall_w(chip, server, top) / row.load_w - 1)
    assert len(off) > 10
    assert np.abs(off).max() < 0.10


@pytest.mark.parametrize(
    ("chip", "gpu_w", "tokens_per_s", "tokens_per_joule"),
    [("b200_sxm", POWER.top * 1000, 102_909.0, 9.894), ("h200_sxm", 500.0, 25_262.1, 4.105)],
)
def test_tokens_per_wall_joule(chip: str, gpu_w: float, tokens_per_s: float, tokens_per_joule: float):
    """Headline results H5 and H6, within 15%: Llama 2 70B offline at the measured rate and the modelled wall power."""
    assert tokens_per_s / wall_w(chip, "air_8", gpu_w) == pytest.approx(tokens_per_joule, rel=0.15)


@pytest.mark.parametrize(
    ("chip", "precision", "tokens_per_s", "cap_w", "ratios"),
    [
        ("h200_sxm", Precision.FP8, 31_302.7, 500.0, (0.807,)),
        ("mi355x", Precision.FP4, 97_535.1, 1000.0, (0.839, 0.819)),
    ],
)
def test_a_power_cap_costs_the_published_share_of_tokens(
    chip: str, precision: Precision, tokens_per_s: float, cap_w: float, ratios: tuple[float, ...]
):
    """Headline results H7 and H8, within 5%: Llama 2 70B at 1,000 sequences a GPU, capped at 0.714 of the TDP."""
    model, rate = models()["meta-llama/Llama-2-70b-chat-hf"], tokens_per_s / 8
    load = steady_load(CHIPS[chip], model, precision, gpus=1, sequences=1000.0, steps_per_s=rate / 1000.0,
                       prompt_tokens=MEAN_TOKENS, output_tokens=MEAN_TOKENS)  # fmt: skip
    held = capped(POWER, CHIPS[chip], load, cap_w, model.code, str(precision))
    assert gpu_power(POWER, CHIPS[chip], load).watts > cap_w
    for ratio in ratios:
        assert held.speed == pytest.approx(ratio, rel=0.05)


def test_a_chip_stands_in_its_server():
    assert server_for(SERVERS, CHIPS["gb300_nvl72"], CoolingMethod.AIR).code == "rack_72"
    assert server_for(SERVERS, CHIPS["b200_sxm"], CoolingMethod.LIQUID).code == "water_8"
    assert server_for(SERVERS, CHIPS["b200_sxm"], None).code == "air_8"


def test_racks_meet_the_published_it_power():
    """What is left for the network is a like share of a rack and of a box: 300 to 400 W a GPU."""
    for code in (
        "h100_sxm",
        "h200_sxm",
        "b200_sxm",
        "b300_sxm",
        "gb200_nvl72",
        "gb300_nvl72",
        "mi300x",
        "mi355x",
    ):
        chip = CHIPS[code]
        found = server_power(server_for(SERVERS, chip, None), chip, chip.tdp_w)
        assert found.it_w == pytest.approx(1000 * (chip.it_kw or 0.0))
        assert 250 < found.network_w < 450


def test_every_figure_is_asked_for_and_sourced(tmp_path: Path):
    for name in (POWER_MODEL, COOLING):
        text = FACTS.joinpath(name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("source = ", "sauce = ", 1), encoding="utf-8")
    with pytest.raises(Malformed, match="source"):
        power_model(tmp_path)
    with pytest.raises(Malformed, match="source"):
        servers(tmp_path)
    text = FACTS.joinpath(POWER_MODEL).read_text(encoding="utf-8")
    (tmp_path / POWER_MODEL).write_text(text.replace("band_pair = [", "band_pair = [9.0, "), encoding="utf-8")
    with pytest.raises(Malformed, match="band_pair"):
        power_model(tmp_path)
    assert 0 < hall().distribution < 0.1
