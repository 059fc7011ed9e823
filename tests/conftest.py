"""Profiles of every test run: the same examples each time, and nothing that depends on how fast the machine is.

The door's tests run on the interpreted door, also in the processes that they start; with CIYUAN_COMPILED=1 on the compiled one.
"""

import os

from hypothesis import HealthCheck, settings

from ciyuan.services import compiled

if os.environ.setdefault(compiled.ENVIRONMENT, "0") == "1":
    compiled.use(compiled.Choice.COMPILED)
os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# To look for new counterexamples by hand: pytest --hypothesis-profile=search
settings.register_profile(
    "search", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")
