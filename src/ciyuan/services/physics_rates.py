"""Rates by physics for one chip at one speed, as `cost_case` asks for them: the same points that a plan is made of."""

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Chip
from ciyuan.factory.model import Model, Precision
from ciyuan.factory.rates import Rates
from ciyuan.services.cost_case import CaseFacts, CaseOrder, RatesByPhysics
from ciyuan.services.plan_physics import Physics


def physics_rates(facts: CaseFacts) -> RatesByPhysics:
    """What gives rates by physics; it raises Malformed for what does not fit, a precision that the chip lacks, or a speed that it
    does not reach."""
    physics = Physics(facts)

    def rates(order: CaseOrder, chip: Chip, model: Model, precision: Precision) -> Rates:
        speed = order.tokens_per_s_per_user_min
        found = physics.best(chip, order.service, precision, speed, order.ttft_s_max, order.gpu_cap_w)
        if isinstance(found, str):
            raise Malformed(f"{model.code} on {chip.code}, {precision}", found=found, expected=f"{speed:g} tokens/s per user",
                            remedy="Ask for less speed, or for another chip or precision.")  # fmt: skip
        return found.rates

    return rates
