"""Every result variable passes its declaration, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from refold.cube import VARIABLES, as_cube, conform
from refold.cube.variables import NAVIGATION, SIGNAL
from refold.errors import VariableError

NAMES = sorted(VARIABLES)


def _example(name: str, lazy: bool = False) -> xr.DataArray:
    """An array that is as declared, but full of what it was computed from."""
    scan = as_cube(np.ones((2, 3, 4, 5)), signal=("ky", "kx"), coords={"x": ([3.0, 2.0, 1.0], {"units": "nm"})})
    coords, dims = {}, []
    for dim in VARIABLES[name].dims:
        own = {NAVIGATION: ("y", "x"), SIGNAL: ("ky", "kx")}.get(dim, (dim,))
        dims += own
        coords |= {each: scan[each] for each in own if each in scan.dims}
    shape = [scan.sizes.get(dim, 6) for dim in dims]
    attrs = {"units": "counts", "role": "signal"}
    array = xr.DataArray(np.ones(shape, VARIABLES[name].dtype), dims=dims, coords=coords, attrs=attrs, name="counts")
    array.encoding = {"_FillValue": 0, "chunks": (1,)}
    return array.chunk() if lazy else array


@pytest.mark.parametrize("name", NAMES)
def test_what_is_as_declared_passes_without_inherited_attributes(name):
    array = _example(name)
    result = conform(name, array)
    assert result.name == name
    assert result.attrs == {"units": VARIABLES[name].units, "long_name": VARIABLES[name].meaning}
    assert result.encoding == {}
    assert np.array_equal(result.values, array.values)
    assert array.attrs["units"] == "counts"  # the input is not touched
    for dim in set(array.coords):
        assert result[dim].identical(array[dim])


@pytest.mark.parametrize("name", NAMES)
def test_another_dtype_is_refused(name):
    with pytest.raises(VariableError, match=name):
        conform(name, _example(name).astype("int16"))


@pytest.mark.parametrize("name", NAMES)
def test_other_dims_are_refused(name):
    example = _example(name)
    wrong = [
        example.expand_dims("extra"),
        example.rename({example.dims[-1]: "other"}).drop_vars("other", errors="ignore"),
    ]
    if example.coords:
        wrong.append(example.drop_vars(example.coords))  # without roles
    for array in wrong:
        with pytest.raises(VariableError, match=name):
            conform(name, array)


def test_the_order_of_dims_counts():
    with pytest.raises(VariableError):
        conform("components", _example("components").transpose("ky", "kx", "component"))


def test_an_undeclared_name_is_refused():
    with pytest.raises(VariableError, match="declare it"):
        conform("colour", _example("labels"))


@pytest.mark.parametrize("name", NAMES)
def test_fill_values_fit_the_dtype(name):
    variable = VARIABLES[name]
    kept = np.array(variable.fill).astype(variable.dtype)
    assert np.array_equal(kept, variable.fill, equal_nan=kept.dtype.kind == "f")


def test_scores_may_be_a_cube_themselves():
    scores = as_cube(np.ones((2, 3, 4), "f4"), signal="component")
    assert conform("scores", scores).dims == ("y", "x", "component")


def test_a_lazy_output_stays_lazy():
    assert conform("labels", _example("labels", lazy=True)).chunks is not None
