"""`ciyuan factory curve`: the Pareto front of chips for a model. What the command calls is imported late."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ciyuan.services.curve_case import Curve, MeasuredPoint

STATUS = "Exit status: 0 done, 2 malformed input (nothing was written)."
EXAMPLE = (
    "Example:  ciyuan factory curve --chip h200_sxm --chip gb300_nvl72:fp4 --model deepseek-ai/DeepSeek-R1 "
    f"--input 8192 --output 1024 --plot front.svg   ·   {STATUS}"
)
PRINTED = 150

ChipNames = Annotated[
    list[str] | None, typer.Option("--chip", help="CHIP or CHIP:PRECISION; may be given again.")
]
ModelName = Annotated[str, typer.Option("--model", help="Model served.")]
PrecisionName = Annotated[str, typer.Option("--precision", help="Of chips that do not name their own.")]
InputTokens = Annotated[float, typer.Option("--input", help="Input tokens of a request.")]
OutputTokens = Annotated[float, typer.Option("--output", help="Output tokens of a request.")]
CachedShare = Annotated[float, typer.Option("--cached", help="Share of the input read from a cache, 0 to 1.")]
SoftwareName = Annotated[
    str, typer.Option("--software", help="ENGINE or 'ENGINE VERSION' (the one most measured).")
]
Speculative = Annotated[
    bool, typer.Option("--speculative", help="Draft tokens ahead with the model's own layers.")
]
Together = Annotated[
    bool, typer.Option("--aggregated", help="Only layouts whose engines read prompts themselves.")
]
Points = Annotated[int, typer.Option("--points", min=2, help="Rows of each table.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of measured runs, to be listed and drawn beside the front."),
]
Plot = Annotated[Path | None, typer.Option(help="Draw it into a file, .svg or .png.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def curve(
    chip: ChipNames = None,
    model: ModelName = "deepseek-ai/DeepSeek-R1",
    precision: PrecisionName = "fp8",
    input_tokens: InputTokens = 1024.0,
    output_tokens: OutputTokens = 1024.0,
    cached: CachedShare = 0.0,
    software: SoftwareName = "",
    speculative: Speculative = False,
    aggregated: Together = False,
    points: Points = 14,
    data: Data = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """The most tokens per second of a GPU and of a megawatt at each speed that a user sees, over layouts and loads."""
    from dataclasses import asdict

    from rich.console import Console

    from ciyuan.factory.work import Shape
    from ciyuan.services.curve_case import CurveOrder, curves_of, measured_points
    from ciyuan.services.door.registry_command import print_json
    from ciyuan.services.pictures import check_picture

    if plot is not None:
        check_picture(plot)
    order = CurveOrder(tuple(chip or ("h200_sxm",)), model, precision, Shape(input_tokens, output_tokens, cached), software,
                       speculative, apart=not aggregated)  # fmt: skip
    curves = curves_of(order)
    measured = measured_points(data, curves, order) if data else ()
    if plot is not None:
        from ciyuan.services.front_plots import draw_fronts

        draw_fronts(plot, curves, measured, f"{model}, {input_tokens:g} tokens in and {output_tokens:g} out")
    if as_json:
        print_json({
            "curves": [
                {"chip": one.chip, "precision": one.precision, "software": one.software, "points": [asdict(row) for row in
                one.rows]} for one in curves
            ],
            "measured": [asdict(point) for point in measured],
        })  # fmt: skip
        return
    print_curves(Console(width=PRINTED, highlight=False), curves, measured, points)


def print_curves(
    console: "Console", curves: "Sequence[Curve]", measured: "Sequence[MeasuredPoint]", points: int
) -> None:
    """A table for each chip, and how many runs were measured beside it."""
    from rich.table import Table

    from ciyuan.services.curve_case import thinned

    for one in curves:
        title = f"{one.chip}, {one.precision}, {one.software}: Pareto front of {len({row.layout for row in one.rows})} layouts"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in (
            "tok/s/user",
            "tok/s/GPU",
            "k tok/s/MW",
            "TPOT ms",
            "TTFT s",
            "p95",
            "p99",
            "running",
            "W IT/GPU",
        ):
            table.add_column(column, justify="right")
        for column in ("layout", "8 of 10 within", "known"):
            table.add_column(column)
        for row in thinned(one.rows, points):
            table.add_row(
                f"{row.tokens_per_s_per_user:.1f}", f"{row.tokens_per_s_per_gpu:,.0f}", f"{row.tokens_per_s_per_mw / 1e3:,.0f}",
                f"{row.tpot_ms:.1f}", f"{row.ttft_s:.2f}", f"{row.ttft_p95_s:.2f}", f"{row.ttft_p99_s:.2f}",
                f"{row.sequences:,.0f}", f"{row.it_watts:,.0f}", row.layout, f"x {row.low:.2f} to {row.high:.2f}", row.provenance,
            )  # fmt: skip
        console.print(table)
        runs = sum((point.chip, point.precision) == (one.chip, one.precision) for point in measured)
        console.print(
            f"{runs} measured runs of this chip, precision and request shape.\n" if measured else ""
        )
