"""Chance by name: the same seed and name give the same luck, and another name another, whatever else is drawn."""

import numpy as np
import pytest

from ciyuan.simulation.chance import stream


def draws(*names: int | str) -> list[int]:
    found: list[int] = stream(*names).integers(0, 2**32, 200).tolist()  # type: ignore[arg-type]
    return found


def test_a_stream_is_a_function_of_its_seed_and_name():
    assert draws(1, "traffic") == draws(1, "traffic")


@pytest.mark.parametrize("other", [(2, "traffic"), (1, "plans"), (1, "traffic", 0), (1, "traffic", "")])
def test_another_seed_or_name_is_another_stream(other):
    assert not set(draws(1, "traffic")) & set(draws(*other))


def test_streams_do_not_move_together():
    one, other = (stream(1, "trader", account).normal(size=4000) for account in (1, 2))
    assert abs(float(np.corrcoef(one, other)[0, 1])) < 0.06


def test_what_one_stream_draws_leaves_the_others_as_they_were():
    first, second = stream(1, "a"), stream(1, "b")
    first.random(1000)
    assert second.integers(0, 2**32, 200).tolist() == draws(1, "b")
