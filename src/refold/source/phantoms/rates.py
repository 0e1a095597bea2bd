"""How much each source of a phantom sends from each pixel, by what the pixel holds and how thick it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refold.source.phantoms.scene import Place

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Diffraction:
    """Rates of [direct beam, diffuse, phase 0, phase 1, ...]: what the beam loses with thickness scatters."""

    dose: float
    diffuse: float
    empty: tuple[int, ...]

    def __call__(self, place: Place) -> Floats:
        """Give the rates, (pixels, sources)."""
        thickness = place.thickness * (1 - place.abundance[:, list(self.empty)].sum(axis=1))
        direct = np.exp(-thickness)
        scattered = 1 - direct
        matter = np.delete(place.abundance, self.empty, axis=1).sum(axis=1)
        phases = place.abundance / np.where(matter > 0, matter, 1)[:, None]
        phases[:, list(self.empty)] = 0
        share = np.concatenate(
            [direct[:, None], (scattered * self.diffuse)[:, None], (scattered * (1 - self.diffuse))[:, None] * phases],
            axis=1,
        )
        return np.asarray(self.dose * share)


@dataclass(frozen=True)
class XRays:
    """Rates of [bremsstrahlung, grid, lines of phase 0, ...]: all but the grid's grow with thickness."""

    counts: float
    background: float
    grid: float
    empty: tuple[int, ...]

    def __call__(self, place: Place) -> Floats:
        """Give the rates, (pixels, sources)."""
        filled = place.abundance.copy()
        filled[:, list(self.empty)] = 0
        matter = filled.sum(axis=1) * place.thickness
        lines = (1 - self.background - self.grid) * place.thickness[:, None] * filled
        grid = np.full(len(matter), self.grid)
        return np.asarray(self.counts * np.column_stack([self.background * (0.02 + 0.98 * matter), grid, lines]))


@dataclass(frozen=True)
class Light:
    """Rates of [endmember 0, ...]: illumination times abundance."""

    def __call__(self, place: Place) -> Floats:
        """Give the rates, (pixels, sources)."""
        return np.asarray(place.abundance * place.thickness[:, None])
