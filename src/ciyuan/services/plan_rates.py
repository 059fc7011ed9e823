"""What a plant's chips do in its tiers: the grid of rates that a plan stands on, each cell saying how it is known.

A cell is measured where serving.toml, or a folder of measurements that is given, has a run of that chip, model, precision and
shape that is fast enough and whose first token comes in time: the one of most tokens per GPU. It is calibrated where the shape
lies between two that were measured, where input is cached, or where the GPUs are capped (`cost_case.rates_of`). What no run
tells comes from physics (`plan_physics`), calibrated or extrapolated as its calibration says. A cell without any says why.
"""

from dataclasses import replace
from itertools import count
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Provenance, ServingPoint
from ciyuan.factory.plan import Powering
from ciyuan.factory.plant import Fleet, Plant, TierOrder
from ciyuan.factory.power import expect_cap
from ciyuan.factory.rates import Rates
from ciyuan.factory.serving import output_rate
from ciyuan.factory.tiers import TierCell, TierRate, Unserved
from ciyuan.services.cost_case import CaseFacts, CaseOrder, case_facts, fleet_order, measured_rates, site_of
from ciyuan.services.measurements_serving import ServingRun, inferencex_runs, silicon_runs
from ciyuan.services.plan_physics import Physics
from ciyuan.services.rate_source import RateSource

RUN_FILES = {"inferencemax.csv": inferencex_runs, "silicon_sample.csv": silicon_runs}
CAP_TRIES = 6
"""How often a faster run is looked for when a cap makes the chosen one too slow."""


def plan_facts(runs: Path | None = None) -> CaseFacts:
    """The facts of the catalogue; with `runs`, the measured runs of that folder (of the files of RUN_FILES that it has) too.

    Raises Malformed for a folder that has none of them.
    """
    facts = case_facts()
    if runs is None:
        return facts
    found = [(runs / name, read) for name, read in RUN_FILES.items() if (runs / name).is_file()]
    if not found:
        raise Malformed(f"measured runs in {runs}", found="none", expected=f"one of {', '.join(RUN_FILES)}",
                        remedy="Give the folder that holds the files.")  # fmt: skip
    numbers = count(1)
    points = [
        _point_of(run, rate, facts, next(numbers))
        for path, read in found
        for run in read(path, facts.names).rows
        if run.gpus_sure and (rate := _rate_of(run)) is not None
    ]
    return replace(facts, points=(*facts.points, *points))


def _rate_of(run: ServingRun) -> float | None:
    """Output tokens/s per GPU: as measured, or by Little's law (factory/serving.py) where prompts were read by the same GPUs."""
    if run.output_tokens_per_s_per_gpu is not None or run.disaggregated:
        return run.output_tokens_per_s_per_gpu
    return output_rate(run.concurrency, run.output_tokens, run.ttft_s * 1000.0, run.tpot_s * 1000.0, run.gpus)


def _point_of(run: ServingRun, output_tokens_per_s: float, facts: CaseFacts, number: int) -> ServingPoint:
    """A run as a serving point of a tier of its own, so that no two runs are taken for one."""
    chip = facts.chips[run.chip]
    split = f", {run.prefill.gpus} + {run.decode.gpus} GPUs" if run.prefill else ""
    drafted = "" if run.speculation == "none" else f", {run.speculation}"
    return ServingPoint(
        chip=run.chip,
        model=run.model,
        precision=str(run.precision),
        tier=f"run {number}",
        input_tokens=run.input_tokens,
        output_tokens=run.output_tokens,
        output_tokens_per_s=output_tokens_per_s,
        tokens_per_s_per_user=1.0 / run.tpot_s,
        ttft_ms=run.ttft_s * 1000.0,
        gpus_per_replica=run.gpus,
        it_watts_per_gpu=(chip.it_kw or chip.tdp_w / 1000.0) * 1000.0,
        software=f"{run.software.name}{split}{drafted}, {run.measured_on}",
        provenance=Provenance.MEASURED,
        source=f"{run.file}, line {run.line}",
        observed_on=run.measured_on,
    )


