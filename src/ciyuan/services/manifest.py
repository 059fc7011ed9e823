"""A run's manifest: what began it, so that it can be resumed and verified, and by which version.

`manifest.json` is written before the first row is journaled and never changed; `summary.json` when the run is complete.
"""

import json
import os
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.services.summary import RunSummary, summary_from

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
JOURNAL, TABLES, REPORT = "journal", "tables", "report.html"
"""The other parts of a run's folder."""
DRAFT = ".draft"
MANIFEST_DRAFT = "manifest" + DRAFT


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a run reads: where it is and what was in it (BLAKE2b-128 of its bytes, hexadecimal)."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run is made of. `settings` are the scenario's, as written; `terms_digest` is the journal's genesis."""

    version: str
    settings: dict[str, object]
    usage: InputFile | None
    sample: InputFile | None
    power: InputFile | None
    lenient: bool
    stretch: bool
    terms_digest: str


def digest_of(path: Path) -> InputFile:
    """An input file with its digest. Raises Malformed if it cannot be read."""
    digest = blake2b(digest_size=16)
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise Malformed(f"input file {path}", found=error.strerror, expected="a file that can be read",
                        remedy="Check the path and its permissions.") from None  # fmt: skip
    return InputFile(str(path.resolve()), digest.hexdigest())


def unchanged(file: InputFile | None) -> Path | None:
    """The path of an input file, which must still hold what it held when the run began (Malformed otherwise)."""
    if file is None:
        return None
    now = digest_of(Path(file.path))
    if now.digest != file.digest:
        raise Malformed(f"input file {file.path}", found=now.digest, expected=f"the file that began the run, {file.digest}",
                        remedy="Put the old file back, or begin a new run.")  # fmt: skip
    return Path(file.path)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file whole or not at all: a temporary file, made durable, then renamed."""
    draft = path.with_suffix(DRAFT)
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a run's manifest."""
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read a run's manifest. Raises Malformed if the folder holds none that can be read."""
    try:
        table = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {
            name: InputFile(**table[name]) if table[name] else None for name in ("usage", "sample", "power")
        }
        return Manifest(**{**table, **files})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Malformed(f"run folder {folder}", found=f"{type(error).__name__}: {error}", expected=f"a readable {MANIFEST}",
                        remedy="Name the folder that `ciyuan run --out` wrote.") from None  # fmt: skip


def read_summary(folder: Path) -> RunSummary | None:
    """A complete run's summary, or None while there is none. Raises Malformed if it cannot be read."""
    path = folder / SUMMARY
    if not path.exists():
        return None
    try:
        return summary_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Malformed(f"run folder {folder}", found=f"{type(error).__name__}: {error}", expected=f"a readable {SUMMARY}",
                        remedy=f"Delete {SUMMARY} and `ciyuan run --resume`, which writes it again.") from None  # fmt: skip
