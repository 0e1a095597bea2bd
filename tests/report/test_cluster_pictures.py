from __future__ import annotations

import tracemalloc

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold import figures
from refold.report.colours import palette
from refold.report.memberships import Memberships
from refold.report.points import Points, limits_of
from refold.report.space import _base
from refold.report.tally import Tally
from refold.report.views import block_mean, panels
from tests.report.made import make_correlative, make_estimate, make_run, make_trusted
from tests.report.test_figures import has_colour, pixels


@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 5), st.booleans())
@settings(max_examples=40, deadline=None)
def test_layers_are_averaged_as_if_each_were_alone(rows, columns, limit, lazy):
    values = np.random.default_rng(0).random((rows, columns, 3))
    array = xr.DataArray(da.from_array(values, chunks=(3, 5, 2)) if lazy else values, dims=("y", "x", "cluster"))
    (panel,) = panels(array.isel(cluster=0))
    together = block_mean(array, panel, limit, layer="cluster")
    for i in range(3):
        np.testing.assert_array_equal(together[..., i], block_mean(array.isel(cluster=i), panel, limit))


@pytest.mark.parametrize("shape", [(23, 31), (1, 260), (300,), (3, 9, 8)])
def test_without_membership_the_probability_of_the_label_is_drawn(shape):
    run = make_run(shape, 4).drop_vars("membership").chunk(7)
    tally = Tally.of(run)
    found = Memberships.of(run, tally, pixels=4 * 48**2)
    for position, number in enumerate(tally.ids):
        alone = run.probability.where(run.labels == number, 0)
        np.testing.assert_allclose(found.images[position], block_mean(alone, found.panel, 48), rtol=1e-6)
    assert found.name == "probability"


def test_memberships_of_a_large_scan_are_read_in_bounded_memory():
    side, n = 1000, 24  # 96 MB of float32, twice that of float64
    field = da.random.default_rng(0).random((side, side, n), chunks=(100, 400, n)).astype(np.float32)
    run = xr.Dataset({"labels": (("y", "x"), np.zeros((side, side), np.int32))})
    run["membership"] = (("y", "x", "cluster"), field)
    tally = Tally.of(run.assign(cluster_size=("cluster", np.ones(n, np.int64))))
    tracemalloc.start()
    found = Memberships.of(run, tally)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.images.size <= 1.1 * 2**20
    assert peak < 160e6
    assert found.images.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("n", [2, 8, 30])
def test_every_cluster_has_its_row_in_its_colour(n):
    run = make_run((20, 26), n, signal="spectrum", side=2)
    for draw in (figures.cluster_gallery, figures.membership_maps):
        figure = draw(run)
        assert has_colour(figure, *palette(n), dpi=40)
        width, height = figure.get_size_inches()
        assert 0.2 < height / width < 2


def test_every_cube_has_its_cells():
    run = make_correlative((12, 16), 3, side=8)
    figure = figures.cluster_gallery(run)
    cells = 2 + 1 + 1 + 1 + 1  # mean and deviation of patterns, two lines, a number, the map
    assert len(figure.axes) == 3 * cells + 1  # and the colour bar
    said = {text.get_text() for text in figure.texts}
    assert {"diffraction\nmean", "diffraction\nstd", "eds\nmean ± std", "haadf\nmean ± std", "membership"} <= said


def test_deviations_stand_below_the_mean_where_they_are_known():
    run = make_run((12, 16), 2, side=8)
    assert len(figures.mean_signal(run, 0, deviation=True).axes) == 2
    assert len(figures.mean_signal(run.drop_vars("cluster_std"), 0, deviation=True).axes) == 1
    assert len(figures.mean_signal(make_run((12, 16), 2, signal="spectrum"), 0, deviation=True).axes) == 1


@pytest.mark.parametrize("run", [make_correlative((10, 12), 0, side=8), make_correlative((1, 12), 1, side=8)])
def test_cubes_of_no_or_of_one_cluster(run):
    for name in ("cluster_gallery", "mean_signals", "membership_maps", "overview", "latent_scatter"):
        pixels(getattr(figures, name)(run), 30)


