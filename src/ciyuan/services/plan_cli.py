"""A plant's plan on the command line: `ciyuan factory plan | headlines`. What the commands call is imported late."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ciyuan.factory.messages import Scenario
from ciyuan.services.pictures import check_picture
from ciyuan.services.rate_source import RateSource

if TYPE_CHECKING:
    from ciyuan.factory.plan import Plan

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written), 5 failed disk, 130 interrupted."
PLAN_EXAMPLE = f"Example:  ciyuan factory plan examples/plant_1gw.toml --plot split.svg   ·   {STATUS}"


def plan(
    file: Annotated[
        Path, typer.Argument(help="A plant file (TOML), as examples/plant.toml.", show_default=False)
    ],
    scenario: Annotated[
        Scenario,
        typer.Option(
            help="The best split, an equal one, an equal one at list prices (keynote), or endless demand."
        ),
    ] = Scenario.OPTIMAL,
    rates: Annotated[
        RateSource,
        typer.Option(help="Where rates come from: physics, measured runs, or runs where there are any."),
    ] = RateSource.PHYSICS,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of measured runs (inferencemax.csv, silicon_sample.csv).")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(help="Megawatts to plan as well: FROM:TO:STEPS, as 100:2000:20.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it into a file, .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """What a plant should make of its megawatts: the split over the tiers, margin by tier, and what one more would earn."""
    from ciyuan.basics.errors import Malformed
    from ciyuan.factory.plan import plan_plant
    from ciyuan.services.plan_rates import plan_cells, plan_facts, plant_power
    from ciyuan.services.plan_sweep import megawatts_of, swept
    from ciyuan.services.plant_file import read_plant

    if plot is not None:
        check_picture(plot)
    sizes = megawatts_of(sweep) if sweep is not None else ()
    if runs is not None and rates is RateSource.PHYSICS:
        raise Malformed("--runs with --rates physics", found="runs that would not be used", expected="--rates measured or mixed",
                        remedy="Name the source of the rates, or leave --runs out.")  # fmt: skip
    plant = read_plant(file)
    facts = plan_facts(runs)
    powering, cells = plant_power(plant, facts), plan_cells(plant, facts, rates)
    made = plan_plant(plant, powering, cells, scenario)
    others = swept(plant, powering, cells, scenario, sizes)
    if plot is not None:
        from ciyuan.services.plan_plots import draw_plan

        draw_plan(plot, made, others)
    _show(made, others, as_json)


def _show(made: "Plan", others: "tuple[Plan, ...]", as_json: bool) -> None:
    from ciyuan.services.plan_print import print_plan, print_sweep
    from ciyuan.services.plan_report import plan_report, sweep_report

    if as_json:
        shown = plan_report(made) | ({"sweep": sweep_report(others)} if others else {})
        typer.echo(json.dumps(shown, indent=2))
        return
    print_plan(made)
    if others:
        print_sweep(others)


HEADLINES_EXAMPLE = f"Example:  ciyuan factory headlines --data measured   ·   {STATUS}"


def headlines(
    data: Annotated[
        Path,
        typer.Option(help="Folder with headline_results.csv and the tables beside it.", show_default=False),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Numbers that were published or measured, beside what this factory works out for them."""
    from ciyuan.services.headlines import headline_rows, headlines_report, print_headlines

    rows = headline_rows(data)
    if as_json:
        typer.echo(json.dumps(headlines_report(rows), indent=2, ensure_ascii=False))
    else:
        print_headlines(rows)
