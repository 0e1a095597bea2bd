"""Sources of a decomposition, against HyperSpy's `blind_source_separation`, in memory and with its masks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import refold
from refold.errors import ParameterError
from refold.reduce import PCA, decompose, separate
from tests.guards import no_compute
from tests.reduce.test_ica import DOSE, ENERGY, maps, matched, phantom, spectra

SCANS = [
    ("eels/CuZn_EELS_mapping_tutorial.hspy", False),
    ("eels/LSMO_linescan.hspy", False),
    ("eds/core_shell.hspy", True),
]


def particles() -> xr.DataArray:
    """Sparse and independent maps: FastICA has one optimum, whatever the start."""
    sparse = np.random.default_rng(0).random((24, 30, 3)) < 0.08
    counts = np.random.default_rng(1).poisson(DOSE * (sparse @ spectra()) + 0.1)
    return phantom().copy(data=counts.astype(np.uint16))


def hyperspys(cube: xr.DataArray, *, poisson: bool, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Factors (component, channel) and loadings (component, pixel) of HyperSpy's sources."""
    hs = pytest.importorskip("hyperspy.api", reason="hyperspy is not installed: pip install 'refold[hyperspy]'")
    signal = hs.signals.Signal1D(cube.values.astype(float))
    for axis, dim in zip(signal.axes_manager._axes, cube.dims, strict=True):
        if dim in cube.coords:
            axis.scale, axis.offset = float(cube[dim][1] - cube[dim][0]), float(cube[dim][0])
    mask = options.pop("mask", None)
    if options["algorithm"] == "sklearn_fastica":
        options |= {"random_state": 0, "max_iter": 500}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecated calls
        signal.decomposition(poisson, output_dimension=3, print_info=False)
        if mask is not None:
            mask = hs.signals.Signal2D(mask) if options["on_loadings"] else hs.signals.Signal1D(mask)
        signal.blind_source_separation(3, mask=mask, print_info=False, **options)
    found = signal.learning_results
    return found.bss_factors.T, found.bss_loadings.T


def ours(cube: xr.DataArray, *, poisson: bool, algorithm: str, on_loadings: bool, **options: Any) -> Any:
    found = decompose(cube, output_dimension=3, normalize_poissonian_noise=poisson)
    name = {"sklearn_fastica": "fastica"}.get(algorithm, algorithm)
    return separate(found, algorithm=name, on="loadings" if on_loadings else "factors", **options)


def rows(loadings: xr.DataArray) -> np.ndarray:
    return loadings.values.reshape(-1, loadings.sizes["component"]).T.astype(float)


@pytest.mark.parametrize("algorithm", ["sklearn_fastica", "orthomax"])
@pytest.mark.parametrize("on_loadings", [False, True])
@pytest.mark.parametrize("poisson", [False, True])
def test_equals_hyperspy(algorithm: str, on_loadings: bool, poisson: bool) -> None:
    cube = particles() if on_loadings else phantom()
    for order in (0, 1, 2):
        options: dict = {"algorithm": algorithm, "on_loadings": on_loadings, "diff_order": order}
        factors, loadings = hyperspys(cube, poisson=poisson, **options)
        sources = ours(cube, poisson=poisson, **options)
        assert matched(sources.factors.values, factors).min() > 0.999
        assert matched(rows(sources.loadings), loadings).min() > 0.999


@pytest.mark.parametrize("on_loadings", [False, True])
def test_masks_equal_hyperspys(on_loadings: bool) -> None:
    cube = phantom()
    if on_loadings:
        mask = np.zeros((24, 30), bool)
        mask[5:9, 7:12] = True
    else:
        mask = np.isin(ENERGY, [20, 21, 22, 45])
    options: dict = {"algorithm": "orthomax", "on_loadings": on_loadings, "diff_order": 0, "mask": mask}
    factors, loadings = hyperspys(cube, poisson=False, **options)
    sources = ours(cube, poisson=False, **options)
    assert matched(sources.factors.values, factors).min() > 0.999
    assert matched(rows(sources.loadings), loadings).min() > 0.999


