"""What the explorer holds and draws: the right pixels, the counts of NumPy, the colours of the clusters."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.explore.histogram import Bars
from refold.explore.pieces import CLEAR, Pieces
from refold.explore.raster import LEVELS, Cells, Groups, View, levelled_palette, point_radius
from refold.explore.rows import Rows, Thinning
from refold.report.colours import INVALID, NOISE
from tests.report.made import make_run

few = settings(max_examples=25, deadline=None)


# --- rows -------------------------------------------------------------------------------------------------------------


@few
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple), st.integers(1, 200), st.integers(0, 2))
def test_rows_are_the_pixels_that_they_say_they_are(shape, limit, more):
    values = np.arange(np.prod((*shape, more or 1))).reshape((*shape, *([more] if more else [])))
    dims = ("t", "z", "y", "x")[-len(shape) :]
    thinning = Thinning.of(xr.DataArray(np.zeros(shape), dims=dims), limit)
    array = xr.DataArray(values, dims=(*dims, *(["latent"] if more else [])))
    flat = thinning.flat()
    assert len(flat) == thinning.slices * np.prod(thinning.shape)
    assert len(flat) <= max(limit, thinning.slices)
    np.testing.assert_array_equal(thinning.read(array, np.int64), values.reshape(-1, *values.shape[len(shape) :])[flat])
    for row in range(0, len(flat), 7):
        index = thinning.index_of(row)
        assert np.ravel_multi_index(index, shape) == flat[row]
        number = int(np.ravel_multi_index(index[:-2], shape[:-2])) if len(shape) > 2 else 0
        assert thinning.row_of(number, index[-2] if len(index) > 1 else 0, index[-1]) == row


def test_a_lazy_run_is_read_in_bands(monkeypatch):
    run = make_run((20, 30), invalid=17)
    monkeypatch.setattr("refold.explore.rows.TILE", 64)
    rows = Rows.of(run.chunk({"y": 6, "x": 7}))
    np.testing.assert_array_equal(rows.labels, run.labels.values.ravel())
    np.testing.assert_array_equal(rows.positions, run.embedding.values.reshape(-1, 2))
    np.testing.assert_array_equal(~rows.usable, np.isnan(run.residual.values.ravel()))


def test_outside_a_picture_there_is_no_row():
    thinning = Thinning(("y", "x"), (4, 6), 2)
    assert thinning.row_of(0, -0.6, 2) is thinning.row_of(0, 1, 5.5) is None
    assert thinning.row_of(0, 3.4, 5.4) == 5


# --- pieces -----------------------------------------------------------------------------------------------------------


@few
@given(st.lists(st.lists(st.integers(-1, 4), min_size=12, max_size=12), min_size=2, max_size=8))
def test_pieces_follow_any_labels(history):
    first, *later = (np.array(labels, np.int32) for labels in history)
    usable = first >= 0
    usable[0] = True
    pieces = Pieces(first, usable)
    for labels in later:
        before, version = pieces.image.copy(), pieces.version
        finer = len({*zip(before.tolist(), labels.tolist(), strict=True)}) > len(set(before.tolist()))
        assert pieces.follow(labels) == finer == (pieces.version > version)
        np.testing.assert_array_equal(pieces.labels(), labels)
        if not finer:
            np.testing.assert_array_equal(pieces.image, before)
    counts = pieces.counts()
    assert all(counts[label] == np.count_nonzero(labels == label) for label in counts if label >= 0)
    np.testing.assert_array_equal(pieces.within([1, 3]), np.isin(labels, [1, 3]))


def test_a_split_that_is_undone_and_done_again_needs_no_other_image():
    base = np.array([0, 0, 0, 1, 1, -1], np.int32)
    split = np.array([0, 2, 2, 1, 2, -1], np.int32)
    pieces = Pieces(base, np.ones(6, bool))
    assert [pieces.follow(labels) for labels in (split, base, split, base)] == [True, False, False, False]


def test_more_pieces_than_a_byte_counts_take_two():
    pieces = Pieces(np.arange(300, dtype=np.int32), np.ones(300, bool))
    assert pieces.image.dtype == np.uint16
    np.testing.assert_array_equal(pieces.labels(), np.arange(300))


def test_the_palette_has_noise_grey_and_the_unusable_darker():
    pieces = Pieces(np.array([3, -1, -1], np.int32), np.array([True, True, False]))
    palette = [pieces.palette({3: "#123456"})[piece] for piece in pieces.image]
    assert palette == ["#123456", NOISE, INVALID]
    alone = [pieces.palette({3: "#123456"}, (-1,))[piece] for piece in pieces.image]
    assert alone == [CLEAR, NOISE, INVALID]


# --- rasters ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 4000)).astype(np.float32)
    x[:5] = np.nan
    return x, y, rng.integers(0, 4, 4000).astype(np.int32)


def histograms(view, x, y, group, n):
    """What NumPy counts, group by group; its last bins have another edge, which no point lies on."""
    edges = np.linspace(view.left, view.right, view.width + 1), np.linspace(view.bottom, view.top, view.height + 1)
    return np.array([np.histogram2d(x[group == g], y[group == g], edges)[0].T for g in range(n)])


def test_a_raster_counts_as_numpy_does(cloud):
    x, y, group = cloud
    view = View(-1.5, 1.25, -1.0, 2.0, 23, 17)
    cells = Cells(view, x, y)
    image = cells.image(Groups(group, 4))
    counts = histograms(view, x, y, group, 4)
    np.testing.assert_array_equal(cells.total.reshape(17, 23), counts.sum(axis=0))
    assert point_radius(int((counts.sum(axis=0) > 0).sum()), 17 * 23) == 0
    shown = (image.astype(int) - 1) // LEVELS
    front = counts[1:].argmax(axis=0) + 1
    expected = np.where(counts[1:].sum(axis=0) > 0, front, 0)
    np.testing.assert_array_equal(shown[image > 0], expected[image > 0])
    np.testing.assert_array_equal(image == 0, counts.sum(axis=0) == 0)


def test_what_is_selected_is_lit(cloud):
    x, y, group = cloud
    view = View(-1.5, 1.25, -1.0, 2.0, 23, 17)
    cells = Cells(view, x, y)
    cells.image(Groups(group, 4))
    mask = (x > 0) & (y > 0)
    all_of_them, chosen = (histograms(view, x[m], y[m], group[m], 4).sum(axis=0) for m in (x > -9, mask))
    np.testing.assert_array_equal(cells.lit(mask), np.where(chosen > 0, 2, np.where(all_of_them > 0, 1, 0)))


def test_a_place_names_a_row_that_is_seen_there(cloud):
    x, y, group = cloud
    view = View(-1.5, 1.25, -1.0, 2.0, 200, 200)
    cells = Cells(view, x, y)
    image = cells.image(Groups(group, 4))
    assert cells.row_at(9.0, 0.0) is None
    for at in range(10, 4000, 500):
        if (cell := view.cell_of(x[at], y[at])) is not None:
            row = cells.row_at(x[at], y[at])
            assert cells.index[row] == cell
            assert (image.ravel()[cell] - 1) // LEVELS == group[row]


def test_few_points_are_drawn_larger(cloud):
    x, y, group = cloud
    sparse = Cells(View(-4, 4, -4, 4, 400, 400), x[:60], y[:60])
    image = sparse.image(Groups(group[:60], 4))
    assert np.count_nonzero(image) > 10 * np.count_nonzero(sparse.total)


def test_a_smaller_share_draws_some_of_the_same_points(cloud):
    x, y, _ = cloud
    view = View(-4, 4, -4, 4, 50, 50)
    half, tenth = (Cells(view, x, y, share).index >= 0 for share in (0.5, 0.1))
    assert not (tenth & ~half).any()
    assert abs(half.mean() - 0.5) < 0.05
    assert abs(tenth.mean() - 0.1) < 0.03


def test_bars_count_as_numpy_does(cloud):
    x, _, group = cloud
    view = View(-2.0, 2.0, 0.0, 1.0, 80, 60)
    bars = Bars(view, x)
    image = bars.image(Groups(group, 4))
    edges = np.linspace(-2, 2, 21)
    for g in range(4):
        np.testing.assert_array_equal(bars.counts[g], np.histogram(x[group == g], edges)[0])
    assert image.shape == (60, 20)
    row = bars.row_at(0.1, 0.02)
    assert group[row] == 0
    assert abs(x[row] - 0.1) < 0.2
    assert set(np.unique(bars.lit(x > 1.0)[:, :14])) <= {0, 1}


def test_a_palette_has_every_shade_of_every_group():
    palette = levelled_palette(["#112233", ""])
    assert len(palette) == 1 + 2 * LEVELS
    assert palette[LEVELS] == "#112233ff"
    assert set(palette[LEVELS + 1 :]) == {"#00000000"}