@given(st.floats(-90, 90), st.floats(-360, 360))
def test_the_view_of_the_latent_space_keeps_lengths(elevation, azimuth):
    base = _base(elevation, azimuth)
    np.testing.assert_allclose(base @ base.T, np.eye(3), atol=1e-12)


def test_from_above_the_latent_space_is_its_first_two_dimensions():
    np.testing.assert_allclose(_base(90.0, -90.0), np.eye(3), atol=1e-12)


def test_near_points_lie_over_far_ones():
    run = make_run((20, 30), 3, latent=3)
    figure = figures.latent_space(run, elevation=90.0, azimuth=-90.0)
    (scatter,) = figure.axes[0].collections
    positions = Points.of(run, Tally.of(run)).positions
    ends = np.array([limits_of(column) for column in positions.T])
    inside = ((positions >= ends[:, 0]) & (positions <= ends[:, 1])).all(axis=1)
    expected = positions[inside][np.argsort(positions[inside, 2], kind="stable")]
    drawn = np.asarray(scatter.get_offsets()) / 2 * np.diff(ends[:2], axis=1).ravel() + ends[:2].mean(axis=1)
    np.testing.assert_allclose(drawn, expected[:, :2], atol=1e-9)


def test_three_latent_dimensions_are_drawn_in_pairs_and_whole():
    assert len(figures.latent_scatter(make_run((12, 16), 2, latent=3)).axes) == 4
    assert len(figures.latent_scatter(make_run((12, 16), 2, latent=2)).axes) == 1


def test_curves_mark_what_they_suggest():
    estimate = make_estimate()
    figure = figures.metric_curves(estimate)
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert said == [["k = 4"], ["k = 5"], ["k = 5"]]
    ring = figure.axes[2].lines[-1]
    assert ring.get_xydata().tolist() == [[5.0, float(estimate.gap.sel(k=5))]]
    bare = estimate.copy()
    bare["gap"].attrs.clear()
    assert not figures.metric_curves(bare[["gap"]]).axes[0].texts


def test_curves_may_have_holes():
    estimate = make_estimate()
    estimate["gap"] = estimate.gap * np.nan
    estimate["gap"].attrs["suggested"] = 99
    pixels(figures.metric_curves(estimate, width=3.0), 30)


@pytest.mark.parametrize("shape", [(12, 16), (1, 30), (30,), (40, 6), (2, 8, 9)])
def test_stability_of_any_scan(shape):
    run = make_trusted(shape, 3)
    for theme in ("light", "dark"):
        assert len(np.unique(pixels(figures.stability_map(run, theme=theme), 40), axis=0)) > 1


def test_stability_says_what_is_least():
    run = make_trusted((12, 16), 3)
    run["cluster_jaccard"][:] = [[0.9, 0.4, 0.8]] * 5
    run["repeat_ari"][:] = [0.9, 0.3, 0.9, 0.9, 0.9]
    titles = [axes.get_title(loc="left") for axes in figures.stability_map(run).axes]
    assert "Jaccard: 0.40 at least (cluster 1)" in titles
    assert any(title.startswith("ARI") and title.endswith("0.30 at least") for title in titles)


def test_stability_alone_is_a_map():
    run = make_trusted((12, 16), 3).drop_vars(["repeat_ari", "pairwise_ari", "cluster_jaccard"])
    wide = figures.stability_map(run).get_size_inches()[0]
    assert wide < figures.stability_map(make_trusted((12, 16), 3)).get_size_inches()[0]


def test_a_run_of_everything_gives_every_file(tmp_path):
    run = make_trusted((10, 12), 2, latent=3, side=8)
    other = make_correlative((10, 12), 2, side=8)
    run = run.drop_vars(["cluster_mean", "cluster_std"]).merge(make_estimate())
    run["cluster_mean_a/b"] = other["cluster_mean_eds"]
    written = figures.figure_files(run, tmp_path, dpi=30)
    assert {"signals-a-b", "stability", "metrics", "memberships", "clusters"} <= {path.stem for path in written}
    assert all(path.parent == tmp_path for path in written)