@pytest.mark.parametrize(("file", "poisson"), SCANS)
def test_recorded_scans_equal_hyperspy(shared_data: Path, file: str, poisson: bool) -> None:
    if not (shared_data / file).exists():
        pytest.skip(f"{file} is not at hand")
    cube = refold.open(shared_data / file).load()
    for algorithm in ("sklearn_fastica", "orthomax"):
        for on_loadings in (False, True):
            options: dict = {"algorithm": algorithm, "on_loadings": on_loadings, "diff_order": 1}
            factors, loadings = hyperspys(cube, poisson=poisson, **options)
            sources = ours(cube, poisson=poisson, **options)
            assert matched(sources.factors.values, factors).min() > 0.999
            assert matched(rows(sources.loadings), loadings).min() > 0.999


# --- what is built from sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("poisson", [False, True])
@pytest.mark.parametrize("centre", [None, "signal"])
def test_models_of_sources(poisson: bool, centre: str | None) -> None:
    if poisson and centre:
        pytest.skip("counts less a mean do not follow Poisson")
    cube = phantom().chunk({"y": 10})
    found = decompose(cube, output_dimension=4, normalize_poissonian_noise=poisson, centre=centre)
    with no_compute():
        sources = separate(found, 3)
        whole, some, left = sources.model(), sources.model([0, 2]), sources.residuals(1)
    assert sources.output_dimension == 3
    np.testing.assert_allclose(whole, found.model(3), atol=1e-2)
    loadings, factors = sources.loadings.values, sources.factors.values
    mean = 0 if found.mean is None else found.mean.values[..., None]
    np.testing.assert_allclose(some, loadings[..., [0, 2]] @ factors[[0, 2]] + mean, atol=1e-2)
    np.testing.assert_allclose(left, cube - (loadings[..., :1] @ factors[:1] + mean), atol=1e-2)
    np.testing.assert_allclose(whole, loadings @ factors + mean, atol=1e-2)
    assert sources.n_sweeps == found.n_sweeps
    assert sources.estimator.n_components_ == 3
    total = float(found.explained_variance_ratio[:3].sum())
    np.testing.assert_allclose(sources.explained_variance_ratio.sum(), total)


@pytest.mark.parametrize("on", ["factors", "loadings"])
def test_masks_of_the_decomposition_count(on: str) -> None:
    cube = phantom().astype(float)
    cube[2:5, 3:9] = 1000 * np.random.default_rng(0).random((3, 6, 150))
    cube[..., 60] = 5000 * np.random.default_rng(1).random((24, 30))
    pixels, channels = np.zeros((24, 30), bool), ENERGY == 60
    pixels[2:5, 3:9] = True
    found = decompose(cube, output_dimension=3, navigation_mask=pixels, signal_mask=channels)
    sources = separate(found, on=on, algorithm="orthomax")
    assert np.isnan(sources.factors.values).all(axis=0)[60]
    assert np.isnan(sources.factors.values).sum() == 3
    np.testing.assert_array_equal(np.isnan(sources.loadings.values).all(axis=-1), pixels)
    kept = np.delete(sources.factors.values, 60, axis=1)
    if on == "factors":
        assert matched(kept, np.delete(spectra(), 60, axis=1)).min() > 0.95
        assert matched(sources.loadings.values[~pixels].T, maps()[~pixels].T).min() > 0.95
    model = sources.model([0])
    np.testing.assert_allclose(
        model.values[~pixels][:, ~channels], (sources.loadings.values[..., :1] @ kept[:1])[~pixels], rtol=1e-4
    )
    assert np.isnan(model.values[pixels]).all()


def test_decomposing_by_ica_at_once() -> None:
    cube = phantom()
    by_name = separate(decompose(cube, PCA(3, center=False)))
    at_once = decompose(cube, refold.ICA(3))
    xr.testing.assert_allclose(at_once.factors, by_name.factors)
    xr.testing.assert_allclose(at_once.loadings, by_name.loadings, rtol=1e-4)


def test_sources_of_the_first_components_of_mnf():
    cube = phantom()
    base = refold.MNF(6).fit(cube)
    found = separate(base, 3)
    assert found.n_components_ == 3
    alone = separate(refold.MNF(3).fit(cube))
    np.testing.assert_allclose(np.abs(found.components_), np.abs(alone.components_), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"diff_order": 1.5}, "diff_order"),
        ({"max_iter": 10.5}, "max_iter"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": np.random.default_rng(0)}, "random_state"),
        ({"n_components": 2.5}, "n_components"),
    ],
)
def test_options_that_are_none_are_named(options, named):
    with pytest.raises(ParameterError, match=named):
        separate(refold.PCA(4).fit(phantom()), **options)


def test_what_is_not_decomposed_is_refused():
    with pytest.raises(ParameterError, match="decompose the cube first"):
        separate(phantom())
