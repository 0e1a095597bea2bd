"""Pictures of what clusters are mixed of."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import refold
from refold import figures
from refold.errors import ParameterError, VariableError
from tests.report.test_figures import has_colour, pixels


def run_of(clusters, signal, shape, names=None):
    mean = np.random.default_rng(0).random((clusters, *shape))
    dims = ("cluster", *signal)
    run = xr.Dataset({"cluster_mean": (dims, mean), "cluster_size": ("cluster", np.ones(clusters, np.int64))})
    run = run.assign(labels=(("y", "x"), np.arange(12, dtype=np.int32).reshape(3, 4) % clusters))
    return run if names is None else run.assign(cluster_name=("cluster", np.array(names, object)))


@pytest.mark.parametrize(
    ("clusters", "signal", "shape", "components"),
    [
        (1, ("energy",), (30,), 1),
        (5, ("energy",), (5000,), 3),
        (40, ("energy",), (30,), 2),
        (3, ("ky", "kx"), (9, 12), 2),
        (2, ("a", "b", "c"), (2, 3, 4), 2),
        (3, ("energy",), (1,), 1),
    ],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_any_number_of_clusters_and_kind_of_signal(clusters, signal, shape, components, theme):
    found = refold.unmix(run_of(clusters, signal, shape), components)
    figure = figures.unmixing(found, theme=theme)
    assert len(figure.axes) == 2 * components
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes[1::2]]
    np.testing.assert_allclose(np.transpose(heights), found.weights.values)
    strongest = found.clusters[int(found.weights.values.max(axis=1).argmax())]
    assert has_colour(figure, strongest.colour)
    high = figure.get_size_inches()[1]
    assert high < 1.7 * components + 1.2


def test_names_of_clusters_stand_inside_the_figure():
    found = refold.unmix(run_of(3, ("energy",), (20,), ["quartz", "iron", "corundum and more"]), 2)
    figure = figures.unmixing(found)
    pixels(figure)  # draws, so that texts have places
    labels = figure.axes[-1].get_xticklabels()
    assert [label.get_text() for label in labels] == ["quartz", "iron", "corundum…"]
    assert all(label.get_window_extent().y0 > 0 for label in labels)


def test_maps_of_abundances_lazy_or_not():
    found = refold.unmix(run_of(3, ("energy",), (20,)), 2)
    maps = found.abundances()
    assert len(figures.abundance_maps(maps).axes) == 5  # two maps, two bars of colours, a scale bar
    assert len(figures.abundance_maps(maps.compute(), [1]).axes) == 3
    line = maps.isel(y=0)
    assert len(figures.abundance_maps(line).axes) == 2
    with pytest.raises(ParameterError, match="2"):
        figures.abundance_maps(maps, [2])
    with pytest.raises(VariableError, match="component"):
        figures.abundance_maps(maps.isel(component=0))
    with pytest.raises(VariableError, match="components and weights"):
        figures.unmixing(maps)
