"""The plant file: an operator's plant in TOML, read strictly into `ciyuan.factory.plant`.

    [plant]          name, power_mw, power_usd_per_mwh, utilisation; pue, or cooling with dry_bulb_c and relative_humidity_pct;
                     optional gpu_cap_w
    [[plant.fleet]]  chip; gpus or share; capital = { kind = "rental", ... } or { kind = "purchase", ... }; optional precision
    [plant.upkeep]   optional: network_usd_per_gpu_hour, staff_usd_per_mw_year
    [service]        model, precision, software, optional version, input_tokens, output_tokens, cached_share
    [[tier]]         name, three prices, tokens_per_s_per_user_min, ttft_s_max, demand = { kind = ..., ... }; optional
                     tokens_per_s_min, and a service = { ... } that differs from [service] in the keys that it names

Demand is told against the list price, so that nobody has to blend prices of legs in their head:

| kind | keys | says |
|---|---|---|
| flat | tokens_per_s_max (optional) | at the list price, up to that much; without it, any amount |
| linear | tokens_per_s_at_list, price_factor_max | a straight line to the multiple of the list price at which nobody buys |
| elastic | tokens_per_s_at_list, elasticity, price_factor_max, tokens_per_s_max | constant elasticity between the two ends |
| steps | tokens_per_s, price_factors | contracts, each with its own multiple of the list price |

Quantities are output tokens/s. What is wrong is Malformed, naming the file, the table and the key.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.factory.demand import DemandCurve, ElasticDemand, FlatDemand, LinearDemand, SteppedDemand
from ciyuan.factory.plant import (
    Capital,
    Cooling,
    CoolingMethod,
    Fleet,
    Plant,
    PriceList,
    Purchase,
    Rental,
    ServiceOrder,
    TierOrder,
    Upkeep,
)
from ciyuan.services.catalog_table import Section, parsed, reading

METHODS: tuple[CoolingMethod, ...] = ("air", "liquid")


def read_plant(path: Path) -> Plant:
    """The plant that a file describes. Raises Malformed for a file that cannot be read, or says what makes no sense."""
    entries = parsed(path, str(path), "Give the name of a plant file, as examples/plant.toml.")
    with reading(str(path), entries) as whole:
        with whole.table("service") as section, _placed(section):
            service = _service(section)
        tiers = tuple(_tier(section, service) for section in whole.tables("tier"))
        with whole.table("plant") as section, _placed(section):
            return _plant(section, tiers)


@contextmanager
def _placed(section: Section) -> Iterator[None]:
    """Name the place in the file, where what was read there makes no sense."""
    try:
        yield
    except Malformed as error:
        if error.thing.startswith(section.place):
            raise
        raise Malformed(f"{section.place}: {error.thing}", found=error.found, expected=error.expected,
                        remedy=error.remedy) from None  # fmt: skip


def _plant(section: Section, tiers: tuple[TierOrder, ...]) -> Plant:
    upkeep = Upkeep()
    if "upkeep" in section:
        with section.table("upkeep") as table:
            upkeep = Upkeep(table.number("network_usd_per_gpu_hour"), table.number("staff_usd_per_mw_year"))
    return Plant(
        name=section.text("name"),
        power_mw=section.number("power_mw"),
        power_usd_per_mwh=section.number("power_usd_per_mwh"),
        utilisation=section.number("utilisation"),
        cooling=_cooling(section),
        fleets=tuple(_fleet(table) for table in section.tables("fleet")),
        tiers=tiers,
        gpu_cap_w=section.number("gpu_cap_w") if "gpu_cap_w" in section else None,
        upkeep=upkeep,
    )


def _cooling(section: Section) -> Cooling:
    if "pue" in section:
        return Cooling(pue=section.number("pue"))
    method = _word(section, "cooling", METHODS)
    return Cooling(
        method="air" if method == "air" else "liquid",
        dry_bulb_c=section.number("dry_bulb_c"),
        relative_humidity_pct=section.number("relative_humidity_pct"),
    )


def _fleet(section: Section) -> Fleet:
    with _placed(section):
        return Fleet(
            chip=section.text("chip"),
            gpus=section.whole("gpus") if "gpus" in section else None,
            share=section.number("share") if "share" in section else None,
            capital=_capital(section),
            precision=section.text("precision") if "precision" in section else None,
        )


def _capital(section: Section) -> Capital:
    with section.table("capital") as table, _placed(table):
        if _word(table, "kind", ("rental", "purchase")) == "rental":
            return Rental(table.number("usd_per_gpu_hour"))
        return Purchase(
            usd_per_gpu=table.number("usd_per_gpu"),
            life_years=table.number("life_years"),
            residual_share=table.number("residual_share"),
            wacc=table.number("wacc"),
        )


def _service(section: Section) -> ServiceOrder:
    return ServiceOrder(
        model=section.text("model"),
        precision=section.text("precision"),
        software=section.text("software"),
        version=section.text("version") if "version" in section else None,
        input_tokens=section.number("input_tokens"),
        output_tokens=section.number("output_tokens"),
        cached_share=section.number("cached_share"),
    )


def _own_service(section: Section, plant: ServiceOrder) -> ServiceOrder:
    """The service of a tier that names some keys of its own; the others are the plant's."""

    def text(key: str, of_plant: str) -> str:
        return section.text(key) if key in section else of_plant

    def number(key: str, of_plant: float) -> float:
        return section.number(key) if key in section else of_plant

    return ServiceOrder(
        model=text("model", plant.model),
        precision=text("precision", plant.precision),
        software=text("software", plant.software),
        version=section.text("version") if "version" in section else plant.version,
        input_tokens=number("input_tokens", plant.input_tokens),
        output_tokens=number("output_tokens", plant.output_tokens),
        cached_share=number("cached_share", plant.cached_share),
    )


