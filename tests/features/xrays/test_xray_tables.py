"""Energies, widths and windows of X-ray lines, held against eXSpy's."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from refold.errors import MissingDependencyError, ParameterError, RefoldWarning
from refold.features import xray_lines
from refold.features.xrays import lines as room
from refold.features.xrays.lines import line_of, lines_of
from tests.features.xrays.made_spectra import two_phases

pytest.importorskip("xraydb")
NAMES = ("C_Ka", "O_Ka", "Si_Ka", "Ti_Ka", "Fe_Ka", "Fe_Kb", "Cu_Ka", "Cu_La", "Ag_La", "Pt_La", "Pt_Ma", "Au_Ma")


def test_energies_and_widths_are_exspys():
    utils = pytest.importorskip("exspy._misc.eds.utils")
    for name in NAMES:
        theirs = utils._get_energy_xray_line(name)
        ours = line_of(name).energy / 1e3
        width = room.resolution_at(1e3 * theirs) / 1e3
        # theirs is the strongest line; ours what a detector sees, with what lies beside it
        assert abs(ours - theirs) < 0.12 * width, name
        if theirs > 0.5:
            assert width == pytest.approx(utils.get_FWHM_at_Energy(130.0, theirs), rel=1e-3), name


def test_what_a_detector_does_not_tell_apart_is_one_line():
    alone = room.line_energies("Fe_Ka")
    assert alone["Ka2"] < line_of("Fe_Ka").energy < alone["Ka1"]
    assert line_of("Fe_K") == line_of("Fe_Ka")
    assert [line.family for line in lines_of("Fe")] == ["Ka", "Kb", "La", "Lb", "Ll", "Ln"]


@pytest.mark.parametrize(("beam", "wanted"), [(200.0, "Ag_La"), (20.0, "Ag_La"), (5.0, "Ag_La"), (2.0, None)])
def test_of_an_element_the_line_that_the_beam_excites_well(beam, wanted):
    cube = two_phases().assign_attrs(beam_energy=beam)
    if wanted is None:
        with pytest.raises(ParameterError, match="no line of Ag"):
            xray_lines(cube, ["Ag"])
    else:
        assert xray_lines(cube, ["Ag"]).line.values.tolist() == [wanted]
    assert xray_lines({"beam_energy": 10.0}, ["Fe"]).line.values.tolist() == ["Fe_La"]  # not twice the energy of Ka
    assert xray_lines({"beam_energy": 200.0}, ["Ag"]).line.values.tolist() == ["Ag_Ka"]


def test_windows_are_full_widths_in_the_unit_of_the_axis():
    cube = two_phases()
    table = xray_lines(cube, width=2.0)
    assert table.line.values.tolist() == ["Fe_Ka", "Si_Ka", "O_Ka"]
    np.testing.assert_allclose(table.high - table.low, 2 * table.fwhm)
    in_ev = cube.assign_coords(energy=("energy", cube.energy.values * 1e3, {"role": "signal", "units": "eV"}))
    np.testing.assert_allclose(xray_lines(in_ev).energy, 1e3 * table.energy)
    sharper = xray_lines(cube, ["Fe_Ka"], resolution=125.0)
    assert sharper.fwhm.item() < table.fwhm.sel(line="Fe_Ka").item()


def test_lines_of_the_file_beyond_the_axis_are_left_out_and_told():
    cube = two_phases().assign_attrs(xray_lines=["Fe_Ka", "Ag_Ka"], beam_energy=200.0)
    with pytest.warns(RefoldWarning, match="left out Ag_Ka"):
        assert xray_lines(cube).line.values.tolist() == ["Fe_Ka"]
    with pytest.raises(ParameterError, match="Ag_Ka at 22"):
        xray_lines(cube, ["Ag_Ka"])
    with pytest.warns(RefoldWarning, match="left out H"):  # listed by many files, and without any line
        assert xray_lines(cube.assign_attrs(xray_lines=[], elements=["H", "Fe"])).line.values.tolist() == ["Fe_Ka"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Fe_Ka", "try lines="),
        ([], "no X-ray lines"),
        (["Xx"], "'Xx'"),
        (["Fe_Kz"], "some of Ka2"),
        (["fe"], "'fe'"),
        ([3], "3"),
    ],
)
def test_what_is_no_line_says_so(lines, message):
    with pytest.raises(ParameterError, match=message):
        xray_lines(two_phases(), lines)


def test_an_axis_without_energy_says_so():
    cube = two_phases()
    with pytest.raises(ParameterError, match="units"):
        xray_lines(cube.assign_coords(energy=("energy", cube.energy.values, {"role": "signal"})))
    for wrong in ({"width": 0}, {"width": np.inf}, {"resolution": -1.0}):
        with pytest.raises(ParameterError):
            xray_lines(cube, **wrong)
    with pytest.raises(ParameterError, match="a list"):
        xray_lines([1, 2])


def test_without_xraydb_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xraydb", None)
    with pytest.raises(MissingDependencyError, match=r"refold\[eds\]"):
        xray_lines(two_phases(), ["Fe_Ka"])


def test_recorded_files_list_their_lines(shared_data):
    from refold.source import open

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dust = xray_lines(open(shared_data / "eds/dust_particle_256x256.bcf"))
    assert {"Fe_Ka", "Pt_La", "Si_Ka", "O_Ka"} <= set(dust.line.values.tolist())
    shell = xray_lines(open(shared_data / "eds/core_shell.hspy"))
    assert shell.line.values.tolist() == ["Fe_Ka", "Pt_La"]
    with pytest.raises(ParameterError, match="suggest_lines"):
        xray_lines(open(shared_data / "eds/sio2_eds.hspy"))
