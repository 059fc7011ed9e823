"""Tables of measurements are read strictly: what is wrong is named by line and column, what cannot be used is listed."""

from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.measurements import Cells, LeftOut, Measured, Unresolved, cells_of, read_rows, resolved


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def cells(**texts: str) -> Cells:
    return Cells("table.csv", 7, texts)


def test_comments_and_blank_lines_are_passed_over_but_counted(tmp_path: Path):
    path = table(tmp_path, "# where from\n\na,b\n1,2\n# half way\n3,4\n")
    assert [(row.line, row.text("a"), row.text("b")) for row in cells_of(path, ("a", "b"))] == [
        (4, "1", "2"),
        (6, "3", "4"),
    ]


def test_a_column_more_is_no_matter_but_one_less_is_refused(tmp_path: Path):
    path = table(tmp_path, "a,b\n1,2\n")
    assert [row.whole("a") for row in cells_of(path, ("a",))] == [1]
    with pytest.raises(Malformed) as refused:
        list(cells_of(path, ("a", "c")))
    assert (refused.value.found, refused.value.expected) == ("a, b", "a column c")


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_lacks_its_columns(tmp_path: Path, text: str):
    with pytest.raises(Malformed, match="a column a"):
        list(cells_of(table(tmp_path, text), ("a",)))


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_a_row_of_another_width_is_refused(tmp_path: Path, row: str):
    with pytest.raises(Malformed, match="line 2"):
        list(cells_of(table(tmp_path, f"a,b\n{row}\n"), ("a",)))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path):
    with pytest.raises(Malformed, match="a CSV file that can be read"):
        list(cells_of(tmp_path / "none.csv", ("a",)))
    (tmp_path / "table.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(Malformed, match="a CSV file that can be read"):
        list(cells_of(tmp_path / "table.csv", ("a",)))


def test_cells_are_read_by_kind():
    row = cells(a=" x ", b="1.5", c="3", d="", e="0", f="1")
    assert (row.text("a"), row.number("b"), row.whole("c"), row.figure("d"), row.figure("b")) == (
        "x",
        1.5,
        3,
        None,
        1.5,
    )
    assert (row.count("c", 9), row.count("d", 9), row.count("e", 9)) == (3, 9, 9)
    assert (row.flag("e"), row.flag("f")) == (False, True)
    assert ("a" in row, "d" in row) == (True, False)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        ("number", ""),
        ("number", "fast"),
        ("number", "nan"),
        ("number", "inf"),
        ("whole", "1.5"),
        ("figure", "x"),
        ("flag", "yes"),
    ],
)
def test_a_cell_of_another_kind_is_refused_where_it_stands(read: str, text: str):
    with pytest.raises(Malformed) as refused:
        getattr(cells(a=text), read)("a")
    assert refused.value.thing == "table.csv, line 7, a"
    assert refused.value.found == text


def test_rows_that_cannot_be_used_are_listed_with_their_reason(tmp_path: Path):
    def row(found: Cells) -> int:
        if found.whole("a") > 2:
            raise LeftOut("too many" if found.whole("a") < 9 else "far too many")
        return found.whole("a")

    measured = read_rows(table(tmp_path, "a\n1\n3\n2\n9\n4\n"), ("a",), row)
    assert measured == Measured(
        (1, 2), (Unresolved(3, "too many"), Unresolved(5, "far too many"), Unresolved(6, "too many"))
    )
    assert measured.reasons() == {"too many": 2, "far too many": 1}


def test_a_name_that_nothing_resolves_is_left_out_not_malformed():
    def find(name: str) -> str:
        if name == "abacus":
            raise Malformed("chip", found=name, expected="another", remedy="Choose.")
        return name.upper()

    assert resolved("h100", find) == "H100"
    with pytest.raises(LeftOut, match="chip abacus is not in the catalogue"):
        resolved("abacus", find)
