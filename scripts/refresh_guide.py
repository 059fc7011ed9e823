"""Fills in what the commands in docs/guide/clearing.md print.

.venv/bin/python scripts/refresh_guide.py
"""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide" / "clearing.md"
CIYUAN = ROOT / ".venv" / "bin" / "ciyuan"
PORTFOLIO = ("--position", "KIMI26.2611:100", "--position", "KIMI26.2612:-60")


def printed(*arguments: str, folder: Path = ROOT) -> str:
    """What a command prints, without spaces at the ends of lines."""
    wide = dict(os.environ, COLUMNS="150")
    command = [str(CIYUAN), *arguments]
    said = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=wide, check=True)  # noqa: S603
    return "\n".join(line.rstrip() for line in said.stdout.splitlines())


def filled(page: str, first: str, text: str) -> str:
    """The page with `text` from where `first` is to the end of its block."""
    start = page.index(first)
    return page[:start] + text.strip("\n") + "\n" + page[page.index("```", start) :]


def main() -> None:
    """Run the commands and write the page."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        printed(
            "margin", "prices", "--out", "prices.csv", "--launch", "300", "--launch", "600", folder=folder
        )
        margin = printed("margin", "what-if", "--prices", "prices.csv", *PORTFOLIO, folder=folder)
        tested = printed(
            "margin", "backtest", "prices.csv", "--column", "KIMI26.2611", folder=folder
        ).splitlines()
    drill = printed("clearing", "drill")
    called = "  2026-10-09 09:15   speculator 1 is called"
    page = GUIDE.read_text(encoding="utf-8")
    page = filled(page, "Requirement ", margin.partition("\n\nThe tail")[0])
    page = filled(page, "KIMI26.2611: margin of a lot on", "\n".join([*tested[:6], "  ...", *tested[14:18]]))
    page = filled(page, called, drill[drill.index(called) : drill.index("\nheld: ")])
    GUIDE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
