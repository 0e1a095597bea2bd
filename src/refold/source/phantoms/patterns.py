"""Diffraction patterns of made-up phases: Bragg discs on a lattice, rings of amorphous matter, the direct beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True)
class Detector:
    """Positions of the detector's pixels in reciprocal space, 1/Å, the direct beam at 0."""

    ky: Floats
    kx: Floats

    @classmethod
    def centred(cls, shape: tuple[int, int], k_max: float) -> Detector:
        """Square pixels; the shorter side reaches from ``-k_max`` to below ``k_max``, 0 on a pixel."""
        step = 2 * k_max / min(shape)
        ky, kx = ((np.arange(n) - n // 2).astype(np.float64) * step for n in shape)
        return cls(ky, kx)

    @property
    def step(self) -> float:
        """Width of a pixel, 1/Å."""
        axis = self.ky if self.ky.size > 1 else self.kx
        return float(axis[1] - axis[0]) if axis.size > 1 else 1.0

    def radius(self) -> Floats:
        """Distance of each pixel from the direct beam."""
        return np.hypot(self.ky[:, None], self.kx[None, :])

    def disc(self, ky: float, kx: float, radius: float) -> Floats:
        """Draw a disc whose edge is one pixel soft, so that it keeps its intensity wherever it lies between pixels."""
        distance = np.hypot(self.ky[:, None] - ky, self.kx[None, :] - kx)
        return np.clip((radius - distance) / self.step + 0.5, 0, 1)


def direct_beam(detector: Detector, radius: float) -> Floats:
    """Draw the undiffracted disc, summing to one."""
    return _normalised(detector.disc(0, 0, radius))


def diffuse(detector: Detector) -> Floats:
    """Draw the diffuse scattering that every phase shares, falling off with angle."""
    return _normalised(1 / (detector.radius() ** 2 + 0.15**2))


def halo(detector: Detector, rank: int) -> Floats:
    """Draw the rings of an amorphous phase; each rank has its own spacing."""
    radius = detector.radius()
    first = 0.30 + 0.12 * ((rank * _GOLDEN_RATIO) % 1)
    rings = ((first, 1.0, 0.04), (1.75 * first, 0.35, 0.07))
    return _normalised(sum(w * np.exp(-(((radius - r) / s) ** 2) / 2) for r, w, s in rings) / (radius + first))


def bragg(detector: Detector, rank: int, radius: float, seed: int) -> Floats:
    """Draw the Bragg discs of one crystalline phase in one orientation, without the direct beam.

    Lattice and rotation step through their ranges by the golden ratio, so that no two phases come out alike however
    few there are; the structure factors are drawn, and equal for a reflection and its inverse (Friedel).
    """
    rng = np.random.default_rng([seed, 3, rank])
    turn = (rank + 1) * _GOLDEN_RATIO
    a, ratio, angle = 0.26 + 0.22 * (turn % 1), 1 + 0.4 * rng.random(), np.deg2rad(rng.choice([60.0, 75.0, 90.0]))
    rotation = np.pi * ((turn * 1.7) % 1)
    one = a * np.array([np.sin(rotation), np.cos(rotation)])
    two = a * ratio * np.array([np.sin(rotation + angle), np.cos(rotation + angle)])
    reach = int(np.ceil(2 * max(np.abs(detector.ky).max(), np.abs(detector.kx).max()) / a))
    pattern = np.zeros((detector.ky.size, detector.kx.size))
    for h in range(reach + 1):
        for k in range(-reach if h else 1, reach + 1):
            ky, kx = h * one + k * two
            strength = rng.lognormal(0.0, 0.8) * np.exp(-(ky**2 + kx**2) / 0.5**2)
            if strength > 1e-4:
                pattern += strength * (detector.disc(ky, kx, radius) + detector.disc(-ky, -kx, radius))
    return _normalised(pattern)


def _normalised(pattern: Floats) -> Floats:
    total = pattern.sum()
    return np.asarray(pattern / total if total > 0 else pattern)
