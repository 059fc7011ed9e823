"""Published figures that the factory is held against: headlines, one day of DeepSeek, prices of rented GPUs, chips, PUE.

| file | reader |
|---|---|
| headline_results.csv | `headlines` |
| deepseek_day6.csv | `deepseek_hours` |
| gpu_rental_gcp.csv | `gcp_prices` |
| chips.csv | `chip_figures` |
| pue.csv | `pue_figures` |
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ciyuan.services.catalog_factory import Names
from ciyuan.services.measurements import Cells, LeftOut, Measured, read_rows, resolved


class HeadlineKind(StrEnum):
    """How far a headline can be trusted."""

    MEASURED = "measured"
    PUBLISHED = "published"
    CLAIM = "claim"
    """A vendor's word, not verified by others."""


@dataclass(frozen=True, slots=True)
class Headline:
    """A number to reproduce, within the relative `tolerance` (None: none was set).

    `value` is None where the row only tells of several; with `value_from` it is a change from that to `value`; with `bound`, an
    upper bound.
    """

    code: str
    what: str
    value: float | None
    value_from: float | None
    bound: bool
    unit: str
    kind: HeadlineKind
    tolerance: float | None
    source: str


_HEADLINES = ("id", "what", "value", "unit", "kind", "tol", "source")
_VALUE = re.compile(r"(?:(?P<first>[\d.e+-]+)->)?(?P<bound><)?(?P<value>[\d.e+-]+)")


def headlines(path: Path) -> Measured[Headline]:
    """The rows of headline_results.csv."""
    return read_rows(path, _HEADLINES, _headline)


def _headline(cells: Cells) -> Headline:
    kinds = [kind for kind in HeadlineKind if cells.text("kind").startswith(kind)]
    if not kinds:
        raise LeftOut(f"a headline of kind {cells.text('kind')}")
    given = _VALUE.fullmatch(cells.text("value"))
    if cells.text("value") and given is None:
        raise LeftOut(f"a value of {cells.text('value')}")
    first = given.group("first") if given else None
    return Headline(
        code=cells.text("id"),
        what=cells.text("what"),
        value=float(given.group("value")) if given else None,
        value_from=float(first) if first else None,
        bound=bool(given and given.group("bound")),
        unit=cells.text("unit"),
        kind=kinds[0],
        tolerance=cells.figure("tol"),
        source=cells.text("source"),
    )


@dataclass(frozen=True, slots=True)
class DeepseekHour:
    """One hour of DeepSeek's inference service: mean nodes of 8 H800, what they cost at 2 USD per GPU-hour, and what all tokens
    would have earned at list price (read off a figure, within 1%)."""

    hour: int
    local_hour: str
    nodes: float
    cost_usd: float
    income_usd: float


_HOURS = ("hour_index", "local_hour", "node_count_mean", "cost_usd", "income_usd")


def deepseek_hours(path: Path) -> Measured[DeepseekHour]:
    """The hours of deepseek_day6.csv, from 2025-02-27 12:00 to 2025-02-28 12:00, UTC+8."""
    return read_rows(path, _HOURS, _deepseek_hour)


def _deepseek_hour(cells: Cells) -> DeepseekHour:
    return DeepseekHour(
        hour=cells.whole("hour_index"),
        local_hour=cells.text("local_hour"),
        nodes=cells.number("node_count_mean"),
        cost_usd=cells.number("cost_usd"),
        income_usd=cells.number("income_usd"),
    )


@dataclass(frozen=True, slots=True)
class GcpPrice:
    """USD per GPU-hour of a rented machine, its host included, from `day` on: least and median over `regions`, and in
    us-central1. Commitments are for one and three years. None: not offered or not listed."""

    day: str
    chip: str
    machine: str
    gpus: int
    regions: int
    on_demand_min: float | None
    on_demand_median: float | None
    spot_min: float | None
    spot_median: float | None
    commit_1y_median: float | None
    commit_3y_median: float | None
    on_demand_us_central1: float | None
    spot_us_central1: float | None


