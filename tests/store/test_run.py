"""The store: what is finished is seen, what is not is not; foreign things are left alone."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.errors import DiskFullError, StoreError, StoreExistsError, VariableError
from refold.recipe import Recipe
from refold.store import RunStore, StageRecord, enter, identify, open_run, stage_fingerprint, versions
from refold.store.disk import is_run, mended_errors

GROUP, ANSWER = "stages/reduce", "stages/labels"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore.create(tmp_path / "a.run.zarr", {"source": {"name": "scan", "shape": [2, 3]}, "recipe": ""})


def ratios(n: int = 3) -> xr.Dataset:
    return xr.Dataset({"explained_variance_ratio": ("component", np.linspace(0.5, 0.1, n))})


def labels() -> xr.Dataset:
    y = ("y", np.arange(2.0), {"units": "nm", "role": "navigation"})
    x = ("x", np.arange(3.0), {"units": "nm", "role": "navigation"})
    values = np.arange(6, dtype=np.int32).reshape(2, 3)
    return xr.Dataset({"labels": (("y", "x"), values)}, coords={"y": y, "x": x})


def test_a_new_run_is_empty_and_opens(store):
    assert is_run(store.path)
    assert not store.records
    assert not open_run(store.path)
    assert not xr.open_zarr(store.path)
    assert [path.name for path in store.path.parent.iterdir()] == ["a.run.zarr"]  # nothing hidden is left beside it


def test_what_is_not_finished_is_not_seen(store):
    store.write(GROUP, ratios())
    store.write(ANSWER, labels())
    assert not open_run(store.path)
    assert not xr.open_zarr(store.path)
    store.finish("reduce", StageRecord("1"), [GROUP])
    assert set(open_run(store.path)) == {"explained_variance_ratio"}
    assert not xr.open_zarr(store.path)
    store.finish("labels", StageRecord("2"), ["stages/binned"], ANSWER)
    assert set(open_run(store.path)) == {"explained_variance_ratio", "labels"}
    seen = xr.open_zarr(store.path)
    assert set(seen) == {"labels"}
    assert seen["y"].attrs["units"] == "nm"
    assert store.records["labels"].holds == ["labels", "x", "y"]


def test_what_is_forgotten_is_not_seen_and_then_removed(store):
    for stage, group, dataset in (("reduce", GROUP, ratios()), ("labels", ANSWER, labels())):
        store.write(group, dataset)
        store.finish(
            stage, StageRecord(stage), [GROUP] if stage == "reduce" else [], ANSWER if stage == "labels" else None
        )
    assert store.keep_only({"reduce": "reduce", "labels": "another"}) == ["reduce"]
    assert set(open_run(store.path)) == {"explained_variance_ratio"}
    assert not xr.open_zarr(store.path)
    store.clear()
    assert sorted(path.name for path in store.path.iterdir()) == ["stages", "zarr.json"]
    assert (store.path / GROUP).is_dir()
    assert store.keep_only({}) == []
    store.clear()
    assert not list((store.path / "stages").glob("*/"))


def test_a_coordinate_that_two_answers_bring_stays(store):
    for stage, name in (("labels", "stages/labels"), ("statistics", "stages/statistics")):
        variable = "cluster_size"
        part = xr.Dataset({variable if stage == "statistics" else "other": ("cluster", np.arange(3))})
        store.write(name, part.assign_coords(cluster=np.arange(3)))
        store.finish(stage, StageRecord(stage), [], name)
    assert set(xr.open_zarr(store.path).variables) == {"cluster", "cluster_size", "other"}
    store.keep_only({"labels": "labels"})
    store.clear()
    assert set(xr.open_zarr(store.path).variables) == {"cluster", "other"}


def test_the_list_of_finished_arrays_is_replaced_in_one_step(store, monkeypatch):
    """A kill while it is written leaves the old one."""
    store.write(GROUP, ratios())
    before = (store.path / "zarr.json").read_text()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.finish("reduce", StageRecord("1"), [GROUP])
    assert (store.path / "zarr.json").read_text() == before
    monkeypatch.undo()
    assert not open_run(store.path)


def test_what_breaks_its_declaration_is_not_written(store):
    with pytest.raises(VariableError):
        store.write(GROUP, xr.Dataset({"labels": (("y", "x"), np.zeros((2, 3)))}))
    assert not (store.path / GROUP / "labels").exists()


def test_targets_are_empty_arrays_with_their_coordinates(store):
    like = labels()["labels"]
    (target,) = store.targets(ANSWER, {"labels": like}, (1, 3)).values()
    assert (target.shape, target.chunks, target.fill_value) == ((2, 3), (1, 3), -1)
    found = xr.open_zarr(store.path / ANSWER, consolidated=False)
    assert (found["labels"] == -1).all()
    xr.testing.assert_identical(found["y"], like["y"])


@pytest.mark.parametrize("kind", ["file", "directory", "zarr group", "zarr array", "broken"])
def test_what_is_no_run_is_left_alone(tmp_path, kind, small_scan):
    place = tmp_path / "thing"
    if kind == "file":
        place.write_text("precious")
    elif kind == "directory":
        place.mkdir()
    elif kind == "zarr group":
        zarr.create_group(place)
    elif kind == "zarr array":
        zarr.create_array(place, shape=(3,), dtype="i4")
    else:
        place.mkdir()
        (place / "zarr.json").write_text("{")
    before = {path: path.stat().st_mtime_ns for path in [place, *place.rglob("*")]}
    for call in (
        lambda: refold.run(small_scan, store=place),
        lambda: refold.plan(small_scan, store=place),
        lambda: RunStore.create(place, {}),
        lambda: open_run(place),
    ):
        with pytest.raises(StoreExistsError) as caught:
            call()
        assert str(place) in caught.value.found
        assert isinstance(caught.value, FileExistsError)
    assert {path: path.stat().st_mtime_ns for path in [place, *place.rglob("*")]} == before


def test_nothing_there_is_said_so(tmp_path):
    with pytest.raises(StoreError, match="nothing at"):
        open_run(tmp_path / "none.run.zarr")


def test_a_place_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check the path"):
        RunStore.create(tmp_path / "file" / "run.zarr", {})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_so(tmp_path, number):
    with pytest.raises(DiskFullError, match="goes on where it stopped"), mended_errors(tmp_path):
        raise OSError(number, "no")
    with pytest.raises(StoreError) as caught, mended_errors(tmp_path):
        raise OSError(errno.EACCES, "Permission denied")
    assert type(caught.value) is StoreError


def test_a_run_of_another_scan_is_left_alone(small_scan, small_run, tmp_path):
    scan = refold.open(small_scan)
    assert enter(small_run, identify(scan)) is not None
    assert enter(tmp_path / "new", identify(scan)) is None
    others = [scan.isel(y=slice(0, 5)), scan.astype("float32"), scan.assign_coords(y=scan.y * 2), scan.rename("other")]
    for other in [*others, scan.compute()]:
        with pytest.raises(StoreExistsError, match=r"phantom\.zarr"):
            enter(small_run, identify(other))


def test_a_scan_that_was_replaced_is_another_scan(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, np.zeros((3, 4, 5)))
    before = identify(refold.open(path))
    assert before == identify(refold.open(path))
    np.save(path, np.ones((3, 4, 6)))
    assert before != identify(refold.open(path))


@given(st.sampled_from(["features", "reduce"]), st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), st.text())
def test_fingerprints_tell_every_difference(stage, options, before):
    whole = stage_fingerprint(stage, options, before)
    assert whole == stage_fingerprint(stage, dict(reversed(options.items())), before)
    assert whole != stage_fingerprint(stage, {**options, "d": 1}, before)
    assert whole != stage_fingerprint(stage, options, before + "'")
    assert whole != stage_fingerprint("embed", options, before)
    assert whole != stage_fingerprint(stage, options, before, packages=("refold", "numpy"))


# --- a whole run, opened ----------------------------------------------------------------------------------------------


def test_plain_xarray_opens_the_answer(small_run):
    plain, merged = xr.open_zarr(small_run), open_run(small_run)
    assert set(plain) == {"labels", "probability", "membership", "cluster_mean", "cluster_std", "cluster_size"}
    for name in plain:
        xr.testing.assert_equal(plain[name], merged[name])
    assert {"scores", "residual", "components", "explained_variance_ratio", "landmark_pixel"} <= set(merged)
    assert merged["labels"].chunks is not None  # lazy


def test_the_model_comes_back_out_of_the_run(small_scan, small_run):
    model = refold.PCA.load(small_run / "stages" / "reduce" / "model")
    scores = model.transform(refold.rebin(refold.open(small_scan), ky=2, kx=2))
    np.testing.assert_array_equal(scores, open_run(small_run)["scores"])


def test_recipe_source_versions_and_seeds_are_inside(small_scan, small_run):
    for attrs in (open_run(small_run).attrs, xr.open_zarr(small_run).attrs["refold"]):
        recipe = Recipe.from_toml(attrs["recipe"])
        assert recipe.prepare.rebin == {"ky": 2, "kx": 2}
        assert recipe.source.path == str(small_scan)
        assert recipe.embed.random_state == recipe.landmarks.random_state == recipe.reduce.random_state == 0
        assert Recipe.from_toml(recipe.to_toml()) == recipe
    attrs = open_run(small_run).attrs
    assert json.loads(attrs["source"])["path"] == str(small_scan)
    assert json.loads(attrs["versions"]) == versions()
    assert {"refold", "numpy", "umap-learn", "hdbscan", "python"} <= set(versions())
    stages, plan = json.loads(attrs["stages"]), json.loads(attrs["plan"])
    assert list(stages) == ["features", "reduce", "embed", "cluster", "labels", "statistics"]
    assert list(plan["stages"]) == [*stages, "report"]
    assert all(stage["peak_memory"] > 0 and stage["seconds"] > 0 for stage in stages.values())


def test_everything_inside_is_numbers_and_json(small_run):
    """No pickle, no object: only metadata and chunks of plain numbers."""
    known = {"int32", "int64", "float32", "float64", "uint16", "uint32"}
    for path in filter(Path.is_file, small_run.rglob("*")):
        if path.name == "zarr.json":
            assert json.loads(path.read_text()).get("data_type", "int32") in known
        else:
            assert "c" in path.relative_to(small_run).parts


def test_results_are_as_declared(small_run):
    from refold.cube import conform

    merged = open_run(small_run)
    for name in ("labels", "probability", "membership", "scores", "residual", "cluster_mean", "cluster_std"):
        xr.testing.assert_identical(conform(name, merged[name]), merged[name])
