"""What `clip`, `log1p` and `normalise` do to a block, in NumPy and compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from refold.prepare.kernels import lane_sums
from refold.prepare.steps import ValueStep, as_numbers, as_rows, logarithms
from refold.prepare.tiles import Bench

Array = npt.NDArray[Any]
How = Literal["total", "max", "unit"]


@dataclass(frozen=True)
class Limits(ValueStep):
    """Clip one block; the bounds are of its own type."""

    name: ClassVar[str] = "clip"

    low: Any
    high: Any

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result, as of the block."""
        dtype: np.dtype[Any] = self.low.dtype
        return dtype

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Clip."""
        return np.asarray(np.clip(block, self.low, self.high))

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Clip a tile."""
        from refold.prepare.compiled import bound

        bound(tile.reshape(-1), self.low, self.high, out.reshape(-1))


@dataclass(frozen=True)
class Logarithm(ValueStep):
    """Take the logarithm of one block, in a type of floats."""

    name: ClassVar[str] = "log1p"

    dtype: np.dtype[Any]

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Take log(1 + value) of what is not negative, and 0 of what is."""
        return self._of(block.astype(self.dtype))

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Look the logarithms of counts up; NumPy does those of floats, and of counts past 16 bits."""
        from refold.prepare.compiled import look_up

        values, target = as_numbers(tile).reshape(-1), out.reshape(-1)
        if tile.dtype.kind == "f" or not look_up(values, logarithms(self.dtype), target):
            target[:] = values
            self._of(target)

    def _of(self, out: Array) -> Array:
        np.maximum(out, 0, out=out)
        return np.asarray(np.log1p(out, out=out))


@dataclass(frozen=True)
class Scale(ValueStep):
    """Scale each pixel of one block by its own total, maximum or norm, in a type of floats."""

    name: ClassVar[str] = "normalise"

    how: How
    n_signal: int
    dtype: np.dtype[Any]

    @property
    def whole(self) -> int:
        """Its signal dims: a pixel has one size."""
        return self.n_signal

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Divide each pixel by its size."""
        out = block.astype(self.dtype, order="C")
        rows = as_rows(out, self.n_signal)
        with np.errstate(invalid="ignore", over="ignore"):  # a pixel that holds infinities stays invalid, as NaN
            size = self._size(rows)[:, None]
            kept = (size > 0) | np.isnan(size)
            np.divide(rows, np.where(kept, size, 1), out=rows)
        np.copyto(rows, 0, where=~kept)
        return out

    def _size(self, rows: Array) -> Array:
        """Measure each pixel, in the type of the rows; added up in float64."""
        if self.how == "max":
            return np.asarray(rows.max(axis=1))
        if self.how == "total":
            return np.asarray(lane_sums(rows), self.dtype)
        # Scaled by the largest value first: squares of large floats overflow, those of small ones vanish.
        top = np.abs(rows).max(axis=1)
        top[top == 0] = 1
        return np.asarray(top * np.sqrt(lane_sums(np.square(rows / top[:, None]))), self.dtype)

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Divide each pixel of a tile by its size."""
        from refold.prepare.compiled import scale_by_max, scale_by_total, scale_to_unit

        rows, target = as_rows(as_numbers(tile), self.n_signal), as_rows(out, self.n_signal)
        if self.how == "total":
            scale_by_total(rows, target)
        elif self.how == "max":
            scale_by_max(rows, target)
        else:
            scale_to_unit(rows, bench.get("squares", (2, rows.shape[1]), self.dtype), target)
