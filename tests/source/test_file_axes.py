from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.source.axes import FileAxis, mend_axes, plain_axes
from refold.source.units import kind_of, normalise_units


def said(axes):
    return [(axis.name, axis.role) for axis in axes]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("$A^{-1}$", "1/Å"), (r"$\mathrm{\AA}^{-1}$", "1/Å"), ("Å⁻¹", "1/Å"), ("1/A", "1/Å"), ("1 / angstrom", "1/Å"),
        ("A^-1", "1/Å"), ("nm^-1", "1/nm"), ("1/nm", "1/nm"), ("cm-1", "1/cm"), ("1/cm", "1/cm"),
        ("um", "µm"), ("μm", "µm"), ("µm", "µm"), ("micrometer", "µm"), ("\u212b", "Å"), (b"nm", "nm"),
        ("kev", "keV"), ("meV", "meV"), ("MeV", "MeV"), ("deg", "°"), ("mrad", "mrad"), ("furlong", "furlong"),
        ("", None), (None, None), ("<undefined>", None), (3.0, None), ("a.u.", None),
    ],
)  # fmt: skip
def test_units_are_written_one_way(text, unit):
    assert normalise_units(text) == unit


@given(st.text(max_size=12))
def test_normalising_units_twice_changes_nothing(text):
    once = normalise_units(text)
    assert once is None or normalise_units(once) in {once, None} or kind_of(once) is None


def test_energy_first_files_navigate_where_the_probe_was():
    axes = mend_axes(
        [
            FileAxis(20, "Energy loss", 1.0, 300.0, "eV", navigate=True),
            FileAxis(3, "y", 0.5, 0.0, "µm", navigate=False),
            FileAxis(4, "x", 0.5, 0.0, "µm", navigate=False),
        ]
    )
    assert said(axes) == [("energy", "signal"), ("y", "navigation"), ("x", "navigation")]
    assert axes[0].units == "eV"
    assert axes[0].values[:2].tolist() == [300.0, 301.0]


def test_missing_flags_are_told_by_units_names_and_what_was_recorded():
    energy = FileAxis(9, "Energy", 0.02, 0.16, "keV")
    assert said(mend_axes([FileAxis(3, "y"), FileAxis(4, "x"), energy]))[-1] == ("energy", "signal")
    assert said(mend_axes([FileAxis(3), FileAxis(4), FileAxis(5)], record_by="image")) == [
        ("x", "navigation"), ("ky", "signal"), ("kx", "signal"),
    ]  # fmt: skip
    assert said(mend_axes([FileAxis(3), FileAxis(4), FileAxis(5), FileAxis(6)])) == [
        ("y", "navigation"), ("x", "navigation"), ("ky", "signal"), ("kx", "signal"),
    ]  # fmt: skip


def test_an_image_in_real_space_is_all_navigation_and_a_pattern_is_all_signal():
    image = [FileAxis(3, "height", 1.0, 0.0, "nm", False), FileAxis(4, "width", 1.0, 0.0, "nm", False)]
    assert said(mend_axes(image)) == [("y", "navigation"), ("x", "navigation")]
    pattern = [FileAxis(3, "", 1.0, 0.0, "1/nm", False), FileAxis(4, "", 1.0, 0.0, "1/nm", False)]
    assert said(mend_axes(pattern)) == [("ky", "signal"), ("kx", "signal")]


def test_a_stack_of_images_keeps_the_names_of_the_images_apart():
    images = [
        FileAxis(7, None, navigate=True),
        FileAxis(3, "y", 1.0, 0.0, "nm", False),
        FileAxis(4, "x", 1.0, 0.0, "nm", False),
    ]
    assert said(mend_axes(images)) == [("frame", "navigation"), ("y", "signal"), ("x", "signal")]


@pytest.mark.parametrize(
    ("names", "dims"),
    [
        (("Y", "X"), ["y", "x"]),
        (("height", "width"), ["y", "x"]),
        (("1", "2"), ["y", "x"]),
        ((None, ""), ["y", "x"]),
        (("y", "y"), ["y", "x"]),
        (("tilt angle", "x"), ["tilt_angle", "x"]),
    ],
)
def test_navigation_dims_keep_sensible_names_and_get_usual_ones(names, dims):
    axes = [FileAxis(3, name, navigate=True) for name in names]
    assert [axis.name for axis in mend_axes([*axes, FileAxis(5, "Energy", navigate=False)])] == [*dims, "energy"]


