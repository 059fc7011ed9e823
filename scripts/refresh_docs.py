"""Draws the pictures of the documentation, and fills in the README's results from runs.

.venv/bin/python scripts/refresh_docs.py                       draw the chain
.venv/bin/python scripts/refresh_docs.py RUN [RUN]             and fill in the results of these runs, a column each;
                                                               the pictures are of the first
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
RESULTS = "<!-- results: scripts/refresh_docs.py -->\n"
RESULTS_END = "<!-- end of results -->\n"
INK, SOFT, LINE = "#1c2733", "#5b6b7a", "#d9dee4"
STAGES = (
    ("factory", "chips, watts,", "cost of a token"),
    ("dispatch", "which site makes", "how much, when"),
    ("gateway", "deliver, meter", "once, bill"),
    ("index", "one fixing a day,", "or none"),
    ("exchange", "auction, book,", "spot and futures"),
    ("clearing", "novate, margin,", "settle"),
    ("desk", "the bill with and", "without the hedge"),
)
IN_VENUE = ("gateway", "index", "exchange", "clearing")
BOX_W, BOX_H, GAP, LEFT, TOP = 112, 66, 18, 104, 34
FILLS = {"venue": "#e8f1f9", "plain": "#f7f4ec"}


def text(x: float, y: float, words: str, *, size: int = 12, fill: str = INK, weight: int = 400) -> str:
    """Words, centred at x."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" {style}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str) -> str:
    """A box with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7" fill="{fill}" stroke="{LINE}"/>'


def arrow(x: float, y: float, to: float) -> str:
    """An arrow from x to `to`, both at y."""
    head = f"M{to - 11:g} {y - 4:g}L{to - 5:g} {y:g}L{to - 11:g} {y + 4:g}"
    return f'<path d="M{x:g} {y:g}H{to - 6:g}{head}" fill="none" stroke="{SOFT}"/>'


def chain() -> str:
    """The chain from electricity to the hedge, and what the venue holds together."""
    parts: list[str] = []
    left = {name: LEFT + place * (BOX_W + GAP) for place, (name, *_) in enumerate(STAGES)}
    middle = TOP + BOX_H / 2
    parts += [
        text(46, middle - 2, "electricity", weight=600),
        text(46, middle + 14, "MWh, USD", size=11, fill=SOFT),
    ]
    before = LEFT - GAP
    for name, first, second in STAGES:
        x = left[name]
        parts += [
            arrow(before, middle, x),
            box(x, TOP, BOX_W, BOX_H, FILLS["venue" if name in IN_VENUE else "plain"]),
            text(x + BOX_W / 2, TOP + 22, name, size=13, weight=600),
            text(x + BOX_W / 2, TOP + 40, first, size=11, fill=SOFT),
            text(x + BOX_W / 2, TOP + 54, second, size=11, fill=SOFT),
        ]
        before = x + BOX_W
    promise = "journal it, make it durable, apply it, answer it; one ledger for all money and receipts"
    start, end = left[IN_VENUE[0]], left[IN_VENUE[-1]] + BOX_W
    under, wide = TOP + BOX_H + 16, end - start
    parts += [
        box(start, under, wide, 44, FILLS["venue"]),
        text(start + wide / 2, under + 18, "venue: one machine, one order of events", size=13, weight=600),
        text(start + wide / 2, under + 34, promise, size=11, fill=SOFT),
    ]
    width, height = left[STAGES[-1][0]] + BOX_W + 16, under + 60
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
    head += 'font-family="system-ui, Segoe UI, Noto Sans, sans-serif"><title>From electricity to a hedged bill</title>'
    return (
        "\n".join([head, f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>', *parts, "</svg>"])
        + "\n"
    )


def plots_of(run: Path) -> dict[str, str]:
    """The plots of a finished run that the pages show: file name to SVG text."""
    from ciyuan.services.plots import bills, index_and_curve
    from ciyuan.services.report import columns

    names = ("fixings", "settlements", "hedges", "hedge_days")
    tables = {name: columns(run / "tables" / f"{name}.parquet") for name in names}
    return {
        "index.svg": index_and_curve(tables["fixings"], tables["settlements"]),
        "bill.svg": bills(tables["hedge_days"], tables["hedges"]),
    }


def results_of(run: Path) -> dict[str, str]:
    """A finished run's figures as its summary prints them: name to value. The first is the command that printed them."""
    from ciyuan.services.manifest import read_manifest, read_summary
    from ciyuan.services.summary_print import figures_of, usd

    manifest, summary = read_manifest(run), read_summary(run)
    if summary is None:
        sys.exit(f"{run}: the run did not end; finish it with  ciyuan run --resume --out {run}")
    command = (
        "`make run`, with the data files" if manifest.power or manifest.sample else "`make run`, as cloned"
    )
    figures = {"": command} | dict(figures_of(summary))
    for bill in summary.hedges[:1]:
        figures[f"{bill.buyer}'s bill without the hedge"] = f"{usd(bill.unhedged_micro)} USD"
        figures[f"{bill.buyer}'s bill with it"] = f"{usd(bill.hedged_micro)} USD"
        figures[f"{bill.buyer}'s use at the price it locked"] = f"{usd(bill.locked_micro)} USD"
    return figures


def results_table(columns: list[dict[str, str]]) -> str:
    """The README's table: a row per figure, a column per run."""
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * len(columns) + "|", *lines[1:]]) + "\n"


def main() -> None:
    """Draw and fill in, and say what was written."""
    pictures, runs = {"chain.svg": chain()}, [Path(word) for word in sys.argv[1:]]
    if runs:
        pictures |= plots_of(runs[0])
        readme = ROOT / "README.md"
        before, _, rest = readme.read_text(encoding="utf-8").partition(RESULTS)
        after = rest.partition(RESULTS_END)[2]
        table = results_table([results_of(run) for run in runs])
        readme.write_text(f"{before}{RESULTS}{table}{RESULTS_END}{after}", encoding="utf-8")
        sys.stdout.write("README.md: results\n")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        (PICTURES / name).write_text(content, encoding="utf-8")
        sys.stdout.write(f"docs/pictures/{name}: {len(content.encode()):,} bytes\n")


if __name__ == "__main__":
    main()
