"""Scree plots, factors and loadings: what is drawn, for every shape of scan and signal."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from refold.cube import as_cube
from refold.errors import ParameterError, VariableError
from refold.reduce import PCA, Decomposition, decompose
from refold.report import figures
from refold.report.canvas import png
from refold.report.colours import palette, to_rgb
from tests.report.made import make_run


def found(shape: tuple[int, ...] = (8, 10), signal: tuple[int, ...] = (24,), **options: object) -> Decomposition:
    rng = np.random.default_rng(0)
    size = int(np.prod(signal))
    rates = (rng.gamma(2, 3, (*shape, 3)) * [9, 3, 1]) @ rng.gamma(0.5, 8, (3, size)) + 0.5
    dims = {1: "energy", 2: ("ky", "kx")}[len(signal)]
    coords = {"energy": (np.arange(24)[::-1] * 10.0, {"units": "eV"})} if len(signal) == 1 else None
    return decompose(as_cube(rng.poisson(rates).reshape(*shape, *signal), signal=dims, coords=coords), **options)


def drawn(figure, dpi: float = 40) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png(figure, dpi))).convert("RGB")).reshape(-1, 3)


def test_scree_marks_the_elbow_of_each() -> None:
    plain, poisson = found(), found(normalize_poissonian_noise=True)
    figure = figures.scree(plain, poisson, labels=["plain", "Poisson"])
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    expected = [plain.number_significant_components, poisson.number_significant_components]
    assert told == [f"plain, elbow at {expected[0]}", f"Poisson, elbow at {expected[1]}"]
    rings = [line for line in axes.lines if line.get_markersize() > 10]
    assert [int(ring.get_xdata()[0]) + 1 for ring in rings] == expected
    np.testing.assert_allclose(axes.lines[0].get_ydata(), plain.explained_variance_ratio[:24])
    colours = np.round(to_rgb(palette(2)) * 255)
    seen = np.unique(drawn(figure, 100), axis=0).astype(int)
    assert all((np.abs(seen - colour).max(axis=1) <= 2).any() for colour in colours)


@pytest.mark.parametrize(("threshold", "count"), [(3, 3), (0.01, None)])
def test_scree_with_a_threshold(threshold: float, count: int | None) -> None:
    plain = found()
    expected = count or int((plain.explained_variance_ratio > threshold).sum())
    (axes,) = figures.scree(plain, threshold=threshold, n=7).axes
    assert axes.get_legend().get_texts()[0].get_text().startswith(f"{expected} component")
    assert len(axes.lines[0].get_xdata()) == 7
    lines = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert bool(lines) == isinstance(threshold, float)


def test_scree_of_estimators_and_runs() -> None:
    plain = found()
    model = PCA(5).fit(plain.cube)
    run = make_run()
    (axes,) = figures.scree(model, run).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), model.explained_variance_ratio_)
    drawn(figures.scree(run.assign(explained_variance_ratio=run.explained_variance_ratio * np.nan)))
    with pytest.raises(VariableError):
        figures.scree(plain, run.drop_vars("explained_variance_ratio"))
    with pytest.raises(ParameterError):
        figures.scree(plain, labels=["one", "two"])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("shape", [(8, 10), (17,), (1, 9), (9, 1), (3, 4, 5)])
@pytest.mark.parametrize("signal", [(24,), (4, 6), (1, 24)])
def test_factors_and_loadings(shape: tuple[int, ...], signal: tuple[int, ...], theme: str) -> None:
    some = found(shape, signal, output_dimension=5)
    one, other = figures.factors(some, [0, 3], theme=theme), figures.loadings(some, 3, theme=theme)
    titles = [
        [axes.get_title(loc="left").split()[0] for axes in figure.axes if axes.get_title(loc="left")]
        for figure in (one, other)
    ]
    assert titles == [["0", "3"], ["0", "1", "2"]]
    for figure in (one, other):
        assert len(np.unique(drawn(figure), axis=0)) > 3


def test_factors_are_on_the_axis_of_the_signal() -> None:
    some = found(output_dimension=3)
    axes = figures.factors(some).axes[0]
    line = axes.lines[1]
    np.testing.assert_allclose(line.get_xdata(), some.cube.energy)
    np.testing.assert_allclose(line.get_ydata(), some.factors[0])
    assert axes.get_xlim()[0] > axes.get_xlim()[1]  # the axis falls, as it was recorded


def test_masked_pixels_are_hatched_and_lazy_loadings_read_once() -> None:
    mask = np.zeros((8, 10), bool)
    mask[:3] = True
    some = found(navigation_mask=mask, output_dimension=3)
    axes = figures.loadings(some, 1).axes[0]
    assert axes.patch.get_hatch()
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown, some.loadings[..., 0], rtol=1e-6)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(VariableError):
        figures.loadings(xr.Dataset())
    with pytest.raises(ParameterError):
        figures.factors(found(), [24])
    drawn(figures.factors(PCA(3).fit(found().cube)))
