"""Laws of the autoencoder: PCA's subspace where it is linear, deterministic, resumed to the same bits, row-pure."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from refold.cube import as_cube
from refold.engine import settings
from refold.engine.progress import Progress
from refold.errors import BackendError, DataError, MissingDependencyError, ParameterError, StoreError
from refold.reduce import PCA, Autoencoder
from refold.reduce.neural import training
from refold.reduce.neural.checkpoints import Checkpoints
from refold.reduce.neural.pixels import Split
from tests.guards import limit_memory, no_compute

torch = pytest.importorskip("torch", reason="no PyTorch, which trains autoencoders: pip install 'refold[torch]'")
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

TINY: dict[str, Any] = {"hidden_layers": (6,), "epochs": 4, "batch_size": 16, "learning_rate": 1e-2, "device": "cpu"}


def normal_rows(count: int = 600, features: int = 8, seed: int = 0) -> np.ndarray:
    """Three strong directions and some noise."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(features, 3)))[0].T
    return ((rng.normal(size=(count, 3)) * [3, 2, 1.5]) @ basis + 0.3 * rng.normal(size=(count, features))).astype("f4")


def ring(count: int = 800, seed: int = 0) -> np.ndarray:
    """A curved line in ten dimensions, which one straight component cannot follow."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, 1.5 * np.pi, count)
    return (np.column_stack([np.cos(at), np.sin(at)]) @ rng.normal(size=(2, 10)) + 5).astype("f4")


def cube_of(rows: np.ndarray, width: int = 20) -> xr.DataArray:
    return as_cube(rows.reshape(-1, width, rows.shape[-1]), signal="energy")


@pytest.fixture(scope="module")
def trained() -> Autoencoder:
    return Autoencoder(2, **TINY).fit(cube_of(normal_rows()))


@parametrize_with_checks([Autoencoder(1, kl_weight=0.01, **{**TINY, "epochs": 2})])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


# --- what is learnt ---------------------------------------------------------------------------------------------------


def test_without_hidden_layers_it_finds_the_subspace_of_principal_components() -> None:
    rows = normal_rows()
    options = {"learning_rate_schedule": "cosine", "patience": None, "validation_fraction": 0.0, "batch_size": 32}
    model = Autoencoder(3, hidden_layers=(), scaling=None, epochs=40, learning_rate=2e-2, **options).fit(rows)
    judge = PCA(3).fit(rows)
    assert np.rad2deg(scipy.linalg.subspace_angles(model.components_.T, judge.components_.T)).max() < 1
    explained = judge.explained_variance_ratio_.sum()
    assert explained - 0.005 < model.explained_variance_ratio_.sum() <= explained + 1e-6
    left = np.sqrt(np.mean((rows - model.model(rows)) ** 2))
    assert left < 1.05 * np.sqrt(np.mean((rows - judge.model(rows)) ** 2))


def test_one_coordinate_follows_a_curve() -> None:
    rows = ring()
    model = Autoencoder(
        1, hidden_layers=(24, 12), activation="leaky_relu", epochs=40, batch_size=32, learning_rate=1e-2
    ).fit(rows)
    straight = np.mean((rows - PCA(1).fit(rows).model(rows)) ** 2)
    assert np.mean((rows - model.model(rows)) ** 2) < 0.2 * straight


def test_a_large_divergence_pulls_the_coordinates_to_a_unit_normal() -> None:
    rows = normal_rows()
    told: dict[str, Any] = {**TINY, "epochs": 30, "batch_size": 32}
    plain = Autoencoder(2, **told).fit(rows).transform(rows)
    model = Autoencoder(2, kl_weight=1.0, **told).fit(rows)
    scores = model.transform(rows)
    assert abs(scores.mean(axis=0)).max() < 0.2
    assert 0.6 < scores.std(axis=0).min() <= scores.std(axis=0).max() < 1.1  # the rest is the spread of each pixel
    assert plain.std(axis=0).max() > scores.std(axis=0).max() + 0.2
    alone = Autoencoder(2, kl_weight=1e3, **{**told, "epochs": 20}).fit(rows).transform(rows)
    assert abs(alone).max() < 0.5  # nothing is said of a pixel any more


def test_dropout_and_noise_make_a_difference_in_training_alone() -> None:
    rows = normal_rows(200)
    plain = Autoencoder(2, **TINY).fit(rows)
    for told in ({"dropout": 0.3}, {"noise": 0.5}, {"weight_decay": 0.5}, {"precision": "mixed"}):
        model = Autoencoder(2, **TINY, **told).fit(rows)
        assert not np.array_equal(model.weights_, plain.weights_)
        np.testing.assert_array_equal(model.transform(rows), model.transform(rows))


def test_patience_ends_training_and_the_best_weights_are_kept() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 12)).astype("f4")  # nothing to learn but by heart
    model = Autoencoder(
        4, hidden_layers=(32,), epochs=200, patience=5, batch_size=8, learning_rate=2e-2, validation_fraction=0.3
    ).fit(rows)
    assert model.converged_
    assert model.n_epochs_ == len(model.loss_curve_) < 200
    assert model.best_epoch_ == model.loss_curve_[:, 1].argmin() < model.n_epochs_ - 1
    judged = rows[Split(0.3, 0).judges(np.arange(300))]
    left = np.mean(model.residual(as_cube(judged, signal="feature", dims=("pixel", "feature"))).values ** 2)
    np.testing.assert_allclose(left, model.loss_curve_[:, 1].min(), rtol=1e-4)


def test_components_are_in_order_and_say_how_a_pixel_changes(trained: Autoencoder) -> None:
    assert (np.diff(trained.score_deviations_) <= 0).all()
    largest = np.abs(trained.components_).argmax(axis=1)
    assert (trained.components_[np.arange(2), largest] > 0).all()
    scores = trained.transform(normal_rows())
    np.testing.assert_allclose(np.sqrt((scores**2).mean(axis=0)), trained.score_deviations_, rtol=1e-4)
    assert abs(scores.mean(axis=0)).max() < 1e-5
    ends = trained.inverse_transform(np.diag(trained.score_deviations_)) - trained.inverse_transform(
        -np.diag(trained.score_deviations_)
    )
    np.testing.assert_allclose(ends / 2, trained.components_, rtol=1e-3, atol=1e-4)


def test_poisson_scaling_gives_counts_back() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(2, 20, (400, 2)) @ rng.dirichlet([0.5] * 12, 2)).astype(np.uint16)
    counts[:40] = 0
    model = Autoencoder(2, scaling="poisson", **{**TINY, "epochs": 20}).fit(cube_of(counts))
    assert model.n_samples_ == (counts.sum(axis=1) > 0).sum()
    judges = Split(0.1, 0).judges(np.arange(400)) & (counts.sum(axis=1) > 0)  # pixels without counts judge nothing
    left = model.residual(cube_of(counts)).values.ravel()[judges] ** 2
    np.testing.assert_allclose(left.mean(), model.loss_curve_[:, 1].min(), rtol=1e-3)
    back = model.model(cube_of(counts)).values.reshape(400, 12)
    full = counts.sum(axis=1) > 20
    assert np.median(np.abs(back[full].sum(axis=1) / counts[full].sum(axis=1) - 1)) < 0.1
    some = model.inverse_transform(model.transform(cube_of(counts)), components=1)
    assert np.isfinite(some.values).all()


# --- determinism ------------------------------------------------------------------------------------------------------


def test_one_thread_gives_the_same_bits_and_several_the_same_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = normal_rows()
    with settings(workers=1, memory="100MB"):
        first, again = (Autoencoder(2, **TINY, dropout=0.1, noise=0.1).fit(rows) for _ in range(2))
    np.testing.assert_array_equal(first.weights_, again.weights_)
    monkeypatch.setattr(training, "_WORTH", 1)  # else one thread does it, as it is quicker
    with settings(workers=2, memory="100MB"):
        other = Autoencoder(2, **TINY, dropout=0.1, noise=0.1).fit(rows)
    np.testing.assert_allclose(other.loss_curve_, first.loss_curve_, rtol=1e-3)
    assert not np.array_equal(Autoencoder(2, **TINY, random_state=1).fit(rows).weights_, first.weights_)


def test_what_is_learnt_does_not_depend_on_chunks_while_all_fits() -> None:
    cube = cube_of(normal_rows())
    with settings(workers=1, memory="100MB"):
        whole, cut = (Autoencoder(2, **TINY).fit(cube.chunk(chunks)) for chunks in ({"y": -1}, {"y": 7, "x": 3}))
    np.testing.assert_allclose(cut.loss_curve_, whole.loss_curve_, rtol=1e-4)  # sums of other partitions, rounded
    np.testing.assert_allclose(cut.weights_, whole.weights_, atol=1e-3)


class Stopped(KeyboardInterrupt):
    """Somebody ended the process."""


def stopped_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Let training be interrupted once so many epochs are kept."""
    save = Checkpoints.save

    def saved(self: Checkpoints, reached: Any) -> None:
        save(self, reached)
        if len(reached.history) == epochs:
            raise Stopped

    monkeypatch.setattr(Checkpoints, "save", saved)


