"""The serving engine that a curve or a rate is of: the one that is named, else the one that was measured most."""

from ciyuan.basics.errors import Malformed
from ciyuan.factory.calibration import KEY_LEVEL, Calibration
from ciyuan.factory.front import Software
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.software import Backend

DEFAULT_BACKEND = "sglang"
"""Where nobody measured a chip with a model and precision: an engine that runs on chips of all makers."""


def engine_of(
    backend: str, version: str, chip: Chip, model: Model, precision: Precision, calibration: Calibration
) -> Software:
    """The engine of a name and version, as calibrations name it; without a name the one of which most layouts of this chip, model
    and precision were measured. Raises Malformed for a name that is no engine's."""
    if backend and backend.lower() not in set(Backend):
        raise Malformed("serving engine", found=backend, expected=f"one of {', '.join(Backend)}",
                        remedy="Name one of these, or none for the one most measured.")  # fmt: skip
    if backend:
        return Software(backend.lower(), version, "")
    groups = calibration.effects.get(KEY_LEVEL, {})
    counts = {
        name: sum(key.startswith(f"{chip.code}|{name}|{model.code}|{precision}|") for key in groups)
        for name in {key.split("|")[1] for key in groups}
    }
    most = max(sorted(counts), key=lambda name: counts[name], default=DEFAULT_BACKEND)
    return Software(most if counts.get(most) else DEFAULT_BACKEND, "", "")
