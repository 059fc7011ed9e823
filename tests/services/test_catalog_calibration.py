"""The shipped calibration: read strictly, small, sourced, and written as it is read."""

from importlib.resources import files

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration import KEY_LEVEL, LEVELS
from ciyuan.services.catalog_calibration import FILE, as_toml, shipped

TEXT = files("ciyuan").joinpath("data", FILE).read_text(encoding="utf-8")


def test_the_file_is_small_sourced_and_full():
    found = shipped()
    assert len(TEXT) < 300_000
    assert found.rows["serving"] > 1000 < len(found.fitted.calibration.effects["shape"]) * 10
    assert "Apache-2.0" in found.source
    assert found.observed_on > "2026"
    assert set(found.fitted.calibration.effects) == {level.name for level in LEVELS}
    assert found.fitted.calibration.effects[KEY_LEVEL]
    assert shipped() is found


def test_what_is_written_reads_back_the_same(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    (first / FILE).write_text(as_toml(shipped()), encoding="utf-8")
    again = shipped(first)
    assert again == shipped()


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("memory = ", "memori = "),
        ("chip = [\n", 'chip = [\n"no colon here",\n'),
        ("chip = [\n", 'chip = [\n"one: 1 2; 1 2",\n'),
        ("chip = [\n", 'chip = [\n"one: a b c d; 1 2 3 4",\n'),
        ("told = [\n", 'told = [\n"too|short",\n'),
        ("states = [\n", 'states = [\n"key: 1",\n'),
    ],
)
def test_a_line_that_no_fit_writes_is_refused(tmp_path, good, bad):
    assert good in TEXT
    (tmp_path / FILE).write_text(TEXT.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(Malformed, match=r"calibration\.toml"):
        shipped(tmp_path)
