"""What stored numbers stand for: scaled, offset, or no data at all; undone as part of the read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refold.engine import buffers
from refold.source.lazy import RegionReader, native, opened

Numbers = float | tuple[float, ...]
_SLAB = 1 << 18  # values
_ROUNDED = 1e-6  # by which the largest float, written in few digits, may miss itself


def exact(value: Any) -> int | float:
    """Read a number, or its text: a whole one as an int, which keeps each digit of 64 bits.

    Examples
    --------
    >>> exact("-9223372036854775806"), exact(b"-9999.0"), exact(np.int16(-1))
    (-9223372036854775806, -9999.0, -1)
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str | bytes):
        try:
            whole = int(value)
        except ValueError:
            return float(value)
        return whole if -(1 << 63) <= whole < 1 << 64 else float(value)
    return value if isinstance(value, int) else float(value)


@dataclass(frozen=True, slots=True)
class Packing:
    """How stored numbers become values: ``stored * factor / divisor + offset``; some of them mean that there is none.

    Parameters
    ----------
    factor, offset : float or tuple of float
        One number, or one for each band.
    divisor : float
        Dividing by 10 000 is exact where multiplying by 0.0001 is not.
    no_data : tuple of int or float
        Stored numbers that mean no data; ints where 64 bits may have to be told apart.

    Examples
    --------
    >>> Packing(divisor=10_000.0, no_data=(-9999.0,)).dtype_of(np.dtype("int16"))
    dtype('float32')
    >>> Packing(no_data=(-9999.0,)).dtype_of(np.dtype("uint16"))
    dtype('uint16')
    """

    factor: Numbers = 1.0
    divisor: float = 1.0
    offset: Numbers = 0.0
    no_data: tuple[int | float, ...] = ()

    @classmethod
    def scaled(cls, factor: Numbers, offset: Numbers = 0.0, no_data: tuple[int | float, ...] = ()) -> Packing:
        """Make one of a factor, as GDAL and CF state it; one over a whole number becomes that divisor."""
        factor, offset = _one_if_equal(factor), _one_if_equal(offset)
        if not isinstance(factor, tuple) and 0 < abs(factor) < 1:
            inverse = round(1 / factor)
            if math.isclose(inverse * factor, 1.0, rel_tol=1e-12):
                return cls(divisor=float(inverse), offset=offset, no_data=no_data)
        return cls(factor, offset=offset, no_data=no_data)

    @property
    def scales(self) -> bool:
        """Whether numbers change."""
        return (self.factor, self.divisor, self.offset) != (1.0, 1.0, 0.0)

    def missing(self, stored: np.dtype[Any]) -> tuple[Any, ...]:
        """Of the numbers that mean no data, those that a type can hold, in that type."""
        if stored.kind == "f":
            return tuple(dict.fromkeys(stored.type(number) for number in _floats_near(self.no_data, stored)))
        if stored.kind not in "iu":
            return ()
        limits = np.iinfo(stored)
        whole = (int(number) for number in self.no_data if isinstance(number, int) or number.is_integer())
        return tuple(stored.type(number) for number in whole if limits.min <= number <= limits.max)

    def dtype_of(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Tell the type of the values.

        Floats and complex numbers keep theirs (half floats become float32). Integers stay as they are where nothing
        changes and none means no data; they become float32 where they are scaled or have 16 bits at most, else float64.
        """
        stored = native(stored)
        if not (self.scales or self.missing(stored)) or stored.kind not in "iuf":
            return stored
        if stored.kind == "f":
            return np.dtype(np.float64 if stored.itemsize > 4 else np.float32)
        single = stored.itemsize <= (4 if self.scales else 2)
        return np.dtype(np.float32 if single else np.float64)

    def unpack(self, stored: NDArray[Any], out: NDArray[Any], bands: slice, axis: int) -> None:
        """Write the values of stored numbers; ``out`` may be where they are stored.

        Parameters
        ----------
        stored, out : numpy.ndarray
            Of one shape.
        bands : slice
            Which bands they are of.
        axis : int
            Where in their shape the bands are.
        """
        gone = [stored == number for number in self.missing(stored.dtype)]
        factor, offset = (self._along(numbers, bands, axis, stored.ndim) for numbers in (self.factor, self.offset))
        with np.errstate(over="ignore", invalid="ignore"):  # what means no data may be at the end of the range
            if self.divisor != 1.0:
                np.divide(stored, out.dtype.type(self.divisor), out=out, dtype=out.dtype, casting="unsafe")
            elif np.any(factor != 1.0):
                np.multiply(stored, factor, out=out, dtype=np.float64, casting="unsafe")
            elif stored is not out:
                np.copyto(out, stored, casting="unsafe")
            if np.any(offset != 0.0):
                np.add(out, offset, out=out, dtype=np.float64, casting="unsafe")
        for where in gone:
            out[where] = np.nan

    @staticmethod
    def _along(numbers: Numbers, bands: slice, axis: int, ndim: int) -> Any:
        if not isinstance(numbers, tuple):
            return np.float64(numbers)
        return np.asarray(numbers)[bands].reshape([-1 if at == axis else 1 for at in range(ndim)])


def _floats_near(numbers: tuple[int | float, ...], dtype: np.dtype[Any]) -> Iterator[int | float]:
    """Yield the numbers that a type of floats can hold; its largest too, where one of them is that in fewer digits."""
    largest = float(np.finfo(dtype).max)
    for number in numbers:
        if abs(number) <= largest:
            yield number
        if abs(abs(number) / largest - 1) <= _ROUNDED:
            yield math.copysign(largest, number)


def _one_if_equal(numbers: Numbers) -> Numbers:
    return numbers[0] if isinstance(numbers, tuple) and len(set(numbers)) == 1 else numbers


@dataclass(frozen=True, slots=True)
class PackedRegion:
    """Reads regions of an array whose numbers are packed, and unpacks them while they are at hand.

    Parameters
    ----------
    reader : RegionReader
        Reads the stored numbers.
    packing : Packing
        What they stand for.
    axis : int
        Along which of its axes the bands lie.
    """

    reader: RegionReader
    packing: Packing
    axis: int

    @contextmanager
    def opened(self) -> Iterator[RegionReader]:
        """Keep the file open for several reads."""
        with opened(self.reader) as reader:
            yield replace(self, reader=reader)

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return the values of a region; NaN where there are no data."""
        stored = self.reader.read(region)
        dtype = self.packing.dtype_of(stored.dtype)
        out = stored if dtype == stored.dtype and stored.flags.writeable else buffers.empty(stored.shape, dtype)
        # A slab at a time: what is compared and converted meanwhile stays small.
        thick = max(1, _SLAB // max(1, stored[:1].size))
        for first in range(0, len(stored), thick):
            slab = slice(first, min(first + thick, len(stored)))
            bands = region[self.axis]
            if self.axis == 0:
                bands = slice(bands.start + slab.start, bands.start + slab.stop)
            here = stored[slab]
            self.packing.unpack(here, here if out is stored else out[slab], bands, self.axis)
        return out
