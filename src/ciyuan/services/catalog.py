"""The catalogue: the facts of `ciyuan/data`, read strictly into the dataclasses of the stages.

| function | file | gives |
|---|---|---|
| `chips`, `tiers`, `sites` | chips.toml, tiers.toml, sites.toml | by name |
| `serving_points` | serving.toml | every measured point, one per tier and request shape |
| `site_point` | | what a site runs for a grade, for the mean request of a sample |
| `grades`, `sizes`, `power_profiles` | grades.toml, sizes.toml, power.toml | by code, by code, by zone |

A missing or unknown key, or a value of the wrong type, is Malformed, naming the file, the table and the key. Every
function takes the folder of the files, so that a user's own facts are read by the same rules. What a venue trades is
in `catalog_venue`, list prices in `catalog_prices`.
"""

from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable

from ciyuan.basics.errors import Malformed
from ciyuan.basics.grade import ConversionVector, Grade, GradeKind, Service
from ciyuan.basics.time import ns_from_iso
from ciyuan.factory.messages import Chip, Provenance, ServingPoint, Site, Tier
from ciyuan.factory.serving import at_shape, output_rate, points_at
from ciyuan.services.catalog_facts import HOURS_PER_DAY, GradeFacts, Listing, PowerProfile, SizeFacts
from ciyuan.services.catalog_table import FACTS, Section, known, member, top_tables


def chips(folder: Traversable = FACTS) -> dict[str, Chip]:
    """The accelerators by code. Figures that nobody published are None."""
    return {code: _chip(code, table) for code, table in top_tables("chips.toml", folder)}


def _chip(code: str, table: Section) -> Chip:
    return Chip(
        code=code,
        name=table.text("name"),
        vendor=table.text("vendor"),
        architecture=table.text("architecture"),
        year=table.whole("year"),
        tdp_w=table.number("tdp_w"),
        memory_gb=table.number("memory_gb"),
        memory_tb_s=table.number("memory_tb_s"),
        bf16_tflops=table.number("bf16_tflops"),
        fp8_tflops=table.figure("fp8_tflops"),
        fp4_tflops=table.figure("fp4_tflops"),
        int8_tops=table.figure("int8_tops"),
        scale_up_gb_s=table.number("scale_up_gb_s"),
        scale_up_gpus=table.whole("scale_up_gpus"),
        scale_out_gb_s=table.figure("scale_out_gb_s"),
        it_kw=table.figure("it_kw_per_gpu"),
        cost_usd_per_hour=table.figure("cost_usd_per_gpu_hour"),
        rent_usd_per_hour=table.figure("rent_usd_per_gpu_hour"),
        announced=table.flag("announced") if "announced" in table else False,
        source=table.text("source"),
        observed_on=table.day("observed_on"),
        aliases=table.texts("aliases") if "aliases" in table else (),
    )


def expect_figure(chip: Chip, figure: float | None, key: str, place: str) -> float:
    """A figure of a chip that `place` needs. Raises Malformed if nobody published it."""
    if figure is None:
        raise Malformed(f"{place}, chip {chip.code}, {key}", found="no figure", expected=f"a chip whose {key} is in chips.toml",
                        remedy="Choose another chip, or add the figure with its source.")  # fmt: skip
    return figure


def tiers(folder: Traversable = FACTS) -> dict[str, Tier]:
    """The tiers of service by name, slowest first."""
    found = {}
    for name, table in top_tables("tiers.toml", folder):
        table.sourced()
        found[name] = Tier(name, table.number("output_tokens_per_s_per_user_min"))
    return dict(sorted(found.items(), key=lambda pair: pair[1].tokens_per_s_per_user_min))


def serving_points(folder: Traversable = FACTS) -> tuple[ServingPoint, ...]:
    """The serving table: a point for each measured row and each tier that it serves. Absent cells are absent."""
    known_chips, known_tiers = chips(folder), tiers(folder)
    points: list[ServingPoint] = []
    for key, sweep in top_tables("serving.toml", folder):
        if key != "sweep":
            raise Malformed(
                f"serving.toml, {key}",
                found=key,
                expected="[[sweep]] tables",
                remedy="Mend the table's name.",
            )
        model, precision = sweep.text("model"), sweep.text("precision")
        chip = known(known_chips, sweep.text("chip"), f"{sweep.place}, chip", "chips.toml")
        shape = (sweep.whole("input_tokens"), sweep.whole("output_tokens"))
        provenance = member(Provenance, sweep.text("provenance"), f"{sweep.place}, provenance")
        source, _ = sweep.sourced()
        for row in sweep.tables("rows"):
            points.extend(_row_points(row, chip, (model, precision), shape, provenance, source, known_tiers))
    return tuple(points)


