"""Values as they are learnt from: as they are, not negative, or as their logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where
from refold.engine.buffers import empty

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Counts:
    """Clip at zero and take log(1 + value), each if wanted.

    Parameters
    ----------
    source : numpy.dtype
        Of the values that come in.
    log : bool
        Whether to take the logarithm, of what is clipped then.
    clip : bool
        Whether to take negative values as 0.
    """

    source: np.dtype[Any]
    log: bool
    clip: bool = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result: a logarithm is float32, or float64 for values of 64 bits; else as the values."""
        if not self.log:
            return self.source.newbyteorder("=")
        return np.dtype(np.float64 if self.source.itemsize >= 8 else np.float32)

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return self.log or (self.clip and self.source.kind not in "bu")

    def __call__(self, block: Block, where: Where) -> Array:
        """Take a block's values, as a visitor of other values than the block's own wants them."""
        return self.of(block.data)

    def of(self, values: Array) -> Array:
        """Take any values; NaN stays NaN."""
        if not self.changes:
            return values
        out = empty(values.shape, self.dtype)
        np.copyto(out, values, casting="unsafe")
        np.maximum(out, 0, out=out)
        return np.log1p(out, out=out) if self.log else out