_GCP = ("date", "chip", "machine", "gpus", "regions", "od_min", "od_median", "spot_min", "spot_median", "commit1y_median",
        "commit3y_median", "od_us_central1", "spot_us_central1")  # fmt: skip


def gcp_prices(path: Path, names: Names) -> Measured[GcpPrice]:
    """The price changes of gpu_rental_gcp.csv."""
    return read_rows(path, _GCP, lambda cells: _gcp_price(cells, names))


def _gcp_price(cells: Cells, names: Names) -> GcpPrice:
    return GcpPrice(
        cells.text("date"),
        resolved(cells.text("chip"), names.chip).code,
        cells.text("machine"),
        cells.whole("gpus"),
        cells.whole("regions"),
        *(cells.figure(column) for column in _GCP[5:]),
    )


@dataclass(frozen=True, slots=True)
class ChipFigures:
    """What a table says of a chip that the catalogue has, in the catalogue's units; None: not given."""

    chip: str
    year: int
    tdp_w: float | None
    memory_gb: float | None
    memory_tb_s: float | None
    bf16_tflops: float | None
    fp8_tflops: float | None
    fp4_tflops: float | None
    scale_up_gb_s: float | None
    scale_up_gpus: int
    it_kw: float | None
    cost_hyperscaler_usd_per_hour: float | None
    cost_usd_per_hour: float | None
    rent_usd_per_hour: float | None


_CHIPS = ("chip", "year", "tdp_w", "hbm_gb", "hbm_tb_s", "bf16_tflops", "fp8_tflops", "fp4_tflops", "scaleup_gb_s",
          "scaleup_world", "all_in_kw_per_gpu", "tco_hyperscaler_usd_h", "tco_neocloud_usd_h", "rental_usd_h")  # fmt: skip


def chip_figures(path: Path, names: Names) -> Measured[ChipFigures]:
    """The rows of chips.csv."""
    return read_rows(path, _CHIPS, lambda cells: _chip_figures(cells, names))


def _chip_figures(cells: Cells, names: Names) -> ChipFigures:
    return ChipFigures(
        chip=resolved(cells.text("chip"), names.chip).code,
        year=cells.whole("year"),
        tdp_w=cells.figure("tdp_w"),
        memory_gb=cells.figure("hbm_gb"),
        memory_tb_s=cells.figure("hbm_tb_s"),
        bf16_tflops=cells.figure("bf16_tflops"),
        fp8_tflops=cells.figure("fp8_tflops"),
        fp4_tflops=cells.figure("fp4_tflops"),
        scale_up_gb_s=cells.figure("scaleup_gb_s"),
        scale_up_gpus=cells.whole("scaleup_world"),
        it_kw=cells.figure("all_in_kw_per_gpu"),
        cost_hyperscaler_usd_per_hour=cells.figure("tco_hyperscaler_usd_h"),
        cost_usd_per_hour=cells.figure("tco_neocloud_usd_h"),
        rent_usd_per_hour=cells.figure("rental_usd_h"),
    )


@dataclass(frozen=True, slots=True)
class PueFigure:
    """A published PUE, of a year and a scope; `low` and `high` differ where a range was given."""

    year: int
    scope: str
    low: float
    high: float
    kind: str
    source: str


_PUE = ("year", "scope", "pue", "kind", "source")


def pue_figures(path: Path) -> Measured[PueFigure]:
    """The rows of pue.csv."""
    return read_rows(path, _PUE, _pue_figure)


def _pue_figure(cells: Cells) -> PueFigure:
    found = re.fullmatch(r"(\d+\.\d+)(?:-(\d+\.\d+))?", cells.text("pue"))
    if found is None:
        raise LeftOut(f"a PUE of {cells.text('pue')}")
    low, high = found.group(1), found.group(2) or found.group(1)
    return PueFigure(
        cells.whole("year"),
        cells.text("scope"),
        float(low),
        float(high),
        cells.text("kind"),
        cells.text("source"),
    )
