"""A cube taken apart into factors and loadings, in HyperSpy's words, whatever its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from refold.cube import check_cube, n_features
from refold.engine import Block, Moments, sweep
from refold.reduce.elbow import elbow_position
from refold.reduce.preparing import (
    PRINCIPAL,
    as_estimator,
    check_fits,
    check_words,
    column_roots,
    folded,
    is_fitted,
    laid_over,
    masked_channels,
    masked_pixels,
    on_grid,
    over_components,
    prepared,
)
from refold.reduce.projecting import Projecting
from refold.reduce.rebuilding import Components, Kept, kept_components
from refold.reduce.treating import Treatment, Way, basis

_SPECTRUM = 2048  # channels up to which the scatter matrix is formed wherever it fits in memory
_TOLERANCE = 1e-3  # of an iterating solver: eigenvalues are then good to its square


@dataclass(frozen=True, repr=False)
class Decomposition:
    """Factors and loadings of a cube, and what can be built from them. Made by `refold.decompose`.

    A pixel is about its loadings times the factors, and the mean. What is on the navigation grid is lazy: it reads the
    cube, once, when it is computed or written.

    Parameters
    ----------
    cube : xarray.DataArray
        That was decomposed.
    estimator : PCA, MNF, NMF, ...
        Fitted; of the channels that were not masked, and of treated pixels where noise was normalised or each pixel
        centred.
    factors : xarray.DataArray
        ``(component, *signal)``, float64, on the signal's coordinates: what each component looks like. NaN on masked
        channels. A signal dim ``component``, that of loadings, is called ``component_of_signal`` here and in `mean`.
    loadings : xarray.DataArray
        ``(*navigation, component)``, lazy, on the scan's coordinates: how much of each component a pixel holds. NaN
        where a pixel is masked or not finite. A cube itself, with the components as its signal.
    explained_variance, explained_variance_ratio : xarray.DataArray or None
        ``(component,)``. None for an estimator that has none.
    mean : xarray.DataArray or None
        That was taken off: ``(*signal)``, or lazily ``(*navigation)`` with ``centre="signal"``; of treated pixels where
        noise was normalised. None where nothing was.
    n_sweeps : int
        Traversals of the cube that the fit made.
    """

    cube: xr.DataArray
    estimator: Projecting
    factors: xr.DataArray
    loadings: xr.DataArray
    explained_variance: xr.DataArray | None
    explained_variance_ratio: xr.DataArray | None
    mean: xr.DataArray | None
    n_sweeps: int
    _way: Way
    _grid: xr.DataArray | None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim}: {size}" for dim, size in self.cube.sizes.items())
        return f"<Decomposition of ({sizes}) into {self.output_dimension} components by {self.estimator}>"

    @property
    def output_dimension(self) -> int:
        """Number of components."""
        return int(self.factors.sizes["component"])

    @property
    def number_significant_components(self) -> int | None:
        """Components up to the elbow of the scree plot, as HyperSpy counts them; see `refold.elbow_position`."""
        ratio = self.explained_variance_ratio
        return None if ratio is None else elbow_position(ratio) + 1

    def model(self, components: Components = None) -> xr.DataArray:
        """Denoised cube: each pixel as some of the components describe it.

        Parameters
        ----------
        components : int, sequence of int or None
            The first so many, or these, by index; None for all. The mean is always put back.

        Returns
        -------
        xarray.DataArray
            Lazy, with the dims, coordinates, name, attributes and units of the cube. NaN on what was masked.

        Raises
        ------
        ParameterError
            If there is no such component.
        """
        return self._laid(_model, components)

    def residuals(self, components: Components = None) -> xr.DataArray:
        """What some of the components leave: the cube less their `model`.

        Parameters
        ----------
        components : int, sequence of int or None
            As for `model`.

        Returns
        -------
        xarray.DataArray
            As for `model`.

        Raises
        ------
        ParameterError
            If there is no such component.
        """
        return self._laid(_left, components)

    def load(self) -> Decomposition:
        """Compute the loadings, and the mean of each pixel, in one read of the cube.

        Returns
        -------
        Decomposition
            This one, with what lies on the navigation grid in memory. Models stay lazy.
        """
        lazy = {"loadings": self.loadings} | ({} if self.mean is None else {"mean": self.mean})
        computed: Any = xr.Dataset(lazy).load().data_vars
        return replace(self, **computed)

    def to_dataset(self) -> xr.Dataset:
        """Factors, loadings, mean and variances as one dataset, to be written or drawn.

        Returns
        -------
        xarray.Dataset
            With `loadings` as lazy as they are: ``to_zarr`` reads the cube once.
        """
        names = ("factors", "loadings", "explained_variance", "explained_variance_ratio", "mean")
        arrays = {name: getattr(self, name) for name in names}
        return xr.Dataset({name: array for name, array in arrays.items() if array is not None})

    def _laid(self, function: Callable[..., npt.NDArray[Any]], components: Components) -> xr.DataArray:
        told = (self._way, kept_components(components, self.output_dimension))
        return on_grid(laid_over(self.cube, function, told), self._grid)


def decompose(
    cube: xr.DataArray,
    algorithm: str | Projecting = "PCA",
    *,
    output_dimension: int | None = None,
    normalize_poissonian_noise: bool = False,
    navigation_mask: Any = None,
    signal_mask: Any = None,
    centre: Literal["navigation", "signal"] | None = None,
    reproject: Literal["navigation"] | None = None,
    **options: Any,
) -> Decomposition:
    """Take a cube apart into factors and loadings: HyperSpy's ``s.decomposition()``, out of core.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube, lazy or not, of any dtype: counts need not become floats first.
    algorithm : {"PCA", "SVD", "MNF", "NMF"} or estimator
        ``"PCA"`` and ``"SVD"`` mean the same: what HyperSpy calls SVD. An estimator of `refold` is copied and fitted;
        one that is fitted already is taken as it is, and not with noise normalised.
    output_dimension : int, optional
        Components wanted; all by default, which takes a features x features matrix, or as many sweeps as the solver
        needs: say a number where there are thousands of features.
    normalize_poissonian_noise : bool
        Divide each pixel by the root of its sum and each channel by the root of its (Keenan and Kotula 2004) before,
        and multiply factors and loadings after. Values must not be negative. Not with an estimator that is fitted, or
        that says ``scaling="poisson"`` itself.
    navigation_mask, signal_mask : array_like of bool, optional
        True leaves a pixel or a channel out, as in HyperSpy; of the navigation or the signal dims, in their order in
        the cube (where HyperSpy takes a mask of ``(x, y)``), or an xarray.DataArray with these dims.
    centre : {None, "navigation", "signal"}
        Take the mean over pixels off each channel, or the mean over channels off each pixel, as HyperSpy's. With
        ``"PCA"`` only: estimators say it themselves.
    reproject : {None, "navigation"}
        Whether masked pixels, too, get loadings on the factors found without them.
    **options
        To the estimator that `algorithm` names, such as ``solver`` or ``random_state``; not those that are said above.

    Returns
    -------
    Decomposition
        Fitted in one sweep, with ``"PCA"`` of up to 2048 channels; else in as many as the estimator says, and one more
        for normalising noise before it. Loadings, models and residuals are lazy: one read of the cube for all that are
        computed or written together.

    Raises
    ------
    ParameterError
        If an option does not exist, masks do not fit, or options contradict each other.
    CubeError
        If an estimator is given that was fitted to another signal.
    DataError
        If nothing is left to decompose; or if counts are negative and their noise was to be normalised.

    Notes
    -----
    With ``"PCA"``, `explained_variance` is HyperSpy's: squared singular values over the number of pixels, of treated
    data. `refold.PCA`, as scikit-learn, divides by one less, and Keenan and Kotula's columns by means in place of sums,
    which makes it larger by the number of pixels. An estimator's own `explained_variance_` is left as it is. The ratio
    is of the variance of all components, also of those that were not asked for. Factors have the sign that makes their
    largest value positive; HyperSpy turns loadings or factors, whichever are longer.

    References
    ----------
    Keenan and Kotula (2004), Surf. Interface Anal. 36, 203.

    Examples
    --------
    >>> import refold
    >>> cube = refold.synthetic.eds(shape=(16, 16), seed=0).cube
    >>> found = refold.decompose(cube, normalize_poissonian_noise=True, output_dimension=8)
    >>> found.factors.dims, found.loadings.dims
    (('component', 'energy'), ('y', 'x', 'component'))
    >>> found.model(3).dims
    ('y', 'x', 'energy')
    """
    cube = check_cube(cube)
    check_words(algorithm, normalize_poissonian_noise=normalize_poissonian_noise, centre=centre, reproject=reproject)
    keep, grid = masked_channels(cube, signal_mask), masked_pixels(cube, navigation_mask)
    own = isinstance(algorithm, str) and algorithm in PRINCIPAL
    estimator = as_estimator(algorithm, output_dimension, {"tol": _TOLERANCE, **options} if own else options)
    check_fits(estimator, cube, keep, normalized=normalize_poissonian_noise and not own)
    treatment = Treatment(channels=keep, centred=centre == "signal")
    sweeps = 0
    if normalize_poissonian_noise and not own:
        treatment = replace(treatment, roots=column_roots(prepared(cube, treatment, grid)))
        sweeps = 1
    if own:
        scaling = "poisson" if normalize_poissonian_noise else None
        estimator.set_params(center=centre == "navigation", scaling=scaling)
    if not is_fitted(estimator):
        sweeps += _fit(estimator, prepared(cube, treatment, grid), exactly=own)
    return _composed(cube, estimator, treatment, None if reproject else grid, sweeps, own=own)


def _fit(estimator: Any, cube: xr.DataArray, *, exactly: bool) -> int:
    """Fit, with products in float64 where principal components come from a scatter matrix; how many sweeps it took."""
    if exactly and estimator.solver == "auto" and n_features(cube) <= _SPECTRUM:
        # Small components matter to a scree plot, and a solver that iterates stays long with those in the noise.
        estimator.set_params(solver=clone(estimator).set_params(n_components=0.5).choose(cube).name)
    if exactly and estimator.choose(cube).name == "scatter":
        # In float32, eigenvalues that are 1e-5 of the first, as are those of most spectra, are good to 1e-4 only.
        visitor = Moments(scatter=True, double=True, weighting=estimator.scaling, n_features=n_features(cube))
        (moments,) = sweep(cube, visitor, label="components")
        estimator.fit(cube, moments=moments)
        return 1 + int(estimator.n_sweeps_)
    return int(estimator.fit(cube).n_sweeps_)


def _composed(
    cube: xr.DataArray,
    estimator: Projecting,
    treatment: Treatment,
    grid: xr.DataArray | None,
    sweeps: int,
    *,
    own: bool,
) -> Decomposition:
    """The decomposition that a fitted estimator stands for."""
    # HyperSpy divides columns by roots of sums, PCA by roots of means: the number of pixels lies between them.
    inside = own and estimator.get_params()["scaling"] == "poisson"
    scale = float(np.sqrt(estimator.n_samples_)) if inside else 1.0
    way = Way(treatment, estimator._projection, scale)
    looks, mean = basis(estimator._projection, estimator.n_components_)
    if treatment.roots is not None:
        looks, mean = looks * treatment.roots, mean * treatment.roots
    factors = folded(cube, treatment.expanded(looks * scale))
    loadings = laid_over(cube, _loadings, way, {"component": estimator.n_components_})
    taken = None
    if treatment.centred:
        taken = on_grid(laid_over(cube, _means, way, {}), grid)
    elif mean.any():
        taken = folded(cube, treatment.expanded(mean[None]))[0].drop_vars("component")
    variance, ratio = _variances(estimator, own=own)
    return Decomposition(
        cube=cube,
        estimator=estimator,
        factors=factors.rename("factors").assign_attrs(long_name="what each component looks like"),
        loadings=on_grid(loadings, grid).rename("loadings").assign_attrs(long_name="how much of each component"),
        explained_variance=variance,
        explained_variance_ratio=ratio,
        mean=None if taken is None else taken.rename("mean").assign_attrs(long_name="mean that was taken off"),
        n_sweeps=sweeps,
        _way=way,
        _grid=grid,
    )


def _variances(estimator: Any, *, own: bool) -> tuple[xr.DataArray | None, xr.DataArray | None]:
    """Explained variance and its share, of an estimator that has them; HyperSpy's for principal components."""
    variance = getattr(estimator, "explained_variance_", None)
    if own:
        variance = estimator.singular_values_**2 / (estimator.n_samples_ + estimator.n_empty_)
        if estimator.scaling == "poisson":
            variance = variance / estimator.n_samples_
    ratio = getattr(estimator, "explained_variance_ratio_", None)
    return (
        None if variance is None else over_components(variance, "explained_variance"),
        None if ratio is None else over_components(ratio, "explained_variance_ratio"),
    )


def _loadings(block: Block, way: Way) -> npt.NDArray[Any]:
    return way.loadings(block)


def _means(block: Block, way: Way) -> npt.NDArray[Any]:
    return way.means(block)


def _model(block: Block, told: tuple[Way, Kept]) -> npt.NDArray[Any]:
    return told[0].model(block, told[1])


def _left(block: Block, told: tuple[Way, Kept]) -> npt.NDArray[Any]:
    return told[0].residuals(block, told[1])
