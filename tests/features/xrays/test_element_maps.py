"""Element maps: sums of channels as NumPy and eXSpy take them, lazily, whatever the blocks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.cube import check_cube
from refold.errors import ParameterError, RefoldWarning
from refold.features import element_maps, line_intensities, xray_lines
from refold.features.xrays.lines import line_of
from refold.features.xrays.table import Spectrometer
from refold.features.xrays.windows import weights_of
from refold.source import convert, open
from refold.store import identify
from tests.features.xrays.made_spectra import ENERGY, expected, two_phases
from tests.guards import no_compute
from tests.strategies import chunkings

pytest.importorskip("xraydb")
LINES = ["Fe_Ka", "Si_Ka", "O_Ka"]


@settings(max_examples=6, deadline=None)
@given(chunkings((12, 14, 1024)), st.sampled_from([0.5, 1.0, 2.0]))
def test_windows_are_numpys_sums_whatever_the_chunks(chunks, width):
    cube = two_phases()
    with no_compute():
        maps = element_maps(cube.chunk(dict(zip(cube.dims, chunks, strict=True))), width=width)
    assert maps.chunks is not None
    check_cube(maps)
    table = xray_lines(cube, width=width)
    for name in LINES:
        row = table.sel(line=name)
        inside = np.abs(ENERGY - row.energy.item()) <= (row.high.item() - row.low.item()) / 2
        np.testing.assert_array_equal(maps.sel(line=name), cube.values[..., inside].sum(-1, dtype="i8"))
    with_background = [
        element_maps(each, width=width, background="linear").values
        for each in (cube, cube.chunk(dict(zip(cube.dims, chunks, strict=True))))
    ]
    np.testing.assert_array_equal(*with_background)


def test_intensities_are_exspys():
    pytest.importorskip("exspy")
    import hyperspy.api as hs

    cube = two_phases((3, 4))
    signal = hs.signals.Signal1D(cube.values.astype("f8"))
    signal.set_signal_type("EDS_SEM")
    axis = signal.axes_manager.signal_axes[0]
    axis.scale, axis.units, axis.name = 0.02, "keV", "E"
    # theirs take channels from the one nearest to the left end up to before the one nearest to the right end
    spectrometer = Spectrometer.of(cube)
    gross = weights_of(spectrometer, [line_of(name) for name in LINES], 1.0, "none").gross
    windows = [[ENERGY[np.flatnonzero(row)[0]], ENERGY[np.flatnonzero(row)[-1]] + 0.02] for row in gross]
    theirs = signal.get_lines_intensity(LINES, integration_windows=windows)
    for name, one in zip(LINES, theirs, strict=True):
        np.testing.assert_allclose(element_maps(cube, LINES).sel(line=name), one.data, err_msg=name)


def test_what_is_below_a_line_is_taken_off():
    for name in ("Fe_Ka", "Si_Ka"):
        line = {name: 5000.0}
        spectrum = expected(line, background=400.0)[None, None]
        cube = two_phases((1, 1)).copy(data=spectrum)
        net = element_maps(cube, [name], width=2.5, background="linear").item()
        assert net == pytest.approx(5000, rel=0.02)
        bare = element_maps(cube.copy(data=expected({}, background=400.0)[None, None]), [name], background="linear")
        assert abs(bare.item()) < 0.02 * element_maps(cube, [name]).item()


def test_windows_keep_clear_of_the_other_lines():
    cube = two_phases((1, 1))
    lines = [line_of("Cr_Ka"), line_of("Mn_Ka"), line_of("Fe_Ka")]  # each Kb beside the next Ka
    weights = weights_of(Spectrometer.of(cube), lines, 1.0, "linear")
    for number, line in enumerate(lines):
        taken = np.flatnonzero(weights.net[number] < 0)
        assert taken.size
        for other in ("Cr_Ka", "Cr_Kb", "Mn_Ka", "Mn_Kb", "Fe_Ka", "Fe_Kb"):
            if abs(line_of(other).energy - line.energy) > 65:
                assert np.abs(ENERGY[taken] - line_of(other).energy / 1e3).min() > 0.05
        assert weights.net[number].sum() == pytest.approx(0, abs=1e-9)  # a flat background leaves nothing


def test_no_room_beside_a_line_is_told():
    cube = two_phases((1, 1))
    crowded = ["B_Ka", "C_Ka", "N_Ka", "O_Ka", "F_Ka", "Ti_La", "V_La", "Cr_La", "Mn_La", "Fe_La", "Co_La", "Ni_La"]
    with pytest.warns(RefoldWarning, match="nothing is taken off below"):
        element_maps(cube, crowded, background="linear")


def test_not_a_number_stays_in_its_window():
    cube = two_phases((2, 2)).astype("f4")
    cube[0, 0, int(6.4 / 0.02)] = np.nan
    maps = element_maps(cube)
    assert np.isnan(maps.sel(line="Fe_Ka")[0, 0])
    assert np.isfinite(maps.sel(line=["Si_Ka", "O_Ka"])).all()


def test_maps_keep_their_names_in_a_store(tmp_path):
    maps = element_maps(two_phases((4, 5), chunks=(2, 5, 1024)), LINES)
    convert(maps, tmp_path / "maps.zarr")
    again = open(tmp_path / "maps.zarr")
    check_cube(again)
    assert again.line.values.tolist() == LINES
    np.testing.assert_array_equal(again.sel(line="Si_Ka"), maps.sel(line="Si_Ka"))
    renamed = maps.assign_coords(line=("line", np.array(["A", "B", "C"], object), maps.line.attrs))
    assert identify(maps)["coords"] == identify(maps.copy())["coords"] != identify(renamed)["coords"]


def test_options_that_cannot_be():
    for wrong in ({"background": "quadratic"}, {"width": 0.0}):
        with pytest.raises(ParameterError):
            element_maps(two_phases((1, 1)), ["Fe_Ka"], **wrong)


# --- clusters ---------------------------------------------------------------------------------------------------------


def test_errors_are_those_of_counting():
    rng = np.random.default_rng(1)
    mean = expected({"Fe_Ka": 3.0}, background=0.4)
    pixels, repeats = 200, 60
    net, error = [], []
    for _ in range(repeats):
        counts = rng.poisson(mean, (pixels, ENERGY.size)).mean(axis=0)
        means = two_phases((1, 1))[0].rename({"x": "cluster"}).copy(data=counts[None]).drop_vars("y")
        found = line_intensities(means, ["Fe_Ka"], sizes=[pixels], width=2.0)
        net.append(found.intensity.item())
        error.append(found.error.item())
    assert np.mean(net) == pytest.approx(3.0, abs=4 * np.mean(error) / np.sqrt(repeats) + 0.06)
    assert np.std(net) == pytest.approx(np.mean(error), rel=0.35)


def test_a_cluster_of_no_pixels_holds_nothing():
    means = two_phases((1, 2))[0].rename({"x": "cluster"}).drop_vars("y").astype("f8")
    means[1] = np.nan
    found = line_intensities(means, sizes=[4, 0])
    assert (found.intensity.sel(cluster=means.cluster[1]) == 0).all()
    assert (found.error.isel(cluster=1) == 0).all()
    for wrong in (None, [1], [1, 2, 3]):
        with pytest.raises(ParameterError, match="sizes"):
            line_intensities(means, sizes=wrong)
    with pytest.raises(ParameterError, match=r"\(cluster, energy\)"):
        line_intensities(two_phases((1, 2)), sizes=[1, 1])
    with pytest.raises(ParameterError, match="a run with"):
        line_intensities(two_phases((1, 2)).to_dataset(name="cube"))


def test_recorded_particle_is_measured_as_exspy_does(shared_data):
    pytest.importorskip("exspy")
    import hyperspy.api as hs

    path = shared_data / "eds/core_shell.hspy"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what old files make HyperSpy say
        theirs = hs.load(path).get_lines_intensity(["Fe_Ka", "Pt_La"], integration_windows=1.0)
    ours = element_maps(open(path), ["Fe_Ka", "Pt_La"])
    for number, name in enumerate(("Fe_Ka", "Pt_La")):
        mine = ours.sel(line=name).values
        # one channel more or less at the ends of a window
        assert np.corrcoef(mine.ravel(), theirs[number].data.ravel())[0, 1] > 0.97
        assert mine.sum() == pytest.approx(theirs[number].data.sum(), rel=0.15)
