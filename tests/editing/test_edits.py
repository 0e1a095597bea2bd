"""Edits of a run, from its store to its report: what was seen is what is saved, opened, applied and told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import refold
from refold import Selection
from refold.cli import app
from refold.colours import palette
from refold.editing.applying import pooled
from refold.editing.history import History
from refold.errors import DataError, EditConflictError, EditsError, ParameterError, StoreError
from refold.report.figures import label_map, latent_scatter, mean_signals
from refold.report.tally import Tally
from refold.store import RunStore
from tests import runs
from tests.editing.made_edits import operations
from tests.guards import no_compute
from tests.report.made import make_correlative

CORNER = Selection.box(-1, 9, -1, 12, "map")


def edited(store: Path) -> refold.Edits:
    """A merge, a name, a colour and a part split off, noise taken in."""
    found = refold.edits(store)
    found.merge([0, 1], "quartz")
    found.recolour({2: "#AA3377"})
    found.split(CORNER, noise=True, name="corner")
    return found


def test_a_run_begins_without_edits(finished: Path) -> None:
    found = refold.edits(finished)
    run = refold.open_run(finished)
    assert [one.id for one in found.clusters] == list(range(run.sizes["cluster"]))
    assert [one.size for one in found.clusters] == run.cluster_size.values.tolist()
    assert [one.colour for one in found.clusters] == list(palette(len(found.clusters)))
    assert found.clusters[1].name == "cluster 1"
    assert (found.labels().values == run.labels.values).all()
    assert (found.can_undo, found.can_redo, found.steps, found.revision) == (False, False, (), 0)
    assert found.saved
    assert "0 steps" in repr(found)
    applied = found.apply()
    assert json.loads(applied.attrs.pop("edits")) == {"name": "edits", "revision": 0, "steps": []}
    xr.testing.assert_identical(applied.drop_vars(["cluster_id", "cluster_name", "cluster_colour"]), run)


def test_sizes_are_those_of_the_ids_whatever_was_counted_before(store: Path) -> None:
    found, parts = refold.edits(store), [Selection.box(-1, end, -1, 9, "map") for end in (9, 2)]
    for part in parts:
        found.split(part)
    found.sizes()
    found.undo()
    found.undo()
    found.split(CORNER)
    found.reset()
    for part in parts:  # the same steps again, under other ids
        found.split(part)
    assert {one.size for one in found.clusters if one.id >= 4} == {None}
    labels = found.labels().values
    assert found.sizes() == {one.id: (labels == one.id).sum() for one in found.clusters}
    assert {one.id: one.size for one in found.clusters} == found.sizes()


def test_edits_of_labels_that_were_made_anew_since_are_neither_saved_nor_applied(store: Path) -> None:
    refold.recluster(store, "gmm", n_clusters=3)
    found = refold.edits(store, "gmm")
    found.merge([0, 1])
    refold.recluster(store, "gmm", n_clusters=2, overwrite=True)
    for use in (found.save, found.apply, found.labels):
        with pytest.raises(EditConflictError, match="other labels"):
            use()
    assert refold.edits(store, "gmm").revision == 0
    refold.forget_clustering(store, "gmm")
    with pytest.raises(StoreError, match="gmm"):
        found.save()


def test_what_was_counted_of_other_clusters_is_left_out(store: Path) -> None:
    found = refold.edits(store)
    found.rename(0, "quartz")
    assert json.loads(found.apply().attrs["measured"])["clusters"] == len(found.clusters)
    found.merge([0, 1])
    assert not {"clusters", "noise"} & set(json.loads(found.apply().attrs["measured"]))


def test_what_is_saved_opens_the_same(store: Path) -> None:
    found = edited(store)
    found.rename(2, "glass")
    found.undo()
    assert not found.saved
    assert found.save(author="anna") == 1
    assert found.saved
    again = refold.open_run(store).refold.edits()
    assert again.history == found.history
    assert again.clusters == found.clusters
    assert again.revision == 1
    xr.testing.assert_identical(again.labels().compute(), found.labels().compute())
    again.redo()
    assert again.clusters[1].name == "glass"
    while again.can_undo:
        again.undo()
    assert again.save() == 2
    assert refold.edits(store).can_redo


def test_edits_go_with_the_run_to_another_place(store: Path, tmp_path: Path) -> None:
    found = edited(store)
    found.save()
    moved = Path(shutil.copytree(store, tmp_path / "elsewhere.zarr"))
    assert (refold.edits(moved).labels().values == found.labels().values).all()


def test_steps_return_ids_and_say_what_they_were(store: Path) -> None:
    found = refold.edits(store)
    assert found.merge([2, 1]) == 1
    made = found.split(CORNER, [1])
    assert made == 4
    assert found.split(CORNER, clusters=(), noise=True) == 5
    found.reset()
    assert found.split(CORNER) == 6
    assert found.steps == ("merge 2, 1", "split of 1", "split of noise", "reset", "split")
    found.undo()
    found.undo()
    assert {one.id for one in found.clusters} >= {1, 4, 5}
    assert found.merge(np.array([4, 5])) == 4  # what was undone is forgotten
    assert not found.can_redo


def test_a_merged_cluster_is_called_as_the_largest_that_was_named(store: Path) -> None:
    found = refold.edits(store)
    sizes = found.sizes()
    small, large = sorted((0, 1), key=lambda number: sizes[number])
    found.rename(small, "small")
    assert found.merge([small, 2]) == min(small, 2)
    assert found.clusters[0].name == ("small" if min(small, 2) == 0 else "cluster 0")
    found.undo()
    found.rename(large, "large")
    found.merge([0, 1])
    assert found.clusters[0].name == "large"
    found.undo()
    found.split(Selection.box(-1, 99, -1, 99, "map"), [large])  # now it has no pixel left
    found.merge([0, 1])
    assert found.clusters[0].name == "small"


def test_sizes_are_counted_where_a_split_left_them_open(store: Path) -> None:
    found = edited(store)
    assert [one.size for one in found.clusters] == [None] * len(found.clusters)
    counted = found.sizes()
    ids, sizes = np.unique(found.labels().values, return_counts=True)
    assert counted == {
        **dict.fromkeys(counted, 0),
        **{int(i): int(n) for i, n in zip(ids, sizes, strict=True) if i >= 0},
    }
    assert [one.size for one in found.clusters] == list(counted.values())
    found.merge([0, 2])
    assert found.clusters[0].size == counted[0] + counted[2]  # known again without counting


def test_relabel_is_what_labels_does_by_block(store: Path) -> None:
    found = edited(store)
    run = refold.open_run(store)
    assert found.embedding is not None
    rows = found.embedding.values.reshape(-1, found.embedding.shape[-1])
    whole = found.relabel(run.labels.values.ravel(), rows)
    assert (whole == found.labels().values.ravel()).all()
    some = np.arange(100, 200)
    assert (found.relabel(run.labels.values.ravel()[some], rows[some], some) == whole[some]).all()


# --- applied ----------------------------------------------------------------------------------------------------------


def test_a_run_with_edits_is_a_run(store: Path) -> None:
    found = edited(store)
    with no_compute():
        run = found.apply()
    ids = found.labels().values
    assert (run.cluster_id.values[run.labels.values[ids >= 0]] == ids[ids >= 0]).all()
    assert (run.labels.values[ids < 0] == -1).all()
    assert run.labels.attrs == refold.open_run(store).labels.attrs
    assert run.cluster_name.values.tolist() == ["quartz", "cluster 2", "cluster 3", "corner"]
    assert run.cluster_colour.values[1] == "#aa3377"
    assert not {"cluster_mean", "cluster_std", "cluster_size", "membership", "probability"} & set(run)
    assert {"scores", "residual", "components"} <= set(run)
    run.drop_encoding().to_zarr(store.parent / "copy.zarr", zarr_format=3, consolidated=False)
    again = xr.open_zarr(store.parent / "copy.zarr", consolidated=False)
    assert again.cluster_name.values.tolist() == run.cluster_name.values.tolist()


def judged(store: Path, run: xr.Dataset) -> None:
    """The statistics of a run are those that a sweep over its features finds for its labels."""
    features = RunStore.open(store).read("stages/features")["features"]
    wanted = refold.cluster_statistics(features, run.labels.values, run.sizes["cluster"])
    assert (run.cluster_size.values == wanted.cluster_size.values).all()
    np.testing.assert_allclose(run.cluster_mean, wanted.cluster_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.cluster_std, wanted.cluster_std, rtol=1e-4, atol=1e-5)


def test_statistics_of_merged_clusters_are_pooled_and_of_split_ones_swept(store: Path) -> None:
    found = refold.edits(store)
    found.merge([0, 2, 3])
    run = found.apply()
    judged(store, run)
    own = refold.open_run(store)
    assert (run.cluster_mean.values[1] == own.cluster_mean.values[1]).all()  # what was not merged, to the last bit
    np.testing.assert_allclose(run.membership.sum("cluster"), own.membership.sum("cluster"), rtol=1e-5, atol=1e-6)
    found.split(CORNER, noise=True)
    judged(store, found.apply(statistics=True))


def test_every_cube_of_a_run_is_pooled() -> None:
    run = make_correlative()
    found = pooled(run, [[0, 2], [1]])
    assert set(found) == {"membership", "cluster_size", *(str(n) for n in run if str(n).startswith("cluster_"))}
    sizes = run.cluster_size.values[[0, 2]]
    for name in ("eds", "haadf", "profile", "diffraction"):
        parts = run[f"cluster_mean_{name}"].values[[0, 2]].reshape(2, -1)
        mean = np.average(parts, axis=0, weights=sizes)
        np.testing.assert_allclose(found[f"cluster_mean_{name}"].values[0].ravel(), mean, rtol=1e-5, atol=1e-6)
        assert found[f"cluster_mean_{name}"].dims == run[f"cluster_mean_{name}"].dims
    assert "radius" in found["cluster_std_profile"].coords


def test_clusters_without_a_pixel_have_no_mean(store: Path) -> None:
    found = refold.edits(store)
    found.split(Selection.box(50, 60, 50, 60, "map"))
    run = found.apply(statistics=True)
    assert run.cluster_size.values[-1] == 0
    assert np.isnan(run.cluster_mean.values[-1]).all()


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_edits_are_saved_opened_and_applied_alike(finished: Path, data: st.DataObject) -> None:
    found = refold.edits(finished)
    for _ in range(data.draw(st.integers(1, 4))):
        found.history, _ = found.history.add(data.draw(operations(found.history.table)))
    name = f"chance{data.draw(st.integers(0, 10**9))}"
    (finished / "edits" / f"{name}.json").unlink(missing_ok=True)
    found.save(name)
    again = refold.edits(finished, name=name)
    assert (again.labels().values == found.labels().values).all()
    assert again.sizes() == found.sizes()
    run = again.apply()
    assert len(run.cluster_name) == len(again.clusters)
    if "cluster_mean" in run:
        judged(finished, run)


@pytest.mark.filterwarnings("ignore:.*keeps no features:refold.errors.RefoldWarning")
def test_a_scan_can_be_given_where_a_run_keeps_no_features(tmp_path: Path) -> None:
    scan = runs.phantom().cube
    runs.run(scan, tmp_path / "bare.zarr", features=False)
    refold.recluster(tmp_path / "bare.zarr", "k3", method="kmeans", n_clusters=3, random_state=0)
    found = refold.edits(tmp_path / "bare.zarr", clustering="k3")
    assert "cluster_mean" not in found.apply()
    assert found.apply(statistics=True, scan=scan).cluster_mean.shape == (3, 12, 12)
    found.rename(0, "quartz")
    found.save()
    assert (tmp_path / "bare.zarr" / "edits" / "k3--edits.json").exists()
    again = refold.edits(refold.open_run(tmp_path / "bare.zarr", "k3"))  # that of the dataset
    assert again.clusters[0].name == "quartz"
    assert refold.edits(tmp_path / "bare.zarr").revision == 0
    new = found.split(CORNER)
    with pytest.raises(DataError, match="keeps no features"):
        found.apply(statistics=True)
    run = found.apply(statistics=True, scan=scan)
    inside = found.labels().values == new
    np.testing.assert_allclose(run.cluster_mean.values[-1], scan.values[inside].mean(axis=0), rtol=1e-5)


def test_labels_found_on_a_coarser_grid_are_edited_on_the_scans_own(tmp_path: Path) -> None:
    store = tmp_path / "binned.zarr"
    runs.run(runs.phantom().cube, store, rebin={"y": 2, "x": 5}, features=True, min_cluster_size=6)
    found = refold.edits(store)
    labels = found.run.labels.values
    assert found.sizes() == dict(enumerate(np.bincount(labels[labels >= 0], minlength=len(found.clusters)).tolist()))
    odd = Selection.box(-1, 4, -1, 4, "map")  # 5 x 5 pixels: through the middle of positions of the coarser grid
    new = found.split(odd, noise=True)
    assert (found.labels().values == new).sum() == 25
    run = found.apply(statistics=True)
    assert run.cluster_size.values[-1] == 25
    assert run.cluster_size.values.sum() == (run.labels.values >= 0).sum()


# --- reports ----------------------------------------------------------------------------------------------------------


def test_figures_call_clusters_as_they_were_named(store: Path) -> None:
    found = edited(store)
    found.rename(3, "<b>Fe$_2$</b>")
    run = found.apply(statistics=True)
    tally = Tally.of(run)
    assert tally.names == ("quartz", "cluster 2", "<b>Fe$_2$</b>", "corner")  # number 1 is called cluster 2
    assert tally.colours[1] == "#aa3377"
    for draw in (label_map, latent_scatter, mean_signals):
        figure = draw(run)
        figure.canvas.draw()
    legend = label_map(run).legends[0].get_texts()
    assert legend[0].get_text().startswith("0  quartz")


def test_the_page_of_saved_edits_is_written_on_the_command_line(store: Path) -> None:
    found = edited(store)
    found.rename(3, "<b>Fe$_2$</b>")
    found.save()
    done = CliRunner().invoke(app, ["report", str(store), "--edits", "edits", "--json"])
    assert done.exit_code == 0, done.output
    page = Path(json.loads(done.stdout)["report"])
    assert page.name == "phantom.run.edits.html"
    text = page.read_text(encoding="utf-8")
    assert "quartz" in text
    assert "&lt;b&gt;Fe$_2$" in text
    assert "<b>Fe" not in text
    with pytest.raises(ParameterError, match="no edits 'other'"):
        CliRunner().invoke(app, ["report", str(store), "--edits", "other"], catch_exceptions=False)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_two_people_do_not_overwrite_each_other(store: Path) -> None:
    anna, bert = edited(store), refold.edits(store)
    bert.rename(0, "glass")
    anna.save(author="anna")
    with pytest.raises(EditConflictError, match="saved by anna"):
        bert.save(author="bert")
    assert refold.edits(store).history == anna.history
    assert bert.save("bert") == 1
    assert bert.save() == 2  # under that name, from now on
    assert refold.edits(store, name="bert").clusters[0].name == "glass"
    with pytest.raises(EditConflictError):
        anna.save("bert")


def test_edits_of_other_labels_are_told_and_kept(store: Path) -> None:
    edited(store).save()
    before = (store / "edits" / "edits.json").read_bytes()
    runs.run(runs.phantom().cube, store, features=True, min_cluster_size=20)
    assert (store / "edits" / "edits.json").read_bytes() == before
    with pytest.raises(EditsError, match="done again since"):
        refold.edits(store)
    fresh = refold.edits(store, name="again")
    fresh.rename(0, "quartz")
    fresh.save()
    runs.run(runs.phantom().cube, store, features=True)  # as it was
    assert refold.edits(store).clusters[0].name == "quartz"


def test_a_damaged_file_is_told_and_kept(store: Path) -> None:
    edited(store).save()
    place = store / "edits" / "edits.json"
    place.write_bytes(damaged := place.read_bytes().replace(b"quartz", b"quarts"))
    with pytest.raises(EditsError, match="changed or damaged"):
        refold.edits(store)
    assert place.read_bytes() == damaged
    assert refold.edits(store, name="other").steps == ()


def test_nothing_removes_edits_and_they_disturb_nobody(store: Path) -> None:
    before = runs.contents(store)
    edited(store).save()
    RunStore.open(store).clear()
    assert refold.edits(store).revision == 1
    assert runs.contents(store).items() >= before.items()
    assert set(xr.open_zarr(store)) == set(xr.open_zarr(store, consolidated=True))
    assert "edits" not in dict(zarr.open_group(store, mode="r").members())
    assert set(xr.open_zarr(store, consolidated=False)) == set(xr.open_zarr(store))  # without a warning


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda edits: edits.merge(3), "put them into a list"),
        (lambda edits: edits.merge("12"), "put them into a list"),
        (lambda edits: edits.merge([0, -1]), "noise"),
        (lambda edits: edits.merge([0, 1.0]), "cluster 1.0"),
        (lambda edits: edits.recolour(["#000000"]), "a mapping"),
        (lambda edits: edits.rename(9, "a"), "cluster 9"),
        (lambda edits: edits.undo(), "no step to undo"),
        (lambda edits: edits.redo(), "no step to redo"),
        (lambda edits: edits.save("../up"), "set of edits"),
    ],
)
def test_what_cannot_be_done_changes_nothing(finished: Path, ask: Any, said: str) -> None:
    found = refold.edits(finished)
    with pytest.raises(ParameterError, match=said):
        ask(found)
    assert found.history == History(found.history.frame)


def test_what_is_no_run_is_told(tmp_path: Path, finished: Path) -> None:
    with pytest.raises(StoreError):
        refold.edits(tmp_path / "nothing.zarr")
    with pytest.raises(StoreError, match="no labels of the clustering 'gmm5'"):
        refold.edits(finished, clustering="gmm5")
    with pytest.raises(ParameterError):
        refold.edits(finished, name="..")
