"""`ciyuan factory cost`: what a million tokens cost, and what a shock does to it. What the command calls is imported late."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.services.pictures import check_picture
from ciyuan.services.rate_source import RateSource

if TYPE_CHECKING:
    from ciyuan.factory.plant import Cooling, PriceList
    from ciyuan.factory.shocks import Shock
    from ciyuan.services.cost_case import CaseOrder

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written)."
EXAMPLE = (
    "Example:  ciyuan factory cost examples/plant.toml --shock power=2 --shock chip=1.3 --shock software=2 --plot cost.svg"
    "   ·   ciyuan factory cost --chip h200_sxm --chip mi355x:fp4 --input 8192 --output 1024 --speed 40"
    f"   ·   {STATUS}"
)
IN_PLANT = ("chip", "model", "precision", "software", "speed", "input_tokens", "output_tokens", "cached", "power_price", "pue",
            "cooling", "dry_bulb", "humidity", "utilisation", "rent", "prices", "cap")  # fmt: skip
"""Parameters that a plant file gives: not to be given twice."""
DEFAULT_SHOCKS = ("power=2", "chip=1.3", "software=2")

PlantFile = Annotated[Path | None, typer.Argument(help="A plant file; without one, the options say it all.")]
TierName = Annotated[
    str | None, typer.Option("--tier", help="With a plant file: the tier (the first sold for money).")
]
ChipNames = Annotated[
    list[str] | None, typer.Option("--chip", help="CHIP or CHIP:PRECISION; may be given again.")
]
ModelName = Annotated[str, typer.Option("--model", help="Model served.")]
PrecisionName = Annotated[str, typer.Option("--precision", help="Of chips that do not name their own.")]
EngineName = Annotated[
    str, typer.Option("--software", help="ENGINE or 'ENGINE VERSION' (the one most measured).")
]
Speed = Annotated[
    float, typer.Option("--speed", min=0.0, help="Output tokens/s that each user gets at least.")
]
InputTokens = Annotated[float, typer.Option("--input", help="Input tokens of a request.")]
OutputTokens = Annotated[float, typer.Option("--output", help="Output tokens of a request.")]
CachedShare = Annotated[float, typer.Option("--cached", help="Share of the input read from a cache, 0 to 1.")]
PowerPrice = Annotated[
    float, typer.Option("--power-price", help="USD per MWh at the meter; may be negative.")
]
Pue = Annotated[
    float | None, typer.Option("--pue", help="Facility power over IT power, instead of a climate.")
]
CoolingName = Annotated[str, typer.Option("--cooling", help="air or liquid, with --dry-bulb and --humidity.")]
DryBulb = Annotated[float, typer.Option("--dry-bulb", help="Degrees Celsius outside.")]
Humidity = Annotated[float, typer.Option("--humidity", help="Relative humidity outside, percent.")]
Busy = Annotated[float, typer.Option("--utilisation", help="Busy share of the GPUs that work, in (0, 1].")]
Rent = Annotated[
    float | None, typer.Option("--rent", help="USD per GPU-hour (the catalogue's cost of ownership).")
]
Prices = Annotated[
    str, typer.Option("--prices", help="USD per MTok of input, cached, output: 0.55,0.14,2.19.")
]
Cap = Annotated[float | None, typer.Option("--cap", help="Power cap on each GPU, W.")]
Failed = Annotated[float, typer.Option("--failed", help="Share of the GPUs out of service.")]
Rejected = Annotated[float, typer.Option("--rejected", help="Share of output work on rejected drafts.")]
Maintenance = Annotated[float, typer.Option("--maintenance", help="USD per GPU-hour.")]
Shocks = Annotated[list[str] | None, typer.Option("--shock", help="power, chip, software, utilisation, overhead or price"
                                                  " = a multiple; may be given again; 'a=2,b=3' is both at once.")]  # fmt: skip
Source = Annotated[RateSource, typer.Option("--rates", help="Where rates come from: physics, measured runs alone, or these where"
                                          " there are any.")]  # fmt: skip
Plot = Annotated[Path | None, typer.Option(help="Draw the waterfall into a file, .svg or .png.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def cost(
    context: typer.Context,
    plant: PlantFile = None,
    tier: TierName = None,
    chip: ChipNames = None,
    model: ModelName = "deepseek-ai/DeepSeek-R1",
    precision: PrecisionName = "fp8",
    software: EngineName = "",
    speed: Speed = 40.0,
    input_tokens: InputTokens = 8192.0,
    output_tokens: OutputTokens = 1024.0,
    cached: CachedShare = 0.0,
    power_price: PowerPrice = 60.0,
    pue: Pue = None,
    cooling: CoolingName = "air",
    dry_bulb: DryBulb = 15.0,
    humidity: Humidity = 60.0,
    utilisation: Busy = 0.6,
    rent: Rent = None,
    prices: Prices = "0.55,0.14,2.19",
    cap: Cap = None,
    failed: Failed = 0.0,
    rejected: Rejected = 0.0,
    maintenance: Maintenance = 0.0,
    rates: Source = RateSource.PHYSICS,
    shock: Shocks = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """What a million tokens cost by leg and part, the losses from meter to token, and what shocks do along the chain."""
    from dataclasses import replace

    from ciyuan.factory.losses import Duty
    from ciyuan.factory.plant import Rental, ServiceOrder
    from ciyuan.services.cost_case import CaseOrder

    if plot is not None:
        check_picture(plot)
    if plant is not None:
        _check_options(context)
        orders = _of_plant(plant, tier)
    else:
        backend, _, version = software.partition(" ")
        service = ServiceOrder(
            model, precision, backend, version or None, input_tokens, output_tokens, cached
        )
        first = CaseOrder("", service, speed, price_list(prices), power_price, cooling_of(pue, cooling, dry_bulb, humidity),
                          Duty(utilisation), Rental(rent) if rent is not None else None, gpu_cap_w=cap)  # fmt: skip
        orders = [_of_chip(first, name) for name in chip or ("h200_sxm",)]
    orders = [
        replace(
            order,
            duty=replace(order.duty, failed=failed, rejected=rejected),
            maintenance_usd_per_gpu_hour=maintenance,
        )
        for order in orders
    ]
    _tell(orders, rates, dict(read_shock(text) for text in shock or DEFAULT_SHOCKS), plot, as_json)


def _tell(
    orders: Sequence["CaseOrder"],
    source: RateSource,
    shocks: dict[str, "Shock"],
    plot: Path | None,
    as_json: bool,
) -> None:
    from ciyuan.services.cost_case import case_facts, case_of, rates_of
    from ciyuan.services.cost_print import cost_answer, print_cost, shown_cost
    from ciyuan.services.door.registry_command import print_json
    from ciyuan.services.physics_rates import physics_rates

    facts = case_facts()
    physics = physics_rates(facts)
    cases = [case_of(order, facts, rates_of(order, facts, source, physics)) for order in orders]
    answers = [cost_answer(case, shocks) for case in cases]
    if plot is not None:
        from ciyuan.services.cost_plots import draw_waterfall

        draw_waterfall(plot, answers)
    if as_json:
        print_json([shown_cost(answer) for answer in answers])
    else:
        print_cost(answers)


def _check_options(context: typer.Context) -> None:
    """Refuse (Malformed) options that say what a plant file says itself."""
    from ciyuan.basics.errors import Malformed

    for name in IN_PLANT:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = name.removesuffix("_tokens").replace("_", "-")
            raise Malformed(f"--{option} with a plant file", found="both", expected="one of them",
                            remedy="Change it in the file, or leave the file out.")  # fmt: skip


def _of_plant(path: Path, tier: str | None) -> list["CaseOrder"]:
    from ciyuan.services.cost_case import plant_orders
    from ciyuan.services.plant_file import read_plant

    return list(plant_orders(read_plant(path), tier))


def _of_chip(order: "CaseOrder", name: str) -> "CaseOrder":
    """The order for CHIP or CHIP:PRECISION."""
    from dataclasses import replace

    chip, _, own = name.partition(":")
    service = replace(order.service, precision=own) if own else order.service
    return replace(order, chip=chip, service=service)


def cooling_of(pue: float | None, method: str, dry_bulb_c: float, humidity_pct: float) -> "Cooling":
    """A plant's cooling from the options. Raises Malformed for a method that is neither air nor liquid."""
    from ciyuan.basics.errors import Malformed
    from ciyuan.factory.plant import Cooling

    if pue is not None:
        return Cooling(pue=pue)
    if method == "air":
        return Cooling(method="air", dry_bulb_c=dry_bulb_c, relative_humidity_pct=humidity_pct)
    if method == "liquid":
        return Cooling(method="liquid", dry_bulb_c=dry_bulb_c, relative_humidity_pct=humidity_pct)
    raise Malformed("--cooling", found=method, expected="air or liquid", remedy="Give one of them, or --pue.")