@pytest.mark.parametrize("memory", ["100MB", "60kB"])  # all pixels in memory, and a few blocks of them at a time
def test_resumed_is_as_if_never_interrupted(memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = cube_of(normal_rows()).chunk({"y": 5})
    told: dict[str, Any] = {**TINY, "dropout": 0.1, "kl_weight": 0.1, "learning_rate_schedule": "cosine"}
    with settings(workers=1, memory=memory):
        at_once = Autoencoder(2, **told).fit(cube)
        with monkeypatch.context() as patched:
            stopped_after(patched, 2)
            with pytest.raises(Stopped):
                Autoencoder(2, **told).fit(cube, checkpoint=tmp_path)
        resumed = Autoencoder(2, **told).fit(cube, checkpoint=tmp_path)
        np.testing.assert_array_equal(resumed.weights_, at_once.weights_)
        np.testing.assert_array_equal(resumed.loss_curve_, at_once.loss_curve_)
        progress = Progress()
        with settings(progress=progress):
            done = Autoencoder(2, **told).fit(cube, checkpoint=tmp_path)  # nothing is left to do
        np.testing.assert_array_equal(done.weights_, at_once.weights_)
        assert progress.tally.sweeps == 1
        Autoencoder(2, **told, random_state=5).fit(cube, checkpoint=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # another training has a folder of its own
    assert all(len(list(folder.iterdir())) == 2 for folder in tmp_path.iterdir())


def test_more_epochs_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    rows = normal_rows()
    with settings(workers=1, memory="100MB"):
        Autoencoder(2, **TINY).fit(rows, checkpoint=tmp_path)
        longer = Autoencoder(2, **{**TINY, "epochs": 6}).fit(rows, checkpoint=tmp_path)
        np.testing.assert_array_equal(longer.weights_, Autoencoder(2, **{**TINY, "epochs": 6}).fit(rows).weights_)


def test_other_data_with_the_same_extremes_is_another_training(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (200, 3)) * 255.0
    with settings(workers=1):
        Autoencoder(2, **TINY).fit(rows, checkpoint=tmp_path)
        Autoencoder(2, **TINY).fit(255.0 - rows, checkpoint=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_another_patience_is_another_training_where_rates_follow_from_it(tmp_path: Path) -> None:
    rows = normal_rows()
    for patience in (3, 30):
        told = {**TINY, "patience": patience, "learning_rate_schedule": "plateau"}
        Autoencoder(2, **told).fit(rows, checkpoint=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


# --- row-pure ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 20))
@examples(max_examples=3)
def test_scores_do_not_depend_on_chunks(trained: Autoencoder, y: int, x: int) -> None:
    cube = cube_of(normal_rows(seed=3))
    cut = cube.chunk({"y": y, "x": x})
    np.testing.assert_array_equal(trained.transform(cut).values, trained.transform(cube).values)
    np.testing.assert_array_equal(trained.residual(cut).values, trained.residual(cube).values)
    np.testing.assert_array_equal(trained.model(cut).values, trained.model(cube).values)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "tanh", "silu", "gelu"])
def test_each_row_alone_and_as_torch_has_it(activation: str) -> None:
    rows = normal_rows(67)
    model = Autoencoder(2, activation=activation, **{**TINY, "epochs": 1, "hidden_layers": (9, 5)}).fit(rows)
    scores = model.transform(rows)
    alone = np.vstack([model.transform(rows[at : at + 1]) for at in range(67)])
    np.testing.assert_array_equal(alone, scores)
    np.testing.assert_array_equal(model.transform(rows[5:40]), scores[5:40])
    back = np.vstack([model.inverse_transform(scores[at : at + 1]) for at in range(67)])
    np.testing.assert_array_equal(back, model.inverse_transform(scores))
    values = torch.from_numpy(model._projection.standard(rows))
    functions = {"relu": torch.relu, "tanh": torch.tanh}
    for at in range(3):
        weights = {
            part: torch.from_numpy(model._projection.weights[f"encoder.{at}.{part}"]) for part in ("weight", "bias")
        }
        values = torch.nn.functional.linear(values, *weights.values())
        if at < 2:
            values = functions.get(activation, getattr(torch.nn.functional, activation))(values)
    np.testing.assert_allclose(scores, values.numpy(), rtol=1e-4, atol=1e-5)


def test_invalid_pixels_and_features_that_say_nothing() -> None:
    rows = normal_rows()
    rows[:, 2] = 7
    rows[[3, 40]] = np.nan
    model = Autoencoder(2, **TINY).fit(cube_of(rows))
    assert model.n_samples_ == 598
    scores = model.transform(cube_of(rows)).values.reshape(-1, 2)
    assert np.isnan(scores[[3, 40]]).all()
    assert np.isfinite(np.delete(scores, [3, 40], axis=0)).all()
    back = model.model(cube_of(rows)).values.reshape(-1, 8)
    np.testing.assert_array_equal(np.delete(back, [3, 40], axis=0)[:, 2], 7)
    assert (model.components_[:, 2] == 0).all()


def test_nothing_is_computed_before_it_is_asked_for(trained: Autoencoder) -> None:
    cube = cube_of(normal_rows()).chunk({"y": 5})
    with no_compute():
        scores, left, denoised = trained.transform(cube), trained.residual(cube), trained.model(cube, 1)
        assert (scores.dims, left.dims, denoised.dims) == (("y", "x", "component"), ("y", "x"), ("y", "x", "energy"))


# --- kept on disk -----------------------------------------------------------------------------------------------------


def test_saved_and_loaded_it_is_the_same(trained: Autoencoder, tmp_path: Path) -> None:
    trained.save(tmp_path / "model.zarr")
    again = Autoencoder.load(tmp_path / "model.zarr")
    cube = cube_of(normal_rows(seed=2))
    np.testing.assert_array_equal(again.transform(cube).values, trained.transform(cube).values)
    np.testing.assert_array_equal(again.residual(cube).values, trained.residual(cube).values)
    np.testing.assert_array_equal(again.loss_curve_, trained.loss_curve_)
    assert (again.best_epoch_, again.n_epochs_) == (trained.best_epoch_, trained.n_epochs_)
    assert not list((tmp_path / "model.zarr").rglob("*.p*kl*"))


@pytest.mark.parametrize("harm", ["changed", "cut", "half a file"])
def test_weights_that_are_not_those_saved(trained: Autoencoder, tmp_path: Path, harm: str) -> None:
    trained.save(tmp_path / "model.zarr")
    array = zarr.open_array(tmp_path / "model.zarr" / "weights", mode="r+")
    if harm == "changed":
        array[5] = array[5] + 1e-3
    elif harm == "cut":
        array.resize((array.shape[0] - 1,))
    else:
        (chunk,) = (path for path in (tmp_path / "model.zarr" / "weights" / "c").rglob("*") if path.is_file())
        chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"not those that were saved|cannot be read"):
        Autoencoder.load(tmp_path / "model.zarr")


def test_a_trained_model_needs_no_torch(trained: Autoencoder, tmp_path: Path) -> None:
    trained.save(tmp_path / "model.zarr")
    np.save(tmp_path / "rows.npy", normal_rows())
    code = """
        import sys
        class Missing:
            def find_spec(self, name, *_):
                if name in ("torch", "safetensors"):
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Missing())
        import numpy as np, refold
        model = refold.Autoencoder.load(sys.argv[1] + "/model.zarr")
        rows = np.load(sys.argv[1] + "/rows.npy")
        np.save(sys.argv[1] + "/scores.npy", model.transform(rows))
        model.inverse_transform(model.transform(rows))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path], check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), trained.transform(normal_rows()))


# --- errors -----------------------------------------------------------------------------------------------------------


def test_without_safetensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'refold\[torch\]'"):
        Autoencoder(2, **TINY).fit(normal_rows())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu() -> None:
    with pytest.raises(BackendError, match="no GPU"):
        Autoencoder(2, **{**TINY, "device": "cuda"}).fit(normal_rows())


@pytest.mark.parametrize(
    "told",
    [
        {"n_components": 0}, {"epochs": 1.5}, {"dropout": 1.0}, {"validation_fraction": -0.1}, {"noise": np.nan},
        {"activation": "sine"}, {"device": "tpu"}, {"hidden_layers": (8, 0)}, {"learning_rate": 0}, {"patience": 0},
        {"scaling": "robust"}, {"precision": "float16"}, {"learning_rate_schedule": "step"}, {"batch_size": True},
    ],
    ids=lambda told: next(iter(told)),
)  # fmt: skip
def test_options_that_cannot_be(told: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(told))):
        Autoencoder(**{**TINY, **told}).fit(normal_rows(20))


def test_data_that_cannot_be() -> None:
    with pytest.raises(DataError, match="same values"):
        Autoencoder(2, **TINY).fit(np.ones((20, 4), "f4"))
    with pytest.raises(DataError, match="not finite"):
        Autoencoder(2, **TINY).fit(cube_of(np.full((40, 4), np.nan, "f4")))
    with pytest.raises(DataError, match="learning_rate"):
        Autoencoder(2, **{**TINY, "learning_rate": 1e12, "epochs": 20}).fit(normal_rows())


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_scan_eight_times_as_large_as_the_memory(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "scan.zarr", shape=(512, 512, 128), chunks=(32, 64, 128), dtype="u2")
    rng = np.random.default_rng(0)
    rows = rng.poisson(rng.gamma(2, 1, (32, 512, 3)) @ rng.gamma(0.5, 20, (3, 128)))
    for start in range(0, 512, 32):
        array[start : start + 32] = np.roll(rows, start, axis=1)
    code = """
        import sys, dask.array as da, refold
        from refold.engine import settings
        scan = refold.as_cube(da.from_zarr(sys.argv[1]), signal="energy", dims=("y", "x", "energy"))
        told = {"hidden_layers": (16,), "batch_size": 256, "device": "cpu"}
        with settings(memory=8_000_000, workers=1):
            refold.Autoencoder(3, epochs=1, **told).fit(scan.isel(y=slice(0, 32)))  # imports, and compiled code
            before = _refold_peak()
            model = refold.Autoencoder(3, epochs=2, **told).fit(scan)
        assert model.n_sweeps_ == 3, model.n_sweeps_
        print((_refold_peak() - before) / 1e6)
    """
    used = limit_memory(900_000_000, code, tmp_path / "scan.zarr")
    assert float(used.stdout) < 8