def _row_points(row: Section, chip: Chip, what: tuple[str, str], shape: tuple[int, int], provenance: Provenance, source: str,
                known_tiers: Mapping[str, Tier]) -> Iterator[ServingPoint]:  # fmt: skip
    """A measured row's points: one for each tier that it serves. A row slower than its tier is refused."""
    run = {"ttft_ms": row.number("ttft_ms"), "tpot_ms": row.number("tpot_ms"), "gpus": row.whole("gpus"),
           "concurrency": row.whole("concurrency")}  # fmt: skip
    for key, value in run.items():
        if not value > 0:
            raise Malformed(
                f"{row.place}, {key}",
                found=value,
                expected="more than 0",
                remedy="Mend the row, or leave it out.",
            )
    ttft_ms, tpot_ms, gpus = run["ttft_ms"], run["tpot_ms"], int(run["gpus"])
    if "output_tokens_per_s_gpu" in row:
        rate = row.number("output_tokens_per_s_gpu")
    else:
        rate = output_rate(run["concurrency"], shape[1], ttft_ms, tpot_ms, gpus)
    software, measured_on = row.text("software"), row.day("measured_on")
    it_kw = expect_figure(chip, chip.it_kw, "it_kw_per_gpu", row.place)
    row_source = f"{source}, row {row.text('row')}"
    for name in row.texts("tiers"):
        tier = known(known_tiers, name, f"{row.place}, tiers", "tiers.toml")
        if 1000 / tpot_ms < tier.tokens_per_s_per_user_min:
            raise Malformed(f"{row.place}, tiers", found=f"{name} at {1000 / tpot_ms:.1f} tokens/s per user",
                            expected=f"at least {tier.tokens_per_s_per_user_min:g}",
                            remedy="Put the row into a slower tier.")  # fmt: skip
        yield ServingPoint(chip.code, *what, name, *shape, rate, 1000 / tpot_ms, ttft_ms, gpus, it_kw * 1000,
                           software, provenance, row_source, measured_on)  # fmt: skip


def sites(folder: Traversable = FACTS) -> dict[str, Site]:
    """The token factories by name. A site's capital cost is its chip's cost of ownership."""
    known_chips, known_tiers = chips(folder), tiers(folder)
    found = {}
    for name, table in top_tables("sites.toml", folder):
        table.sourced()
        chip = known(known_chips, table.text("chip"), f"{table.place}, chip", "chips.toml")
        found[name] = Site(
            name=name,
            title=table.text("title"),
            owner=table.text("owner"),
            zone=table.text("zone"),
            chip=chip.code,
            precision=table.text("precision"),
            tier=known(known_tiers, table.text("tier"), f"{table.place}, tier", "tiers.toml").name,
            power_mw_max=table.number("power_mw_max"),
            pue=table.number("pue"),
            capital_usd_per_gpu_hour=expect_figure(
                chip, chip.cost_usd_per_hour, "cost_usd_per_gpu_hour", table.place
            ),
        )
    return found


def site_point(site: Site, facts: GradeFacts, size: SizeFacts, folder: Traversable = FACTS) -> ServingPoint:
    """What a site's chip does for a grade at the site's tier, on requests of the mean shape of `size`.

    Raises Malformed if that was not measured, naming what was.
    """
    measured = points_at(serving_points(folder), site.chip, facts.serving_model, site.precision, site.tier)
    return at_shape(measured, size.input_mean, size.output_mean)


def grades(folder: Traversable = FACTS) -> dict[str, GradeFacts]:
    """The grades by code, with what they rest on."""
    known_tiers = tiers(folder)
    return {code: _grade_facts(code, table, known_tiers) for code, table in top_tables("grades.toml", folder)}