def price_list(text: str) -> "PriceList":
    """The list prices of INPUT,CACHED,OUTPUT."""
    from ciyuan.factory.plant import PriceList

    figures = [number(part, "--prices") for part in text.split(",")]
    if len(figures) != 3:
        from ciyuan.basics.errors import Malformed

        raise Malformed("--prices", found=text, expected="three prices: input, cached, output",
                        remedy="Give them as 0.55,0.14,2.19.")  # fmt: skip
    return PriceList(*figures)


def read_shock(text: str) -> tuple[str, "Shock"]:
    """A shock of NAME=MULTIPLE, or several at once with commas, with its name. Raises Malformed for what is neither."""
    from dataclasses import replace

    from ciyuan.basics.errors import Malformed
    from ciyuan.factory.shocks import SHOCKS, Shock

    shock = Shock()
    for part in text.split(","):
        name, given, value = part.partition("=")
        if name.strip() not in SHOCKS or not given:
            raise Malformed("--shock", found=part, expected=f"NAME=MULTIPLE with NAME of {', '.join(SHOCKS)}",
                            remedy="Give it as power=2.")  # fmt: skip
        shock = replace(shock, **{name.strip(): number(value, "--shock")})
    return text.replace("=", " x"), shock


def number(text: str, option: str) -> float:
    """A number of an option. Raises Malformed for what is none."""
    from ciyuan.basics.errors import Malformed

    try:
        return float(text)
    except ValueError:
        raise Malformed(option, found=text, expected="a number", remedy="Mend the option.") from None
