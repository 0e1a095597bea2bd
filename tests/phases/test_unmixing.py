"""Unmixing of cluster spectra; the judges are scikit-learn from the same start, and phantoms whose mixture is known."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

import refold
from refold.errors import CubeError, DataError, ParameterError, VariableError
from refold.store import identify
from tests.guards import no_compute
from tests.phases.segmented import phantom_run

CHANNELS = 40


def mixed(weights, seed=0, sizes=None, **extra):
    """A run whose clusters are known mixtures of known spectra, each with channels of its own."""
    weights = np.asarray(weights, float)
    rng = np.random.default_rng(seed)
    spectra = rng.random((weights.shape[1], CHANNELS)) * 0.2
    for i in range(len(spectra)):
        spectra[i, i::5] = 0.0  # and channels that each lacks
        spectra[i, 7 * i : 7 * i + 3] += 3.0
    spectra /= spectra.sum(axis=1, keepdims=True)
    energy = ("energy", np.linspace(0, 4, CHANNELS), {"units": "keV", "role": "signal"})
    sizes = np.arange(1, len(weights) + 1) * 10 if sizes is None else np.asarray(sizes)
    mean = (weights @ spectra).astype(np.float32)
    run = xr.Dataset(
        {"cluster_mean": (("cluster", "energy"), mean), "cluster_size": ("cluster", sizes)}, {"energy": energy}
    )
    return run.assign(extra), spectra


PURE = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0.2, 0.3, 0.5], [0, 0.4, 0.6]]


@pytest.fixture(scope="module")
def phantom():
    return phantom_run()


# --- the answer -------------------------------------------------------------------------------------------------------


def test_mixtures_of_pure_clusters_come_apart():
    run, spectra = mixed(PURE)
    found = refold.unmix(run, 3, start=[0, 1, 2])
    np.testing.assert_allclose(found.components.values, spectra, atol=2e-5)
    np.testing.assert_allclose(found.weights.values, PURE, atol=2e-4)
    np.testing.assert_allclose(found.model.values, found.spectra.values, atol=1e-5)
    assert found.converged
    assert found.components.dims == ("component", "energy")
    assert found.components.energy.attrs["units"] == "keV"


@pytest.mark.filterwarnings("ignore:Maximum number of iterations:sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=8)
@given(st.integers(0, 50), st.integers(1, 5), st.booleans(), st.integers(0, 3))
def test_it_fits_as_well_as_scikit_learn_from_the_same_start(seed, count, normalise, given_starts):
    from sklearn.decomposition import NMF

    rng = np.random.default_rng(seed)
    run, _ = mixed(rng.random((6, 4)) * rng.integers(1, 50, (6, 1)), seed)
    found = refold.unmix(run, count, normalise=normalise, start=range(min(given_starts, count)))
    rows = found.spectra.values
    begin = found.start.values
    loadings = np.array([nnls(begin.T, row)[0] for row in rows])
    judge = NMF(count, init="custom", tol=1e-7, max_iter=500)
    judge.fit_transform(rows, W=loadings, H=begin.copy())
    # Both end in a local optimum; ours is no worse than theirs, or as good as rounding lets it be.
    assert found.reconstruction_error <= judge.reconstruction_err_ * 1.02 + 1e-6 * np.linalg.norm(rows)
    assert (found.components.values >= 0).all()
    assert (found.weights.values >= 0).all()
    np.testing.assert_allclose(found.components.sum("energy"), 1, rtol=1e-6)
    assert np.isclose(found.reconstruction_error, np.linalg.norm(rows - found.model.values), rtol=1e-6, atol=1e-9)


def test_weights_are_the_best_for_the_components():
    run, _ = mixed(np.random.default_rng(3).random((5, 4)))
    found = refold.unmix(run, 2)
    for row, weights in zip(found.spectra.values, found.weights.values, strict=True):
        np.testing.assert_allclose(weights, nnls(found.components.values.T, row)[0], atol=1e-5)


def test_normalised_spectra_weigh_the_same_and_others_by_their_signal():
    bright = np.array(PURE) * np.array([1, 1000, 10, 1, 1, 1])[:, None]
    run, _ = mixed(bright)
    shares = refold.unmix(run, 3, start=[0, 1, 2])
    np.testing.assert_allclose(shares.weights.sum("component"), 1, atol=1e-3)
    np.testing.assert_allclose(shares.weights.values, PURE, atol=2e-4)
    amounts = refold.unmix(run, 3, start=[0, 1, 2], normalise=False)
    np.testing.assert_allclose(amounts.weights.sum("component"), bright.sum(axis=1), rtol=2e-3)
    np.testing.assert_allclose(amounts.spectra, run.cluster_mean, rtol=1e-6)


def test_sums_are_means_times_sizes():
    run, _ = mixed(PURE)
    found = refold.unmix(run, 2, statistic="sum", normalise=False)
    np.testing.assert_allclose(found.spectra, run.cluster_mean * run.cluster_size, rtol=1e-6)
    normalised = (refold.unmix(run, 2, statistic=statistic).weights for statistic in ("sum", "mean"))
    xr.testing.assert_allclose(*normalised)


def test_chosen_clusters_only_by_number_or_name():
    run, _ = mixed(PURE)
    run = run.assign(cluster_name=("cluster", np.array(list("abcdef"), object)))
    found = refold.unmix(run, 2, clusters=["d", 0, 5])
    assert found.weights.cluster.values.tolist() == [3, 0, 5]
    assert found.weights.cluster_name.values.tolist() == ["d", "a", "f"]
    without = run.assign(cluster_size=("cluster", [10, 0, 10, 10, 10, 10]))
    assert refold.unmix(without, 2).weights.cluster.values.tolist() == [0, 2, 3, 4, 5]  # an empty one has no spectrum


def test_components_that_start_from_clusters_come_first_in_their_order():
    run, spectra = mixed(PURE)
    found = refold.unmix(run, 3, start=[2, 1])
    np.testing.assert_allclose(found.start[:2], found.spectra.sel(cluster=[2, 1]), rtol=1e-6)
    closest = [int(np.argmin(np.abs(spectra - component).sum(axis=1))) for component in found.components.values]
    assert closest[:2] == [2, 1]
    free = refold.unmix(run, 3).weights.sum("cluster").values
    assert (np.diff(free) <= 0).all()


def test_starts_that_explain_everything_leave_something_to_start_from():
    run, _ = mixed([[1, 0], [0, 1], [0.5, 0.5], [0.3, 0.7]])
    found = refold.unmix(run, 3, start=[0, 1])
    assert np.isfinite(found.components).all()
    assert found.reconstruction_error < 1e-4


def test_patterns_and_parts_of_an_axis(phantom):
    _, run = phantom
    part = refold.unmix(run.sel(energy=slice(0.5, 8)), 2)
    assert part.components.energy.values.min() >= 0.5
    patterns = run[["cluster_size"]].assign(
        cluster_mean=(("cluster", "ky", "kx"), np.random.default_rng(0).random((4, 5, 6)))
    )
    assert refold.unmix(patterns, 2).components.sizes == {"component": 2, "ky": 5, "kx": 6}


def test_one_of_several_cubes():
    run, _ = mixed(PURE)
    several = run.rename(cluster_mean="cluster_mean_eds").assign(
        cluster_mean_bse=(("cluster", "number"), np.ones((6, 1)))
    )
    np.testing.assert_array_equal(refold.unmix(several, 2, cube="eds").spectra, refold.unmix(run, 2).spectra)
    with pytest.raises(VariableError, match="'eels'"):
        refold.unmix(several, 1, cube="eels")


def test_the_same_every_time_and_as_a_dataset(tmp_path):
    run, _ = mixed(PURE)
    first, second = refold.unmix(run, 3), refold.unmix(run, 3)
    xr.testing.assert_identical(first.to_dataset(), second.to_dataset())
    first.to_dataset().drop_vars("cluster_name").to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    xr.testing.assert_equal(
        xr.open_zarr(tmp_path / "a.zarr", consolidated=False).weights.load(), second.weights.drop_vars("cluster_name")
    )


# --- maps -------------------------------------------------------------------------------------------------------------


def test_maps_by_cluster_are_lazy_and_give_each_pixel_its_clusters_weights(phantom):
    _, run = phantom
    noisy = run.assign(labels=run.labels.where(run.x > 2, -1).astype("int32"))
    found = refold.unmix(noisy, 2, clusters=[0, 2, 3])
    with no_compute():
        maps = found.abundances()
    assert maps.dims == ("y", "x", "component")
    assert maps.dtype == np.float32
    values, labels = maps.values, noisy.labels.values
    for number in (0, 2, 3):
        weights = found.weights.sel(cluster=number).values.astype(np.float32)
        np.testing.assert_array_equal(values[labels == number], np.broadcast_to(weights, ((labels == number).sum(), 2)))
    assert np.isnan(values[(labels < 0) | (labels == 1)]).all()
    assert maps.y.equals(run.labels.y)


def test_maps_by_membership_are_means_of_weights_whatever_the_chunks(phantom):
    _, run = phantom
    soft = np.random.default_rng(0).random((*run.labels.shape, 4)).astype(np.float32)
    soft[0, 0] = 0
    found = refold.unmix(run.assign(membership=(("y", "x", "cluster"), da.from_array(soft, (5, 7, 2)))), 2)
    with no_compute():
        maps = found.abundances("membership")
    expected = soft.astype(float) @ found.weights.values / soft.sum(axis=-1, keepdims=True).clip(1e-30)
    expected[0, 0] = np.nan
    np.testing.assert_allclose(maps, expected, rtol=1e-5)
    whole = refold.unmix(run.assign(membership=(("y", "x", "cluster"), soft)), 2).abundances("membership")
    np.testing.assert_array_equal(maps, whole)
    hard = np.eye(4, dtype=np.float32)[run.labels.values]
    same = refold.unmix(run.assign(membership=(("y", "x", "cluster"), hard)), 2)
    np.testing.assert_array_equal(same.abundances("membership"), same.abundances("labels"))


def test_maps_by_membership_leave_out_noise_and_clusters_that_were_left_out(phantom):
    _, run = phantom
    labels = run.labels.copy(data=run.labels.values.copy())
    labels[0, 0] = -1
    soft = np.full((*labels.shape, 4), 0.2, np.float32)
    found = refold.unmix(run.assign(labels=labels, membership=(("y", "x", "cluster"), soft)), 2, clusters=[0, 1, 2])
    np.testing.assert_array_equal(found.abundances("membership").isnull()[..., 0], (labels < 0) | (labels == 3))


def test_maps_by_pixel_solve_each_pixels_own_signal(phantom):
    phantom, run = phantom
    found = refold.unmix(run, 4, start=range(4))
    with no_compute():
        maps = found.abundances("pixels", scan=phantom.cube)
    values, cube = maps.values, phantom.cube.values.astype(float)
    for y, x in ((0, 0), (7, 13), (15, 19)):
        expected = nnls(found.components.values.T, cube[y, x])[0] / cube[y, x].sum()
        np.testing.assert_allclose(values[y, x], expected, atol=1e-5)
    strongest = values.argmax(axis=-1)
    assert (strongest == phantom.labels.values).mean() > 0.99  # each phase is its own component
    mean = np.array([values[run.labels.values == number].mean(axis=0) for number in range(4)])
    np.testing.assert_allclose(mean, found.weights.values, atol=0.05)


def test_maps_by_pixel_find_the_scan_and_take_the_channels_that_were_unmixed(tmp_path, phantom):
    phantom, run = phantom
    scan = refold.open(phantom.save(tmp_path / "scan.zarr"), signal="eds")
    run = run.assign_attrs(source=json.dumps(identify(scan)))
    part = refold.unmix(run.sel(energy=slice(0.5, 8)), 2)
    maps = part.abundances("pixels")
    given_scan = part.abundances("pixels", scan=phantom.cube)
    np.testing.assert_array_equal(maps, given_scan)


def test_what_no_map_can_be_made_of_is_said(phantom):
    phantom, run = phantom
    found = refold.unmix(run, 2)
    with pytest.raises(ParameterError, match="how='soft'"):
        found.abundances("soft")
    with pytest.raises(VariableError, match="membership"):
        found.abundances("membership")
    with pytest.raises(ParameterError, match="scan=…"):
        found.abundances("pixels")
    with pytest.raises(CubeError, match="grid of the labels"):
        found.abundances("pixels", scan=phantom.cube.isel(x=slice(3)))
    with pytest.raises(CubeError, match="channels along energy"):
        found.abundances("pixels", scan=phantom.cube.isel(energy=slice(5)))
    with pytest.raises(CubeError, match="signal dims"):
        found.abundances("pixels", scan=phantom.cube.rename(energy="wavelength"))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_components": 7}, r"7 components of 6 clusters with 40 channels"),
        ({"n_components": 3, "clusters": [1, 2]}, r"3 components of 2 clusters"),
        ({"n_components": 0}, "n_components=0"),
        ({"n_components": 2.0}, "n_components=2.0"),
        ({"n_components": True}, "n_components=True"),
        ({"n_components": 2, "tol": -1}, "tol=-1"),
        ({"n_components": 2, "max_iter": 0}, "max_iter=0"),
        ({"n_components": 2, "clusters": [0, 9]}, "no cluster 9 in clusters"),
        ({"n_components": 2, "clusters": ["iron", 1]}, "no cluster 'iron'"),
        ({"n_components": 2, "clusters": [1, 1]}, "each cluster once"),
        ({"n_components": 2, "start": [0, 1, 2]}, "3 clusters to start from"),
        ({"n_components": 2, "clusters": [0, 1], "start": [2]}, "no cluster 2 in start"),
        ({"n_components": 2, "statistic": "median"}, "statistic='median'"),
    ],
)
def test_wrong_options_are_said(options, match):
    run, _ = mixed(PURE)
    with pytest.raises(ParameterError, match=match):
        refold.unmix(run, **options)


def test_spectra_that_are_no_sums_are_said():
    run, _ = mixed(PURE)
    wrong = run.cluster_mean.copy()
    wrong[2, 4:6] = -0.1
    with pytest.raises(DataError, match=r"negative values .*: 2 \(2\)"):
        refold.unmix(run.assign(cluster_mean=wrong), 2)
    wrong[2, 4] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinite values .*: 2 \(1\)"):
        refold.unmix(run.assign(cluster_mean=wrong), 2)
    with pytest.raises(DataError, match="nothing above 0"):
        refold.unmix(run.assign(cluster_mean=run.cluster_mean.where(run.cluster_mean.cluster != 1, 0)), 2)
    with pytest.raises(DataError, match="no spectrum of cluster 3"):
        refold.unmix(run.assign(cluster_size=("cluster", [1, 1, 1, 0, 1, 1])), 2, clusters=[3, 4])
    with pytest.raises(VariableError, match="cluster_statistics"):
        refold.unmix(run.drop_vars("cluster_mean"), 2)
    with pytest.raises(VariableError, match="cluster_size"):
        refold.unmix(run.drop_vars("cluster_size"), 2, statistic="sum")


def test_too_few_steps_are_warned_of():
    from sklearn.exceptions import ConvergenceWarning

    run, _ = mixed(np.random.default_rng(0).random((6, 4)))
    with pytest.warns(ConvergenceWarning, match="after 2 steps"):
        assert not refold.unmix(run, 3, max_iter=2, tol=0).converged


# --- a recorded scan --------------------------------------------------------------------------------------------------


def test_the_core_and_the_shell_of_recorded_particles_come_apart(shared_data, tmp_path):
    run = refold.run(
        shared_data / "eds" / "core_shell.hspy",
        store=tmp_path / "a.run.zarr",
        report=False,
        embed="none",
        n_components=4,
        scaling="poisson",
        crop={"energy": (0.35, 12.0)},
        cluster={"method": "kmeans", "n_clusters": 6},
    )
    found = refold.unmix(run, 3)
    lines = {"Pt": (9.2, 9.7), "Fe": (6.2, 6.6), "C": (1.6, 1.9)}  # Pt La, Fe Ka; Si Ka of the support
    areas = {name: found.components.sel(energy=slice(*span)).sum("energy") for name, span in lines.items()}
    core, shell = int(areas["Pt"].argmax("component")), int((areas["Fe"] - areas["Pt"]).argmax("component"))
    assert core != shell
    assert float(areas["Pt"][core]) > 4 * float(areas["Pt"][shell])
    maps = found.abundances("pixels").values
    # Cores are compact, and shells lie around them: the ring just outside of a core is shell.
    inside = maps[..., core] > 0.6
    near = np.zeros_like(inside)
    for down, across in ((-5, 0), (5, 0), (0, -5), (0, 5)):
        near |= np.roll(inside, (down, across), (0, 1))
    ring = near & ~(maps[..., core] > 0.3)
    assert maps[ring][:, shell].mean() > 2 * maps[~near & ~inside][:, shell].mean()
    assert maps[inside][:, shell].mean() < 0.5 * maps[ring][:, shell].mean()
