"""docs/spec/journal.md gives the sizes, offsets and names that the code has."""

import re
from struct import calcsize

from ciyuan.basics.rows import ROW_BYTES
from ciyuan.journal.frame import (
    BATCH_FIELDS,
    BATCH_HEADER_BYTES,
    BATCH_MAGIC,
    BATCH_PERSON,
    BATCH_ROWS_MAX,
    CHECKSUM_BYTES,
    FORMAT_VERSION,
    HEADER_PERSON,
    SEGMENT_FIELDS,
    SEGMENT_HEADER_BYTES,
    SEGMENT_MAGIC,
    SEGMENT_PERSON,
)
from ciyuan.journal.snapshot import CONTENTS_AT, SNAPSHOT_MAGIC, SNAPSHOT_PERSON, SNAPSHOT_VERSION
from ciyuan.services.archive import segment_name, snapshot_name
from ciyuan.services.disk import DRAFT, LOCK
from ciyuan.services.store import SEGMENT_BYTES
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "spec" / "journal.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def table(title: str) -> list[tuple[str, str, str]]:
    """The rows of a section's table: offset, bytes, field."""
    found = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", section(title), re.MULTILINE)
    assert found[0] == ("offset", "bytes", "field")
    return found[1:]


def sizes_of(layout: str) -> list[int]:
    """The size of each field of a struct layout, its byte order aside."""
    return [calcsize(f"<{field}") for field in re.findall(r"\d*[a-zA-Z]", layout)]


def check_header(rows: list[tuple[str, str, str]], layout: str, size: int) -> None:
    """Offsets and sizes are those of the fields and of the checksum that closes them."""
    sizes = [*sizes_of(layout), CHECKSUM_BYTES]
    assert [int(row[1]) for row in rows] == sizes
    assert [int(row[0]) for row in rows] == [sum(sizes[:place]) for place in range(len(sizes))]
    assert sum(sizes) == size


def test_the_segment_header_is_as_in_its_table():
    rows = table("A segment")
    check_header(rows, SEGMENT_FIELDS.format, SEGMENT_HEADER_BYTES)
    assert f"A header of {SEGMENT_HEADER_BYTES} bytes" in section("A segment")
    fields = [row[2] for row in rows]
    assert fields[0] == f"magic, `{SEGMENT_MAGIC.decode()[:-1]}\\n`"
    assert fields[1:3] == [f"format version, {FORMAT_VERSION}", f"bytes a row, {ROW_BYTES}"]
    assert (
        fields[-1]
        == f"checksum of bytes 0 to {SEGMENT_FIELDS.size - 1}, personalised `{SEGMENT_PERSON.decode()}`"
    )


def test_the_batch_is_as_in_its_table():
    rows = table("A batch")
    check_header(rows[:-2], BATCH_FIELDS.format, BATCH_HEADER_BYTES)
    said = section("A batch").partition("|")[0]
    assert [int(number) for number in re.findall(r"\d+", said)] == [
        BATCH_HEADER_BYTES, ROW_BYTES, 1, BATCH_ROWS_MAX, CHECKSUM_BYTES,
    ]  # fmt: skip
    assert rows[0][2] == f"magic, `{BATCH_MAGIC.decode()}`"
    assert (
        rows[-3][2]
        == f"checksum of bytes 0 to {BATCH_FIELDS.size - 1}, personalised `{HEADER_PERSON.decode()}`"
    )
    assert rows[-2][:2] == (str(BATCH_HEADER_BYTES), f"{ROW_BYTES} a row")
    assert rows[-1][:2] == (f"{BATCH_HEADER_BYTES} + {ROW_BYTES} a row", str(CHECKSUM_BYTES))
    assert rows[-1][2].endswith(f"personalised `{BATCH_PERSON.decode()}`")


def test_the_snapshot_is_as_in_its_table():
    rows = table("A snapshot")
    assert [row[0] for row in rows[:3]] == ["0", "8", str(CONTENTS_AT)]
    assert rows[0][2] == f"magic, `{SNAPSHOT_MAGIC.decode()[:-1]}\\n`"
    assert (rows[-1][1], SNAPSHOT_PERSON.decode() in rows[-1][2]) == (str(CHECKSUM_BYTES), True)
    assert f"`version` ({SNAPSHOT_VERSION})" in section("A snapshot")


def test_the_files_are_named_as_in_the_folder():
    folder = section("The folder")
    for name in (segment_name(1), snapshot_name(1234), LOCK, f"*{DRAFT}"):
        assert f"`{name}`" in folder
    assert f"beyond {SEGMENT_BYTES // 2**20} MiB" in folder
    assert f"digest of {CHECKSUM_BYTES} bytes" in PAGE