def plant_power(plant: Plant, facts: CaseFacts) -> Powering:
    """PUE and provisioned watts of a plant. A GPU is provisioned for its TDP, or a lower cap.

    Raises Malformed for a chip that the catalogue has not, or a cap that one cannot hold.
    """
    provisioned, pue = {}, 1.0
    for fleet in plant.fleets:
        chip = facts.names.chip(fleet.chip)
        if plant.gpu_cap_w is not None:
            expect_cap(facts.power, chip, plant.gpu_cap_w)
        gpu_w = chip.tdp_w if plant.gpu_cap_w is None else min(chip.tdp_w, plant.gpu_cap_w)
        site = site_of(fleet_order(plant, fleet, plant.tiers[0]), facts, chip, gpu_w)
        provisioned[fleet.chip], pue = float(site.busy.it_w), float(site.overhead.pue)
    return Powering(pue, provisioned)


def plan_cells(
    plant: Plant, facts: CaseFacts, source: RateSource = RateSource.PHYSICS
) -> tuple[tuple[TierCell, ...], ...]:
    """What each chip does in each tier, (fleets, tiers)."""
    physics = Physics(facts)
    return tuple(
        tuple(_cell(plant, facts, physics, fleet, tier, source) for tier in plant.tiers)
        for fleet in plant.fleets
    )


def _cell(
    plant: Plant, facts: CaseFacts, physics: Physics, fleet: Fleet, tier: TierOrder, source: RateSource
) -> TierCell:
    order = fleet_order(plant, fleet, tier)
    chip, why = facts.names.chip(fleet.chip), ""
    if source is not RateSource.PHYSICS:
        near = replace(facts, points=tuple(point for point in facts.points if point.chip == chip.code))
        rates = _fast_rates(order, near, tier.ttft_s_max)
        if rates is not None:
            return TierRate(tier.name, rates, site_of(order, facts, chip, rates.busy_w))
        why = _why(order, near)
    if source is RateSource.MEASURED:
        return Unserved(chip.code, tier.name, why)
    precision = facts.names.precision(order.service.precision, facts.names.model(order.service.model))
    found = physics.best(
        chip, tier.service, precision, tier.tokens_per_s_per_user_min, tier.ttft_s_max, plant.gpu_cap_w
    )
    if isinstance(found, str):
        return Unserved(chip.code, tier.name, f"measured: {why}; physics: {found}" if why else found)
    return TierRate(
        tier.name, found.rates, site_of(order, facts, chip, found.rates.busy_w), found.low, found.high
    )


def _fast_rates(order: CaseOrder, facts: CaseFacts, ttft_s_max: float) -> Rates | None:
    """The measured rates that serve the order; under a cap, of a run that is fast enough with it. None if there is none."""
    facts = replace(
        facts, points=tuple(point for point in facts.points if point.ttft_ms <= 1000.0 * ttft_s_max)
    )
    wanted = order.tokens_per_s_per_user_min
    for _ in range(CAP_TRIES):
        try:
            rates = measured_rates(order, facts)
        except Malformed:
            return None
        if rates.tokens_per_s_per_user >= wanted:
            return rates
        slower = rates.tokens_per_s_per_user / wanted
        order = replace(
            order, tokens_per_s_per_user_min=order.tokens_per_s_per_user_min / slower * (1 + 1e-9)
        )
    return None


def _why(order: CaseOrder, facts: CaseFacts) -> str:
    """Why nothing measured serves an order, in a few words."""
    model = facts.names.model(order.service.model)
    precision = facts.names.precision(order.service.precision, model)
    same = [point for point in facts.points if facts.names.model(point.model).code == model.code]
    kept = [point for point in same if facts.names.precision(point.precision, model) == precision]
    if not kept:
        others = ", ".join(sorted({point.precision for point in same}))
        return f"{model.name} was not measured at {precision}" + (f", only at {others}" if others else "")
    fastest = max(point.tokens_per_s_per_user for point in kept)
    shape = f"{order.service.input_tokens:g} in, {order.service.output_tokens:g} out"
    return f"no run of {shape} at {order.tokens_per_s_per_user_min:g} tokens/s; the fastest of any shape gives {fastest:.0f}"
