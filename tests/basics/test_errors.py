"""The error tree: three kinds of failure, each telling what its reader needs."""

import pytest

from ciyuan.basics.errors import CiyuanError, InvariantBroken, JournalCorrupt, Malformed, require


def test_malformed_names_the_thing_both_sides_and_the_remedy() -> None:
    with pytest.raises(ValueError, match="line 3") as caught:
        raise Malformed("usage.csv, line 3", found="x", expected="a count", remedy="Mend the line.")
    assert str(caught.value) == "usage.csv, line 3: found 'x', expected a count. Mend the line."
    assert isinstance(caught.value, Malformed)
    assert (caught.value.found, caught.value.expected, caught.value.remedy) == (
        "x",
        "a count",
        "Mend the line.",
    )


def test_corruption_names_segment_offset_and_both_checksums() -> None:
    error = JournalCorrupt("000001.jrn", 4_096, expected="ab12", found="cd34")
    for part in ("000001.jrn", "4096", "ab12", "cd34"):
        assert part in str(error)
    assert (error.segment, error.offset, error.what) == ("000001.jrn", 4_096, "checksum")


def test_a_broken_invariant_stops_the_machine_as_an_assertion() -> None:
    with pytest.raises(AssertionError, match=r"sum to zero: 1 != 0") as caught:
        raise InvariantBroken("sum to zero", "1 != 0")
    assert isinstance(caught.value, InvariantBroken)
    assert (caught.value.law, caught.value.detail) == ("sum to zero", "1 != 0")


def test_what_is_required_breaks_only_if_it_does_not_hold() -> None:
    require([0], "there is one", "found none")
    with pytest.raises(InvariantBroken, match="there is one: found none"):
        require([], "there is one", "found none")


@pytest.mark.parametrize("kind", [Malformed, JournalCorrupt, InvariantBroken])
def test_all_are_of_one_tree_and_none_is_another(kind: type[CiyuanError]) -> None:
    assert issubclass(kind, CiyuanError)
    assert [other for other in (Malformed, JournalCorrupt, InvariantBroken) if issubclass(kind, other)] == [
        kind
    ]
