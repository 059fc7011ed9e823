"""Where a plan's rates may come from: a word of the command line, which loads nothing."""

from enum import StrEnum


class RateSource(StrEnum):
    """Where a plan's rates may come from."""

    PHYSICS = "physics"
    """Calibrated physics for all cells: chips are compared on equal terms (layouts, drafting, software)."""
    MEASURED = "measured"
    """Measured runs alone."""
    MIXED = "mixed"
    """Measured runs where there are any, physics elsewhere: a chip measured long ago looks worse than it is."""
