"""Functions for Snakemake that say what they take."""

from collections.abc import Callable
from inspect import signature
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def signed(function: Function) -> Function:
    """The same function, which knows its signature.

    Snakemake asks for it at each call, three times, which takes longer than most of the calls.

    >>> from inspect import signature
    >>> of_job = signed(lambda wildcards, output: output)
    >>> signature(of_job) is signature(of_job)
    True
    """
    vars(function)["__signature__"] = signature(function)
    return function
