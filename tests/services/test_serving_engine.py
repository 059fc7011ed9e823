"""Which engine is taken where none is named: the one that was measured most."""

from ciyuan.factory.model import Precision
from ciyuan.services.catalog import chips
from ciyuan.services.catalog_calibration import shipped
from ciyuan.services.catalog_factory import models
from ciyuan.services.serving_engine import DEFAULT_BACKEND, engine_of

CALIBRATION = shipped().fitted.calibration
R1 = models()["deepseek-ai/DeepSeek-R1"]


def test_a_name_is_taken_as_it_is():
    engine = engine_of("SGLang", "0.5.8", chips()["h200_sxm"], R1, Precision.FP8, CALIBRATION)
    assert (engine.backend, engine.version) == ("sglang", "0.5.8")


def test_without_a_name_it_is_one_that_was_measured_on_the_chip():
    for chip in ("h200_sxm", "mi355x", "b200_sxm"):
        found = engine_of("", "", chips()[chip], R1, Precision.FP8, CALIBRATION)
        assert any(
            key.startswith(f"{chip}|{found.backend}|{R1.code}|")
            for effect in CALIBRATION.effects.values()
            for key in effect
        )


def test_a_chip_that_nobody_measured_gets_the_default():
    assert engine_of("", "", chips()["v100_sxm"], R1, Precision.BF16, CALIBRATION).backend == DEFAULT_BACKEND
