"""From measured runs to what the calibration fits: settings, work and layouts, with what tables left open filled in.

Where a row does not tell its layout (`gpus_sure` is False), it is matched to the recipes that other rows tell
(`factory.recipes`);
where it does not tell whether tokens were drafted ahead, it stays unknown for the fit to decide. Rows of
silicon_sample.csv that
are numbered within a dump of results (`2026_04_06_..._1714`) have a place in that series; rows named by configuration
(`..._cfg483`) are of a record that kept runs without drafts only (all that have a twin in inferencemax.csv say so).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration import Setting, layout_word, mode_of, shape_word
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.recipes import BOX_GPUS, Recipe, Recipes, Wanted, deployment
from ciyuan.factory.samples import Place, Samples
from ciyuan.factory.software import Software
from ciyuan.factory.work import Shape, Work, stacked, work_of
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_factory import models, names
from ciyuan.services.measurements_serving import (
    Engines,
    ServingRun,
    Speculation,
    inferencex_runs,
    silicon_runs,
)

SILICON, INFERENCEX = "silicon_sample.csv", "inferencemax.csv"
_NUMBERED = re.compile(r"^(20\d\d_\d\d_\d\d)_.*_(\d+)$")
_CONFIGURED = re.compile(r"_cfg\d+$")


@dataclass(frozen=True, slots=True)
class Runs:
    """Measured runs in the order of their files, and how many rows were left out, by reason."""

    rows: tuple[ServingRun, ...]
    left_out: Mapping[str, int]


def read_runs(folder: Path) -> Runs:
    """The runs of both files in a folder of measurements; one that is not there is told among the rows left out.

    Raises Malformed if neither is there.
    """
    known = names()
    readers = {SILICON: silicon_runs, INFERENCEX: inferencex_runs}
    there = {name: reader for name, reader in readers.items() if (folder / name).is_file()}
    if not there:
        raise Malformed(f"folder {folder}", found="neither file", expected=f"{SILICON} or {INFERENCEX}",
                        remedy="Name the folder that holds the measured runs.")  # fmt: skip
    left_out = {f"{name} is not in the folder": 0 for name in readers if name not in there}
    rows: list[ServingRun] = []
    for name, reader in there.items():
        table = reader(folder / name, known)
        rows += table.rows
        for why, count in table.reasons().items():
            left_out[why] = left_out.get(why, 0) + count
    return Runs(tuple(rows), left_out)


def version_word(software: Software) -> str:
    """A version as calibrations name it, with what it is the version of: "0.5.9", "dynamo 0.8.1.post2", "" if not known."""
    return f"{software.frame} {software.version}".strip() if software.version else ""


def run_setting(run: ServingRun, layout: Layout, speculation: str) -> Setting:
    """The setting of a run."""
    return Setting(
        chip=run.chip,
        backend=str(run.software.backend),
        model=run.model,
        precision=str(run.precision),
        speculation=speculation,
        mode=mode_of(layout),
        layout=layout_word(layout.decode),
        version=version_word(run.software),
        shape=shape_word(run.input_tokens, run.output_tokens),
        month=run.measured_on[:7],
    )


def recipes_of(rows: Sequence[ServingRun]) -> Recipes:
    """What the disaggregated runs tell that tell their layout whole."""
    told = [
        Recipe(run.chip, str(run.software.backend), str(run.precision), _shape(run), run.concurrency, told_layout(run),
               "" if run.speculation is Speculation.UNKNOWN else str(run.speculation))
        for run in rows
        if run.prefill and run.gpus_sure
    ]  # fmt: skip
    return Recipes(tuple(dict.fromkeys(told)))


def _shape(run: ServingRun) -> str:
    return shape_word(run.input_tokens, run.output_tokens)


def told_layout(run: ServingRun) -> Layout:
    """The layout that a row gives."""
    decode = _engine(run.decode)
    if run.prefill is None:
        return Layout(decode, run.decode.workers)
    decode = _engine(run.decode, apart=True)
    return Layout(decode, run.decode.workers, _engine(run.prefill, apart=True), run.prefill.workers)


def _engine(engines: Engines, *, apart: bool = False) -> Engine:
    """An engine as given. Of disaggregated runs, one with data-parallel attention spreads its experts over all its GPUs:
    no recipe does otherwise, though some rows leave it out."""
    gpus = engines.tensor * engines.data * engines.pipeline
    spread = engines.expert if gpus % engines.expert == 0 else 1
    if apart and engines.data > 1:
        spread = gpus
    return Engine(engines.tensor, engines.data, engines.pipeline, spread)


def run_layout(run: ServingRun, recipes: Recipes) -> tuple[Layout, str]:
    """The layout of a run, and the speculation that its recipe tells ("" if none)."""
    if run.gpus_sure:
        return told_layout(run), ""
    decode = run.decode.gpus_each
    prefill = run.prefill.gpus_each if run.prefill else 0
    if not prefill:
        return deployment(decode, run.concurrency), ""
    if (max(prefill, decode) > BOX_GPUS and prefill > BOX_GPUS) or prefill == decode == 1:
        return deployment(max(prefill, decode), run.concurrency), ""
    return recipes.match(Wanted(run.chip, str(run.software.backend), str(run.precision), _shape(run), run.concurrency,
                                prefill, decode))  # fmt: skip


def samples_of(rows: Sequence[ServingRun], recipes: Recipes) -> Samples:
    """All runs as columns, in their order. `recipes` are told by the runs that one learns from."""
    cache: dict[tuple[object, ...], Work] = {}
    known_chips, known_models = chips(), models()
    settings, works, unknown, places = [], [], [], []
    for run in rows:
        layout, told = run_layout(run, recipes)
        open_question = (
            run.speculation is Speculation.UNKNOWN and not _CONFIGURED.search(run.label) and not told
        )
        speculation = told or ("none" if run.speculation is Speculation.UNKNOWN else str(run.speculation))
        shape = Shape(run.input_tokens * run.length_factor, run.output_tokens * run.length_factor)
        key = (run.chip, run.model, run.precision, layout, shape, speculation)
        if key not in cache:
            chip, model = known_chips[run.chip], known_models[run.model]
            cache[key] = _work(chip, model, run.precision, layout, shape, speculation)
        settings.append(run_setting(run, layout, speculation))
        works.append(cache[key])
        unknown.append(open_question)
        places.append(_place(run.label))
    number = _run_numbers(rows)
    _, place, counts = np.unique(number, return_inverse=True, return_counts=True)
    return Samples(
        settings=tuple(settings),
        work=stacked(works),
        concurrency=np.array([run.concurrency for run in rows], dtype=np.float64),
        tpot_s=np.array([run.tpot_s for run in rows]),
        ttft_s=np.array([run.ttft_s for run in rows]),
        weights=1.0 / counts[place],
        unknown=np.array(unknown),
        places=tuple(places),
        run=number,
    )


def _work(
    chip: Chip, model: Model, precision: Precision, layout: Layout, shape: Shape, speculation: str
) -> Work:
    return work_of(chip, model, precision, layout, shape, speculative=speculation == "mtp", check=False)


def _place(label: str) -> Place | None:
    found = _NUMBERED.match(label)
    return Place(found[1], int(found[2])) if found else None


def _run_numbers(rows: Sequence[ServingRun]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A number for each run; rows that give one measurement again (the same times, to the digit, at the same load) share it."""
    numbers: dict[tuple[object, ...], int] = {}
    return np.array([
        numbers.setdefault((run.file, run.chip, run.disaggregated, run.input_tokens, run.output_tokens, run.concurrency,
                            run.tpot_s, run.ttft_s), len(numbers))
        for run in rows
    ], dtype=np.int64)  # fmt: skip
