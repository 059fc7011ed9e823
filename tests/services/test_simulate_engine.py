"""A simulated replica is the one that the physics speaks of: in a closed loop they agree, and are near what was measured."""

import csv
from pathlib import Path

import numpy as np
import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.factory.layout import Engine, Layout
from ciyuan.factory.roofline import Roofline
from ciyuan.factory.scheduler import simulate
from ciyuan.factory.scheduler_outcome import Outcome
from ciyuan.factory.scheduler_terms import Cluster, EngineTerms
from ciyuan.factory.scheduler_trace import trace_of
from ciyuan.factory.work import Shape, work_of
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.catalog_factory import names
from ciyuan.services.simulate_engine import Machine, replica_of_machine

MEASURED = Path(__file__).parents[3] / "shared" / "data" / "factory" / "inferencemax.csv"
DEEPSEEK = "deepseek-ai/DeepSeek-R1"


def benchmark_run(machine: Machine, input_tokens: int, output_tokens: int, concurrency: int) -> Outcome:
    """Ten requests for each in service, lengths evenly from 0.8 to 1 of the nominal ones, as the benchmark sends them."""
    step = replica_of_machine(machine, 0.9 * input_tokens, 0.9 * output_tokens).step
    row = np.arange(10 * concurrency)
    prompts = input_tokens * (0.8 + 0.2 * (row * 0.6180339887 % 1))
    outputs = output_tokens * (0.8 + 0.2 * (row * 0.7548776662 % 1))
    trace = trace_of(np.zeros(len(row)), prompts, outputs)
    engine = EngineTerms(step, prefix_cache=False, step_tokens_max=8192)
    return simulate(trace, Cluster(engine, concurrency=concurrency))


@pytest.mark.parametrize("concurrency", [4, 32, 128])
@pytest.mark.parametrize("shape", [(1024, 1024), (8192, 1024), (1024, 8192)])
def test_in_a_closed_loop_the_scheduler_is_where_the_physics_is(shape: tuple[int, int], concurrency: int):
    machine = Machine("h200_sxm", DEEPSEEK, "fp8", tensor=8)
    known = names()
    mean = Shape(0.9 * shape[0], 0.9 * shape[1])
    chip, model = known.chip(machine.chip), known.model(DEEPSEEK)
    work = work_of(chip, model, known.precision("fp8", model), Layout(Engine(8)), mean)
    physics = Roofline(work, shipped().fitted.constants)
    expected = float(physics.tpot(physics.sequences_at(concurrency))[0])
    simulated = float(np.median(benchmark_run(machine, *shape, concurrency).tpot_s))
    assert simulated == pytest.approx(expected, rel=0.06)


@pytest.mark.skipif(not MEASURED.is_file(), reason="the shared data folder is not beside this checkout")
def test_measured_closed_loops_are_near():
    """Every seventh aggregated run of DeepSeek-R1 without speculation: the median error of the median time per token."""
    with MEASURED.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    errors = []
    for row in [r for r in rows if r["disagg"] == "0" and r["spec"] == "none" and int(r["conc"]) <= 256][::7]:
        shards = {"data" if int(row["d_dpattn"]) else "tensor": int(row["d_tp"])}
        machine = Machine(row["chip"], DEEPSEEK, row["precision"], **{"tensor": 1, **shards})
        try:
            outcome = benchmark_run(machine, int(row["isl"]), int(row["osl"]), int(row["conc"]))
        except Malformed:
            continue  # a layout that this catalogue says does not fit
        errors.append(abs(float(np.median(outcome.tpot_s)) / float(row["tpot_median_s"]) - 1))
    assert len(errors) > 50
    assert np.median(errors) < 0.25


def test_a_machine_that_does_not_fit_is_refused():
    with pytest.raises(Malformed, match="GB"):
        replica_of_machine(Machine("h200_sxm", DEEPSEEK, "fp8", tensor=2), 1000, 100)


def test_the_smallest_that_fits_is_found_and_memory_is_what_weights_leave():
    found = replica_of_machine(Machine("h200_sxm", DEEPSEEK), 1000, 100)
    assert found == replica_of_machine(Machine("h200_sxm", DEEPSEEK, tensor=8), 1000, 100)
    assert "tp8" in found.what
    assert 10**5 < found.step.context_tokens_max < 10**8


def test_a_cache_is_handed_over_at_the_links_speed():
    """61 layers of 576 bytes a token, whole on each GPU, over 50 GB/s at the share that links reach."""
    found = replica_of_machine(Machine("h200_sxm", DEEPSEEK, tensor=8), 1000, 100)
    link = names().chip("h200_sxm").scale_out_gb_s
    assert link is not None
    assert found.transfer_s_per_token == pytest.approx(
        61 * 576 / (link * 1e9 * shipped().fitted.constants.link)
    )
