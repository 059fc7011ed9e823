"""Revenue = tokens per watt x gigawatts: every loss between the meter and the token by its name, as a chain whose product is
exact.

Each link takes watts and passes a share of them on. What is lost before the GPU is heat elsewhere; what is lost after it is
GPU watts that make no sold token. The last watts, those of GPUs that write accepted tokens, meet `tokens_per_joule`, so

    tokens/s = watts at the meter x product of the shares x tokens per joule

and that is the same number as GPUs x tokens/s of one x busy share, which the tests hold. Watts are means over time: a GPU is
busy for the share u of it and idle for the rest, each state with its own server power.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from ciyuan.basics.errors import Malformed
from ciyuan.factory.cost import TOKENS_PER_MTOK, WATTS_PER_MW
from ciyuan.factory.facility import Overhead, ServerPower
from ciyuan.factory.plant import HOURS_PER_YEAR
from ciyuan.factory.rates import Rates

SECONDS_PER_YEAR = HOURS_PER_YEAR * 3600.0


@dataclass(frozen=True, slots=True)
class Duty:
    """How a fleet's time is spent: `utilisation` is the busy share of the GPUs that work, in (0, 1]; of all, `failed` are out
    of service and idle; of the output's work, `rejected` is on speculative tokens that are thrown away."""

    utilisation: float
    failed: float = 0.0
    rejected: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise Malformed("utilisation", found=self.utilisation, expected="a share above 0 and at most 1",
                            remedy="Give delivered tokens over tokens at full load.")  # fmt: skip
        for name in ("failed", "rejected"):
            if not 0 <= getattr(self, name) < 1:
                raise Malformed(f"duty, {name}", found=getattr(self, name), expected="a share from 0 to below 1",
                                remedy="Mend the share.")  # fmt: skip

    @property
    def busy(self) -> float:
        """The busy share of all GPUs' time."""
        return self.utilisation * (1.0 - self.failed)


@dataclass(frozen=True, slots=True)
class GpuSite:
    """One GPU at a site: what its server draws while it is busy and while it waits, and what the hall adds (scalars)."""

    busy: ServerPower
    waiting: ServerPower
    overhead: Overhead

    def mean(self, name: str, busy: float) -> float:
        """The mean of one of the server's parts over time, in watts per GPU."""
        return busy * float(getattr(self.busy, name)) + (1.0 - busy) * float(getattr(self.waiting, name))

    def meter_w(self, busy: float) -> float:
        """Watts at the meter for each GPU, on average over time."""
        return self.mean("it_w", busy) * float(self.overhead.pue)

    @property
    def meter_w_max(self) -> float:
        """Watts at the meter for each GPU while all are busy: what the connection must feed."""
        return float(self.busy.it_w) * float(self.overhead.pue)


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what it is, and the watts before and after it."""

    name: str
    says: str
    watts_before: float
    watts_after: float

    @property
    def passed(self) -> float:
        """The share that is passed on."""
        return self.watts_after / self.watts_before


@dataclass(frozen=True, slots=True)
class Chain:
    """The links from meter to token, and output tokens per joule of the last watts."""

    links: tuple[Link, ...]
    tokens_per_joule: float

    @property
    def meter_w(self) -> float:
        """Watts at the meter."""
        return self.links[0].watts_before

    @property
    def passed(self) -> float:
        """The product of all shares: of a joule at the meter, what works on sold output."""
        return prod(link.passed for link in self.links)

    @property
    def tokens_per_s(self) -> float:
        """Output tokens per second that are delivered."""
        return self.meter_w * self.passed * self.tokens_per_joule

    @property
    def tokens_per_s_per_mw(self) -> float:
        """Output tokens per second for each megawatt at the meter."""
        return self.passed * self.tokens_per_joule * WATTS_PER_MW

    @property
    def joules_per_token(self) -> float:
        """Joules at the meter for each output token, input that goes with it included."""
        return 1.0 / (self.passed * self.tokens_per_joule)

    def revenue_usd_per_year(self, usd_per_mtok: float) -> float:
        """USD of a year at `usd_per_mtok` for a million output tokens with the input that goes with them."""
        return self.tokens_per_s * SECONDS_PER_YEAR / TOKENS_PER_MTOK * usd_per_mtok


def chain(site: GpuSite, rates: Rates, duty: Duty, gpus: float) -> Chain:
    """The losses of `gpus` GPUs (a float, so that a megawatt's worth can be asked for)."""
    if not (gpus > 0 and np.isfinite(gpus)):
        raise Malformed(
            "GPUs", found=gpus, expected="a finite number above 0", remedy="Give the fleet's GPUs."
        )
    busy = duty.busy
    it_w, wall_w = site.mean("it_w", busy), site.mean("wall_w", busy)
    gpu_w, host_w, fans_w = (site.mean(name, busy) for name in ("gpu_w", "host_w", "fans_w"))
    meter_w = site.meter_w(busy)
    working_w = gpu_w - duty.failed * float(site.waiting.gpu_w)
    busy_w = busy * float(site.busy.gpu_w)
    output_w = busy_w * (1.0 - rates.prefill_share)
    steps = (
        ("distribution", "transformers, UPS, wiring", meter_w - float(site.overhead.distribution) * it_w),
        ("cooling", "chillers, towers, pumps, hall fans", it_w),
        ("network", "switches, storage, the rest of the published IT power", wall_w),
        ("power supplies", "conversion in the servers", gpu_w + host_w + fans_w),
        ("fans", "in the servers", gpu_w + host_w),
        ("hosts", "CPUs, memory, network cards", gpu_w),
        ("failed GPUs", f"{duty.failed:.1%} out of service, idle", working_w),
        ("idle time", f"busy {duty.utilisation:.0%} of the time", busy_w),
        ("prompts", "reading input before output is written", output_w),
        ("rejected drafts", "speculative tokens thrown away", output_w * (1.0 - duty.rejected)),
    )
    links, before = [], meter_w
    for name, says, after in steps:
        links.append(Link(name, says, before * gpus, after * gpus))
        before = after
    delivered = rates.output_tokens_per_s * busy
    return Chain(tuple(links), delivered / before)
