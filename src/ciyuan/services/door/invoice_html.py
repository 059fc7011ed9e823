"""An invoice as one HTML page: no script, no picture, nothing from the network; it prints on A4 with heads on each page."""

from html import escape

from ciyuan.services.door.invoice_page import Page, PageTable

STYLE = """
@page { size: A4 landscape; margin: 12mm; }
:root { color-scheme: light; --ink: #1c2733; --soft: #5b6b7a; --line: #d9dee4; --band: #f5f7f9; }
body { margin: 0 auto; max-width: 74rem; padding: 1.5rem 1.25rem 3rem; color: var(--ink); background: #fff;
  font: 14px/1.45 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .82rem; min-width: 60%; }
thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { padding: .22rem .5rem; text-align: right; white-space: nowrap; }
th.w, td.w { text-align: left; white-space: normal; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
tbody tr:nth-child(even) { background: var(--band); }
tr.t td { font-weight: 700; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); background: #fff; }
.scroll { overflow-x: auto; } ul { color: var(--soft); padding-left: 1.1rem; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } .scroll { overflow: visible; } }
"""


def html_of(page: Page) -> str:
    """The page as HTML."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in page.facts)
    notes = "".join(f"<li>{escape(note)}</li>" for note in page.notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(page.title)}</h1><dl>{facts}</dl>{''.join(map(_table, page.tables))}<ul>{notes}</ul></body></html>\n"
    )


def _table(table: PageTable) -> str:
    head = "".join(_cell("th", place, name, table.words) for place, name in enumerate(table.heads))
    body = "".join(
        ('<tr class="t">' if row.is_total else "<tr>")
        + "".join(_cell("td", place, cell, table.words) for place, cell in enumerate(row.cells))
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(tag: str, place: int, text: str, words: int) -> str:
    kind = ' class="w"' if place < words else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
