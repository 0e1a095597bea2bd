"""Peaks that nobody listed: found above the noise, and explained by elements whose other lines are there too."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from refold.errors import ParameterError
from refold.features import suggest_lines
from tests.features.xrays.made_spectra import ENERGY, expected, two_phases

pytest.importorskip("xraydb")


def spectrum(lines: dict[str, float], background: float = 300.0, **attrs) -> xr.DataArray:
    counts = np.random.default_rng(0).poisson(expected(lines, background)).astype("f8")
    found = xr.DataArray(counts, {"energy": ("energy", ENERGY, {"units": "keV"})}, "energy")
    return found.assign_attrs(beam_energy=20.0, **attrs)


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ({"Fe_Ka": 1e5, "Fe_Kb": 1.3e4, "Fe_La": 3e4}, {"Fe_Ka", "Fe_Kb", "Fe_La"}),
        ({"Cu_Ka": 1e5, "Cu_Kb": 1.3e4, "Cu_La": 4e4}, {"Cu_Ka", "Cu_Kb", "Cu_La"}),
        ({"Si_Ka": 2e5}, {"Si_Ka"}),
        ({"Ag_La": 1e5, "Ag_Lb": 5e4}, {"Ag_La"}),
    ],
)
def test_an_element_is_named_first_by_each_of_its_lines(lines, wanted):
    peaks = suggest_lines(spectrum(lines))
    first = {peak.candidates[0].line for peak in peaks if peak.candidates}
    assert wanted <= first
    assert all(peak.known is None for peak in peaks)


def test_siblings_that_are_missing_tell():
    # Titanium's L is where oxygen's K is; without titanium's own K it is oxygen.
    (peak,) = [one for one in suggest_lines(spectrum({"O_Ka": 5e4})) if abs(one.energy - 0.525) < 0.03]
    assert peak.candidates[0].line == "O_Ka"
    assert all(one.line.partition("_")[0] not in ("V", "Ti", "Cr") for one in peak.candidates[:1])


def test_what_the_scan_lists_is_known():
    peaks = suggest_lines(spectrum({"Fe_Ka": 1e5, "Fe_Kb": 1.3e4, "Si_Ka": 2e4}, elements=["Fe"]))
    known = {peak.known for peak in peaks}
    assert {"Fe_Ka", "Fe_Kb"} <= known
    (unknown,) = [peak for peak in peaks if peak.known is None]
    assert unknown.candidates[0].line == "Si_Ka"
    given = suggest_lines(spectrum({"Fe_Ka": 1e5, "Si_Ka": 2e4}), known=["Fe_Ka", "Si"])
    assert {peak.known for peak in given} == {"Fe_Ka", "Si_Ka"}


def test_a_line_beyond_the_reach_of_the_beam_is_no_candidate():
    counts = spectrum({"Fe_Ka": 1e5})
    assert suggest_lines(counts)[0].candidates[0].line == "Fe_Ka"
    slow = suggest_lines(counts.assign_attrs(beam_energy=7.0))  # below the edge
    assert all(one.line != "Fe_Ka" for peak in slow for one in peak.candidates)


@pytest.mark.parametrize("background", [0.0, 3.0, 3000.0])
def test_noise_has_no_peaks(background):
    assert suggest_lines(spectrum({}, background)) == []


def test_a_cube_is_swept_once_for_its_sum():
    cube = two_phases((10, 12), chunks=(4, 5, 1024))
    whole = cube.sum(("y", "x"), keep_attrs=True).compute()
    assert suggest_lines(cube) == suggest_lines(whole)
    assert [peak.known for peak in suggest_lines(cube)] == ["O_Ka", "Si_Ka", "Fe_Ka", "Fe_Kb"]
    with pytest.raises(ParameterError, match="one spectrum, or a cube"):
        suggest_lines(whole.expand_dims("sample"))


def test_peaks_of_a_falling_axis_are_the_same():
    counts = spectrum({"Fe_Ka": 1e5, "Si_Ka": 3e4})
    rising, falling = suggest_lines(counts), suggest_lines(counts[::-1])
    assert [peak.energy for peak in rising] == pytest.approx([peak.energy for peak in falling])


def test_an_axis_that_is_off_takes_more_tolerance():
    counts = spectrum({"Si_Ka": 2e5})
    off = counts.assign_coords(energy=("energy", ENERGY + 0.06, {"units": "keV"}))
    assert all(one.line != "Si_Ka" for peak in suggest_lines(off) for one in peak.candidates)
    assert any(one.line == "Si_Ka" for peak in suggest_lines(off, tolerance=1.2) for one in peak.candidates)


def test_recorded_spectra_are_explained(shared_data):
    from refold.source import open

    shell = open(shared_data / "eds/core_shell.hspy")
    peaks = suggest_lines(shell)
    assert {"Fe_Ka", "Fe_Kb", "Pt_La", "Pt_Ma"} <= {peak.known for peak in peaks}
    first = {peak.candidates[0].line for peak in peaks if peak.candidates}
    assert {"C_Ka", "O_Ka", "Cu_Ka", "Cu_Kb", "Si_Ka"} <= first  # grid, film and contamination, which nobody listed
