"""The catalogue as shipped is whole and consistent, and a bad fact in it is refused by file, table and key."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector, GradeKind
from ciyuan.factory.cost import cost_per_mtok, joules_per_token, site_gpus
from ciyuan.factory.messages import Provenance
from ciyuan.factory.serving import points_at
from ciyuan.services.catalog import (
    chips,
    grades,
    power_profiles,
    serving_points,
    site_point,
    sites,
    sizes,
    tiers,
)
from ciyuan.services.catalog_table import FACTS

KIMI = "moonshotai/Kimi-K2.5"


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of the facts in which one text of one file is another."""

    def edit(name: str, old: str, new: str) -> Path:
        shutil.copytree(str(FACTS), tmp_path, dirs_exist_ok=True)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
        return tmp_path

    return edit


def test_tiers_are_the_rulebook_s_slowest_first():
    found = tiers()
    assert list(found) == ["free", "medium", "high", "premium", "ultra"]
    assert [tier.tokens_per_s_per_user_min for tier in found.values()] == [20, 40, 75, 100, 150]


def test_every_point_gives_its_tier_s_speed_on_a_known_chip():
    for point in serving_points():
        assert point.tokens_per_s_per_user >= tiers()[point.tier].tokens_per_s_per_user_min
        it_kw = chips()[point.chip].it_kw
        assert it_kw is not None
        assert point.it_watts_per_gpu == it_kw * 1000
        assert point.ttft_ms <= 2000
        assert point.provenance is Provenance.MEASURED


def test_each_cell_is_there_once_and_a_slower_tier_yields_no_less():
    cells: dict[tuple[object, ...], dict[str, float]] = {}
    for point in serving_points():
        what = (point.model, point.chip, point.precision, point.input_tokens, point.output_tokens)
        rates = cells.setdefault(what, {})
        assert point.tier not in rates
        rates[point.tier] = point.output_tokens_per_s
    order = list(tiers())
    for rates in cells.values():
        assert [rates[tier] for tier in order if tier in rates] == sorted(rates.values(), reverse=True)
        assert order[: len(rates)] == [tier for tier in order if tier in rates]


def test_the_table_is_of_more_than_one_model():
    assert {point.model for point in serving_points()} == {
        KIMI,
        "openai/gpt-oss-120b",
        "deepseek-ai/DeepSeek-R1-0528",
    }


def test_ultra_on_a_chip_that_never_reached_it_is_refused_not_guessed():
    with pytest.raises(Malformed, match="ultra") as refused:
        points_at(serving_points(), "h200_sxm", KIMI, "int4", "ultra")
    assert refused.value.expected == "one that was measured: free, high, medium"


def test_the_default_grade_is_pinned_and_has_no_successor():
    facts = grades()["KIMI26"]
    assert facts.grade.kind is GradeKind.PINNED
    assert facts.grade.vector == ConversionVector(100, 20, 421, 50)
    assert (facts.grade.successor, facts.grade.valid_to_ns) == (None, None)
    assert (
        facts.grade.service.output_tokens_per_s_p50_min == tiers()[facts.grade.tier].tokens_per_s_per_user_min
    )
    assert (facts.serving_model, facts.weight_bits_min) == (KIMI, 4)
    assert len({listing.provider for listing in facts.listings}) == len(facts.listings) == 9


def test_each_site_can_make_the_default_grade_below_its_list_price_when_busy():
    facts, size = grades()["KIMI26"], sizes()["azure_2023_conv"]
    assert list(sites()) == ["texas", "frankfurt", "tokyo"]
    for site in sites().values():
        point = site_point(site, facts, size)
        assert point.provenance is Provenance.CALIBRATED
        assert point.tokens_per_s_per_user >= facts.grade.service.output_tokens_per_s_p50_min
        assert site.capital_usd_per_gpu_hour == chips()[site.chip].cost_usd_per_hour
        cost = cost_per_mtok(
            point, power_profiles()[site.zone].mean, site.pue, site.capital_usd_per_gpu_hour, 0.6
        )
        assert 0.1 < cost.total < 0.95
        assert 0.01 < cost.energy < 0.02
        assert 0.3 < joules_per_token(point) < 1.5
        assert 300 < site_gpus(site, point) < 1000


def test_profiles_are_of_the_sites_zones_and_have_the_mean_they_say():
    found = power_profiles()
    assert {site.zone for site in sites().values()} <= found.keys()
    for profile in found.values():
        assert sum(profile.by_utc_hour) / 24 == pytest.approx(profile.mean, abs=1e-3)
        assert profile.least <= min(profile.by_utc_hour) <= max(profile.by_utc_hour) <= profile.most


