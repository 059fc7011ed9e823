# What mypy is told about numba.extending.

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F")

models: Any

def intrinsic(function: Callable[..., Any], /) -> Callable[..., Any]: ...
def overload(function: Callable[..., Any], /) -> Callable[[F], F]: ...
def register_model(kind: type, /) -> Callable[[F], F]: ...
