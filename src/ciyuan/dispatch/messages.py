"""What dispatch hears and says: what the sites can supply, and the plan that it makes of the hours.

Shapes: H hours, S sites. Tokens are whole standard tokens (int64); watts, joules and USD are floats.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """What S sites can make in an hour.

    `tokens_per_hour_max`: (S,) or (H, S) int64. `joules_per_token`: (S,), at the site's meter. `power_mw_max`: (S,)
    or (H, S), infinite where no cap binds.
    """

    tokens_per_hour_max: "NDArray[np.int64]"
    joules_per_token: "NDArray[np.float64]"
    power_mw_max: "NDArray[np.float64]"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Which site makes how many tokens in which hour.

    | field | shape | meaning |
    |---|---|---|
    | `allocation` | (H, S) int64 | standard tokens |
    | `unserved` | (H,) int64 | demand that no site had room for; allocation and unserved sum to the demand, to the token |
    | `power_mw` | (H, S) | mean power at the meter |
    | `cost_usd` | (H, S) | allocation x marginal cost |
    | `last_usd_per_mtok` | (H,) | what the hour's last token cost; the given value of an unserved one; nan without demand |
    | `shadow_usd_per_mtok` | (H, S) | what one more token of the site's capacity in the hour would save, per MTok |
    """

    allocation: "NDArray[np.int64]"
    unserved: "NDArray[np.int64]"
    power_mw: "NDArray[np.float64]"
    cost_usd: "NDArray[np.float64]"
    last_usd_per_mtok: "NDArray[np.float64]"
    shadow_usd_per_mtok: "NDArray[np.float64]"
