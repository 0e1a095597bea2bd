"""Spikes replaced: by a line or a spline through what stands beside them, with noise if asked for."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from refold.engine import Block
from refold.prepare.steps import ValueStep, as_rows
from refold.prepare.tiles import Bench

Array = npt.NDArray[Any]
Interpolate = Literal["linear", "spline"]
_BESIDE = 2  # channels on either side that a spline goes through: with one to spare it is a cubic


@dataclass(frozen=True)
class Finder:
    """Find the channels of spikes.

    Parameters
    ----------
    threshold : float
        Height from which on a channel is one.
    skipped : tuple of int
        Channels in which there are none.
    width, margin : int
        Most channels of a spike, and how many on either side go with it.
    relative : bool
        Whether heights count in deviations of counts.
    """

    threshold: float
    skipped: tuple[int, ...]
    width: int
    margin: int
    relative: bool

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """Give, for each pixel and channel, whether it is to be replaced; and for each pixel, whether any is.

        In a pixel with no channel left to replace others by, none is.
        """
        from refold.prepare.outliers import find_outliers  # numba costs more to import than this package

        block = Block(rows, 1)
        thresholds = np.full(rows.shape[1], max(self.threshold, np.finfo(np.float64).tiny))
        thresholds[list(self.skipped)] = np.inf
        found, hit = np.empty(rows.shape, bool), np.empty(len(rows), bool)
        find_outliers(block.rows, block.valid, self.width, self.relative, thresholds, self.margin, found, hit)
        whole = found.all(axis=1)
        found[whole], hit[whole] = False, False
        return found, hit


@dataclass(frozen=True)
class Mend(ValueStep):
    """Replace the spikes of one block; nothing else changes.

    Parameters
    ----------
    finder : Finder
        Says where they are.
    dtype : numpy.dtype
        Of the cube.
    interpolate : {"linear", "spline"}
        Between the channels beside a spike.
    noisy : bool
        Whether to add noise.
    seed : int
        Of the noise, which depends on it and on the pixel's own values alone.
    """

    name: ClassVar[str] = "spikes"
    room: ClassVar[float] = 1.0  # where spikes are

    finder: Finder
    dtype: np.dtype[Any]
    interpolate: Interpolate
    noisy: bool
    seed: int

    @property
    def whole(self) -> int:
        """The spectrum."""
        return 1

    def __call__(self, block: Array, *masks: Array) -> Array:
        """Replace them in a copy."""
        out = block.astype(self.dtype, order="C")
        self._mend(as_rows(out, 1))
        return out

    def into(self, tile: Array, out: Array, bench: Bench, *masks: Array) -> None:
        """Copy a tile, and replace them there."""
        out[...] = tile
        self._mend(as_rows(out, 1))

    def _mend(self, rows: Array) -> None:
        found, hit = self.finder(rows)
        for n in np.flatnonzero(hit):
            rows[n, found[n]] = self._replacement(rows[n].astype(np.float64), found[n])

    def _replacement(self, row: npt.NDArray[np.float64], found: Array) -> Array:
        """Values for the channels found, in the type of the cube: integers are rounded."""
        good, places = np.flatnonzero(~found), np.flatnonzero(found)
        values = np.interp(places, good, row[good])
        if self.interpolate == "spline":
            values = _through(row, good, places, values)
        if self.noisy:
            rng = np.random.default_rng([self.seed, zlib.crc32(row.tobytes())])
            values = self._with_noise(values, row, found, rng)
        if self.dtype.kind not in "iu":
            return values
        limits = np.iinfo(self.dtype)
        return np.clip(np.rint(values), float(limits.min), float(limits.max))

    def _with_noise(self, values: Array, row: Array, found: Array, rng: np.random.Generator) -> Array:
        """Draw counts about the values, or deviations as large as those between the pixel's other channels."""
        if self.finder.relative:
            return np.asarray(rng.poisson(np.maximum(values, 0)))
        steps = np.diff(row)[~(found[1:] | found[:-1])]
        deviation = 1.4826 * np.median(np.abs(steps)) / np.sqrt(2) if steps.size else 0.0
        return np.asarray(rng.normal(values, deviation))


def _through(row: Array, good: Array, places: Array, linear: Array) -> Array:
    """Values of cubics through two channels on either side of each spike; where these are not there, of the line."""
    from scipy.interpolate import make_interp_spline

    values = linear.copy()
    for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) > 1) + 1):
        after = int(np.searchsorted(good, places[run[0]]))
        beside = good[max(0, after - _BESIDE) : after + _BESIDE]
        if after >= _BESIDE and len(beside) == 2 * _BESIDE:
            values[run] = make_interp_spline(beside, row[beside], k=3)(places[run])
    return values
