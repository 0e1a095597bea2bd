"""Spectra of made-up phases: X-ray lines over bremsstrahlung, and smooth reflectance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError

Floats = npt.NDArray[np.float64]

# keV and relative weight; energies from the X-ray Data Booklet (LBNL/PUB-490 Rev. 3, 2009), table 1-2, weights rounded.
LINES: dict[str, tuple[tuple[float, float], ...]] = {
    "C": ((0.277, 1.0),),
    "N": ((0.392, 1.0),),
    "O": ((0.525, 1.0),),
    "Mg": ((1.254, 1.0),),
    "Al": ((1.487, 1.0),),
    "Si": ((1.740, 1.0), (1.836, 0.03)),
    "S": ((2.308, 1.0), (2.464, 0.06)),
    "Ca": ((3.692, 1.0), (4.013, 0.12)),
    "Ti": ((4.511, 1.0), (4.932, 0.13), (0.452, 0.15)),
    "Cr": ((5.415, 1.0), (5.947, 0.13), (0.573, 0.2)),
    "Mn": ((5.899, 1.0), (6.490, 0.13), (0.637, 0.2)),
    "Fe": ((6.404, 1.0), (7.058, 0.13), (0.705, 0.25)),
    "Co": ((6.930, 1.0), (7.649, 0.13), (0.776, 0.25)),
    "Ni": ((7.478, 1.0), (8.265, 0.13), (0.852, 0.3)),
    "Cu": ((8.048, 1.0), (8.905, 0.13), (0.930, 0.3)),
    "Zn": ((8.639, 1.0), (9.572, 0.13), (1.012, 0.3)),
    "Ga": ((9.252, 1.0), (10.264, 0.13), (1.098, 0.35)),
    "Pt": ((9.442, 1.0), (11.071, 0.6), (2.050, 1.2)),
}
COMPOSITIONS: tuple[Mapping[str, float], ...] = (
    {"Ni": 0.50, "Mn": 0.25, "Ga": 0.25},
    {"Fe": 0.50, "Pt": 0.50},
    {"Al": 0.40, "O": 0.60},
    {"Ti": 0.33, "O": 0.67},
    {"Fe": 0.70, "Cr": 0.20, "Ni": 0.10},
    {"Si": 0.33, "O": 0.67},
    {"Zn": 0.50, "S": 0.50},
    {"Ca": 0.25, "C": 0.25, "O": 0.50},
    {"Co": 0.60, "Cr": 0.40},
    {"Mg": 0.50, "O": 0.50},
)
_MN_K_ALPHA = 5.899


def composition_of(rank: int, seed: int) -> Mapping[str, float]:
    """Say what a phase is made of: from a list, and past its end four elements drawn at random."""
    if rank < len(COMPOSITIONS):
        return COMPOSITIONS[rank]
    rng = np.random.default_rng([seed, 4, rank])
    elements = rng.choice(sorted(LINES), size=4, replace=False)
    return dict(zip(map(str, elements), map(float, rng.dirichlet(np.full(4, 2.0))), strict=True))


def x_ray_lines(energy: Floats, composition: Mapping[str, float], fwhm: float) -> Floats:
    """Characteristic lines, summing to one over an energy axis that sees them all.

    Parameters
    ----------
    energy
        Energy axis, keV.
    composition
        Share of each element.
    fwhm
        Resolution of the detector at Mn Kα, keV; elsewhere after Fiori and Newbury (1978):
        ``fwhm(E)**2 = fwhm**2 + 0.0025 (E - 5.899)``.
    """
    unknown = sorted(set(composition) - set(LINES))
    if unknown:
        raise ParameterError(f"elements {unknown}", f"elements among {sorted(LINES)}", "change compositions")
    spectrum = np.zeros_like(energy)
    for element, share in composition.items():
        for middle, weight in LINES[element]:
            width = np.sqrt(max(fwhm**2 + 0.0025 * (middle - _MN_K_ALPHA), 0.04**2)) / 2.3548
            spectrum += share * weight * np.exp(-(((energy - middle) / width) ** 2) / 2) / width
    return normalised(spectrum * _window(energy))


def bremsstrahlung(energy: Floats, beam: float) -> Floats:
    """Kramers' law behind a detector window, summing to one."""
    positive = np.clip(energy, 0.05, None)
    return normalised(np.clip(beam - positive, 0, None) / positive * _window(energy))


def _window(energy: Floats) -> Floats:
    """Share of X-rays that pass a thin window; none at 0 keV and below, where the noise peak would be."""
    positive = np.clip(energy, 0.05, None)
    return np.where(energy < 0.1, 0.0, np.exp(-0.03 / positive**3))


def reflectance_of(wavelength: Floats, rank: int, seed: int) -> Floats:
    """Draw a smooth endmember between 0 and 1: a level, a slope, broad bands, two water bands of its own depth."""
    rng = np.random.default_rng([seed, 5, rank])
    low, high = float(wavelength.min()), float(wavelength.max())
    unit = (wavelength - low) / max(high - low, 1.0)
    spectrum = 0.15 + 0.35 * ((rank * 0.6180339887 + 0.1) % 1) + rng.uniform(-0.15, 0.25) * unit
    for middle in rng.uniform(0, 1, size=4):
        spectrum += rng.uniform(-0.12, 0.18) * np.exp(-(((unit - middle) / rng.uniform(0.06, 0.25)) ** 2) / 2)
    for middle in (1400.0, 1900.0):
        spectrum *= 1 - rng.uniform(0.05, 0.6) * np.exp(-(((wavelength - middle) / 45) ** 2) / 2)
    return np.asarray(np.clip(spectrum, 0.01, 0.95))


def normalised(spectrum: Floats) -> Floats:
    """Scale a spectrum to a sum of one; one of nothing stays so."""
    total = spectrum.sum()
    return np.asarray(spectrum / total if total > 0 else spectrum)
