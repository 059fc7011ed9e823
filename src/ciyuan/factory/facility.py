"""From GPU watts to watts at the meter: server, power supply, network share, hall.

    direct current  = GPUs + host + fans              fans = idle + (full - idle) x (GPU watts / TDP) ^ fan_exponent
    wall            = direct current / efficiency     of the supply, straight between the published points of its curve
    IT              = wall / GPUs + network share     watts per GPU
    meter           = IT x PUE                        PUE = 1 + distribution + cooling(temperature, humidity)

Cooling depends on the air outside. With W the wet-bulb temperature (Stull 2011, J. Appl. Meteorol. Climatol. 50, equation 1)
and D the dew point (Magnus), smooth steps `soft` and ramps in place of switches,

    chiller  = mechanical + per_degree x min(W, wet_bulb_top)                          of the IT power
    air      = base + chiller x ramp(W from free_below to mechanical_above)            chilled water, tower before the chiller
    free air = base + (chiller + extra) x soft(humid and D above a limit, or W above a limit)    outside air through the hall
    liquid   = pumps + air_share x air                                                 warm water to the chips, the rest by air

The law of fans is 3 in theory; measured servers rise more slowly, since fans never stop. When this will lie:
docs/spec/factory_power.md.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ciyuan.basics.errors import Malformed
from ciyuan.factory.messages import Chip
from ciyuan.factory.plant import Cooling

Reals = NDArray[np.float64]


class CoolingMethod(StrEnum):
    """How the heat of a hall is carried off."""

    AIR = "air"
    """Air through the servers, chilled water in the hall, a cooling tower that spares the chiller when it is cool outside."""
    FREE_AIR = "free_air"
    """Outside air through the hall, a chiller when that is too hot or too humid."""
    LIQUID = "liquid"
    """Warm water to the chips, and the rest of the heat as under `AIR`."""


# Servers.


@dataclass(frozen=True, slots=True)
class Server:
    """A server or rack of `gpus`, apart from them: watts of direct current inside it, and its power supply's curve.

    `psu_load` rises, in shares of the supply's rating, with the `psu_efficiency` at each; `psu_load_full` is where all
    GPUs at their TDP put it. `network_w_per_gpu` is a GPU's share of switches and storage outside the server, for chips
    whose IT power nobody published.
    """

    code: str
    gpus: int
    host_w_per_gpu: float
    fan_idle_w_per_gpu: float
    fan_full_w_per_gpu: float
    fan_exponent: float
    psu_load_full: float
    psu_load: tuple[float, ...]
    psu_efficiency: tuple[float, ...]
    network_w_per_gpu: float

    def __post_init__(self) -> None:
        rising = list(self.psu_load) == sorted(set(self.psu_load)) and len(self.psu_load) == len(
            self.psu_efficiency
        )
        if not (rising and all(0 < share <= 1 for share in self.psu_efficiency)):
            raise Malformed(f"server {self.code}, power supply", found=(self.psu_load, self.psu_efficiency),
                            expected="rising loads, each with an efficiency above 0 and at most 1",
                            remedy="Mend the server's entry.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServerPower:
    """Watts per GPU of a server, arrays of one shape; the parts sum to `it_w`."""

    gpu_w: Reals
    host_w: Reals
    fans_w: Reals
    supply_w: Reals
    network_w: Reals

    @property
    def wall_w(self) -> Reals:
        """At the server's own plug."""
        return self.gpu_w + self.host_w + self.fans_w + self.supply_w

    @property
    def it_w(self) -> Reals:
        """With its share of the network: what the PUE multiplies."""
        return self.wall_w + self.network_w


def server_power(server: Server, chip: Chip, gpu_watts: ArrayLike) -> ServerPower:
    """What a server draws for each GPU at `gpu_watts` watts of it.

    The network share is what a published IT power of the chip leaves beyond the wall at full load; else the server's own
    figure.
    """
    gpu_w = np.asarray(gpu_watts, dtype=np.float64)
    if not (np.isfinite(gpu_w).all() and (gpu_w >= 0).all()):
        raise Malformed(f"watts of {chip.name}", found=gpu_watts, expected="finite numbers of 0 or more",
                        remedy="Work them out from the power model.")  # fmt: skip
    network = server.network_w_per_gpu
    if chip.it_kw is not None:
        full = _inside(server, chip, np.asarray(chip.tdp_w))
        network = max(0.0, chip.it_kw * 1000.0 - float(sum(full)))
    host, fans, supply = _inside(server, chip, gpu_w)[1:]
    return ServerPower(gpu_w, host, fans, supply, np.full_like(gpu_w, network))


def _inside(server: Server, chip: Chip, gpu_w: Reals) -> tuple[Reals, Reals, Reals, Reals]:
    """GPU, host, fans and the supply's loss, in watts per GPU."""
    rise = server.fan_full_w_per_gpu - server.fan_idle_w_per_gpu
    fans = server.fan_idle_w_per_gpu + rise * (gpu_w / chip.tdp_w) ** server.fan_exponent
    direct = gpu_w + server.host_w_per_gpu + fans
    rating = (chip.tdp_w + server.host_w_per_gpu + server.fan_full_w_per_gpu) / server.psu_load_full
    efficiency = np.interp(direct / rating, server.psu_load, server.psu_efficiency)
    host = np.full_like(direct, server.host_w_per_gpu)
    return gpu_w, host, np.asarray(fans), np.asarray(direct / efficiency - direct)


