"""Exchanges that are open, for tests that say rules in a few lines each."""

import pytest

from tests.exchange.pit import THREE, Pit, open_pit


@pytest.fixture
def pit() -> Pit:
    """One month."""
    return open_pit()


@pytest.fixture
def legs() -> Pit:
    """Two months and their spread."""
    return open_pit(*THREE)
