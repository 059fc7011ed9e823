"""The catalogue of power: the fitted constants of GPU power, and what servers and halls add to it.

| function | file | gives |
|---|---|---|
| `power_model` | power_model.toml | what a GPU draws under a load |
| `servers` | cooling.toml | by code: host, fans, supply and network of one server |
| `server_for` | | the server that a chip stands in, by its fast domain and the cooling |
| `hall` | cooling.toml | losses of distribution, cooling by the weather |
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.resources.abc import Traversable

from ciyuan.basics.errors import Malformed
from ciyuan.factory.facility import CoolingMethod, Hall, Server
from ciyuan.factory.messages import Chip
from ciyuan.factory.power import Band, PowerModel
from ciyuan.services.catalog_table import FACTS, Section, top_table, top_tables

POWER_MODEL, COOLING = "power_model.toml", "cooling.toml"
RACK_GPUS = 72


def power_model(folder: Traversable = FACTS) -> PowerModel:
    """The fitted constants of GPU power."""
    with top_table(POWER_MODEL, "shared", folder) as shared:
        shared.sourced()
        shared.whole("rows")
        constants = _constants(shared)
    architectures, shapes, pairs = {}, {}, {}
    for kind, table in top_tables(POWER_MODEL, folder, only=("architecture", "model")):
        table.sourced()
        if kind == "architecture":
            architectures[table.text("name")] = table.number("factor_log")
            continue
        shape = (table.text("code"), table.text("precision"))
        shapes[shape] = table.number("factor_log")
        for entry in table.tables("chips"):
            pairs[(entry.text("chip"), *shape)] = entry.number("factor_log")
    chips = frozenset(chip for chip, _, _ in pairs)
    return replace(constants, architectures=architectures, chips=chips, shapes=shapes, pairs=pairs)


def _constants(shared: Section) -> PowerModel:
    """The constants that all models share; no factors yet."""
    return PowerModel(
        idle=shared.number("idle"),
        floor=shared.number("floor"),
        top=shared.number("top"),
        memory=shared.number("memory"),
        read_exponent=shared.number("read_exponent"),
        arithmetic=shared.number("arithmetic"),
        narrow_experts=shared.number("narrow_experts"),
        four_bits=shared.number("four_bits"),
        throttle_exponent=shared.number("throttle_exponent"),
        memory_clock_share=shared.number("memory_clock_share"),
        architectures={},
        chips=frozenset(),
        band_pair=_band(shared, "band_pair"),
        band_chip=_band(shared, "band_chip"),
        band_other=_band(shared, "band_other"),
    )


def _band(table: Section, key: str) -> Band:
    figures = table.numbers(key)
    if len(figures) != 2 or not 0 < figures[0] <= figures[1]:
        raise Malformed(f"{table.place}, {key}", found=figures, expected="two factors, the lower first",
                        remedy="Fit the power model again.")  # fmt: skip
    return Band(*figures)


def servers(folder: Traversable = FACTS) -> dict[str, Server]:
    """The servers by code."""
    found = {}
    with top_table(COOLING, "server", folder) as section:
        for code in ("air_8", "water_8", "rack_72"):
            with section.table(code) as table:
                table.sourced()
                numbers = {
                    field.name: table.number(field.name) for field in fields(Server) if field.type is float
                }
                found[code] = Server(
                    code=code,
                    gpus=table.whole("gpus"),
                    psu_load=table.numbers("psu_load"),
                    psu_efficiency=table.numbers("psu_efficiency"),
                    **numbers,
                )
    return found


def server_for(known: Mapping[str, Server], chip: Chip, method: CoolingMethod | None) -> Server:
    """The server that a chip stands in: its rack if it has a fast domain of one, else 8 GPUs cooled as the hall is (None: by
    air)."""
    if chip.scale_up_gpus >= RACK_GPUS:
        return known["rack_72"]
    return known["water_8" if method is CoolingMethod.LIQUID else "air_8"]


def hall(folder: Traversable = FACTS) -> Hall:
    """The hall's losses and its cooling by the weather."""
    with top_table(COOLING, "hall", folder) as table:
        table.sourced()
        return Hall(**{field.name: table.number(field.name) for field in fields(Hall)})
