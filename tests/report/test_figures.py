from __future__ import annotations

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from refold import figures, report
from refold.errors import ParameterError, VariableError
from refold.report.canvas import png
from refold.report.colours import NOISE, palette, to_rgb
from refold.report.points import latent_name
from refold.report.signals import Signals
from tests.report.made import make_run

RUNS = {
    "map": {},
    "stack": {"shape": (3, 10, 12)},
    "one row": {"shape": (1, 40)},
    "one column": {"shape": (40, 1), "unit": None},
    "one pixel": {"shape": (1, 1), "n_clusters": 1},
    "long and thin": {"shape": (2, 60), "descending": True},
    "line scan": {"shape": (50,), "signal": "spectrum", "descending": True},
    "all noise": {"n_clusters": 0},
    "one cluster": {"n_clusters": 1, "signal": "spectrum"},
    "no embedding": {"latent": 0},
    "one latent dimension": {"latent": 1},
    "three latent dimensions": {"latent": 3, "invalid": 9},
}
FIGURES = [
    "label_map", "probability_map", "residual_map", "mean_signals", "latent_scatter", "scree", "overview",
    "cluster_gallery", "membership_maps",
]  # fmt: skip


def pixels(figure, dpi=60):
    return np.asarray(Image.open(BytesIO(png(figure, dpi))).convert("RGB")).reshape(-1, 3)


def has_colour(figure, *colours, dpi=60):
    """Whether each of the colours is somewhere in the picture."""
    seen = np.unique(pixels(figure, dpi), axis=0).astype(int)
    return all((np.abs(seen - rgb).max(axis=1) <= 2).any() for rgb in np.round(to_rgb(colours) * 255))


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_of_every_kind_of_run(name):
    run = make_run(**RUNS[name])
    for figure in (
        FIGURES if name == "map" else ["residual_map", "mean_signals", "overview", "cluster_gallery", "membership_maps"]
    ):
        seen = pixels(getattr(figures, figure)(run), dpi=40)
        assert len(np.unique(seen, axis=0)) > 1, figure


def test_every_cluster_and_the_noise_are_on_the_map():
    run = make_run((30, 40), 5)
    figure = figures.label_map(run, legend=False)
    assert has_colour(figure, *palette(5), NOISE)


def test_the_first_row_is_on_top_even_where_the_coordinate_falls():
    run = make_run((10, 10), 2, descending=True)
    run["labels"] = run.labels * 0 + (np.arange(10) >= 5).astype(np.int32)[:, None]
    image = np.asarray(Image.open(BytesIO(png(figures.label_map(run, legend=False), 40))).convert("RGB"))
    x = image.shape[1] // 3
    first, last = (np.round(to_rgb([c])[0] * 255) for c in palette(2))
    np.testing.assert_allclose(image[12, x], first, atol=2)
    np.testing.assert_allclose(image[int(image.shape[0] * 0.6), x], last, atol=2)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes_set_paper(theme):
    corner = pixels(figures.label_map(make_run(), theme=theme))[0]
    assert (corner.mean() > 200) == (theme == "light")


def test_same_run_same_bytes():
    run = make_run()
    assert png(figures.overview(run), 50) == png(figures.overview(run.chunk()), 50)


def test_the_users_own_settings_neither_matter_nor_change():
    import matplotlib as mpl

    run = make_run()
    expected = png(figures.scree(run), 50)
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "red", "font.size": 30}):
        before = dict(mpl.rcParams)
        assert png(figures.scree(run), 50) == expected
        assert dict(mpl.rcParams) == before


def test_what_is_not_finite_is_drawn_all_the_same():
    run = make_run()
    run["residual"] = run.residual * np.nan
    run["explained_variance_ratio"] = run.explained_variance_ratio * np.nan
    run["cluster_mean"] = run.cluster_mean * np.nan
    for name in FIGURES:
        pixels(getattr(figures, name)(run), 30)


def test_zero_and_negative_means_are_drawn():
    run = make_run()
    run["cluster_mean"] = run.cluster_mean * 0 - 1
    for display in ("linear", "sqrt", "log"):
        pixels(figures.mean_signals(run, display=display), 30)


