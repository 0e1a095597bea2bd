"""Zero-loss alignment: where the peak of each pixel is, and the cubes moved by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refold.cube import as_cube
from refold.prepare.zero_loss import ZeroLoss

STEP = 0.1
ENERGY = np.arange(-4.0, 12.0, STEP)
SIGMA = 0.15  # eV: a width of 0.35 eV at half height, 3.5 channels


def peaks(shape: tuple[int, ...], dose: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Expected counts of a zero loss of so many counts, with a plasmon, and how far each is moved."""
    true = np.random.default_rng(seed).uniform(-0.8, 0.8, shape)
    zero = np.exp(-((ENERGY - true[..., None]) ** 2) / 2 / SIGMA**2) * STEP / SIGMA / np.sqrt(2 * np.pi)
    plasmon = 0.004 * np.exp(-((ENERGY - true[..., None] - 8) ** 2) / 4)
    return dose * (zero + plasmon), true


def scan(shape: tuple[int, ...] = (12, 15), dose: float | None = 1e4, dtype: str = "uint16") -> Any:
    expected, true = peaks(shape, dose or 1.0)
    counts = expected if dose is None else np.random.default_rng(1).poisson(expected)
    energy = (ENERGY, {"units": "eV", "long_name": "energy loss"})
    return as_cube(counts.astype(dtype), signal="energy", coords={"energy": energy}, name="low"), true


@pytest.mark.parametrize(
    ("method", "dose", "worst", "typical"),
    [
        ("correlation", 1e4, 0.1, 0.03),
        ("correlation", 1e6, 0.02, 0.01),
        ("fit", 1e5, 0.1, 0.03),
        ("fit", 1e6, 0.02, 0.01),
        ("maximum", 1e6, 0.6, 0.35),
    ],
)
def test_known_shifts_are_found(method: Any, dose: float, worst: float, typical: float) -> None:
    """Under a tenth of a channel for every pixel, at 10 000 counts in the peak."""
    cube, true = scan((30, 30), dose, "uint32")
    found = ZeroLoss(method=method).fit(cube.chunk(x=7))
    errors = (found.positions_.values - true) / STEP
    assert np.abs(errors).max() < worst
    assert errors.std() < typical
    assert abs(errors.mean()) < 0.02
    np.testing.assert_allclose(found.shifts_ + found.positions_, found.position_, atol=1e-9)
