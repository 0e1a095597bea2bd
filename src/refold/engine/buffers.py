"""Buffers that a thread lends to the tasks of its blocks, and has back once nothing looks at them any more.

A fresh array of some megabytes is given to the process page by page, each of them zeroed by the kernel first, and that
costs more than decoding a chunk into it. So what a block needs (a file's bytes, a decoded chunk, its rebinned form, its
rows as floats) is borrowed, and the same few pages serve all blocks of a thread.

Nobody has to give anything back. A buffer is handed out as an ordinary array; it is free again when the last view of it
is gone, so a visitor that keeps a block keeps a whole one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SMALL = 1 << 16  # bytes: below that the C library has warm memory of its own


class Lender:
    """The buffers of one thread.

    Examples
    --------
    >>> lender = Lender()
    >>> with lending(lender):
    ...     block = empty((1000, 1000), "uint16")
    >>> del block
    >>> lender.nbytes
    2000000
    """

    def __init__(self) -> None:
        self._free: list[Array] = []

    @property
    def nbytes(self) -> int:
        """Bytes that nobody has borrowed at present."""
        return sum(buffer.nbytes for buffer in self._free)

    def lend(self, nbytes: int) -> Array:
        """Hand out bytes: the smallest free buffer that is large enough, though not twice as large as it need be."""
        fitting = [at for at, buffer in enumerate(self._free) if nbytes <= buffer.nbytes <= 2 * nbytes]
        if fitting:
            buffer = self._free.pop(min(fitting, key=lambda at: self._free[at].nbytes))
        else:
            self._free[:] = [buffer for buffer in self._free if buffer.nbytes > nbytes]  # the others are too small
            buffer = np.empty(nbytes, np.uint8)
        return np.asarray(_Loan(buffer, self._free))


class _Loan:
    """What a borrowed array rests on; NumPy holds it as long as there is a view."""

    def __init__(self, buffer: Array, free: list[Array]) -> None:
        self._buffer, self._free = buffer, free
        self.__array_interface__ = buffer.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._buffer)


_here = threading.local()


@contextmanager
def lending(lender: Lender) -> Iterator[None]:
    """Let `empty` borrow from a lender, in this thread.

    Parameters
    ----------
    lender : Lender
        Whose buffers to use.
    """
    before = getattr(_here, "lender", None)
    _here.lender = lender
    try:
        yield
    finally:
        _here.lender = before


def empty(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """Make an array whose contents are whatever was left there, as `numpy.empty` does: on borrowed memory in a sweep.

    Parameters
    ----------
    shape : sequence of int
        Shape.
    dtype : dtype
        Any without Python objects.

    Returns
    -------
    numpy.ndarray
        C-contiguous and writeable.

    Examples
    --------
    >>> empty((2, 3), "uint16").shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    lender: Lender | None = getattr(_here, "lender", None)
    if lender is None or nbytes < _SMALL:
        return np.empty(tuple(shape), dtype)
    return lender.lend(nbytes)[:nbytes].view(dtype).reshape(shape)
