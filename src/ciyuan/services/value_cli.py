"""`ciyuan factory value`: what chips are worth from what they still earn. What the command calls is imported late."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.services.cost_cli import (
    AsJson,
    Busy,
    CachedShare,
    ChipNames,
    CoolingName,
    DryBulb,
    EngineName,
    Humidity,
    InputTokens,
    ModelName,
    OutputTokens,
    PowerPrice,
    Prices,
    Pue,
    Source,
    Speed,
    cooling_of,
    price_list,
)
from ciyuan.services.pictures import check_picture
from ciyuan.services.rate_source import RateSource

if TYPE_CHECKING:
    from ciyuan.services.cost_case import CaseOrder

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written)."
EXAMPLE = (
    "Example:  ciyuan factory value --power-price 60 --decline 0.3 --plot value.svg"
    "   ·   ciyuan factory value --history gpu_rental_gcp.csv --region-chip A100-40GB --since 2025-06-05"
    f"   ·   {STATUS}"
)


def value(
    chip: ChipNames = None,
    model: ModelName = "deepseek-ai/DeepSeek-R1",
    software: EngineName = "",
    speed: Speed = 20.0,
    input_tokens: InputTokens = 8192.0,
    output_tokens: OutputTokens = 1024.0,
    cached: CachedShare = 0.0,
    power_price: PowerPrice = 60.0,
    pue: Pue = None,
    cooling: CoolingName = "air",
    dry_bulb: DryBulb = 15.0,
    humidity: Humidity = 60.0,
    utilisation: Busy = 0.6,
    prices: Prices = "0.55,0.14,2.19",
    decline: Annotated[float, typer.Option(help="Share by which token prices fall in a year.")] = 0.3,
    years: Annotated[float, typer.Option(min=0.0, help="Years that a chip can still run.")] = 4.0,
    scrap: Annotated[float, typer.Option(min=0.0, help="USD for a GPU that is given up.")] = 500.0,
    discount: Annotated[float, typer.Option(help="Yearly discount rate.")] = 0.1,
    upkeep: Annotated[
        float, typer.Option(min=0.0, help="Network, staff and repairs, USD per GPU-hour.")
    ] = 0.1,
    history: Annotated[
        Path | None, typer.Option(help="A table of rents to set beside it, as of GCP.")
    ] = None,
    region_chip: Annotated[list[str] | None, typer.Option(help="With --history: chips of the table.")] = None,
    offers: Annotated[
        Path | None, typer.Option(help="A table of offers of GPUs, to set beside the rent borne.")
    ] = None,
    since: Annotated[str, typer.Option(help="With --history: first day, as 2025-06-05.")] = "",
    until: Annotated[str, typer.Option(help="With --history: last day.")] = "9999",
    rates: Source = RateSource.PHYSICS,
    plot: Annotated[Path | None, typer.Option(help="Draw it into a file, .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a GPU is worth from what its tokens still earn, the rent that it bears, and which chip rising power drives out
    first."""
    from ciyuan.factory.losses import Duty
    from ciyuan.factory.plant import ServiceOrder
    from ciyuan.factory.valuation import Holding, Market
    from ciyuan.services.cost_case import CaseOrder, case_facts
    from ciyuan.services.physics_rates import physics_rates
    from ciyuan.services.rental_history import offered_rents
    from ciyuan.services.value_answer import print_value, rents_told, shown_value, value_answer

    if plot is not None:
        check_picture(plot)
    market = Market(price_list(prices), decline)
    holding = Holding(years, scrap, discount, upkeep)
    backend, _, version = software.partition(" ")
    service = ServiceOrder(model, "", backend, version or None, input_tokens, output_tokens, cached)
    first = CaseOrder("", service, speed, market.prices, power_price, cooling_of(pue, cooling, dry_bulb, humidity),
                      Duty(utilisation))  # fmt: skip
    facts = case_facts()
    offered = offered_rents(offers, facts.names) if offers is not None else None
    answer = value_answer(_orders(first, chip), facts, market, holding, offered, source=rates,
                          physics=physics_rates(facts))  # fmt: skip
    rents = rents_told(history, region_chip, since, until) if history is not None else None
    if plot is not None:
        from ciyuan.services.value_plots import draw_value

        draw_value(plot, answer, rents)
    if as_json:
        from ciyuan.services.door.registry_command import print_json

        print_json(shown_value(answer, rents))
    else:
        print_value(answer, rents)


def _orders(order: "CaseOrder", chips: Sequence[str] | None) -> list["CaseOrder"]:
    """An order for each CHIP:PRECISION; for all that were measured where none is named."""
    from dataclasses import replace

    from ciyuan.services.value_answer import measured_chips

    named = [tuple(name.partition(":")[::2]) for name in chips] if chips else measured_chips(order)
    return [replace(order, chip=chip, service=replace(order.service, precision=own)) for chip, own in named]
