"""What a recovery says to a person."""

import pytest

from ciyuan.journal import DamagedSnapshot, Recovery, TornTail

TORN = TornTail("segment-00000002.journal", 4096, 100, "the file ends inside its rows")


def test_a_whole_journal_is_said_to_be_whole():
    assert str(Recovery(2, 3, 40)) == "journal: 40 rows in 3 batches and 2 segments, all whole."


@pytest.mark.parametrize(("cut", "fate"), [(True, "cut off"), (False, "left in place")])
def test_a_torn_tail_is_named_with_its_place_and_fate(cut: bool, fate: str) -> None:
    said = str(Recovery(2, 3, 40, TORN, cut=cut))
    assert "in segment-00000002.journal at byte 4096 (100 bytes, the file ends inside its rows)" in said
    assert said.endswith(f"{fate}.")
    assert "never acknowledged" in said


def test_damaged_snapshots_are_named():
    said = str(
        Recovery(1, 1, 1, damaged_snapshots=(DamagedSnapshot("snapshot-7.state", "its checksum differs"),))
    )
    assert said.endswith("Snapshot snapshot-7.state is not used: its checksum differs.")
