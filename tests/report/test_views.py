from __future__ import annotations

import tracemalloc
from math import prod

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.report.points import MAX_POINTS, Points
from refold.report.tally import Tally, validity_of
from refold.report.views import MAX_SIDE, block_mean, panels, thin, tiles
from tests.report.made import make_run


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 40))
@settings(max_examples=60)
def test_tiles_cover_the_grid_once_and_in_order(shape, budget):
    grid = np.arange(prod(shape)).reshape(shape)
    seen = [grid[tile].ravel() for tile in tiles(tuple(shape), budget)]
    np.testing.assert_array_equal(np.concatenate(seen), grid.ravel())


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.booleans())
@settings(max_examples=60)
def test_block_mean_is_the_mean_of_each_block(rows, columns, limit, lazy):
    values = np.random.default_rng(0).random((rows, columns))
    values[0, 0] = np.nan
    data = da.from_array(values, chunks=(3, 4)) if lazy else values
    array = xr.DataArray(data, dims=("y", "x"))
    (panel,) = panels(array)
    mean, view = block_mean(array, panel, limit), thin(array, panel, limit)
    assert mean.shape == view.shape
    if min(rows, columns) > 1:
        assert max(mean.shape) <= limit
    down, across = -(-rows // mean.shape[0]), -(-columns // mean.shape[1])
    for i in range(mean.shape[0]):
        for j in range(mean.shape[1]):
            block = values[i * down : (i + 1) * down, j * across : (j + 1) * across]
            if np.isnan(block).all():
                assert np.isnan(mean[i, j])
            else:
                assert mean[i, j] == pytest.approx(np.nanmean(block))
            assert np.isnan(view[i, j]) or view[i, j] in block


def test_a_map_larger_than_the_paper_is_read_in_bounded_memory():
    side = 4500  # 20 million pixels: 162 MB as float64
    field = da.random.default_rng(0).random((side, side), chunks=(250, 1500))
    run = xr.Dataset({"labels": (("y", "x"), (field * 3).astype(np.int32)), "probability": (("y", "x"), field)})
    (panel,) = panels(run.labels)
    tracemalloc.start()
    image, mean = thin(run.labels, panel), block_mean(run.probability, panel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(image.shape) <= MAX_SIDE
    assert max(mean.shape) <= MAX_SIDE
    assert peak < 130e6
    assert mean.mean() == pytest.approx(0.5, abs=0.01)


def test_a_stack_is_drawn_from_its_first_slice_to_its_last():
    array = xr.DataArray(np.zeros((40, 3, 4)), dims=("z", "y", "x"))
    chosen = [p.index["z"] for p in panels(array)]
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 39, 9)
    assert len(panels(array.expand_dims(t=2))) == 9


def test_counts_agree_with_numpy_however_the_labels_are_stored():
    run = make_run((20, 30), 4, invalid=7)
    labels = run.labels.values
    whole, lazy = Tally.of(run), Tally.of(run.chunk({"y": 7, "x": 11}))
    assert whole == lazy
    assert whole.sizes == tuple((labels == i).sum() for i in range(4))
    assert whole.invalid == 7
    assert whole.noise == (labels < 0).sum() - 7
    assert sum(whole.sizes) + whole.noise + whole.invalid == whole.pixels == 600
    assert whole.confidence[2] == pytest.approx(run.probability.values[labels == 2].mean(), rel=1e-5)


def test_a_residual_that_was_never_computed_does_not_make_noise_unusable():
    run = make_run((20, 30), 4)
    run["residual"] = run.residual * np.nan
    assert Tally.of(run).invalid == 0
    assert validity_of(run).name == "embedding"


def test_a_cluster_without_a_pixel_is_still_counted():
    run = make_run((8, 8), 3)
    run["labels"] = run.labels.where(run.labels != 1, 0)
    assert Tally.of(run).ids == (0, 1, 2)
    assert Tally.of(run).sizes[1] == 0


def test_the_scatter_keeps_rare_clusters():
    labels = np.zeros((600, 600), np.int32)
    labels[3, 5:45] = 1
    run = xr.Dataset(
        {"labels": (("y", "x"), labels), "embedding": (("y", "x", "latent"), np.zeros((600, 600, 2), np.float32))}
    )
    points = Points.of(run, Tally.of(run))
    assert (points.labels == 1).sum() == 40
    assert len(points.labels) < MAX_POINTS * 1.1


def test_the_scatter_does_not_depend_on_chunks():
    run = make_run((40, 50), 3)
    one = Points.of(run, Tally.of(run), limit=300)
    other = Points.of(run.chunk({"y": 9, "x": 13}), Tally.of(run), limit=300)
    np.testing.assert_array_equal(one.positions, other.positions)
