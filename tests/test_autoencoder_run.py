"""A run reduced by an autoencoder: from a recipe, interrupted in training, without PyTorch, and what it shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import refold
from refold.errors import MissingDependencyError, RecipeError, StoreError
from refold.pipeline import plan
from refold.recipe import Recipe
from refold.reduce import Autoencoder
from refold.reduce.neural.checkpoints import Checkpoints
from refold.report import figures
from refold.store import RunStore
from tests.runs import contents, run

REDUCE: dict[str, Any] = {
    "method": "autoencoder",
    "parameters": {"hidden_layers": [8], "epochs": 4, "batch_size": 32, "learning_rate": 1e-2, "device": "cpu"},
}
OPTIONS: dict[str, Any] = {"reduce": REDUCE, "workers": 1, "memory": "100MB", "n_components": 3}
pytest.importorskip("torch", reason="no PyTorch, which trains autoencoders: pip install 'refold[torch]'")


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports of PyTorch fail, as where it is not installed."""

    class Missing:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "torch":
                raise ModuleNotFoundError("No module named 'torch'", name=name)

    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])


@pytest.fixture(scope="module")
def scan() -> xr.DataArray:
    cube: xr.DataArray = refold.synthetic.eds((20, 24), channels=32, phases=3, counts=500, seed=0).cube
    return cube.chunk({"y": 5})


@pytest.fixture(scope="module")
def store(scan: xr.DataArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(scan, tmp_path_factory.mktemp("run") / "scan.run.zarr", **OPTIONS).store


def test_the_run_holds_what_was_trained(scan: xr.DataArray, store: Path) -> None:
    result = refold.open_run(store)
    assert {"labels", "scores", "residual", "components", "loss_learnt", "loss_judged"} <= set(result)
    model = Autoencoder.load(store / "stages" / "reduce" / "model")
    np.testing.assert_array_equal(model.transform(scan).values, result.scores.values)
    np.testing.assert_array_equal(model.residual(scan).values, result.residual.values)
    np.testing.assert_array_equal(model.loss_curve_[:, 1], result.loss_judged.values)
    note = RunStore.open(store).records["reduce"].notes
    assert note is not None
    assert (note["epochs"], note["device"]) == (4, "cpu")
    assert figures.loss_curve(result).axes
    assert not (store / "training").exists()


@pytest.mark.parametrize("harmed", [False, True])
def test_interrupted_in_training_it_goes_on(
    harmed: bool, scan: xr.DataArray, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, save = tmp_path / "scan.run.zarr", Checkpoints.save
    epochs: list[int] = []

    def saved(self: Checkpoints, reached: Any) -> None:
        save(self, reached)
        epochs.append(len(reached.history))
        if epochs == [1, 2]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", saved)
    with pytest.raises(KeyboardInterrupt):
        run(scan, place, **OPTIONS)
    assert (place / "training").is_dir()
    assert "scores" not in refold.open_run(place)
    if harmed:
        (numbers,) = (place / "training").rglob("*.safetensors")
        numbers.write_bytes(numbers.read_bytes()[:-1])
        before = contents(place)
        with pytest.raises(StoreError, match="remove that folder"):
            run(scan, place, **OPTIONS)
        assert contents(place) == before
        return
    run(scan, place, **OPTIONS)
    assert epochs == [1, 2, 3, 4]
    assert contents(place) == contents(store)


def test_without_torch_it_stops_before_anything_is_read(
    scan: xr.DataArray, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(monkeypatch)
    with pytest.raises(MissingDependencyError, match="refold\\[torch\\]"):
        run(scan, tmp_path / "other.run.zarr", **OPTIONS)
    assert not set(refold.open_run(tmp_path / "other.run.zarr"))
    assert run(scan, store, **OPTIONS).stages["reduce"]["reused"]  # what is trained needs none


def test_the_plan_counts_epochs_and_memory(scan: xr.DataArray) -> None:
    told = plan(scan, reduce=REDUCE, n_components=3, memory="100MB", check=False)
    long = plan(scan, reduce={**REDUCE, "parameters": {"epochs": 4000}}, n_components=3, memory="100MB", check=False)
    lean = plan(scan, n_components=3, memory="100MB", check=False)
    assert long.seconds > told.seconds
    assert told.stages["reduce"].peak_memory > lean.stages["reduce"].peak_memory + 200_000_000
    tight = plan(scan, reduce=REDUCE, n_components=3, memory="110kB", workers=1, check=False)
    assert tight.sweeps > told.sweeps  # each epoch reads the features again


@pytest.mark.parametrize(
    "reduce",
    [{"n_components": 0.9}, {"scaling": "poisson"}, {"outliers": 5}, {"parameters": {"layers": [3]}}],
    ids=lambda reduce: next(iter(reduce)),
)
def test_options_that_it_does_not_have(reduce: dict[str, Any], scan: xr.DataArray) -> None:
    with pytest.raises(RecipeError, match="autoencoder"):
        plan(scan, Recipe().with_options(reduce={"method": "autoencoder", **reduce}))
