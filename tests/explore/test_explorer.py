"""The explorer's model: selections, edits, what is drawn and said of them. No browser."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from refold.editing import Selection
from refold.errors import EditConflictError, ParameterError
from refold.explore import Explorer
from refold.explore.bars import bars_of
from refold.explore.cluster_list import entries
from refold.explore.hover import described
from refold.explore.means import Means
from refold.explore.model import Model
from refold.explore.outlines import outlines_of
from tests.explore.kept import keep, make_kept
from tests.report.made import make_correlative, make_run

SHAPE = (20, 26)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_kept(tmp_path_factory.mktemp("kept") / "made.run.zarr", SHAPE, 4, signal="spectrum", invalid=9)


@pytest.fixture
def model(path):
    return Model(path)


def around(model, *clusters):
    """A box around the middle half of some clusters in the latent space."""
    points = model.rows.positions[np.isin(model.rows.labels, clusters)]
    (x0, y0), (x1, y1) = np.percentile(points, [25, 75], axis=0)
    return float(x0), float(x1), float(y0), float(y1)


# --- selecting --------------------------------------------------------------------------------------------------------


def test_a_box_in_the_latent_space_lights_up_the_same_pixels_on_the_map(model):
    x0, x1, y0, y1 = around(model, 1)
    model.box(x0, x1, y0, y1, "embedding")
    x, y = model.rows.positions.T
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    assert model.choice.pixels == inside.sum() > 0
    np.testing.assert_array_equal(model.drawing.map_lit(), inside.reshape(SHAPE))


def test_a_lasso_on_the_map_lights_up_the_latent_space(model):
    model.lasso([2.5, 10.5, 10.5, 2.5], [1.5, 1.5, 6.5, 6.5], "map")  # columns and rows
    expected = np.zeros(SHAPE, bool)
    expected[2:7, 3:11] = True
    np.testing.assert_array_equal(model.drawing.map_lit(), expected)
    view = model.drawing.whole_view(40, 30)
    model.drawing.latent_image(view)
    lit = model.drawing.latent_lit()
    for row in np.flatnonzero(expected.ravel()):
        if (cell := view.cell_of(*model.rows.positions[row])) is not None:
            assert lit.ravel()[cell] == 2


def test_ticked_clusters_are_selected_whole_and_restrict_what_is_drawn_around(model):
    model.choose([0, 2])
    np.testing.assert_array_equal(model.choice.mask, np.isin(model.rows.labels, [0, 2]))
    model.box(0, 25, 0, 19, "map")
    assert model.choice.clusters == (0, 2)
    np.testing.assert_array_equal(model.choice.mask, np.isin(model.rows.labels, [0, 2]))
    model.choose([1])
    assert model.choice.selection is None
    model.clear()
    assert model.choice is None


def test_the_listeners_are_told(path):
    explorer, heard = Explorer(path), []
    explorer.on_selection(heard.append)
    explorer.model.choose([1])
    explorer.model.clear()
    assert [None if choice is None else choice.clusters for choice in heard] == [(1,), None]
    explorer.close()
    explorer.model.choose([2])
    assert len(heard) == 2


def test_noise_and_the_unusable(model):
    model.choose([-1])
    usable = model.rows.usable
    assert model.choice.pixels == np.count_nonzero((model.rows.labels < 0) & usable)
    assert not model.choice.mask[~usable].any()
    assert entries(model)[-1].name == "noise"


# --- editing ----------------------------------------------------------------------------------------------------------


def test_the_palette_is_what_changes_when_clusters_merge(model):
    image = model.pieces.image.copy()
    model.choose([1, 3])
    model.merge()
    np.testing.assert_array_equal(model.pieces.image, image)
    assert model.chosen == (1,)
    merged = {model.drawing.map_palette()[piece] for piece in np.unique(image[np.isin(model.rows.labels, [1, 3])])}
    assert merged == {model.colours[1]}
    model.undo()
    assert len({*model.drawing.map_palette()}) == 4 + 2


def test_a_split_is_a_new_cluster_and_leaves_noise_alone(model):
    model.box(0, 25, 0, 19, "map")
    model.split()
    assert model.chosen == (4,)
    np.testing.assert_array_equal(model.pieces.labels() == 4, model.rows.labels >= 0)
    model.undo()
    model.box(0, 25, 0, 19, "map")
    model.split(noise=True)
    assert model.counts[model.chosen[0]] == model.rows.usable.sum()


def test_what_is_saved_is_what_was_seen(path, model):
    model.box(*around(model, 0), "embedding")
    model.split()
    model.rename("quartz")
    model.recolour("#AA3377")
    seen = model.pieces.labels(), model.colours
    model.save("seen")
    again = Model(path, name="seen")
    np.testing.assert_array_equal(again.pieces.labels(), seen[0])
    np.testing.assert_array_equal(again.edits.labels().values.ravel(), seen[0])
    assert again.colours == seen[1]
    assert again.names() == ["seen"]
    assert [entry.name for entry in entries(again)][-2] == "quartz"


def test_two_people_do_not_overwrite_each_other(path):
    one, other = (Model(path, name="both") for _ in range(2))
    for model in (one, other):
        model.choose([0, 1])
        model.merge()
    one.save()
    with pytest.raises(EditConflictError):
        other.save()
    other.save("mine")
    assert {"both", "mine"} <= set(one.names())


@pytest.mark.parametrize(
    "does",
    [Model.merge, Model.split, lambda m: m.rename("a"), lambda m: m.recolour("#ffffff")],
    ids=["merge", "split", "rename", "recolour"],
)
def test_what_cannot_be_done_is_said(model, does):
    with pytest.raises(ParameterError, match="To mend it"):
        does(model)
    assert not model.edits.can_undo


# --- saying and drawing -----------------------------------------------------------------------------------------------


def test_the_pointer_is_told_cluster_place_and_probability(model):
    row = int(np.flatnonzero(model.rows.labels == 2)[5])
    y, x = np.unravel_index(row, SHAPE)
    said = described(model, row).text
    probability = model.rows.probability[row]
    assert said == f"cluster 2 · y {2.5 * y:g} nm, x {2.5 * x:g} nm · probability {probability:.2f}"
    assert described(model, 0).text.startswith("not usable · y 0 nm, x 0 nm")


def test_mean_signals_are_pooled_exactly_or_said_to_be_estimated(model):
    model.choose([1, 3])
    model.merge()
    exact = model.curves.selected()
    applied = model.edits.apply().cluster_mean
    assert exact.exact
    np.testing.assert_allclose(exact.values, applied.isel(cluster=1), rtol=1e-6)
    model.clear()
    model.box(*around(model, 0), "embedding")
    assert not model.curves.selected().exact
    assert "estimated" in model.curves.note()
    model.show_signal(applied.isel(cluster=0, drop=True) * 3, "as read")
    assert model.curves.note() == "as read"
    np.testing.assert_allclose(model.curves.curves()[-1].values, applied.values[0] * 3)


def test_signals_can_be_summed_and_normalised_over_a_range(model):
    model.choose([1])
    ways, axis = model.curves.ways, model.curves.positions()
    mean = model.curves.curves()[0].values
    ways.total = True
    np.testing.assert_allclose(model.curves.curves()[0].values, mean * model.counts[1])
    ways.norm, ways.part = "area", (float(axis[10]), float(axis[40]))
    assert model.curves.curves()[0].values[10:41].sum() == pytest.approx(1)
    ways.norm, ways.part = "peak", None
    assert model.curves.curves()[0].values.max() == pytest.approx(1)


def test_images_of_the_run_and_of_the_scan_lie_under_the_map(path):
    run = make_run(SHAPE)
    scan = run.residual.fillna(0).expand_dims(channel=1).to_dataset(name="bse")
    scan["eds"] = run.scores
    model = Model(path, scan)
    assert {"probability", "residual", "bse"} <= set(model.drawing.grounds)
    assert not {"eds", "labels"} & set(model.drawing.grounds)
    assert model.drawing.grounds["sum of eds"].slow
    total = run.scores.values.sum(axis=-1).ravel()
    np.testing.assert_allclose(model.drawing.grounds["sum of eds"].read(), total, rtol=1e-5)
    model.set("ground", "residual")
    grey = model.drawing.ground_image()
    np.testing.assert_array_equal(grey == 0, ~model.rows.usable.reshape(SHAPE))


def test_a_large_run_is_held_in_bounds_and_edited_whole(path):
    small = Model(path, limit=100)
    assert len(small.rows) <= 100
    small.box(0, 25, 0, 19, "map")
    small.split()
    whole = small.edits.labels().values
    np.testing.assert_array_equal(whole == 4, make_run(SHAPE, 4, signal="spectrum", invalid=9).labels.values >= 0)
    np.testing.assert_array_equal(small.pieces.labels(), whole.ravel()[small.rows.flat])
    assert entries(small)[0].size.startswith("≈")


@pytest.mark.parametrize(
    ("shape", "n", "options"),
    [
        ((40,), 3, {}),
        ((1, 30), 2, {}),
        ((3, 8, 9), 3, {"latent": 3}),
        ((12, 10), 3, {"latent": 1}),
        ((12, 10), 3, {"latent": 0}),
        ((8, 9), 0, {}),
    ],
)
def test_every_kind_of_run_is_shown(tmp_path, shape, n, options):
    pytest.importorskip("panel")
    made = make_run(shape, n, **options)
    explorer = Explorer(keep(made, tmp_path / "kind.run.zarr"))
    model = explorer.model
    page = explorer.panel()
    assert page is explorer.panel()
    model.lasso([-0.5, 6.5, 6.5, -0.5], [-0.5, -0.5, 4.5, 4.5], "map")
    assert model.choice.pixels > 0
    lit = model.drawing.map_lit()
    assert lit.shape == model.rows.thinning.shape
    if len(shape) == 3:
        assert model.choice.mask.sum() == lit.sum()  # only in the slice that is shown
        model.set("slice", 2)
        assert not model.drawing.map_lit().any()
        model.set("dims", (0, 2))
    if options.get("latent") == 1:
        model.lasso([-100.0, 100.0, 0.0], [0.1, 0.2, 0.9], "embedding")
        assert model.choice.mask.all()
    explorer.close()


def test_a_run_without_means_says_so(tmp_path):
    model = Model(keep(make_run((6, 7), 2).drop_vars(["cluster_mean", "cluster_std"]), tmp_path / "bare.run.zarr"))
    assert model.curves.curves() == []
    assert "refold.cluster_statistics" in model.curves.note()


def test_a_run_of_several_cubes_shows_each(tmp_path):
    made = make_correlative((8, 9), 3)
    for dim in ("image", "feature"):
        made = made.assign_coords({dim: (dim, np.arange(made.sizes[dim]), {"role": "signal"})})
    model = Model(keep(made, tmp_path / "several.run.zarr"))
    kinds = {}
    for name in Means.names(made):
        model.curves.show(name)
        kinds[name] = model.curves.kind
        assert len(model.curves.curves()) == 3
    assert kinds == {"diffraction": "image", "eds": "line", "haadf": "number", "profile": "line"}


def test_bars_need_spectra_of_known_lines(model):
    assert bars_of(model) == []  # the run lists no elements
    pytest.importorskip("xraydb")
    model.run.cluster_mean.attrs["elements"] = ["Si", "O"]
    model.choose([1])
    assert all(net > 0 for _, net, _ in bars_of(model))
    model.run.attrs["recipe"] = "[prepare]\nnormalise = 'total'"  # shares have no noise that is known
    assert bars_of(model) == []


def test_selections_say_the_same_to_a_notebook(model):
    model.lasso([2.5, 10.5, 10.5, 2.5], [1.5, 1.5, 6.5, 6.5], "map")
    again = Selection.from_dict(model.choice.selection.to_dict())
    np.testing.assert_array_equal(again.mask(None, model.rows.flat, SHAPE), model.choice.mask)


def test_no_page_is_imported_before_it_is_wanted():
    code = "import sys, refold; print(sorted({'bokeh', 'panel'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_gaussians_are_outlined_in_the_colours_of_their_clusters_now(tmp_path):
    made = make_run((8, 9), 3)
    made["mixture_means"] = (("cluster", "latent"), np.arange(6.0).reshape(3, 2))
    made["mixture_covariances"] = (("cluster", "latent", "other_latent"), np.tile(np.diag([4.0, 1.0]), (3, 1, 1)))
    made["mixture_weights"] = ("cluster", np.full(3, 1 / 3))
    model = Model(keep(made, tmp_path / "gaussians.run.zarr"))
    x, y, colour = outlines_of(model)[0]
    assert (colour, x.min(), x.max(), y.min(), y.max()) == (model.colours[0], *map(pytest.approx, (-2, 2, 0, 2)))
    model.choose([0, 1])
    model.merge()
    assert [colour for _, _, colour in outlines_of(model)[::2]] == [
        model.colours[0],
        model.colours[0],
        model.colours[2],
    ]
