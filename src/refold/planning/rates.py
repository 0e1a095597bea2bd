"""How fast a machine is, in the plain numbers that plans are made from."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """Rates of one core while all others work as well.

    Parameters
    ----------
    multiply : float
        Operations a second in products of square matrices in float32, as of a scatter matrix.
    thin : float
        Operations a second in products of rows with a few dozen columns in float32, as of a subspace.
    memory : float
        Bytes a second read and written in a copy that no cache holds.
    decode : float
        Decoded bytes a second of counts compressed by Blosc (lz4, bit shuffle).

    Examples
    --------
    >>> Rates(multiply=100e9, thin=75e9, memory=10e9, decode=1e9).products_per_value
    256
    """

    multiply: float
    thin: float
    memory: float
    decode: float

    @property
    def products_per_value(self) -> int:
        """Thin operations that take as long as reading one value of four bytes and converting it; a power of four.

        Rounded as coarsely as this, the rates of one machine lead to the same choice however they were disturbed while
        they were measured.
        """
        seconds = 4 / self.decode + 12 / self.memory  # a value is read, written as float, and read by a product
        return int(4 ** round(math.log(max(1.0, self.thin * seconds), 4)))

    @property
    def fat(self) -> float:
        """How much faster square products run than thin ones, in quarters."""
        return max(1.0, round(4 * self.multiply / self.thin) / 4)


FALLBACK = Rates(multiply=60e9, thin=45e9, memory=8e9, decode=1e9)
"""Of a middling core of 2020: for where nothing can be measured, or not be kept."""
