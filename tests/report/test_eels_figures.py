"""Figures of what was found in spectra: shifts of the zero loss, heights of spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refold import figures
from refold.cube import as_cube
from refold.errors import VariableError
from refold.prepare import align_zero_loss, remove_spikes, spike_histogram
from refold.report.canvas import png


def spectra(shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(0)
    energy = np.arange(-3, 6, 0.1)
    away = energy - rng.uniform(-0.5, 0.5, (*shape, 1))
    counts = rng.poisson(1e4 * np.exp(-((away / 0.2) ** 2) / 2) + 20).astype("float32")
    counts[..., 80] += 3000 * (rng.random(shape) < 0.01)
    counts.reshape(-1, energy.size)[1] = 0
    return as_cube(counts, signal="energy", coords={"energy": (energy, {"units": "eV"})})


@pytest.mark.parametrize("shape", [(8, 9), (1, 20), (20,), (3, 5, 6), (2, 1)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_shifts_of_any_scan(shape: tuple[int, ...], theme: Any) -> None:
    shifts = align_zero_loss(spectra(shape)).shifts
    figure = figures.shift_map(shifts, theme=theme)
    assert len(png(figure, 50)) > 1000
    texts = [text.get_text() for axes in figure.axes for text in axes.texts] + [a.get_ylabel() for a in figure.axes]
    texts += [a.get_xlabel() for a in figure.axes]
    assert any("shift (eV)" in text for text in texts)


def test_no_shift_is_in_the_middle_of_the_colours() -> None:
    figure = figures.shift_map(align_zero_loss(spectra((8, 9))).shifts)
    (low, high) = figure.axes[0].images[0].get_clim()
    assert low == -high


@pytest.mark.parametrize("noise", ["poisson", "white"])
def test_heights_with_their_threshold(noise: Any) -> None:
    heights = spike_histogram(spectra((30, 30)), noise=noise)
    figure = figures.spike_heights(heights)
    (axes,) = figure.axes
    threshold = heights["count"].attrs["threshold"]
    assert axes.lines[0].get_xdata()[0] == threshold
    beyond = int(heights["count"].sel(height=slice(threshold, None)).sum())
    assert beyond > 0
    assert f"{beyond} beyond" in axes.texts[0].get_text()
    assert axes.get_xlim()[0] < threshold < axes.get_xlim()[1]
    assert len(png(figure, 50)) > 1000


def test_heights_of_spikes_removed() -> None:
    cube = spectra((20, 20))
    ours, wanted = (
        figures.spike_heights(each).axes[0].lines[0].get_xdata()[0]
        for each in (remove_spikes(cube), spike_histogram(cube))
    )
    assert ours == wanted
    with pytest.raises(VariableError, match="given threshold, 9"):
        figures.spike_heights(remove_spikes(cube, 9.0))


def test_heights_of_nothing() -> None:
    figure = figures.spike_heights(spike_histogram(spectra((3, 3)) * 0))
    assert not figure.axes[0].lines
    assert len(png(figure, 50)) > 500


def test_what_is_no_result_says_so() -> None:
    cube = spectra((3, 3))
    with pytest.raises(VariableError, match="navigation dims"):
        figures.shift_map(cube)
    with pytest.raises(VariableError, match="spike_histogram"):
        figures.spike_heights(cube.to_dataset(name="count"))
    for other in (None, cube):
        with pytest.raises(VariableError, match="spike_histogram"):
            figures.spike_heights(other)
