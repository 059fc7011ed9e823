"""Who takes part in the month: numbers, roles and money of the participants.

Numbers run 1, 2, 3 ... in this order: the factories, the providers that post list prices only, the buyers, the market makers, the
noise traders. A buyer's customer number and a factory's supplier number at the gateway are their participant numbers.
"""

from dataclasses import dataclass

from ciyuan.basics.money import MICRO
from ciyuan.basics.price import PriceList
from ciyuan.clearing.messages import MemberRole
from ciyuan.simulation.scenario import Scenario
from ciyuan.venue.messages import Role

TRADER = Role.FUTURES | Role.SPOT
MAKER_CASH_MICRO = 20_000_000 * MICRO
TRADER_CASH_MICRO = 400_000 * MICRO


@dataclass(frozen=True, slots=True)
class Provider:
    """A seller of the grade: its name, and its posted list prices by date (`supplier` in them is not yet a participant)."""

    name: str
    lists: tuple[PriceList, ...]


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant of the venue: its number, name, venue roles and clearing role."""

    number: int
    name: str
    roles: int
    role: int


@dataclass(frozen=True, slots=True)
class Cast:
    """All participants, and who is what (participant numbers)."""

    everyone: tuple[Participant, ...]
    factories: tuple[int, ...]
    providers: tuple[int, ...]
    buyers: tuple[int, ...]
    makers: tuple[int, ...]
    traders: tuple[int, ...]

    @property
    def names(self) -> dict[int, str]:
        """Names by participant number."""
        return {participant.number: participant.name for participant in self.everyone}


def cast_of(scenario: Scenario, site_owners: tuple[str, ...], providers: tuple[Provider, ...]) -> Cast:
    """The participants of a scenario."""
    groups: list[tuple[list[str], int, int]] = [
        (list(site_owners), Role.SUPPLIER | TRADER, MemberRole.HEDGER),
        ([provider.name for provider in providers], int(Role.SUPPLIER), MemberRole.SPECULATOR),
        (
            [f"buyer {number:02d}" for number in range(1, scenario.buyers + 1)],
            Role.CUSTOMER | TRADER,
            MemberRole.HEDGER,
        ),
        ([f"maker {number}" for number in range(1, scenario.makers + 1)], int(TRADER), MemberRole.MAKER),
        (
            [f"trader {number}" for number in range(1, scenario.traders + 1)],
            int(TRADER),
            MemberRole.SPECULATOR,
        ),
    ]
    everyone: list[Participant] = []
    numbers: list[tuple[int, ...]] = []
    for names, roles, role in groups:
        first = len(everyone) + 1
        everyone += [
            Participant(first + place, name, int(roles), int(role)) for place, name in enumerate(names)
        ]
        numbers.append(tuple(range(first, len(everyone) + 1)))
    return Cast(tuple(everyone), *numbers)
