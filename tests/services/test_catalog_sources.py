"""The shipped facts reproduce from the files that they were read from, where those files are at hand."""

import csv
import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import pytest

from ciyuan.basics.time import ns_from_iso
from ciyuan.factory.messages import ServingPoint
from ciyuan.factory.serving import output_rate
from ciyuan.services.catalog import chips, power_profiles, serving_points, sites, sizes, tiers
from ciyuan.services.catalog_factory import names
from ciyuan.services.measurements_published import chip_figures
from ciyuan.services.power_file import read_power, read_zone_rates

SHARED = Path(__file__).parents[3] / "shared" / "data"
FACTORY, GRID, USAGE = SHARED / "factory", SHARED / "grid", SHARED / "usage"
pytestmark = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)

TTFT_MS_MAX = 2000
SHAPES = {(1024, 1024), (8192, 1024)}
CHIP_OF = {"gb200": "gb200_nvl72", "h200": "h200_sxm", "b200": "b200_sxm"}
SAMPLED = {
    ("moonshotai/Kimi-K2.5", "h200_sxm", "int4"), ("moonshotai/Kimi-K2.5", "b200_sxm", "int4"),
    ("moonshotai/Kimi-K2.5", "b200_sxm", "fp4"), ("moonshotai/Kimi-K2.5", "b300_sxm", "fp4"),
    ("moonshotai/Kimi-K2.5", "gb200_nvl72", "fp4"), ("openai/gpt-oss-120b", "h100_sxm", "fp4"),
    ("openai/gpt-oss-120b", "h200_sxm", "fp4"), ("openai/gpt-oss-120b", "b200_sxm", "fp4"),
}  # fmt: skip
DEEPSEEK = "deepseek-ai/DeepSeek-R1-0528"
DEEPSEEK_ON = {("h200_sxm", "fp8"), ("b200_sxm", "fp4"), ("mi355x", "fp4")}

Cell = tuple[str, str, str, int, int, str]
Run = tuple[float, float, float, int]
"""Output tokens/s per GPU, tokens/s per user, time to first token in ms, GPUs."""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


def best_cells(runs: Iterator[tuple[tuple[str, str, str, int, int], Run]]) -> dict[Cell, Run]:
    """The rule at the head of serving.toml: of the runs that are fast enough, the one with the most tokens per GPU."""
    best: dict[Cell, Run] = {}
    for what, run in runs:
        for tier in tiers().values():
            cell = (*what, tier.name)
            if (
                run[1] >= tier.tokens_per_s_per_user_min
                and run[2] <= TTFT_MS_MAX
                and run[0] > best.get(cell, (0.0,))[0]
            ):
                best[cell] = run
    return best


def sampled_runs() -> Iterator[tuple[tuple[str, str, str, int, int], Run]]:
    workers = ("p_workers", "p_tp", "p_attn_dp", "d_workers", "d_tp", "d_attn_dp")
    for row in rows_of(FACTORY / "silicon_sample.csv"):
        what = (
            row["model"],
            CHIP_OF.get(row["chip"], row["chip"]),
            row["precision"],
            int(row["isl"]),
            int(row["osl"]),
        )
        sound = row["attn_dp"] == "1" if row["mode"] == "agg" else all(row[name] for name in workers)
        if what[:3] in SAMPLED and what[3:] in SHAPES and row["measured"] and sound:
            ttft, tpot, gpus = float(row["ttft_ms"]), float(row["tpot_ms"]), int(row["gpus"])
            rate = output_rate(int(row["conc"]), int(row["osl"]), ttft, tpot, gpus)
            assert rate == pytest.approx(float(row["output_tok_s_gpu_est"]), rel=1e-3)
            yield what, (rate, 1000 / tpot, ttft, gpus)


def deepseek_rows() -> Iterator[dict[str, str]]:
    """Aggregated runs without speculation that have all their figures."""
    needed = ("output_tok_s_gpu", "ttft_median_s", "tpot_median_s", "gpus_total")
    for row in rows_of(FACTORY / "inferencemax.csv"):
        if row["spec"] == "none" and row["disagg"] == "0" and all(row[name] for name in needed):
            yield row


def deepseek_runs() -> Iterator[tuple[tuple[str, str, str, int, int], Run]]:
    for row in deepseek_rows():
        what = (
            DEEPSEEK,
            CHIP_OF.get(row["chip"], row["chip"]),
            row["precision"],
            int(row["isl"]),
            int(row["osl"]),
        )
        if what[1:3] in DEEPSEEK_ON and what[3:] in SHAPES:
            seen = (1 / float(row["tpot_median_s"]), float(row["ttft_median_s"]) * 1000)
            yield what, (float(row["output_tok_s_gpu"]), *seen, int(row["gpus_total"]))


