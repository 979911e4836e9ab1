"""Functions that numba compiles, typed as they are written."""

from collections.abc import Callable
from typing import TypeVar, overload

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


@overload
def compiled(function: Function, /) -> Function: ...
@overload
def compiled(*, signature: str) -> Callable[[Function], Function]: ...
def compiled(
    function: Function | None = None, /, *, signature: str | None = None
) -> Function | Callable[[Function], Function]:
    """Compile a function where it is first called; kept on disk, and free of Python's lock.

    Annotations are for readers and mypy: numba compiles for the types that come, each once, or for
    the one `signature` that is given, when the module is imported.
    """

    def compile_(function: Function) -> Function:
        given = () if signature is None else (signature,)
        made: Function = njit(*given, cache=True, nogil=True)(function)
        return made

    return compile_ if function is None else compile_(function)
