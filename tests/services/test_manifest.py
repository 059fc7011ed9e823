"""A run's manifest and summary: read as written, whole or not at all, and their files' digests."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.manifest import (
    InputFile,
    Manifest,
    digest_of,
    read_manifest,
    read_summary,
    unchanged,
    write_json,
    write_manifest,
)
from tests.services.summaries import SUMMARY

WRITTEN = Manifest(
    "0.1.0",
    {"seed": 3, "cached_share": 0.5, "sites": [{"name": "texas", "list_provider": "novita"}]},
    InputFile("/data/词元.csv", "ab" * 16),
    None,
    None,
    True,
    False,
    "cd" * 16,
)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    write_manifest(tmp_path, WRITTEN)
    assert read_manifest(tmp_path) == WRITTEN
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"version": "0"}', '{"usage": {"file": 1}, "sample": null}']
)
def test_what_is_no_manifest_is_malformed(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(Malformed, match="a readable manifest") as caught:
        read_manifest(tmp_path)
    assert str(tmp_path) in caught.value.thing


def test_a_file_is_known_by_its_bytes_and_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").write_bytes(b"x" * 3_000_000)
    (tmp_path / "two").write_bytes(b"x" * 2_999_999 + b"y")
    one, two = digest_of(Path("one")), digest_of(Path("two"))
    assert one.path == str(tmp_path / "one")
    assert one.digest != two.digest
    assert len(bytes.fromhex(one.digest)) == 16


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_read_is_malformed(tmp_path, name):
    with pytest.raises(Malformed, match="a file that can be read"):
        digest_of(tmp_path / name)


def test_a_file_must_stay_what_it_was(tmp_path):
    path = tmp_path / "usage.csv"
    path.write_text("1")
    began = digest_of(path)
    assert unchanged(began) == path
    assert unchanged(None) is None
    path.write_text("2")
    with pytest.raises(Malformed, match="the file that began the run") as caught:
        unchanged(began)
    assert caught.value.found == digest_of(path).digest


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"rows": 1})
    with pytest.raises(TypeError):
        write_json(path, {"rows": object()})
    assert json.loads(path.read_text()) == {"rows": 1}


def test_a_name_is_given_only_to_what_is_durable(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(tmp_path / "summary.json", {})
    assert not (tmp_path / "summary.json").exists()


def test_a_run_without_an_end_has_no_summary(tmp_path):
    assert read_summary(tmp_path) is None


def test_a_summary_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "summary.json", asdict(SUMMARY))
    assert read_summary(tmp_path) == SUMMARY


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state_hash": "ab"}'])
def test_what_is_no_summary_is_malformed(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(Malformed, match="a readable summary") as caught:
        read_summary(tmp_path)
    assert "--resume" in caught.value.remedy