@cache
def expected_cells() -> dict[Cell, Run]:
    return best_cells(sampled_runs()) | best_cells(deepseek_runs())


def cell_of(point: ServingPoint) -> Cell:
    return (
        point.model,
        point.chip,
        point.precision,
        int(point.input_tokens),
        int(point.output_tokens),
        point.tier,
    )


def test_the_serving_table_is_what_the_rule_finds_no_cell_more_and_none_less():
    assert {cell_of(point) for point in serving_points()} == expected_cells().keys()


def test_each_serving_point_reproduces():
    for point in serving_points():
        rate, speed, ttft, gpus = expected_cells()[cell_of(point)]
        assert point.output_tokens_per_s == pytest.approx(rate, rel=1e-6)
        assert point.tokens_per_s_per_user == pytest.approx(speed, rel=1e-4)
        assert point.ttft_ms == pytest.approx(ttft, abs=0.01)
        assert point.gpus_per_replica == gpus


def test_little_s_law_is_as_generous_as_the_table_says():
    over = [
        output_rate(
            int(row["conc"]),
            int(row["osl"]),
            float(row["ttft_median_s"]) * 1000,
            float(row["tpot_median_s"]) * 1000,
            int(row["gpus_total"]),
        )
        / float(row["output_tok_s_gpu"])
        for row in deepseek_rows()
    ]
    assert len(over) == 872
    assert median(over) == pytest.approx(1.03, abs=0.005)
    low, *_, high = quantiles(over, n=20)
    assert (low, high) == pytest.approx((1.01, 1.17), abs=0.005)


def test_chips_are_those_of_the_file():
    """A figure that the file gives is the catalogue's; what the file lacks, the catalogue has from its own source, or not."""
    figures = chip_figures(FACTORY / "chips.csv", names())
    assert len(figures.rows) == 15
    assert not figures.left_out
    for row in figures.rows:
        chip = chips()[row.chip]
        assert (chip.year, chip.scale_up_gpus) == (row.year, row.scale_up_gpus)
        for name in ("tdp_w", "memory_gb", "memory_tb_s", "bf16_tflops", "fp8_tflops", "fp4_tflops", "scale_up_gb_s", "it_kw",
                     "cost_usd_per_hour", "rent_usd_per_hour"):  # fmt: skip
            assert getattr(row, name) in {None, getattr(chip, name)}, f"{row.chip} {name}"


def test_the_sites_pue_is_the_model_s_for_air_cooling():
    published = [
        float(row["pue"]) for row in rows_of(FACTORY / "pue.csv") if "8-GPU air-cooled" in row["scope"]
    ]
    assert [site.pue for site in sites().values()] == published * 3


def test_power_profiles_reproduce_from_the_hourly_file():
    profiles = power_profiles()
    rates = {
        zone: rate.usd_per_unit for zone, rate in read_zone_rates(GRID / "price_zones_meta.csv", 2023).items()
    }
    assert {zone: profile.usd_per_unit for zone, profile in profiles.items()} == {
        zone: rates[zone] for zone in profiles
    }
    prices = read_power(GRID / "prices_hourly_native_2023.csv", tuple(profiles), rates)
    assert prices.usd_per_mwh.shape == (8760, 3)
    for column, profile in enumerate(profiles.values()):
        window = prices.window(ns_from_iso(profile.window_from), profile.window_hours)[:, column]
        assert profile.by_utc_hour == pytest.approx(tuple(window.reshape(-1, 24).mean(axis=0)), abs=5.1e-5)
        figures = (window.mean(), window.std(), window.min(), window.max(), (window < 0).mean())
        facts = (profile.mean, profile.std, profile.least, profile.most, profile.negative_share)
        assert facts == pytest.approx(figures, abs=5.1e-5)


def test_sizes_reproduce_from_the_trace():
    facts = sizes()["azure_2023_conv"]
    with gzip.open(USAGE / "azure_2023_conv.csv.gz", "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = [np.array([int(row[name]) for row in rows]) for name in ("input_tokens", "output_tokens")]
    assert (facts.requests, facts.input_total, facts.output_total) == (
        len(rows),
        columns[0].sum(),
        columns[1].sum(),
    )
    assert (facts.input_mean, facts.output_mean) == pytest.approx(
        tuple(c.mean() for c in columns), abs=5.1e-5
    )
    for given, column in zip((facts.input_tokens, facts.output_tokens), columns, strict=True):
        assert given == tuple(np.quantile(column, np.array(facts.permille) / 1000, method="inverted_cdf"))
    assert facts.rank_correlation == pytest.approx(
        np.corrcoef(mean_ranks(columns[0]), mean_ranks(columns[1]))[0, 1], abs=5.1e-5
    )


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks in which equal values share the mean of their places."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