# Halls.


@dataclass(frozen=True, slots=True)
class Hall:
    """The constants of the module's cooling formulas, as shares of the IT power or degrees Celsius."""

    distribution: float
    air_base: float
    free_air_base: float
    free_air_extra: float
    pumps: float
    air_share: float
    mechanical: float
    mechanical_per_degree: float
    wet_bulb_top_c: float
    free_below_c: float
    mechanical_above_c: float
    humid_above_pct: float
    dew_point_above_c: float
    free_air_wet_bulb_above_c: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the hall adds to the IT power, as shares of it: losses of distribution, and cooling. PUE = 1 + both."""

    distribution: Reals
    cooling: Reals

    @property
    def pue(self) -> Reals:
        """Facility power over IT power."""
        return 1.0 + self.distribution + self.cooling


def wet_bulb_c(dry_bulb_c: ArrayLike, relative_humidity_pct: ArrayLike) -> Reals:
    """Wet-bulb temperature at sea level, in degrees Celsius, of the arguments' common shape; Stull's fit, within 1 degree."""
    dry, humidity = _climate(dry_bulb_c, relative_humidity_pct)
    return np.asarray(
        dry * np.arctan(0.151977 * np.sqrt(humidity + 8.313659))
        + np.arctan(dry + humidity)
        - np.arctan(humidity - 1.676331)
        + 0.00391838 * humidity**1.5 * np.arctan(0.023101 * humidity)
        - 4.686035
    )


def dew_point_c(dry_bulb_c: ArrayLike, relative_humidity_pct: ArrayLike) -> Reals:
    """Dew point in degrees Celsius (Magnus formula, 17.62 and 243.12)."""
    dry, humidity = _climate(dry_bulb_c, relative_humidity_pct)
    gamma = np.log(np.maximum(humidity, 0.1) / 100.0) + 17.62 * dry / (243.12 + dry)
    return np.asarray(243.12 * gamma / (17.62 - gamma))


def overhead(
    hall: Hall, method: CoolingMethod, dry_bulb_c: ArrayLike, relative_humidity_pct: ArrayLike
) -> Overhead:
    """What the hall adds at these outdoor conditions; arrays of the arguments' common shape."""
    wet = wet_bulb_c(dry_bulb_c, relative_humidity_pct)
    chiller = hall.mechanical + hall.mechanical_per_degree * (wet - _ramp(wet, hall.wet_bulb_top_c))
    if method is CoolingMethod.FREE_AIR:
        humid = _soft(np.asarray(relative_humidity_pct, dtype=np.float64) - hall.humid_above_pct, 2.0)
        humid = humid * _soft(dew_point_c(dry_bulb_c, relative_humidity_pct) - hall.dew_point_above_c, 0.4)
        hot = _soft(wet - hall.free_air_wet_bulb_above_c, 0.4)
        needed = 1.0 - (1.0 - humid) * (1.0 - hot)
        cooling = hall.free_air_base + (chiller + hall.free_air_extra) * needed
    else:
        span = hall.mechanical_above_c - hall.free_below_c
        share = (_ramp(wet, hall.free_below_c, 2.0) - _ramp(wet, hall.mechanical_above_c, 2.0)) / span
        cooling = hall.air_base + share * chiller
        if method is CoolingMethod.LIQUID:
            cooling = hall.pumps + hall.air_share * cooling
    return Overhead(np.full_like(cooling, hall.distribution), cooling)


def plant_overhead(hall: Hall, cooling: Cooling) -> Overhead:
    """What a plant's cooling adds: by its climate, or by the PUE that it states (less the hall's distribution)."""
    if cooling.pue is not None:
        distribution = min(hall.distribution, cooling.pue - 1.0)
        return Overhead(np.asarray(distribution), np.asarray(cooling.pue - 1.0 - distribution))
    if cooling.method is None or cooling.dry_bulb_c is None or cooling.relative_humidity_pct is None:
        raise Malformed("plant, cooling", found=cooling, expected="a PUE, or a method with temperature and humidity",
                        remedy="Give all three of the climate.")  # fmt: skip
    return overhead(hall, CoolingMethod(cooling.method), cooling.dry_bulb_c, cooling.relative_humidity_pct)


def _climate(dry_bulb_c: ArrayLike, relative_humidity_pct: ArrayLike) -> tuple[Reals, Reals]:
    dry = np.asarray(dry_bulb_c, dtype=np.float64)
    humidity = np.asarray(relative_humidity_pct, dtype=np.float64)
    if not (np.isfinite(dry).all() and (dry > -100).all() and (dry < 70).all()):
        raise Malformed("dry-bulb temperature", found=dry_bulb_c, expected="degrees Celsius, -100 to 70",
                        remedy="Mend the weather.")  # fmt: skip
    if not ((humidity >= 0).all() and (humidity <= 100).all()):
        raise Malformed("relative humidity", found=relative_humidity_pct, expected="percent, 0 to 100",
                        remedy="Mend the weather.")  # fmt: skip
    return dry, humidity


def _ramp(value: Reals, start: float, sharpness: float = 1.0) -> Reals:
    """max(0, value - start), rounded at its corner."""
    return np.asarray(np.logaddexp(0.0, sharpness * (value - start)) / sharpness)


def _soft(value: Reals, width: float) -> Reals:
    """0 below, 1 above, smooth between."""
    return np.asarray(0.5 * (1.0 + np.tanh(value / (2.0 * width))))
