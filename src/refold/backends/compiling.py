"""How long Numba compiled: once in a new environment, and part of what a person waits for there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def compile_seconds() -> Iterator[list[float]]:
    """Count the seconds that Numba compiles, in whatever package; what it loads from its cache counts nothing.

    Yields
    ------
    list of float
        Empty until the end; then it holds the seconds, if anything was compiled.

    Examples
    --------
    >>> with compile_seconds() as seconds:
    ...     pass
    >>> seconds
    []
    """
    from numba.core import event

    seconds: list[float] = []
    with event.install_timer("numba:compile", seconds.append):
        yield seconds