def _grade_facts(code: str, table: Section, known_tiers: Mapping[str, Tier]) -> GradeFacts:
    with table.table("vector") as legs:
        vector = ConversionVector(
            legs.whole("input"), legs.whole("cached"), legs.whole("output"), legs.whole("batch")
        )
        legs.text("source")
    with table.table("service") as least:
        service = Service(
            output_tokens_per_s_p50_min=least.whole("output_tokens_per_s_p50_min"),
            ttft_ms_p95_max=least.whole("ttft_ms_p95_max"),
            context_tokens_min=least.whole("context_tokens_min"),
            availability_bp_min=least.whole("availability_bp_min"),
        )
        least.text("source")
    with table.table("serving") as serving:
        model, why = serving.text("model"), serving.text("source")
    grade = Grade(
        number=table.whole("number"),
        code=code,
        name=table.text("name"),
        kind=member(GradeKind, table.text("kind"), f"{table.place}, kind"),
        tier=known(known_tiers, table.text("tier"), f"{table.place}, tier", "tiers.toml").name,
        vector=vector,
        service=service,
        tokenizer=table.text("tokenizer"),
        valid_from_ns=ns_from_iso(table.text("valid_from")),
        valid_to_ns=ns_from_iso(table.text("valid_to")) if "valid_to" in table else None,
        successor=table.text("successor") if "successor" in table else None,
    )
    listings = tuple(
        Listing(entry.text("provider"), entry.text("model")) for entry in table.tables("listings")
    )
    return GradeFacts(
        grade, table.text("weights"), table.whole("weight_bits_min"), model, why, listings, *table.sourced()
    )


def power_profiles(folder: Traversable = FACTS) -> dict[str, PowerProfile]:
    """Means of real power prices by the hour of the day, by zone; used where no hourly file is given, and said so."""
    return {zone: _profile(zone, table) for zone, table in top_tables("power.toml", folder)}


def _profile(zone: str, table: Section) -> PowerProfile:
    by_hour = table.numbers("usd_per_mwh_by_utc_hour")
    if len(by_hour) != HOURS_PER_DAY:
        raise Malformed(f"{table.place}, usd_per_mwh_by_utc_hour", found=f"{len(by_hour)} figures",
                        expected="24, from 0:00 UTC on", remedy="Give one mean for each hour of the day.")  # fmt: skip
    return PowerProfile(
        zone=zone,
        name=table.text("name"),
        kind=table.text("kind"),
        currency=table.text("currency"),
        usd_per_unit=table.number("usd_per_currency_unit"),
        window_from=table.text("window_from"),
        window_hours=table.whole("window_hours"),
        mean=table.number("mean_usd_per_mwh"),
        std=table.number("std_usd_per_mwh"),
        least=table.number("min_usd_per_mwh"),
        most=table.number("max_usd_per_mwh"),
        negative_share=table.number("negative_hours_share"),
        by_utc_hour=by_hour,
        source=table.text("source"),
        observed_on=table.day("observed_on"),
    )


def sizes(folder: Traversable = FACTS) -> dict[str, SizeFacts]:
    """Facts about the sizes of real requests, by code; used where no sample is given, and said so."""
    return {code: _size_facts(code, table) for code, table in top_tables("sizes.toml", folder)}


def _size_facts(code: str, table: Section) -> SizeFacts:
    facts = SizeFacts(
        code=code,
        name=table.text("name"),
        requests=table.whole("requests"),
        input_total=table.whole("input_tokens_total"),
        output_total=table.whole("output_tokens_total"),
        input_mean=table.number("input_tokens_mean"),
        output_mean=table.number("output_tokens_mean"),
        rank_correlation=table.number("rank_correlation"),
        permille=table.wholes("permille"),
        input_tokens=table.wholes("input_tokens"),
        output_tokens=table.wholes("output_tokens"),
        licence=table.text("licence"),
        source=table.text("source"),
        observed_on=table.day("observed_on"),
    )
    for name in ("permille", "input_tokens", "output_tokens"):
        values: tuple[int, ...] = getattr(facts, name)
        whole = (facts.permille[0], facts.permille[-1]) == (0, 1000) if facts.permille else False
        if not whole or len(values) != len(facts.permille) or list(values) != sorted(values):
            raise Malformed(f"{table.place}, {name}", found=values,
                            expected="rising figures, one for each permille from 0 to 1000",
                            remedy="Give the quantiles again.")  # fmt: skip
    return facts
