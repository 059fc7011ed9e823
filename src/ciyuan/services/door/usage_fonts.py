"""Fonts for names in any script: where the machine has one that can show a text, for pictures and for PDF files.

Pictures are drawn by Matplotlib, whose own font has no Chinese: a font of the system that has it is put behind it. Where there is
none, a picture would show boxes, and is refused with the remedy.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from ciyuan.basics.errors import Malformed

OWN = "DejaVu Sans"
"""The font that comes with Matplotlib: Latin, Greek, Cyrillic and signs."""
KNOWN_CHINESE = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "SimHei", "Droid Sans Fallback",
    "Noto Sans CJK JP",
)  # fmt: skip


@cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())


@cache
def _look_again() -> None:
    """Fonts that were installed after Matplotlib made its list are added to it, for this process."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(RuntimeError, OSError):  # a file that is no font after all
                font_manager.fontManager.addfont(path)


def own_font() -> Path:
    """The file of the font that comes with Matplotlib."""
    return Path(font_manager.findfont(OWN, fallback_to_default=False))


def missing_in(path: Path, text: str) -> set[str]:
    """The characters of a text that a font has no glyph for; white space is never missing."""
    known = _characters(str(path))
    return {letter for letter in text if ord(letter) not in known and not letter.isspace()}


def font_for(text: str) -> tuple[str, Path] | None:
    """A font of this machine that has what the own font lacks of a text: family and file; None if there is none."""
    lacking = "".join(missing_in(own_font(), text))
    _look_again()
    files = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    for family in KNOWN_CHINESE:
        if family in files and not missing_in(Path(files[family]), lacking):
            return family, Path(files[family])
    return None


@contextmanager
def with_text(text: str) -> Iterator[None]:
    """Inside, Matplotlib draws this text. Raises Malformed if no font of this machine has its characters."""
    if not missing_in(own_font(), text):
        yield
        return
    found = font_for(text)
    if found is None:
        lacking = "".join(sorted(missing_in(own_font(), text))[:10])
        raise Malformed("picture", found=f"names with {lacking}",
                        expected="a font of this machine with these characters",
                        remedy="Install one (Debian: fonts-wqy-zenhei), or ask for --json or --csv.")  # fmt: skip
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)  # it would say that the font has no such weight, and take the nearest
    try:
        with mpl.rc_context({"font.family": [OWN, found[0]]}):
            yield
    finally:
        log.setLevel(before)
