"""`cube.refold`: each method delegates."""

from __future__ import annotations

import inspect
from unittest import mock

import numpy as np
import pytest
import xarray as xr

import refold
from refold.accessor import RefoldAccessor

METHODS = sorted(name for name, _ in inspect.getmembers(RefoldAccessor, inspect.isfunction) if not name.startswith("_"))


@pytest.fixture
def cube() -> xr.DataArray:
    return refold.as_cube(np.random.default_rng(0).poisson(9, (4, 5, 6)).astype("uint16"), signal="energy")


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_the_function_of_that_name(cube, name):
    takes_arguments = name not in ("fold", "unfold", "to_hyperspy")
    arguments = {"some": 1, "thing": 2} if takes_arguments else {}
    positional = ("there",) if name == "convert" else ()
    with mock.patch(f"refold.{name}", create=True) as function:
        result = getattr(cube.refold, name)(*positional, **arguments)
    assert result is function.return_value
    assert function.call_args.args[0] is cube
    assert function.call_args.kwargs == arguments


def test_a_run_has_methods_too():
    run = xr.Dataset({"labels": ("x", [0, 1])})
    with mock.patch("refold.to_hyperspy", create=True) as function:
        assert run.refold.to_hyperspy("scan", cube="eds") is function.return_value
    assert function.call_args == mock.call(run, "scan", cube="eds")


def test_what_is_delegated_is_public_and_documented():
    assert set(METHODS) <= set(refold.__all__)
    assert {"rebin", "crop", "mask", "run", "plan", "sweep", "unfold", "fold"} <= set(METHODS)
    assert all(inspect.getdoc(getattr(RefoldAccessor, name)) for name in METHODS)


def test_in_a_notebook(cube, tmp_path):
    small = cube.refold.rebin(energy=2)
    xr.testing.assert_identical(small, refold.rebin(cube, energy=2))
    (moments,) = small.refold.sweep(refold.Moments())
    np.testing.assert_allclose(moments.mean, small.mean(("y", "x")))
    assert cube.refold.unfold().refold.fold().identical(cube)
    result = small.refold.run(
        store=tmp_path / "run.zarr", n_components=2, embed="none", min_cluster_size=4, report=False
    )
    assert result["labels"].dims == ("y", "x")
    assert small.refold.plan(n_components=2).sweeps == 5
