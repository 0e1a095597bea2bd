"""Figures of X-ray spectra: lines and unknown peaks marked, distributions step by step, bars with errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

from refold import figures
from refold.cube import as_cube
from refold.errors import ParameterError, VariableError
from refold.features import element_maps, suggest_lines, xray_lines
from refold.prepare import neighbour_average, softmax, zscore
from refold.report.canvas import png
from tests.features.xrays.made_spectra import two_phases

pytest.importorskip("xraydb")


def texts(figure: Any) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_spectrum_names_its_lines_and_guesses_the_others(theme):
    cube = two_phases((8, 9)).assign_attrs(elements=["Fe", "O"])
    figure = figures.line_spectrum(cube, xray_lines(cube), suggest_lines(cube), theme=theme)
    assert {"Fe_Ka", "Fe_Kb", "O_Ka", "Si_Ka?"} <= texts(figure)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "energy (keV)"
    assert axes.get_xlim()[0] == pytest.approx(0.1)
    assert len(png(figure, 50)) > 3000


def test_a_range_may_be_given_from_its_end():
    assert figures.line_spectrum(two_phases((2, 2)), energies=(8, 2)).axes[0].get_xlim() == (2, 8)


def test_names_do_not_lie_on_each_other():
    cube = two_phases((4, 5))
    lines = xray_lines(cube, ["C_Ka", "N_Ka", "O_Ka", "Cr_La", "Mn_La", "Fe_La", "Ni_La", "Cu_La", "Zn_La", "Na_Ka"])
    figure = figures.line_spectrum(cube, lines, energies=(0, 20))
    png(figure, 100)
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without the line that leads to it
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.padded(-1).overlaps(b.padded(-1))]
    assert not overlaps


def test_a_spectrum_alone_and_an_empty_one():
    spectrum = two_phases((1, 1))[0, 0]
    assert not texts(figures.line_spectrum(spectrum))
    assert len(png(figures.line_spectrum(spectrum * 0), 50)) > 1000
    with pytest.raises(ParameterError, match="units"):
        figures.line_spectrum(as_cube(np.ones((2, 3)), signal="energy"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_distributions_have_a_cell_for_each_feature_and_step(theme):
    maps = element_maps(two_phases((8, 9), chunks=(4, 9, 1024)))
    steps = {"counts": maps, "neighbours": neighbour_average(maps)}
    steps["z-scores"] = zscore(steps["neighbours"])
    steps["softmax"] = softmax(steps["z-scores"])
    figure = figures.pixel_distributions(steps, theme=theme)
    assert len(figure.axes) == 12
    assert [axes.get_title("left") for axes in figure.axes[::3]] == list(steps)
    assert {"Fe_Ka", "Si_Ka", "O_Ka"} <= texts(figure)
    assert len(png(figure, 50)) > 3000
    counts = figure.axes[0].patches[0].get_data()
    assert np.square(counts.values).sum() == pytest.approx(72)  # every pixel, once
    low, high = figure.axes[0].get_xlim()
    np.testing.assert_allclose([low, high], [maps[..., 0].min(), maps[..., 0].max()])


def test_distributions_of_chosen_features_of_nothing_and_of_strangers():
    maps = element_maps(two_phases((4, 4)))
    assert len(figures.pixel_distributions({"counts": maps}, ["Si_Ka"]).axes) == 1
    assert len(png(figures.pixel_distributions({"nothing": maps * np.nan, "zero": maps * 0}), 50)) > 1000
    for steps, features in (({}, None), (maps, None), ({"a": maps, "b": maps[..., :2]}, None), ({"a": maps}, ["Au"])):
        with pytest.raises(ParameterError):
            figures.pixel_distributions(steps, features)


@pytest.mark.parametrize(("clusters", "lines"), [(1, 1), (3, 5), (7, 9), (0, 2)])
def test_bars_reach_as_high_as_the_lines(clusters, lines):
    rng = np.random.default_rng(0)
    net, error = rng.random((clusters, lines)) * 50 - 1, rng.random((clusters, lines))
    found = xr.Dataset(
        {"intensity": (("cluster", "line"), net), "error": (("cluster", "line"), error)},
        {"line": [f"E{number}_Ka" for number in range(lines)], "cluster": np.arange(clusters)},
    )
    figure = figures.line_bars(found)
    heights = sorted(bar.get_height() for axes in figure.axes for bar in axes.patches)
    np.testing.assert_allclose(heights, np.sort(np.clip(net, 0, None).ravel()))
    assert len(png(figure, 50)) > 1000
    named = found.assign(
        cluster_name=("cluster", ["quartz"] * clusters), cluster_colour=("cluster", ["#aa3377"] * clusters)
    )
    if clusters:
        legend = figures.line_bars(named).legends[0]
        assert {text.get_text() for text in legend.get_texts()} == {"quartz"}
        last = figures.line_bars(found.isel(cluster=[-1])).legends[0].get_patches()[0]  # alone it keeps its colour
        assert last.get_facecolor() == figures.line_bars(found).legends[0].get_patches()[-1].get_facecolor()


def test_what_is_no_intensity_says_so():
    for wrong in (None, xr.Dataset(), two_phases((1, 1))):
        with pytest.raises(VariableError, match="line_intensities"):
            figures.line_bars(wrong)
