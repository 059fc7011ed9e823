# What mypy is told about numba, which ships no types: a compiled function keeps the signature it was written with.

from collections.abc import Callable
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

@overload
def njit(function: F, /) -> F: ...
@overload
def njit(
    *signatures: object,
    cache: bool = ...,
    fastmath: bool = ...,
    inline: str = ...,
    forceinline: bool = ...,
    boundscheck: bool = ...,
    parallel: bool = ...,
    nogil: bool = ...,
    error_model: str = ...,
    locals: dict[str, Any] = ...,
) -> Callable[[F], F]: ...
@overload
def prange(stop: int, /) -> range: ...
@overload
def prange(start: int, stop: int, step: int = ..., /) -> range: ...

int64: Any
uint64: Any
int32: Any
float64: Any
boolean: Any
types: Any
