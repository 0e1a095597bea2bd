"""X-ray spectra that several tests make: lines of known heights on a background, as a detector would draw them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from refold.cube import as_cube
from refold.features.xrays.lines import line_of, resolution_at

ENERGY = np.arange(1024) * 0.02  # keV


def shape_of(name: str) -> np.ndarray:
    """One count of a line, spread over the channels."""
    line = line_of(name)
    sigma = resolution_at(line.energy) / 1e3 / 2.3548
    height = np.exp(-(((ENERGY - line.energy / 1e3) / sigma) ** 2) / 2)
    return height / height.sum()


def expected(lines: Mapping[str, float], background: float = 2.0) -> np.ndarray:
    """Counts to be expected in each channel, with what a bremsstrahlung leaves."""
    total = background * np.exp(-ENERGY / 6)
    return total + sum(counts * shape_of(name) for name, counts in lines.items())


def two_phases(shape: tuple[int, int] = (12, 14), *, chunks: Any = None, dose: float = 60.0) -> xr.DataArray:
    """Iron with some oxygen on the left, quartz on the right; as counts, with metadata as a file has them."""
    iron = expected({"Fe_Ka": dose, "Fe_Kb": 0.13 * dose, "O_Ka": 0.3 * dose}, 0.05)
    quartz = expected({"Si_Ka": dose, "O_Ka": dose}, 0.05)
    right = np.arange(shape[1]) >= shape[1] // 2
    means = np.where(right[:, None], quartz, iron)
    counts: Any = np.random.default_rng(0).poisson(np.broadcast_to(means, (*shape, ENERGY.size))).astype("uint8")
    if chunks is not None:
        counts = da.from_array(counts, chunks=chunks, name=False)
    coords = {"energy": (ENERGY, {"units": "keV"}), "x": (np.arange(shape[1]) * 0.5, {"units": "µm"})}
    cube = as_cube(counts, signal="energy", coords=coords, name="eds")
    return cube.assign_attrs(elements=["Fe", "Si", "O"], beam_energy=20.0, eds_energy_resolution_MnKa=130.0)
