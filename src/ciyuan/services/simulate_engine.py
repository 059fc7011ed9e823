"""The step of a simulated replica: worked out of chip, model and layout, or read from a file of coefficients."""

from dataclasses import dataclass, replace
from pathlib import Path

from ciyuan.factory.layout import (
    GIGA,
    SEQUENCES_MAX,
    Engine,
    Layout,
    cache_bytes_per_gpu,
    check_engine,
    least_engine,
    sequences_held,
)
from ciyuan.factory.roofline import step_time
from ciyuan.factory.scheduler_trace import Trace
from ciyuan.factory.step import StepTime
from ciyuan.factory.work import SCALE_OUT_GB_S, Shape, work_of
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.catalog_factory import names
from ciyuan.services.simulate_terms import read_step


@dataclass(frozen=True, slots=True)
class Machine:
    """One replica by names of the catalogue; a `tensor` of 0 is the smallest group that fits, no `precision` the maker's own."""

    chip: str
    model: str
    precision: str = ""
    tensor: int = 0
    data: int = 1
    expert: int = 1


@dataclass(frozen=True, slots=True)
class Replica:
    """What a machine is to the scheduler: its step, in words what it is of, and the seconds in which its links hand the cache of
    one token over (None: not known, of coefficients from a file)."""

    step: StepTime
    what: str
    transfer_s_per_token: float | None


def replica_of(machine: Machine, coefficients: Path | None, trace: Trace) -> Replica:
    """The replica that serves a trace. Raises Malformed for names that nothing resolves, or what does not fit."""
    if coefficients is not None:
        step = read_step(coefficients)
        return Replica(step, f"{step.gpus} GPUs of {coefficients.name}", None)
    return replica_of_machine(machine, float(trace.input_tokens.mean()), float(trace.output_tokens.mean()))


def replica_of_machine(machine: Machine, input_tokens: float, output_tokens: float) -> Replica:
    """The replica of a machine for requests of these mean lengths.

    The constants are the fitted ones, without the corrections by chip, engine and layout (`factory.calibration`). A token's share
    of a cache and of the attention is taken at the mean context. The places are those of the engine, and the
    memory is what its weights leave: a trace's own lengths decide how many sequences that is. Each GPU hands its part of a cache
    over on its own scale-out link.
    """
    known = names()
    chip, model = known.chip(machine.chip), known.model(machine.model)
    precision = known.precision(machine.precision, model)
    shape = Shape(input_tokens, output_tokens)
    engine = Engine(machine.tensor, machine.data, 1, machine.expert) if machine.tensor else None
    if engine is None:
        engine = least_engine(chip, model, precision, shape.tokens) or Engine(8)
        engine = Engine(engine.tensor, machine.data, 1, machine.expert)
    check_engine(chip, model, precision, engine, shape.tokens)
    constants = shipped().fitted.constants
    step = step_time(work_of(chip, model, precision, Layout(engine), shape), constants, shape.context)
    held = sequences_held(chip, model, precision, engine, shape.tokens) * shape.tokens
    step = replace(step, context_tokens_max=int(held), sequences_max=SEQUENCES_MAX * engine.data)
    link = constants.link * (chip.scale_out_gb_s or SCALE_OUT_GB_S) * GIGA
    transfer_s = cache_bytes_per_gpu(model, precision, engine, shape.tokens) / shape.tokens / link
    return Replica(
        step, f"{engine.gpus} {chip.name} ({engine.name}), {model.name} in {precision}", transfer_s
    )
