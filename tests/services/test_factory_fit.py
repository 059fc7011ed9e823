"""The fit's command: a folder of measurements in, a file that reads back out."""

from pathlib import Path

import pytest

from ciyuan.services.catalog_calibration import FILE, shipped
from ciyuan.services.factory_fit import main

FACTORY = Path(__file__).parents[3] / "shared" / "data" / "factory"
pytestmark = pytest.mark.skipif(
    not FACTORY.is_dir(), reason="the shared data folder is not beside this checkout"
)
KEPT = {"silicon_sample.csv": "MiniMax", "inferencemax.csv": "h200", "mlperf_llm.csv": "v5.1"}


def test_it_writes_a_calibration_of_the_folder(tmp_path, capsys):
    for name, word in KEPT.items():
        lines = (FACTORY / name).read_text().splitlines()
        head = next(place for place, line in enumerate(lines) if not line.startswith("#"))
        kept = lines[: head + 1] + [line for line in lines[head + 1 :] if word in line]
        (tmp_path / name).write_text("\n".join(kept) + "\n")
    main(["--data", str(tmp_path), "--out", str(tmp_path / FILE)])
    assert "characters" in capsys.readouterr().out
    found = shipped(tmp_path)
    assert found.rows["serving"] > 300
    assert found.fitted.calibration.stretch > 0.3
    assert {setting.split("|")[0] for setting in found.fitted.calibration.effects["key"]} <= {
        "h200_sxm",
        "h100_sxm",
        "b200_sxm",
    }
