"""Serving times from NVIDIA's aiconfigurator-core, where it is installed: measured kernels added up, instead of a roofline.

The package (Apache-2.0, 82 MB, Linux on x86-64, no GPU needed) holds kernel times of NVIDIA chips. It gives the time of a step;
how steps follow each other is worked out here, for requests of I tokens in and O out, B at once on each copy of attention:

    decode  = a step of B tokens                            mixed = the same with a chunk of C prompt tokens beside it
    chunks  = B x I / C in the O steps of a request         TPOT  = (chunks x mixed + max(0, O - chunks) x decode) / O
    TTFT    = I / C steps of `mixed`, the last one begun counted whole: without queueing

Its kernels are of one version of each engine, not of the one that was measured; no chip of AMD, no Rubin, no H800; a
combination that it has no kernels for is refused. Compiled engines are kept for as long as the backend: compiling is a
hundred times the work of asking.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, files, version
from math import ceil
from typing import Protocol

from ciyuan.basics.errors import Malformed
from ciyuan.factory.layout import Engine
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Attention, Model, Precision
from ciyuan.factory.software import Backend

PACKAGE = "aiconfigurator-core"
VERSION = "0.12.0"
"""The version that this was tried with."""
CHUNK_TOKENS = 2048
"""Prompt tokens read beside a decode step, at most."""
_MODULE = "aiconfigurator_core"
_SYSTEMS = {"gb200_nvl72": "gb200", "gb300_nvl72": "gb300", "rtx_pro_6000": "rtx_pro_6000_server"}
_CONFIG = "_config.json"
_SUFFIXES = {"-FP8": Precision.FP8, "-NVFP4": Precision.FP4}


@dataclass(frozen=True, slots=True)
class Asked:
    """One engine serving equal requests, `sequences` of them at once."""

    chip: Chip
    model: Model
    precision: Precision
    backend: Backend
    engine: Engine
    input_tokens: int
    output_tokens: int
    sequences: int


@dataclass(frozen=True, slots=True)
class Times:
    """Mean time between output tokens, and to the first token without queueing."""

    tpot_s: float
    ttft_s: float


class ServingTimes(Protocol):
    """What answers how fast an engine serves."""

    def times(self, asked: Asked) -> Times:
        """The times. Raises Malformed for what it cannot answer."""


class _Steps(Protocol):
    def decode_step_latency(self, gen_tokens: int, isl: int, osl: int) -> float: ...
    def mixed_step_latency(self, ctx_tokens: int, gen_tokens: int, isl: int, osl: int) -> float: ...


class Aiconfigurator:
    """The package behind `ServingTimes`. Raises Malformed, saying how to get it, if it is not installed."""

    def __init__(self) -> None:
        try:
            self.version = version(PACKAGE)
            self._handles = import_module(f"{_MODULE}.sdk.engine").EngineHandle
        except (PackageNotFoundError, ImportError) as error:
            raise Malformed(f"optional backend {PACKAGE}", found=f"not installed ({error})",
                            expected=f"{PACKAGE} {VERSION}, Linux on x86-64",
                            remedy=f"Install it: pip install {PACKAGE}=={VERSION}; or use the roofline.") from None  # fmt: skip
        self._checkpoints = {
            file.name.removesuffix(_CONFIG).replace("--", "/")
            for file in files(PACKAGE) or ()
            if file.parent.name == "model_configs" and file.name.endswith(_CONFIG)
        }
        self._engines: dict[tuple[object, ...], _Steps] = {}

    def times(self, asked: Asked) -> Times:
        """The times. Raises Malformed if the package has no such chip, checkpoint or kernels."""
        try:
            return _times(self._steps(asked), asked)
        except Malformed:
            raise
        # The package's own errors cannot be named here, where it need not be installed.
        except Exception as error:
            raise Malformed(f"{PACKAGE}, {asked.model.code} on {asked.chip.code} with {asked.backend}", found=str(error)[:200],
                            expected="kernels that the package has measured",
                            remedy="Ask for another layout, precision or engine, or use the roofline.") from error  # fmt: skip

    def _steps(self, asked: Asked) -> _Steps:
        system = _SYSTEMS.get(asked.chip.code, asked.chip.code)
        options: dict[str, int | str] = {
            "tp_size": asked.engine.tensor,
            "pp_size": asked.engine.pipeline,
            "attention_dp_size": asked.engine.data,
        }
        if asked.model.experts:
            options |= {
                "moe_tp_size": asked.engine.tensor * asked.engine.data // asked.engine.expert,
                "moe_ep_size": asked.engine.expert,
            }
        if asked.model.attention is Attention.MLA:
            options["fmha_quant_mode"] = "bfloat16"  # it has no kernels of latent attention in fp8
        key = (self._checkpoint(asked), system, str(asked.backend), *options.items())
        if key not in self._engines:
            self._engines[key] = self._handles.compile(*key[:3], **options)
        return self._engines[key]

    def _checkpoint(self, asked: Asked) -> str:
        """The published checkpoint, of those that the package knows, that keeps the model at the precision asked for."""
        known = [name for name in (asked.model.code, *asked.model.aliases) if name in self._checkpoints]
        for name in known:
            kept = next(
                (kind for end, kind in _SUFFIXES.items() if name.endswith(end)), asked.model.native_precision
            )
            if kept is asked.precision:
                return name
        raise Malformed(f"{PACKAGE}, checkpoint of {asked.model.code}", found=asked.precision,
                        expected=f"a precision of one that it knows: {', '.join(known) or 'none'}",
                        remedy="Ask for another precision or model, or use the roofline.")  # fmt: skip


def _times(steps: _Steps, asked: Asked) -> Times:
    shape = asked.input_tokens, asked.output_tokens
    running = max(1, ceil(asked.sequences / asked.engine.data))
    chunk = min(asked.input_tokens, CHUNK_TOKENS)
    decode = steps.decode_step_latency(running, *shape) / 1000
    mixed = steps.mixed_step_latency(chunk, running, *shape) / 1000
    chunks = running * asked.input_tokens / chunk
    tpot_s = (chunks * mixed + max(0.0, asked.output_tokens - chunks) * decode) / asked.output_tokens
    return Times(tpot_s, ceil(asked.input_tokens / chunk) * mixed)
