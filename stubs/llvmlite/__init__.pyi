# What mypy is told about llvmlite, numba's own code generator, which ships no types.

from typing import Any

ir: Any