def _tier(section: Section, service: ServiceOrder) -> TierOrder:
    if "service" in section:
        with section.table("service") as table, _placed(table):
            service = _own_service(table, service)
    with _placed(section):
        prices = PriceList(
            section.number("price_input_usd_per_mtok"),
            section.number("price_cached_usd_per_mtok"),
            section.number("price_output_usd_per_mtok"),
        )
        with section.table("demand") as table, _placed(table):
            demand = _demand(table, prices.blend(service))
        return TierOrder(
            name=section.text("name"),
            prices=prices,
            tokens_per_s_per_user_min=section.number("tokens_per_s_per_user_min"),
            ttft_s_max=section.number("ttft_s_max"),
            service=service,
            demand=demand,
            tokens_per_s_min=section.number("tokens_per_s_min") if "tokens_per_s_min" in section else 0.0,
        )


def _demand(table: Section, list_usd_per_mtok: float) -> DemandCurve:
    kind = _word(table, "kind", ("flat", "linear", "elastic", "steps"))
    if kind == "flat":
        bound = table.number("tokens_per_s_max") if "tokens_per_s_max" in table else inf
        return FlatDemand(list_usd_per_mtok, bound)
    if not list_usd_per_mtok > 0:
        raise Malformed(f"{table.place}, kind", found=f"{kind} at a list price of 0",
                        expected="flat: a curve is told in multiples of the list price",
                        remedy="Give a free tier a flat demand, or a price.")  # fmt: skip
    if kind == "linear":
        factor = table.number("price_factor_max")
        if not factor > 1:
            raise Malformed(f"{table.place}, price_factor_max", found=factor, expected="above 1, the list price",
                            remedy="Give the multiple of the list price at which nobody buys.")  # fmt: skip
        return LinearDemand(
            factor * list_usd_per_mtok, table.number("tokens_per_s_at_list") * factor / (factor - 1)
        )
    if kind == "elastic":
        return ElasticDemand(
            usd_per_mtok_at=list_usd_per_mtok,
            tokens_per_s_at=table.number("tokens_per_s_at_list"),
            elasticity=table.number("elasticity"),
            usd_per_mtok_max=table.number("price_factor_max") * list_usd_per_mtok,
            tokens_per_s_max=table.number("tokens_per_s_max"),
        )
    factors = table.numbers("price_factors")
    return SteppedDemand(
        tuple(factor * list_usd_per_mtok for factor in factors), table.numbers("tokens_per_s")
    )


def _word(section: Section, key: str, words: Iterable[str]) -> str:
    word = section.text(key)
    if word not in words:
        raise Malformed(f"{section.place}, {key}", found=word, expected=f"one of {', '.join(words)}",
                        remedy="Mend the word.")  # fmt: skip
    return word
