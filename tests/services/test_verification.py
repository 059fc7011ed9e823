"""`ciyuan verify`: the same, or what is not the same, or the byte that is damaged."""

import json
import re
import shutil

import numpy as np
import pytest

from ciyuan.basics.errors import InvariantBroken, JournalCorrupt
from ciyuan.journal.frame import SEGMENT_HEADER_BYTES
from ciyuan.services import verification
from ciyuan.services.archive import Archive
from ciyuan.services.verification import verify_run
from ciyuan.venue.machine import Venue
from tests.services.runs import copied, last_segment, said

QUIET = ("--progress", "none")


def verdict_of(run):
    ended = said("verify", run, "--json", *QUIET)
    return ended.status, json.loads(ended.out)


def flipped(run, place):
    """One bit of the byte at `place` of the run's journal turned; the segment's name."""
    path = last_segment(run)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(bytes(data))
    return path.name


def last_frame(run):
    """Where the last batch of a run's journal starts, and how long the journal is."""
    archive = Archive.open(run / "journal")
    return archive._last_frame_at, archive._end


def test_a_run_is_the_same_when_it_is_replayed(small_run, small_said):
    summary = json.loads(small_said.out)
    status, verdict = verdict_of(small_run)
    assert status == 0
    assert verdict == {
        "folder": str(small_run),
        "complete": True,
        "same": True,
        "rows": summary["journal_rows"],
        "rows_expected": summary["journal_rows"],
        "state_hash": summary["state_hash"],
        "state_hash_expected": summary["state_hash"],
        "audits": verdict["audits"],
        "recovery": verdict["recovery"],
    }
    assert verdict["audits"] >= 1
    assert f"{summary['journal_rows']} rows" in verdict["recovery"]


def test_verifying_changes_nothing(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    verdict_of(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_people_are_told_the_same(small_run, small_said):
    ended = said("verify", small_run, *QUIET)
    assert json.loads(small_said.out)["state_hash"] in ended.out
    assert "the books balance" in ended.out
    assert ended.out.endswith("the same as when the run ended\n")


@pytest.mark.parametrize("where", ["header", "first batch", "middle", "last batch", "last byte"])
def test_a_flipped_byte_is_named_with_its_place_and_both_checksums(small_run, tmp_path, where):
    run = copied(small_run, tmp_path)
    last_at, end = last_frame(run)
    place = {
        "header": 20,
        "first batch": SEGMENT_HEADER_BYTES + 200,
        "middle": end // 2,
        "last batch": (last_at + end) // 2,
        "last byte": end - 1,
    }[where]
    name = flipped(run, place)
    ended = said("verify", run, *QUIET)
    assert (ended.status, ended.out) == (3, "")
    found = re.search(
        r"segment (\S+) is damaged at byte (\d+): .*expected ([0-9a-f]{32}), found ([0-9a-f]{32})", ended.err
    )
    assert found is not None, ended.err
    assert found[1] == name
    assert int(found[2]) <= place
    assert found[3] != found[4]
    assert where not in ("last batch", "last byte") or int(found[2]) == last_at


def test_any_byte_that_is_flipped_is_found(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    path = last_segment(run)
    whole = path.read_bytes()
    for place in np.random.default_rng(20261001).integers(0, len(whole), 40).tolist():
        flipped(run, place)
        with pytest.raises(JournalCorrupt) as caught:
            verify_run(run, "none")
        assert (caught.value.segment, caught.value.offset <= place) == (path.name, True)
        path.write_bytes(whole)


@pytest.mark.parametrize("kept", ["half of the last batch", "a whole batch less"])
def test_a_truncated_journal_is_said_and_is_not_the_same(small_run, small_said, tmp_path, kept):
    run = copied(small_run, tmp_path)
    last_at, end = last_frame(run)
    path = last_segment(run)
    path.write_bytes(path.read_bytes()[: (last_at + end) // 2 if kept.startswith("half") else last_at])
    status, verdict = verdict_of(run)
    expected = json.loads(small_said.out)["journal_rows"]
    assert (status, verdict["same"], verdict["complete"]) == (1, False, True)
    assert verdict["rows"] < verdict["rows_expected"] == expected
    assert verdict["state_hash"] != verdict["state_hash_expected"]
    if kept.startswith("half"):
        assert f"never acknowledged follows in {path.name} at byte {last_at}" in verdict["recovery"]
    ended = said("verify", run, *QUIET)
    assert ended.status == 1
    assert verdict["recovery"] in ended.out
    assert f"NOT the same: the run ended with {expected:,} rows" in ended.out


def test_another_state_than_the_summarys_is_not_the_same(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    path = run / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state_hash": "00" * 16}))
    status, verdict = verdict_of(run)
    assert (status, verdict["same"], verdict["rows"]) == (1, False, verdict["rows_expected"])


def test_an_interrupted_run_has_said_nothing_that_could_differ(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    (run / "summary.json").unlink()
    path = last_segment(run)
    path.write_bytes(path.read_bytes()[: 2 * path.stat().st_size // 3])
    status, verdict = verdict_of(run)
    assert (status, verdict["complete"], verdict["same"], verdict["rows_expected"]) == (0, False, True, None)
    assert verdict["rows"] > 0
    assert "`ciyuan run --resume`" in said("verify", run, *QUIET).out


def test_a_run_that_was_interrupted_before_its_journal_has_no_rows(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    (run / "summary.json").unlink()
    shutil.rmtree(run / "journal")
    status, verdict = verdict_of(run)
    assert (status, verdict["complete"], verdict["rows"], verdict["recovery"]) == (
        0,
        False,
        0,
        "journal: none was begun.",
    )


def test_a_complete_run_without_its_journal_is_malformed(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    shutil.rmtree(run / "journal")
    ended = said("verify", run, *QUIET)
    assert ended.status == 2
    assert "journal folder" in ended.err


@pytest.mark.parametrize("settings", [{"grade": "GPT9"}, {"grade": "KIMI26", "buyers": "x"}])
def test_a_manifest_of_another_catalogue_is_malformed(small_run, tmp_path, settings):
    run = copied(small_run, tmp_path)
    path = run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settings": settings}))
    assert said("verify", run, *QUIET).status == 2


def test_other_terms_are_malformed(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    path = run / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"terms_digest": "00" * 16}))
    ended = said("verify", run, *QUIET)
    assert ended.status == 2
    assert "venue terms" in ended.err


def test_a_folder_that_is_no_run_is_malformed(tmp_path):
    ended = said("verify", tmp_path, *QUIET)
    assert ended.status == 2
    assert "a readable manifest.json" in ended.err


def test_books_that_do_not_balance_are_a_broken_law(small_run, monkeypatch):
    class Crooked(Venue):
        """A venue that lets one micro-unit vanish."""

        def apply(self, rows):
            events = super().apply(rows)
            self.ledger.accounts[:, 5][1] += 1
            return events

    monkeypatch.setattr(verification, "Venue", Crooked)
    with pytest.raises((InvariantBroken, ValueError)):
        verify_run(small_run, "none")


def test_a_verification_shows_how_far_it_is(small_run, monkeypatch):
    monkeypatch.setattr(verification, "AUDIT_EVERY_ROWS", 20_000)
    ended = said("verify", small_run, "--progress", "json")
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert [line["replayed_rows"] for line in lines] == sorted(line["replayed_rows"] for line in lines)
    assert lines[-1]["replayed_rows"] == lines[-1]["rows"]
    assert len(lines) >= 3
