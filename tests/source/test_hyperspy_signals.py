"""Signals of HyperSpy and cubes: the same array, the same axes, the same metadata, either way."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import navigation_dims, signal_dims
from refold.errors import CubeError, ParameterError
from refold.source.hyperspy import from_hyperspy, to_signal
from refold.source.trees import NOTE, pack, unpack
from tests.guards import no_compute
from tests.strategies import cubes

hs = pytest.importorskip("hyperspy.api")
pytest.importorskip("exspy")
# exspy 0.3 imports from where HyperSpy 2.5 no longer wants it
pytestmark = pytest.mark.filterwarnings("ignore:Importing:Warning", "ignore:Loading old file version:Warning")


def described(signal: Any) -> list[dict[str, Any]]:
    return [axis.get_axis_dictionary() for axis in signal.axes_manager._axes]


def metadata(signal: Any) -> str:
    """What of the metadata is of the scan, in a form that compares."""
    tree = signal.metadata.as_dictionary()
    tree.pop("_HyperSpy", None)
    tree["General"].pop("FileIO", None)
    return pack(tree)


def same_signal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    assert one.data is other.data
    assert pack({"axes": described(one)}) == pack({"axes": described(other)})
    assert metadata(one) == metadata(other)
    assert pack(one.original_metadata.as_dictionary()) == pack(other.original_metadata.as_dictionary())


AXIS = st.one_of(
    st.fixed_dictionaries(
        {
            "scale": st.sampled_from([1.0, 0.3, -0.25, 1e-3]),
            "offset": st.sampled_from([0.0, -4.1, 300.0]),
            "units": st.sampled_from([None, "nm", "eV", "um", "$A^{-1}$", "mm", "pix"]),
        }
    ),
    st.fixed_dictionaries({"axis": st.just("any"), "units": st.sampled_from(["nm", "keV", None])}),
    st.fixed_dictionaries({"expression": st.just("a / x + b"), "a": st.just(1240.0), "b": st.just(0.5)}),
)


@st.composite
def signals(draw: st.DrawFn) -> Any:
    """Signals of all kinds of axes, with 1 to 3 navigation and 1 or 2 signal dims, lazy or not."""
    n_navigation, n_signal = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    shape = draw(st.tuples(*[st.integers(1, 5)] * (n_navigation + n_signal)))
    axes = []
    for at, size in enumerate(shape):
        axis = dict(draw(AXIS))
        if "axis" in axis:
            axis["axis"] = np.cumsum(np.arange(1, size + 1)) * draw(st.sampled_from([0.5, -2.0]))
        elif "expression" in axis:
            axis |= {"x": {"scale": 2.0, "offset": 3.0, "size": size}}
        else:
            axis["size"] = size
        names = [None, "<undefined>", "Energy loss", f"dim {at}", "xyzuv"[at]]
        axes.append({**axis, "name": draw(st.sampled_from(names)), "navigate": at < n_navigation})
    data: Any = np.arange(np.prod(shape), dtype="uint16").reshape(shape)
    lazy = draw(st.booleans())
    signal = hs.signals.BaseSignal(da.from_array(data, chunks=2) if lazy else data, axes=axes)
    signal.metadata.General.title = draw(st.sampled_from(["", "a map"]))
    signal = signal.as_lazy() if lazy else signal
    signal.set_signal_type(draw(st.sampled_from(["", "EELS", "EDS_TEM"])) if n_signal == 1 else "")
    return signal


@given(signals())
def test_a_signal_comes_back_as_it_was(signal):
    with no_compute():
        cube = from_hyperspy(signal)
        back = to_signal(cube)
    assert cube.shape == signal.data.shape
    assert len(navigation_dims(cube)) == len(signal.axes_manager.navigation_axes)
    assert (cube.chunks is not None) == signal._lazy
    same_signal(back, signal)
    xr.testing.assert_identical(from_hyperspy(back), cube)


@given(cubes(invalid=True))
def test_a_cube_comes_back_as_it_was(cube):
    """But for positions in no order, which no axis of HyperSpy can have."""
    ordered = all(len(set(np.sign(np.diff(cube[dim].values)))) <= 1 for dim in cube.dims)
    with no_compute():
        back = from_hyperspy(to_signal(cube))
    assert back.dims == cube.dims
    assert signal_dims(back) == signal_dims(cube)
    assert back.data is cube.data or np.shares_memory(back.data, cube.data)
    for dim in cube.dims if ordered else ():
        np.testing.assert_allclose(back[dim].values, cube[dim].values, rtol=1e-12, atol=1e-12)
        assert back[dim].attrs.get("units") == cube[dim].attrs.get("units")


def test_memory_is_shared():
    data = np.zeros((2, 3, 4))
    signal = hs.signals.Signal1D(data)
    cube = from_hyperspy(signal)
    cube[0, 0, 0] = 7
    assert data[0, 0, 0] == 7
    assert np.shares_memory(to_signal(cube).data, data)


def test_what_changed_since_is_said_by_the_coordinates():
    signal = hs.signals.Signal1D(da.zeros((4, 6, 10)), axes=[
        {"size": 4, "name": "Row", "scale": 2.0, "units": "um", "navigate": True},
        {"size": 6, "name": "Column", "scale": 2.0, "units": "um", "navigate": True},
        {"size": 10, "name": "Energy loss", "scale": 0.5, "offset": 300.0, "units": "eV"},
    ]).as_lazy()  # fmt: skip
    signal.set_signal_type("EELS")
    cube = refold.rebin(refold.crop(from_hyperspy(signal), {"y": (1, 4)}), energy=2)
    changed = to_signal(cube)
    row, _, energy = changed.axes_manager._axes
    assert (row.name, row.units, row.offset, row.scale) == ("Row", "um", 2.0, 2.0)
    assert described(changed)[1] == described(signal)[1]
    assert (energy.name, energy.size, energy.offset, energy.scale) == ("Energy loss", 5, 300.25, 1.0)
    assert type(changed) is type(signal)


def test_what_navigates_is_up_to_the_signal():
    """An image for each energy is that, though a file that says so is taken for a spectrum at each pixel."""
    stack = hs.signals.Signal2D(np.zeros((5, 3, 4)))
    stack.axes_manager[0].name, stack.axes_manager[0].units = "Energy loss", "eV"
    assert navigation_dims(from_hyperspy(stack)) == ("energy",)


def test_attributes_of_other_cubes_find_their_place():
    cube = refold.as_cube(np.ones((2, 3, 4)), signal="energy")
    cube.attrs = {"title": "b", "signal_type": "EDS_TEM", "instrument": "TEM", "beam_energy": 200.0, "operator": "me"}
    signal = to_signal(cube)
    assert type(signal).__name__ == "EDSTEMSpectrum"
    assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200.0
    assert signal.metadata.General.title == "b"
    assert signal.original_metadata.operator == "me"


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (hs.signals.Signal1D(np.zeros(5)), "no navigation"),
        (hs.signals.BaseSignal(np.zeros((5, 6))).T, "no signal"),
        (hs.signals.Signal1D(np.zeros((3, 5), complex)), "real"),
        (hs.signals.BaseSignal(np.array([np.zeros(2), np.zeros(3)], dtype=object), ragged=True), "ragged"),
    ],
)
def test_what_is_no_cube_is_refused(signal, words):
    with pytest.raises(CubeError, match=words):
        from_hyperspy(signal)


def test_what_is_no_signal_is_refused():
    with pytest.raises(ParameterError, match="a signal of HyperSpy"):
        from_hyperspy(np.zeros(3))
    with pytest.raises(CubeError):
        to_signal(np.zeros(3))


def test_a_saved_signal_is_opened_as_it_is_made_a_cube(tmp_path):
    signal = hs.signals.Signal1D(np.zeros((3, 4, 5), "u2"))
    signal.metadata.add_dictionary(
        {
            "General": {"title": "a", "authors": "x, y", "notes": ""},
            "Sample": {"elements": ["Fe", "Pt"], "none": None, "pair": (1.0, 2.0), "empty": []},
            "Acquisition_instrument": {"TEM": {"beam_energy": 300.0, "on": True}},
        }
    )
    for axis, name, units in zip(
        signal.axes_manager._axes, ("Row", "Column", "Energy"), ("um", "um", "keV"), strict=True
    ):
        axis.name, axis.units, axis.scale = name, units, 0.5
    path = tmp_path / "a.hspy"
    signal.save(path)
    opened, made = refold.open(path), from_hyperspy(signal)
    assert metadata(to_signal(opened)) == metadata(signal)
    assert described(to_signal(opened)) == described(signal)
    assert {k: v for k, v in opened.attrs.items() if k not in _READ} == {
        k: v for k, v in made.attrs.items() if k not in _READ
    }


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(min_size=2), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=2), TREES))
def test_trees_come_back(tree):
    assert unpack(pack(tree)) == tree


def test_arrays_in_trees_come_back():
    tree = {"a": np.arange(6, dtype="u2").reshape(2, 3), "b": np.array(["Fe", "Pt"]), "c": np.array([1.5, np.inf])}
    back = unpack(pack(tree))
    for name, array in tree.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
    assert "long" not in unpack(pack({"long": np.zeros(10**6), "object": [object()]}))


RECORDED = [
    "eels/CuZn_EELS_mapping_tutorial.hspy",
    "eels/LSMO_linescan.hspy",
    "eds/core_shell.hspy",
    "eds/sio2_eds.hspy",
    "eels/example_velox_EELS_EDS.emd",
    "formats/EELS_SI.dm4",
    "formats/16x16-spectrum_image-5x5x1024.emi",
]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_scans_come_back_as_they_were(shared_data, name):
    """And the cube is the one that `refold.open` makes of the file."""
    opened = refold.open(shared_data / name)
    loaded = hs.load(str(shared_data / name), lazy=True)
    signal = next(one for one in (loaded if isinstance(loaded, list) else [loaded]) if one.data.shape == opened.shape)
    with no_compute():
        cube = from_hyperspy(signal)
        same_signal(to_signal(cube), signal)
    assert cube.data is signal.data
    for dim in opened.dims:
        xr.testing.assert_identical(cube[dim], opened[dim])
    if name.endswith("hspy"):
        assert cube.name == opened.name
        here, there = ({k: v for k, v in one.attrs.items() if k not in _READ} for one in (cube, opened))
        assert here == there
        np.testing.assert_array_equal(cube[0].values, opened[0].values)
        assert pack(unpack(cube.attrs[NOTE])["metadata"]) == pack(unpack(opened.attrs[NOTE])["metadata"])
    assert str(to_signal(opened).axes_manager) == str(signal.axes_manager)
    assert type(to_signal(opened)) is type(signal)


_READ = {"source", "signal", "reader", NOTE}