@pytest.mark.parametrize(
    ("name", "old", "new", "read", "thing"),
    [
        (
            "chips.toml",
            "it_kw_per_gpu = 1.37",
            "it_kw = 1.37",
            chips,
            "chips.toml, [h100_sxm], it_kw",
        ),
        ("chips.toml", "tdp_w = 700.0", 'tdp_w = "700"', chips, "chips.toml, [h100_sxm], tdp_w"),
        ("chips.toml", "tdp_w = 700.0", "tdp_w = 0.0", chips, "chip h100_sxm, tdp_w"),
        ("chips.toml", "fp8_tflops = 1979.0", "fp8_tflops = -1.0", chips, "chip h100_sxm, fp8_tflops"),
        ("chips.toml", "announced = true", "announced = 1", chips, "chips.toml, [vr200_nvl72], announced"),
        ("chips.toml", "year = 2022", "year = 2022\nage = 4", chips, "chips.toml, [h100_sxm], age"),
        (
            "tiers.toml",
            "per_user_min = 20.0",
            "per_user_max = 20.0",
            tiers,
            "tiers.toml, [free], output_tokens_per_s_per_user_min",
        ),
        (
            "serving.toml",
            'tiers = ["free"]',
            'tiers = ["gratis"]',
            serving_points,
            "serving.toml, [[sweep]] 1, rows[0], tiers",
        ),
        (
            "serving.toml",
            'tiers = ["free"]',
            'tiers = ["ultra"]',
            serving_points,
            "serving.toml, [[sweep]] 1, rows[0], tiers",
        ),
        (
            "serving.toml",
            'chip = "h200_sxm"',
            'chip = "h2o"',
            serving_points,
            "serving.toml, [[sweep]] 1, chip",
        ),
        ("serving.toml", "gpus = 8", "gpus = 0", serving_points, "serving.toml, [[sweep]] 1, rows[0], gpus"),
        (
            "serving.toml",
            "tpot_ms = 31.062",
            "tpot_ms = 0",
            serving_points,
            "serving.toml, [[sweep]] 1, rows[0], tpot_ms",
        ),
        (
            "serving.toml",
            'provenance = "measured"',
            'provenance = "hoped"',
            serving_points,
            "serving.toml, [[sweep]] 1, provenance",
        ),
        ("serving.toml", "[[sweep]]", "[[sweeep]]", serving_points, "serving.toml, sweeep"),
        ("sites.toml", "pue = 1.30", "pue = 0.30", sites, "site texas, pue"),
        ("sites.toml", 'chip = "h200_sxm"', 'chip = "abacus"', sites, "sites.toml, [texas], chip"),
        (
            "sites.toml",
            'chip = "h200_sxm"',
            'chip = "a100_sxm"',
            sites,
            "sites.toml, [texas], chip a100_sxm, cost_usd_per_gpu_hour",
        ),
        (
            "serving.toml",
            'chip = "h200_sxm"',
            'chip = "a100_sxm"',
            serving_points,
            "serving.toml, [[sweep]] 1, rows[0], chip a100_sxm, it_kw_per_gpu",
        ),
        ("sites.toml", 'tier = "medium"', 'tier = "best"', sites, "sites.toml, [texas], tier"),
        ("grades.toml", 'kind = "pinned"', 'kind = "loose"', grades, "grades.toml, [KIMI26], kind"),
        ("grades.toml", 'tier = "medium"', 'tier = "good"', grades, "grades.toml, [KIMI26], tier"),
        ("grades.toml", "output = 421", "output = 4.21", grades, "grades.toml, [KIMI26], vector, output"),
        (
            "grades.toml",
            'provider = "avian"',
            'supplier = "avian"',
            grades,
            "grades.toml, [KIMI26], listings[0], provider",
        ),
        ("grades.toml", "+08:00", "", grades, "date and time"),
        ("power.toml", "75.1688, ", "", power_profiles, "power.toml, [US-TEX-ERCO], usd_per_mwh_by_utc_hour"),
        ("sizes.toml", "2, 29,", "29, 2,", sizes, "sizes.toml, [azure_2023_conv], input_tokens"),
        ("sizes.toml", "0, 10, 50,", "1, 10, 50,", sizes, "sizes.toml, [azure_2023_conv], permille"),
        ("sizes.toml", 'licence = "', 'licence = "" # "', sizes, "sizes.toml, [azure_2023_conv], licence"),
    ],
)
def test_a_bad_fact_is_refused_where_it_stands(edited, name, old, new, read, thing):
    with pytest.raises(Malformed) as refused:
        read(edited(name, old, new))
    assert refused.value.thing == thing
    assert refused.value.remedy


def test_a_successor_and_an_end_are_read_where_there_are_any(edited):
    folder = edited(
        "grades.toml", "number = 1", 'number = 1\nvalid_to = "2027-01-01T00:00:00Z"\nsuccessor = "KIMI27"'
    )
    grade = grades(folder)["KIMI26"].grade
    assert (grade.successor, grade.valid_to_ns) == ("KIMI27", 1798761600 * 10**9)
