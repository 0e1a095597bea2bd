"""Features of scans that others recorded. Skipped where they are not at hand."""

from __future__ import annotations

import numpy as np
import pytest

import refold


def test_nanocubes(shared_data):
    """A saturated beam five pixels wide, reflections, and the ghost of the beam in the detector."""
    scan = refold.open(shared_data / "4dstem" / "mgo_60x60.zspy").isel(y=slice(15, 45), x=slice(30, 60))
    model = refold.DeviationSelection().fit(scan)
    assert model.beam_ == pytest.approx((-0.0105, 0.0032, 0.145), abs=0.01)
    distance = np.hypot(scan.ky - model.beam_.cy, scan.kx - model.beam_.cx)
    assert model.n_features_ == round(0.4 * int((distance > model.beam_.radius).sum()))
    assert not model.mask_.where(distance <= model.beam_.radius, False).any()
    assert model.mask_.sel(ky=-1.83, kx=-1.76, method="nearest")  # a reflection
    assert not model.mask_.sel(ky=2.2, kx=2.2, method="nearest")  # a corner
    profile = refold.radial_profile(scan, model.beam_).mean(("y", "x"))
    assert float(profile[0]) == pytest.approx(1020)
    assert (np.diff(profile[:20]) < 0).sum() >= 17
    bright, dark = refold.virtual_detectors(scan, model.beam_, [(0, 0.12), (1.5, 2.3)]).transpose("feature", "y", "x")
    assert np.corrcoef(bright.values.ravel(), dark.values.ravel())[0, 1] > 0.5  # what surrounds the beam is thickness


def test_particles_without_their_grid(shared_data):
    pytest.importorskip("xraydb")
    scan = refold.open(shared_data / "eds" / "sio2_eds.hspy").isel(y=slice(40, 80))
    kept = refold.ChannelSelection(keep=0.1, exclude=["Cu", (0, 0.2)]).fit(scan).mask_
    energies = kept.energy[kept].values
    assert not ((energies > 7.85) & (energies < 8.25)).any()
    for line in (0.277, 0.525, 1.74):  # C, O, Si
        assert (abs(energies - line) < 0.05).sum() > 5
