"""An invoice as PDF: A4 landscape, heads on each page, page numbers; the same bytes for the same invoice.

| characters | font |
|---|---|
| Latin, Greek, Cyrillic, signs | DejaVu Sans, embedded: it comes with Matplotlib |
| others, with `--font` | that TrueType font, embedded |
| others, where this machine has a TrueType font that knows them | that one, embedded |
| other Chinese characters | STSong-Light by name, as PDF has it for simplified Chinese: the reader's own font shows it |

A character that none of these has is refused with the remedy: it would be a box.
"""

import io
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from ciyuan.basics.errors import Malformed
from ciyuan.services.door.invoice_page import Page, PageRow, PageTable
from ciyuan.services.door.usage_fonts import font_for, missing_in, own_font

INK, SOFT, LINE, BAND = (HexColor(colour) for colour in ("#1c2733", "#5b6b7a", "#d9dee4", "#f5f7f9"))
PLAIN, BOLD, OTHER, CHINESE = "ciyuan-plain", "ciyuan-bold", "ciyuan-other", "STSong-Light"
MARGIN = 12 * mm
BASIC_PLANE = 0xFFFF
"""What is beyond it, STSong-Light cannot be asked for."""


def pdf_of(page: Page, font: Path | None = None) -> bytes:
    """The page as a PDF file. Raises Malformed for a font that cannot be embedded, or a character that no font has."""
    other = _fonts(page.text, font)
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=landscape(A4), leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
        title=page.title, author=page.facts[0][1], creator="ciyuan", invariant=1,
    )  # fmt: skip
    set_text = partial(_paragraph, other)
    story: list[Flowable] = [set_text(page.title, 15, bold=True), Spacer(1, 4 * mm), _facts(page, set_text)]
    for table in page.tables:
        story += [Spacer(1, 5 * mm), set_text(table.title, 10.5, bold=True), Spacer(1, 1.5 * mm)]
        story.append(_table(table, set_text))
    story.append(Spacer(1, 5 * mm))
    story += [set_text(note, 7.5, soft=True) for note in page.notes]
    foot = partial(_foot, page.title)
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _fonts(text: str, font: Path | None) -> str:
    """Register the fonts; the name of that for what the own font lacks."""
    rl_config.invariant = 1
    own = own_font()
    pdfmetrics.registerFont(TTFont(PLAIN, str(own)))
    pdfmetrics.registerFont(TTFont(BOLD, str(own.with_name("DejaVuSans-Bold.ttf"))))
    lacking = "".join(sorted(missing_in(own, text)))
    if not lacking:
        return PLAIN
    found = (font.name, font) if font is not None else font_for(lacking)
    if found is not None and not missing_in(found[1], lacking):
        try:
            pdfmetrics.registerFont(TTFont(OTHER, str(found[1])))
        except TTFError as fault:
            if font is not None:
                raise Malformed(f"font {font}", found=str(fault), expected="a font with TrueType outlines",
                                remedy="Name another, for example WenQuanYi Zen Hei.") from None  # fmt: skip
        else:
            return OTHER
    elif font is not None:
        raise Malformed(f"font {font}", found=f"no {sorted(missing_in(font, lacking))[:10]}",
                        expected="all characters of the invoice", remedy="Name another.")  # fmt: skip
    if any(ord(letter) > BASIC_PLANE or not _is_chinese(letter) for letter in lacking):
        raise Malformed("invoice, names", found=f"{lacking[:10]}", expected="characters that a font of this machine has",
                        remedy="Name a TrueType font that has them with --font.")  # fmt: skip
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    return CHINESE


def _is_chinese(letter: str) -> bool:
    try:
        letter.encode("gb18030")
    except UnicodeEncodeError:
        return False
    return "\u2e80" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff" or "\uff00" <= letter <= "\uffef"


def _paragraph(
    other: str, text: str, size: float, *, bold: bool = False, soft: bool = False, right: bool = False
) -> Paragraph:
    style = ParagraphStyle(
        "text", fontName=BOLD if bold else PLAIN, fontSize=size, leading=size * 1.3, textColor=SOFT if soft else INK,
        alignment=TA_RIGHT if right else TA_LEFT,
    )  # fmt: skip
    return Paragraph(_marked(text, other), style)


def _marked(text: str, other: str) -> str:
    """Text as the paragraph's markup, with what the own font lacks in the other font."""
    lacking, marked, inside = missing_in(own_font(), text), "", False
    for letter in text:
        if (letter in lacking) != inside:
            inside = not inside
            marked += f'<font name="{other}">' if inside else "</font>"
        marked += escape(letter)
    return marked + ("</font>" if inside else "")


def _facts(page: Page, set_text: partial[Paragraph]) -> Table:
    rows = [[set_text(name, 8.5, soft=True), set_text(value, 8.5)] for name, value in page.facts]
    table = Table(rows, colWidths=[25 * mm, 200 * mm], hAlign="LEFT")
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                               ("TOPPADDING", (0, 0), (-1, -1), 0.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 0.5)]))  # fmt: skip
    return table


def _table(table: PageTable, set_text: partial[Paragraph]) -> Table:
    heads = [
        set_text(name, 6.8, soft=True, right=place >= table.words) for place, name in enumerate(table.heads)
    ]
    rows = [heads, *(_row(row, table.words, set_text) for row in table.rows)]
    styles: list[tuple[str, tuple[int, int], tuple[int, int], *tuple[Any, ...]]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.6, LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), (None, BAND)),
    ]  # fmt: skip
    styles += [
        ("LINEABOVE", (0, place), (-1, place), 0.6, LINE)
        for place, row in enumerate(table.rows, 1)
        if row.is_total
    ]
    made = Table(rows, colWidths=_widths(table), repeatRows=1, hAlign="LEFT")
    made.setStyle(TableStyle(styles))
    return made


def _row(row: PageRow, words: int, set_text: partial[Paragraph]) -> list[Paragraph]:
    return [
        set_text(cell, 7.2, bold=row.is_total, right=place >= words) for place, cell in enumerate(row.cells)
    ]


def _widths(table: PageTable) -> list[float]:
    """Column widths by the longest cell, shrunk together to the page's."""
    longest = [
        max(4, *(len(cells[place]) for cells in [table.heads, *(row.cells for row in table.rows)]))
        for place in range(len(table.heads))
    ]
    natural = [min(each, 34) * 4.9 + 9 for each in longest]
    room = landscape(A4)[0] - 2 * MARGIN
    return [width * min(1, room / sum(natural)) for width in natural]


def _foot(title: str, canvas: Canvas, document: SimpleDocTemplate) -> None:
    canvas.saveState()
    canvas.setFont(PLAIN, 7)
    canvas.setFillColor(SOFT)
    canvas.drawRightString(landscape(A4)[0] - MARGIN, 7 * mm, f"{title}, page {document.page}")
    canvas.restoreState()