@pytest.mark.parametrize(
    ("axis", "signal_type", "dim"),
    [
        (FileAxis(4, "X-ray energy", 1.0, 0.0, "keV"), "", "energy"),
        (FileAxis(4, "z", 1.0, 0.0, "keV"), "", "energy"),
        (FileAxis(4, "Wavelength", 1.0, 300.0, "nm"), "", "wavelength"),
        (FileAxis(4, "x", 1.0, 300.0, "nm"), "CL_SEM", "wavelength"),
        (FileAxis(4, "Raman Shift", 1.0, 900.0, "1/cm"), "", "raman_shift"),
        (FileAxis(4, "", 1.0, 900.0, "cm^-1"), "", "wavenumber"),
        (FileAxis(4, "sample"), "", "band"),
        (FileAxis(4), "", "channel"),
    ],
)
def test_names_of_spectral_dims(axis, signal_type, dim):
    scan = [FileAxis(2, "y", navigate=True), FileAxis(3, "x", navigate=True)]
    last = FileAxis(axis.size, axis.name, axis.scale, axis.offset, axis.units, navigate=False)
    assert [found.name for found in mend_axes([*scan, last], signal_type)] == ["y", "x", dim]


@pytest.mark.parametrize(
    ("axis", "values", "mark"),
    [
        (FileAxis(3, "x", 0.0, 2.0, "nm"), [0, 1, 2], "scale of 0"),
        (FileAxis(3, "x", -np.inf, 0.0, "nm"), [0, 1, 2], "scale of -inf"),
        (FileAxis(3, "x", 0.5, np.nan, "nm"), [0, 1, 2], "offset of nan"),
        (FileAxis(3, "x", 1.0, 0.0, "pix"), [0, 1, 2], "counts in pix"),
        (FileAxis(3, "x", 2.0, -2.0, "px"), [-2, 0, 2], "counts in px"),
        (FileAxis(3, "x", 1.0, 0.0, ""), [0, 1, 2], "no unit"),
        (FileAxis(3, "x", 0.5, 0.0, None), [0, 0.5, 1.0], "unit unknown"),
        (FileAxis(3, "x", units="nm", values=np.array([1.0, np.nan, 2.0])), [0, 1, 2], "not all numbers"),
    ],
)
def test_what_is_no_calibration_is_kept_and_said(axis, values, mark):
    mended = mend_axes([axis, FileAxis(2, "Energy", 1.0, 0.0, "eV")])[0]
    assert mended.values.tolist() == values
    assert mended.units is None
    assert "units" not in mended.attrs
    assert mark in mended.attrs["calibration"]


def test_descending_and_uneven_positions_stay_as_they_are():
    uneven = np.array([3.0, 2.5, 1.0], dtype=">f4")
    axes = mend_axes([FileAxis(3, "y", -0.5, 0.0, "nm"), FileAxis(3, "Energy", units="eV", values=uneven)])
    assert axes[0].values.tolist() == [0.0, -0.5, -1.0]
    assert axes[1].values.tolist() == [3.0, 2.5, 1.0]
    assert axes[1].values.dtype.isnative


def test_tiny_lengths_are_written_in_units_one_can_read():
    axes = mend_axes(
        [FileAxis(11, "x", 1e-9, 0.0, "m", True), FileAxis(3, "Wavelength", 1e-6, 3e-4, "mm", False)], "CL"
    )
    assert axes[0].units == "nm"
    np.testing.assert_allclose(axes[0].values[-1], 10.0)
    assert axes[1].units == "nm"
    np.testing.assert_allclose(axes[1].values, [300.0, 301.0, 302.0])


@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from([True, False, None])), min_size=1, max_size=6))
def test_dims_always_have_different_names(told):
    axes = mend_axes([FileAxis(2, name, 1.0, 0.0, "nm", flag) for name, flag in told])
    assert len({axis.name for axis in axes}) == len(axes)
    assert all(axis.name.isidentifier() for axis in axes)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((5,), ["channel"]),
        ((2, 5), ["x", "channel"]),
        ((2, 3, 5), ["y", "x", "channel"]),
        ((2, 3, 5, 6), ["y", "x", "ky", "kx"]),
        ((2, 3, 4, 5, 6), ["z", "y", "x", "ky", "kx"]),
        ((2, 2, 3, 4, 5, 6), ["n0", "z", "y", "x", "ky", "kx"]),
    ],
)
def test_plain_arrays_get_the_usual_dims(shape, dims):
    assert [axis.name for axis in plain_axes(shape)] == dims