def test_large_signals_are_averaged_before_they_are_drawn():
    pattern, spectrum = make_run(side=300), make_run(signal="spectrum", side=300)
    assert Signals.of(pattern).mean.shape == (3, 150, 150)
    assert Signals.of(spectrum).mean.shape == (3, 2000)
    np.testing.assert_allclose(Signals.of(pattern).mean.mean(), pattern.cluster_mean.mean(), rtol=1e-5)


def test_three_signal_dims_are_drawn_as_channels():
    run = make_run().drop_vars(["cluster_std"])
    run["cluster_mean"] = run.cluster_mean.expand_dims(detector=2, axis=1)
    assert Signals.of(run).mean.shape == (3, 2 * 24 * 24)
    pixels(figures.mean_signals(run), 30)


def test_signals_belong_to_clusters_by_number_not_by_place():
    run = make_run().isel(cluster=[2, 0]).assign_coords(cluster=[2, 0])
    np.testing.assert_allclose(Signals.of(run).mean[Signals.of(run).ids.index(0)], run.cluster_mean.sel(cluster=0))
    pixels(figures.mean_signals(run), 30)  # of cluster 1 there is no mean
    spectrum = make_run(signal="spectrum").isel(cluster=[2, 0]).assign_coords(cluster=[2, 0])
    pixels(figures.mean_signals(spectrum), 30)


def test_an_embedding_of_landmarks_only_is_not_a_map():
    run = make_run().drop_vars("embedding")
    run["embedding"] = (("landmark", "latent"), np.zeros((5, 2), np.float32))
    assert latent_name(run) == "scores"
    pixels(figures.overview(run), 30)


def test_one_cluster_alone():
    run = make_run(signal="spectrum")
    assert has_colour(figures.mean_signal(run, 2), palette(3)[2])
    with pytest.raises(ParameterError, match="cluster 7"):
        figures.mean_signal(run, 7)


def test_files(tmp_path):
    written = figures.figure_files(make_run(), tmp_path / "figures", dpi=40)
    assert [p.stem for p in written] == [
        "clusters", "labels", "latent", "memberships", "overview", "probability", "residual", "scree", "signals",
    ]  # fmt: skip
    assert all(Image.open(BytesIO(p.read_bytes())).size[0] > 50 for p in written)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda run: figures.label_map(run.drop_vars("labels")), VariableError),
        (lambda run: figures.label_map(run.assign(labels=run.labels * 1.5)), VariableError),
        (lambda run: figures.scalar_map(run, "stability"), VariableError),
        (lambda run: figures.scalar_map(run, "scores"), VariableError),
        (lambda run: figures.scree(run.drop_vars("explained_variance_ratio")), VariableError),
        (lambda run: figures.mean_signals(run.drop_vars("cluster_mean")), VariableError),
        (lambda run: figures.mean_signals(run, display="loud"), ParameterError),
        (lambda run: figures.latent_scatter(run.drop_vars(["embedding", "scores"])), VariableError),
        (lambda run: figures.label_map(run, theme="sepia"), ParameterError),
        (lambda run: figures.mean_signals(run, cube="eds"), VariableError),
        (lambda run: figures.membership_maps(run.drop_vars(["membership", "probability"])), VariableError),
        (lambda run: figures.cluster_gallery(run[["labels"]]), VariableError),
        (figures.latent_space, VariableError),
        (figures.stability_map, VariableError),
        (figures.metric_curves, VariableError),
    ],
)
def test_what_cannot_be_drawn_says_why(call, error):
    with pytest.raises(error):
        call(make_run())


def test_importing_the_room_does_not_import_matplotlib():
    code = "import sys, refold.report; from refold.report import write_report; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    assert all(callable(getattr(figures, name)) for name in figures.__all__)
    assert all(hasattr(report, name) for name in report.__all__)
    assert not hasattr(report, "nothing")


def test_a_notebook_draws_a_figure_before_pyplot_is_imported():
    assert figures.label_map(make_run())._repr_png_().startswith(b"\x89PNG")
