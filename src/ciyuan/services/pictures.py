"""The names of pictures that commands draw, asked before anything is worked out; nothing that draws is loaded for it."""

from pathlib import Path

from ciyuan.basics.errors import Malformed

KINDS = (".svg", ".png")


def check_picture(path: Path) -> None:
    """Refuse (Malformed) a name that is neither .svg nor .png."""
    if path.suffix not in KINDS:
        raise Malformed(f"plot {path}", found=path.suffix or "no suffix", expected=" or ".join(KINDS),
                        remedy="Name it like margin.svg or margin.png.")  # fmt: skip
