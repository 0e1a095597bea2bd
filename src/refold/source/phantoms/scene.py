"""Where the phases of a phantom lie: Voronoi grains, rare precipitates, thickness; asked block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError

_DIMS = ("z", "y", "x")


@dataclass(frozen=True)
class Place:
    """What a scene says of one block of pixels; all arrays have the pixels of the block first, in C order."""

    pixels: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    grains: npt.NDArray[np.int32]
    abundance: npt.NDArray[np.float64]
    thickness: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A specimen, fixed by its parameters alone: two phantoms with the same ones show the same specimen.

    Parameters
    ----------
    shape : tuple of int
        Navigation shape: ``(x,)``, ``(y, x)`` or ``(z, y, x)``.
    phases : int
        Number of phases that the grains share; their labels are ``0 .. phases - 1``.
    grains : int, optional
        Number of Voronoi grains.
    rare : tuple of int
        Pixels of each rare phase: a compact precipitate of exactly that many, labelled ``phases``, ``phases + 1``, ...
    thickness : tuple of float
        Thickness at the first and at the last position of the last dim; linear between.
    mixing : float
        Half the width, in pixels, over which the phases of two neighbouring grains mix. 0 is a sharp boundary.
    nodata : float
        Share of the scan, in a slanted wedge at its start, where nothing was measured; labelled -1.
    seed : int
        Seed.
    """

    shape: tuple[int, ...]
    phases: int = 4
    grains: int | None = None
    rare: tuple[int, ...] = ()
    thickness: tuple[float, float] = (1.0, 1.0)
    mixing: float = 0.0
    nodata: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= len(_DIMS) or min(self.shape) < 1:
            raise ParameterError(
                f"navigation shape {self.shape}", "one to three sizes of at least 1", "give shape=(y, x)"
            )
        if not 1 <= self.phases <= self.n_pixels:
            raise ParameterError(f"{self.phases} phases", f"1 to {self.n_pixels}, one a pixel at most", "change phases")
        if self.grains is not None and not self.phases <= self.grains <= self.n_pixels:
            wanted = f"at least the {self.phases} phases and at most the {self.n_pixels} pixels"
            raise ParameterError(f"{self.grains} grains", wanted, "change grains, or leave it out")
        if any(n < 1 for n in self.rare) or sum(self.rare) > self.n_pixels // 2:
            wanted = f"at least 1 pixel each, and {self.n_pixels // 2} in all"
            raise ParameterError(f"rare phases of {self.rare} pixels", wanted, "change rare, or scan more pixels")
        if not 0 <= self.nodata < 1:
            raise ParameterError(f"nodata={self.nodata}", "a share of 0 or more, below 1", "change nodata")

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the navigation dims."""
        return _DIMS[-len(self.shape) :]

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def n_labels(self) -> int:
        """Number of phases, the rare ones among them."""
        return self.phases + len(self.rare)

    @cached_property
    def n_grains(self) -> int:
        """Number of Voronoi grains: by default three a phase, and more as the scan grows."""
        default = max(3 * self.phases, round(self.n_pixels**0.5 / 4))
        return self.grains if self.grains is not None else min(self.n_pixels, default)

    @cached_property
    def _seeds(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
        """Middle and phase of every grain; grains start on pixels of their own, so each is at least one pixel."""
        rng = np.random.default_rng([self.seed, 1])
        flat = rng.choice(self.n_pixels, self.n_grains, replace=False, shuffle=False) if self._small else None
        if flat is None:
            flat = np.unique(rng.integers(self.n_pixels, size=2 * self.n_grains))
            flat = rng.permutation(flat)[: self.n_grains]
        middles = np.stack(np.unravel_index(rng.permutation(flat), self.shape), axis=1).astype(np.float64)
        return middles, (np.arange(len(middles)) % self.phases).astype(np.int32)

    @property
    def _small(self) -> bool:
        return self.n_pixels <= 1 << 24

    @cached_property
    def _precipitates(self) -> list[npt.NDArray[np.int64]]:
        """Flat pixel indices of each rare phase: the pixels nearest to a drawn middle."""
        rng = np.random.default_rng([self.seed, 2])
        taken = np.empty(0, np.int64)
        found = []
        for n in self.rare:
            for _ in range(1000):
                pixels = self._nearest(rng.integers(self.shape), n)
                if pixels.size == n and not np.isin(pixels, taken).any() and not self._is_nodata(pixels).any():
                    break
            else:
                raise ParameterError(
                    f"no room for a rare phase of {n} pixels", "precipitates apart", "scan more pixels"
                )
            taken = np.concatenate([taken, pixels])
            found.append(np.sort(pixels))
        return found

    def _nearest(self, middle: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
        """Find the n pixels nearest to one, ties broken by index: a disc, a ball or a run, cut by the edges."""
        reach = int(np.ceil(n ** (1 / len(self.shape)))) + 1
        ranges = [
            np.arange(max(0, m - reach), min(size, m + reach + 1)) for m, size in zip(middle, self.shape, strict=True)
        ]
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*ranges, indexing="ij")], axis=1)
        order = np.argsort(((grid - middle) ** 2).sum(axis=1), kind="stable")[:n]
        return np.asarray(np.ravel_multi_index(tuple(grid[order].T), self.shape), np.int64)

    def _is_nodata(self, pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        *first, last = np.unravel_index(pixels, self.shape)
        slant = (first[-1] + 0.5) / self.shape[-2] + 0.5 if first else 1.0
        return np.asarray(last < self.nodata * self.shape[-1] * slant)

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self._seeds[0])

    def pixels(self, block: tuple[slice, ...]) -> npt.NDArray[np.int64]:
        """Flat C-order indices, in the full scan, of the pixels of a block."""
        axes = [np.arange(s.start, s.stop, dtype=np.int64) for s in block]
        return np.ravel_multi_index(tuple(np.meshgrid(*axes, indexing="ij")), self.shape).ravel().astype(np.int64)

    def look(self, block: tuple[slice, ...]) -> Place:
        """Look at a block, given by one slice a navigation dim, with start and stop."""
        pixels = self.pixels(block)
        where = np.stack(np.unravel_index(pixels, self.shape), axis=1)
        phase_of = self._seeds[1]
        two = min(2, self.n_grains)
        distance, near = self._tree.query(where, k=[1, two] if two == 2 else [1])
        grains, phases = near[:, 0].astype(np.int32), phase_of[near]
        abundance = np.zeros((pixels.size, self.n_labels))
        line = np.arange(pixels.size)
        other = self._share_of_second(distance)
        abundance[line, phases[:, 0]] = 1 - other
        abundance[line, phases[:, -1]] += other
        labels = phases[:, 0].copy()
        for rank, members in enumerate(self._precipitates):
            inside = np.isin(pixels, members)
            labels[inside], grains[inside] = self.phases + rank, self.n_grains + rank
            abundance[inside] = 0
            abundance[inside, self.phases + rank] = 1
        if self.nodata:
            labels[self._is_nodata(pixels)] = -1
        start, stop = self.thickness
        thickness = start + (stop - start) * where[:, -1] / max(1, self.shape[-1] - 1)
        return Place(pixels, labels, grains, abundance, thickness)

    def _share_of_second(self, distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How much of a pixel is the second nearest grain: half on the boundary, nothing ``mixing`` pixels inside."""
        if not self.mixing or distance.shape[1] == 1:
            return np.zeros(len(distance))
        inside = (distance[:, 1] - distance[:, 0]) / 2
        return np.asarray(np.clip(0.5 * (1 - inside / self.mixing), 0, 0.5))


def kinds_of(phases: int, amorphous: int, vacuum: int, rare: Sequence[int]) -> tuple[str, ...]:
    """Say what each label is; the rare phases are crystals."""
    if min(phases, amorphous, vacuum) < 0:
        found = f"phases={phases}, amorphous={amorphous}, vacuum={vacuum}"
        raise ParameterError(found, "numbers of 0 or more", "change them")
    return ("crystal",) * phases + ("amorphous",) * amorphous + ("vacuum",) * vacuum + ("crystal",) * len(rare)
