"""Fitting the factory's physics to measurements: `python -m ciyuan.services.factory_fit --data FOLDER` writes calibration.toml.

FOLDER holds silicon_sample.csv, inferencemax.csv and mlperf_llm.csv. All of it is used; what the result is worth on runs
that were not used is what `ciyuan factory accuracy` prints, which holds parts of the folder back. A minute or so.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ciyuan.services.catalog_calibration import FILE, Shipped, as_toml
from ciyuan.services.factory_offline import fit_offline, read_offline
from ciyuan.services.factory_runs import read_runs, recipes_of, samples_of
from ciyuan.services.factory_splits import stretched

SOURCE = (
    "fitted to silicon_sample.csv (NVIDIA aiconfigurator-core 0.12.0, Apache-2.0), inferencemax.csv (InferenceX API "
    "fixtures @cac6246e, @528c4146, Apache-2.0) and mlperf_llm.csv (MLPerf Inference, mlcommons, Apache-2.0)"
)


def fitted_from(folder: Path) -> Shipped:
    """Everything that calibration.toml holds, from a folder of measurements."""
    from ciyuan.factory.calibration_fit import fit

    runs = read_runs(folder)
    recipes = recipes_of(runs.rows)
    found = stretched(runs.rows, fit(samples_of(runs.rows, recipes)))
    offline = read_offline(folder, found.constants)
    return Shipped(
        fitted=found,
        recipes=recipes,
        offline=fit_offline(offline),
        rows={"serving": len(runs.rows), "offline": len(offline)},
        source=SOURCE,
        observed_on=max(run.measured_on for run in runs.rows),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the folder, write the file."""
    parser = argparse.ArgumentParser(description="Fit the factory's physics to measurements.")
    parser.add_argument("--data", type=Path, required=True, help="folder of measurements")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "data" / FILE)
    options = parser.parse_args(arguments)
    text = as_toml(fitted_from(options.data))
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(text):,} characters")


if __name__ == "__main__":
    main()
