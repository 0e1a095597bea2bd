"""Steps laid over one another are one task for each chunk, and change nothing that can be seen of a cube."""

from __future__ import annotations

import pickle
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, navigation_dims, signal_dims
from refold.prepare import chain as chain_module
from refold.prepare import clip, crop, log1p, mask, normalise, rebin
from refold.prepare.fusing import passes, say_passes
from tests.guards import no_compute
from tests.strategies import cubes


def scan(**chunks: int) -> xr.DataArray:
    values = np.random.default_rng(0).poisson(3.0, (8, 8, 12, 12)).astype("uint16")
    return as_cube(values, signal=("ky", "kx"), name="counts").chunk(chunks or {"y": 4, "x": 4})


def everything(cube: xr.DataArray) -> xr.DataArray:
    shape = [cube.sizes[dim] // 2 for dim in signal_dims(cube)]
    hot = np.zeros(shape, bool)
    hot.flat[-1] = True
    cube = rebin(cube, dict.fromkeys(signal_dims(cube), 2))
    cube = mask(clip(cube, 1, 30), xr.DataArray(hot, dims=signal_dims(cube)))
    pixels = xr.DataArray(np.eye(*cube.shape[:2], dtype=bool), dims=navigation_dims(cube))
    return normalise(log1p(mask(cube, pixels)))


def test_one_task_for_each_chunk() -> None:
    with no_compute():
        cube = everything(scan())
    assert passes(cube) == (("rebin", "clip", "mask", "mask", "log1p", "normalise"),)
    (lazy,) = dask.optimize(cube.data)
    ours = [key for key in lazy.__dask_graph__() if isinstance(key, tuple) and "refold" in key[0]]
    assert len(ours) == 4
    assert everything(scan().compute()).identical(cube.compute())


def test_what_a_step_was_laid_over_stays_as_it_was() -> None:
    cube = rebin(scan(), ky=2)
    before = cube.compute()
    both = dask.compute(log1p(cube), cube)
    assert both[1].identical(before)
    assert both[0].identical(log1p(before))
    assert passes(cube) == (("rebin",),)


def test_the_graph_keeps_no_layer_that_is_joined() -> None:
    once, twice = rebin(scan(), ky=2), log1p(rebin(scan(), ky=2))
    assert len(once.data.dask.layers) == len(twice.data.dask.layers)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda cube: log1p(rebin(crop(cube, ky=(2, 10), by="index"), ky=2)), (("rebin", "log1p"),)),
        (lambda cube: log1p(crop(rebin(cube, ky=2), ky=(1, 5), by="index")), (("rebin",), ("log1p",))),
        (lambda cube: log1p(rebin(cube, ky=2) + 1), (("rebin",), ("log1p",))),
        (lambda cube: normalise(rebin(cube.chunk(ky=6), ky=2)), (("rebin",), ("normalise",))),
        (lambda cube: rebin(rebin(cube, x=2), x=2), (("rebin", "rebin"),)),
        (lambda cube: rebin(rebin(cube, x=2), x=4), (("rebin",), ("rebin",))),
        (lambda cube: log1p(rebin(cube, x=2).persist()), (("log1p",),)),
        (lambda cube: clip(cube, 1).compute(), ()),
        (lambda cube: cube, ()),
    ],
)
def test_what_joins_and_what_does_not(change: Any, found: object) -> None:
    cube = scan()
    assert passes(change(cube)) == found
    assert change(cube).compute().identical(change(cube.compute()).compute()) or found == ()


def test_the_plan_says_how() -> None:
    cube = scan()
    assert say_passes(cube) is None
    assert say_passes(clip(cube, 1).compute()) is None
    assert say_passes(log1p(rebin(cube, ky=2))) == "Prepared in one compiled pass over each chunk: rebin, log1p."
    assert say_passes(clip(cube.astype(">u2"), 1)) == "Prepared in one compiled pass over each chunk: clip."
    assert say_passes(clip(cube.astype("float16"), 1)) == "Prepared in one NumPy pass over each chunk: clip."
    assert "in 2 compiled passes" in str(say_passes(log1p(rebin(cube, ky=2) + 1)))


def test_annotated_layers_are_left_alone() -> None:
    with dask.annotate(priority=3):
        cube = rebin(scan(), ky=2)
    assert passes(log1p(cube)) == (("log1p",),)


def test_masks_in_chunks_and_lazy_masks_join() -> None:
    cube = scan(y=4, x=8, ky=6)
    hot = xr.DataArray(da.from_array(np.arange(6) == 3, chunks=2), dims="kx")
    bright = xr.DataArray(da.from_array(np.eye(8, dtype=bool), chunks=(3, 5)), dims=("y", "x"))
    column = xr.DataArray(np.arange(6) == 1, dims="ky")
    with no_compute():
        small = rebin(cube, ky=2, kx=2)
        lazy = log1p(mask(mask(mask(small, hot), bright), column, fill=7))
    assert passes(lazy) == (("rebin", "mask", "mask", "mask", "log1p"),)
    kept = small.compute()
    wanted = kept.where(~hot.compute(), 0).where(~bright.compute()).where(~column, 7)
    np.testing.assert_array_equal(lazy.values, np.log1p(wanted.astype("f8")).astype(lazy.dtype))


def test_a_chain_is_named_by_what_it_does() -> None:
    one, other = log1p(rebin(scan(), ky=2)), log1p(rebin(scan(), ky=3))
    assert one.data.name.startswith("refold-rebin-log1p-")
    assert one.data.name != other.data.name
    chunk = one.data.dask.layers[one.data.name].task.func
    assert pickle.loads(pickle.dumps(chunk)) == chunk


@given(cubes(lazy=True, min_features=2), st.data())
def test_the_same_for_any_chunking_and_any_way(cube: xr.DataArray, data: st.DataObject) -> None:
    """Bit for bit, however the cube is cut, and whether the compiled form is taken or not."""
    dim = data.draw(st.sampled_from([dim for dim in cube.dims if cube.sizes[dim] > 1]))
    cube = cube.isel({dim: slice(0, cube.sizes[dim] // 2 * 2)})
    how = data.draw(st.sampled_from(["total", "max", "unit"]))
    lazy = normalise(log1p(clip(rebin(cube, {dim: 2}), 0, 40)), how)
    assert len(passes(lazy)) <= 2
    plain = lazy.values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain_module, "_WORTH_COMPILING", 0)
        np.testing.assert_array_equal(lazy.values, plain)
        whole = normalise(log1p(clip(rebin(cube.compute(), {dim: 2}), 0, 40)), how)
        np.testing.assert_array_equal(whole.values, plain)
