"""Ellipses of a mixture: they hold the share of pixels that they should, and lie where the points are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Ellipse

from refold import figures
from refold.report.ellipses import Gaussians
from refold.report.page import _latent_note
from refold.report.tally import Tally
from tests.report.made import make_run


def with_mixture(latent: int = 2, clusters: int = 3) -> xr.Dataset:
    """A run whose clusters say that they are Gaussians."""
    run = make_run((24, 32), clusters, latent=latent)
    dims = latent or run.sizes["component"]
    positions = (run["embedding"] if latent else run["scores"]).values.reshape(-1, dims)
    labels = run["labels"].values.ravel()
    members = [positions[labels == cluster] for cluster in range(clusters)]
    run["mixture_means"] = (("cluster", "latent"), np.array([rows.mean(axis=0) for rows in members], np.float64))
    covariances = np.array([np.cov(rows.T).reshape(dims, dims) for rows in members], np.float64)
    run["mixture_covariances"] = (("cluster", "latent", "other_latent"), covariances)
    run["mixture_weights"] = ("cluster", np.array([len(rows) for rows in members]) / sum(map(len, members)))
    return run


def ellipses(figure) -> list[Ellipse]:
    return [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Ellipse)]


@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from([1.0, 2.0]))
def test_an_ellipse_holds_the_share_of_its_gaussian_in_two_of_three_dimensions(seed, sigma):
    rng = np.random.default_rng(seed)
    root, mean = rng.normal(size=(3, 3)), rng.normal(size=3)
    rows = rng.normal(size=(20_000, 3)) @ root.T + mean
    one = Gaussians(mean[None], (root @ root.T)[None], np.ones(1))
    (x, y), width, height, angle = one.ellipse(0, (2, 0), sigma)
    inside = Ellipse((x, y), width, height, angle=angle).get_path()
    outline = Ellipse((x, y), width, height, angle=angle).get_patch_transform().transform_path(inside)
    share = outline.contains_points(rows[:, [2, 0]]).mean()
    assert share == pytest.approx(1 - np.exp(-(sigma**2) / 2), abs=0.02)
    assert width >= height


@pytest.mark.parametrize(("latent", "panels"), [(2, 1), (3, 3), (0, 1)])
def test_each_gaussian_is_outlined_at_one_and_two_deviations(latent, panels):
    run = with_mixture(latent)
    drawn = ellipses(figures.latent_scatter(run))
    assert len(drawn) == 2 * 3 * panels
    colours = {tuple(patch.get_edgecolor()) for patch in drawn}
    assert len(colours) == 3
    heaviest = int(np.argmax(run.mixture_weights.values))
    widths = [patch.get_linewidth() for patch in drawn[:6:2]]
    assert int(np.argmax(widths)) == heaviest
    assert not ellipses(figures.latent_scatter(run, sigmas=()))
    assert len(ellipses(figures.latent_scatter(run, sigmas=(1, 2, 3)))) == 3 * 3 * panels


def test_on_the_page_and_in_the_overview():
    run = with_mixture()
    assert len(ellipses(figures.overview(run))) == 6
    assert "each Gaussian of the mixture" in _latent_note(run, Tally.of(run))
    assert "each Gaussian" not in _latent_note(run.drop_vars("mixture_means"), Tally.of(run))


@pytest.mark.parametrize("how", ["another space", "labels changed", "none"])
def test_gaussians_that_do_not_fit_are_not_drawn(how):
    run = with_mixture()
    if how == "another space":
        run = run.drop_vars("embedding")
    elif how == "labels changed":
        run["labels"] = run["labels"] + 1
    else:
        run = run.drop_vars("mixture_weights")
    assert Gaussians.of(run, "embedding" if how != "another space" else "scores", Tally.of(run)) is None
    assert not ellipses(figures.latent_scatter(run))
