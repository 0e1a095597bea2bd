"""What the explorer must not lose, and numbers that must not be other ones. No browser."""

from __future__ import annotations

import numpy as np
import pytest

import refold
from refold.editing import Selection
from refold.errors import StoreError
from refold.explore import Explorer
from refold.explore.model import Model
from tests.explore.kept import keep, make_kept
from tests.report.made import make_run

SHAPE = (20, 26)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_kept(tmp_path_factory.mktemp("kept") / "made.run.zarr", SHAPE, 4, signal="spectrum", invalid=9)


@pytest.fixture
def model(path):
    return Model(path)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_edits_in_latent_dims_beyond_those_held_are_read(tmp_path):
    made = make_run((12, 10), 3, latent=5)
    path = keep(made, tmp_path / "deep.run.zarr")
    edits, ends = refold.edits(path), np.nanpercentile(made.embedding.values[..., 3:5], [20, 80], axis=(0, 1))
    edits.split(Selection.box(*ends[:, 0], *ends[:, 1], dims=(3, 4)))
    edits.save()
    model = Model(path)
    np.testing.assert_array_equal(model.pieces.labels(), edits.labels().values.ravel())
    assert 0 < model.counts[3] < 120
    model.choose([0, 3])
    model.merge()
    np.testing.assert_array_equal(model.pieces.labels(), model.edits.labels().values.ravel())


def test_a_signal_read_of_a_cluster_and_noise_is_not_drawn_as_the_clusters(model):
    model.choose([1, -1])
    own = model.curves.curves()[0].values
    model.show_signal(model.run.cluster_mean.isel(cluster=0, drop=True) * 7, "of both")
    np.testing.assert_array_equal(model.curves.curves()[0].values, own)
    assert model.curves.note() == "of each ticked cluster"


@pytest.mark.parametrize("limit", [1 << 22, 100])
def test_sums_are_over_all_pixels_also_of_those_not_held(path, limit):
    model = Model(path, limit=limit)
    model.curves.ways.total = True
    model.choose([1])
    wanted = model.run.cluster_mean.isel(cluster=1, drop=True)
    size = float(model.run.cluster_size[1])
    np.testing.assert_allclose(model.curves.curves()[0].values, wanted * size, rtol=1e-6)
    model.show_signal(wanted, "as read", pixels=int(size))
    np.testing.assert_allclose(model.curves.curves()[0].values, wanted * size, rtol=1e-6)
    model.clear()
    model.box(0, 25, 0, 19, "map")
    estimated = model.curves.curves()[0]
    total = (model.run.cluster_mean * model.run.cluster_size).sum("cluster").values.sum()
    assert not estimated.exact
    assert estimated.values.sum() == pytest.approx(total, rel=0.5)


def test_an_outline_that_holds_all_rows_held_of_a_cluster_is_not_said_to_hold_all_its_pixels(path):
    model = Model(path, limit=30)
    at = np.argwhere(model.rows.labels == 1)
    y, x = np.unravel_index(model.rows.flat[at[:, 0]], SHAPE)
    model.choose([1])
    model.box(x.min(), x.max(), y.min(), y.max(), "map")
    assert not model.curves.selected().exact


def test_a_box_on_the_map_is_columns_by_rows(model):
    model.box(3, 10, 2, 6, "map")
    expected = np.zeros(SHAPE, bool)
    expected[2:7, 3:11] = True
    np.testing.assert_array_equal(model.drawing.map_lit(), expected)


def test_nothing_is_heard_of_what_was_selected_in_another_clustering(path):
    explorer, heard = Explorer(path), []
    explorer.on_selection(heard.append)
    explorer.model.choose([1])
    explorer.model.open(None, "other")
    assert heard[-1] is None


def test_what_cannot_be_opened_leaves_what_is_open(path, model):
    model.choose([0, 1])
    model.merge()
    with pytest.raises(StoreError):
        model.open("none", "edits")
    assert model.edits.can_undo
    assert model.clustering is None


def test_unsaved_edits_are_asked_for_before_others_are_opened(path):
    pytest.importorskip("panel")
    explorer = Explorer(path, edits="first")
    model, page = explorer.model, explorer.panel() and explorer._page
    page.leaving.open(None, "second")
    assert model.edits.name == "second"  # nothing was done yet
    model.choose([0, 1])
    model.merge()
    assert page.keys.tags == ["unsaved"]
    page.leaving.open(None, "third")
    assert page.leaving.view.visible
    assert model.edits.can_undo
    page.leaving._stay()
    assert page.named.value == model.edits.name == "second"
    page.leaving.open(None, "third")
    page.leaving._keep()
    assert (model.edits.name, page.keys.tags) == ("third", [])
    assert "second" in model.names()
    model.choose([0, 1])
    model.merge()
    page.leaving.open(None, "second")
    page.leaving._go()
    assert model.edits.name == "second"
    assert len(model.clusters) == 3
    assert "third" not in model.names()
    explorer.close()


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        7,
        {"type": "rect"},
        {"type": "poly", "x": [0, 1, 2], "y": [0, 1]},
        {"type": "poly", "x": [0, float("nan"), 2], "y": [0, 1, 2]},
        {"type": "poly", "x": "abc", "y": [0, 1, 2]},
        {"type": "poly", "x": 7, "y": [[0], [1], [2]]},
        {"type": "rect", "x0": None, "x1": 1, "y0": 0, "y1": 1},
    ],
    ids=str,
)
def test_outlines_that_no_mouse_draws_select_nothing(model, geometry):
    pytest.importorskip("bokeh")
    from bokeh.events import SelectionGeometry
    from bokeh.plotting import figure

    from refold.explore.watching import watch_outlines

    watch_outlines(made := figure(), model, "map")
    made._trigger_event(SelectionGeometry(made, geometry=geometry))
    assert model.choice is None
    assert "no outline" in model.message[0]


def test_places_that_no_list_has_tick_nothing(model):
    pytest.importorskip("panel")
    from refold.explore.cluster_list import ClusterList

    made = ClusterList(model, lambda does: does)
    made.fill()
    made.group.active = [0, 99999, -5]
    assert model.chosen == (0,)
    assert made.group.active == [0]
