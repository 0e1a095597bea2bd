"""What a decomposition is fitted to, and where its results lie: pixels and channels that are not masked, treated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from refold.cube import n_features, navigation_dims, navigation_shape, signal_dims, signal_shape, signal_template
from refold.engine import Block, Moments, sweep
from refold.engine.block import row_dtype
from refold.engine.pixelwise import map_pixels
from refold.errors import DataError, ParameterError
from refold.reduce.mnf import MNF
from refold.reduce.nmf import NMF
from refold.reduce.pca import PCA
from refold.reduce.projecting import Projecting
from refold.reduce.saving import beside
from refold.reduce.treating import Treatment

PRINCIPAL = ("PCA", "SVD")
_NAMED: dict[str, type[Projecting]] = {**dict.fromkeys(PRINCIPAL, PCA), "MNF": MNF, "NMF": NMF}
_SIGNAL = {"role": "signal"}


def check_words(algorithm: Any, *, normalize_poissonian_noise: bool, centre: Any, reproject: Any) -> None:
    """Raise if options of `refold.decompose` do not exist or contradict each other.

    Raises
    ------
    ParameterError
        If so.
    """
    if isinstance(algorithm, str) and algorithm not in _NAMED:
        raise ParameterError(
            f"algorithm={algorithm!r}", f"one of {tuple(_NAMED)}, or an estimator of refold", "choose among these"
        )
    if not isinstance(algorithm, str | Projecting):
        raise ParameterError(
            f"algorithm={algorithm!r}",
            "a name, or an estimator of refold such as refold.PCA(5)",
            "fit another estimator by itself, on refold.unfold(cube)",
        )
    for name, value, allowed in (
        ("centre", centre, (None, "navigation", "signal")),
        ("reproject", reproject, (None, "navigation")),
    ):
        if value not in allowed:
            raise ParameterError(f"{name}={value!r}", f"one of {allowed}", f"choose {name} among these")
    if centre is not None and algorithm not in PRINCIPAL:
        raise ParameterError(
            f"centre={centre!r} for {algorithm!r}", "centre with 'PCA' or 'SVD' only", "say it to the estimator"
        )
    if centre is not None and normalize_poissonian_noise:
        raise ParameterError(
            f"centre={centre!r} with normalize_poissonian_noise",
            "one of the two: counts less a mean do not follow Poisson",
            "leave centre out, or give algorithm=refold.PCA(scaling='poisson'), which centres what was scaled",
        )


def as_estimator(algorithm: str | Projecting, output_dimension: int | None, options: Mapping[str, Any]) -> Projecting:
    """The estimator meant, ready to be fitted; one that is fitted already as it is.

    Raises
    ------
    ParameterError
        If options are given that it does not take.
    """
    if isinstance(algorithm, str):
        kind = _NAMED[algorithm]
        said = {"n_components", *(("center", "scaling") if algorithm in PRINCIPAL else ())}  # in words of decompose
        known = kind().get_params(deep=False).keys() - said
        if unknown := sorted(options.keys() - known):
            raise ParameterError(
                f"options {unknown} for {algorithm!r}",
                f"some of {sorted(known)}",
                f"choose among these and those of decompose, or give an estimator as refold.{kind.__name__}(…)",
            )
        named: Projecting = kind(n_components=output_dimension, **options)
        return named
    if options:
        raise ParameterError(
            f"options {sorted(options)} beside an estimator", "options with a name only", "give them to the estimator"
        )
    if not is_fitted(algorithm):
        copy: Projecting = clone(algorithm)
        return copy if output_dimension is None else copy.set_params(n_components=output_dimension)
    if output_dimension not in (None, algorithm.n_components_):
        raise ParameterError(
            f"output_dimension={output_dimension} for an estimator fitted with {algorithm.n_components_} components",
            "no number",
            "leave it out, and say model(components=…)",
        )
    return algorithm


def check_fits(
    estimator: Projecting, cube: xr.DataArray, keep: npt.NDArray[np.bool_] | None, *, normalized: bool
) -> None:
    """Raise if an estimator weighs what is normalised already, or was fitted to something else.

    Raises
    ------
    ParameterError
        If noise is to be normalised before an estimator that does so itself or is fitted; or if channels that are not
        masked are not as many as were fitted.
    CubeError
        If the cube has another signal than was fitted.
    """
    inner = getattr(estimator, "decomposition", None)
    if normalized and "poisson" in (getattr(estimator, "scaling", None), getattr(inner, "scaling", None)):
        raise ParameterError(
            f"normalize_poissonian_noise with {estimator}, which weighs pixels, too",
            "one of the two",
            "leave out normalize_poissonian_noise, or scaling='poisson'",
        )
    if not is_fitted(estimator):
        return
    if normalized:
        raise ParameterError(
            "normalize_poissonian_noise with an estimator that is fitted",
            "one that is fitted to what is normalised",
            "leave out normalize_poissonian_noise, or give the estimator unfitted",
        )
    if keep is None:
        estimator._enter(cube, reset=False)
    elif keep.sum() != estimator.n_features_in_:
        raise ParameterError(
            f"a signal_mask that leaves {keep.sum()} channels",
            f"the {estimator.n_features_in_} that were fitted",
            "leave out signal_mask, say the one of the fit, or give the estimator unfitted",
        )


def is_fitted(estimator: Projecting) -> bool:
    """Whether it can transform."""
    return hasattr(estimator, "_projection")


def masked_channels(cube: xr.DataArray, mask: Any) -> npt.NDArray[np.bool_] | None:
    """Flat, True where a channel is used; None for all.

    Raises
    ------
    ParameterError
        If the mask does not fit.
    DataError
        If no channel is left.
    """
    if mask is None:
        return None
    left_out = np.asarray(_fitting(mask, signal_dims(cube), signal_shape(cube), "signal_mask"))
    if left_out.all():
        raise DataError("all channels masked", "some that are not", "change signal_mask: True leaves a channel out")
    return ~left_out.ravel() if left_out.any() else None


def masked_pixels(cube: xr.DataArray, mask: Any) -> xr.DataArray | None:
    """On the navigation dims, True where a pixel is used; None for all.

    Raises
    ------
    ParameterError
        If the mask does not fit.
    """
    if mask is None:
        return None
    left_out = _fitting(mask, navigation_dims(cube), navigation_shape(cube), "navigation_mask")
    return xr.DataArray(~left_out, dims=navigation_dims(cube))


def _fitting(mask: Any, dims: tuple[str, ...], shape: tuple[int, ...], name: str) -> Any:
    if isinstance(mask, xr.DataArray) and set(mask.dims) == set(dims):
        mask = mask.transpose(*dims).data
    values = mask if isinstance(mask, da.Array) else np.asarray(mask)
    if values.dtype != bool or values.shape != shape:
        raise ParameterError(
            f"{name} of dtype {values.dtype} and shape {values.shape}",
            f"bool, for {dict(zip(dims, shape, strict=True))}",
            "True leaves out; dims in the order of the cube, or an xarray.DataArray that names them",
        )
    return values


def prepared(cube: xr.DataArray, treatment: Treatment, grid: xr.DataArray | None) -> xr.DataArray:
    """The cube to fit to, lazily: channels that are used, treated; masked pixels NaN."""
    if not treatment.nothing:
        kept = n_features(cube) if treatment.channels is None else int(treatment.channels.sum())
        sizes = None if treatment.channels is None else {"feature": kept}
        cube = laid_over(cube, _treated, treatment, sizes)
        if sizes is not None:
            cube = cube.assign_coords(feature=("feature", np.arange(kept), _SIGNAL))
    if grid is None:
        return cube
    lazy = cube if cube.chunks is not None else cube.chunk()
    return on_grid(lazy.astype(row_dtype(cube.dtype), copy=False), grid)


def _treated(block: Block, treatment: Treatment) -> npt.NDArray[Any]:
    return treatment.done(treatment.picked(block.rows))


def column_roots(cube: xr.DataArray) -> npt.NDArray[np.float64]:
    """Roots of the sums of channels, in one sweep; 1 for a channel without counts.

    Raises
    ------
    DataError
        If no pixel is valid, or there are values below 0.
    """
    (moments,) = sweep(cube, Moments(n_features=n_features(cube)), label="sums")
    lowest = float(np.min(moments.minimum)) if moments.count else 0.0
    if not moments.count or lowest < 0:
        raise DataError(
            f"values down to {lowest:.4g}" if moments.count else "no valid pixel",
            "counts, for normalize_poissonian_noise",
            "clip the data at 0, or decompose without",
        )
    sums: npt.NDArray[np.float64] = moments.total
    return np.sqrt(np.where(sums > 0, sums, 1.0))


def laid_over(
    cube: xr.DataArray, function: Callable[[Block, Any], npt.NDArray[Any]], told: Any, sizes: Any = None
) -> xr.DataArray:
    """A function of single pixels over a cube, in the float that its rows have; by default of the cube's own dims."""
    dtype = row_dtype(cube.dtype)
    if sizes is not None:
        return map_pixels(cube, function, told, None, sizes, dtype=dtype)
    own = {dim: cube.sizes[dim] for dim in signal_dims(cube)}
    laid = map_pixels(cube, function, told, None, own, dtype=dtype)
    # Without a name of its own a DataArray takes that of the Dask graph.
    return xr.DataArray(laid.data, cube.coords, cube.dims, attrs=cube.attrs).rename(cube.name)


def on_grid(array: xr.DataArray, grid: xr.DataArray | None) -> xr.DataArray:
    """NaN where a pixel is not used."""
    return array if grid is None else array.where(grid)


def folded(cube: xr.DataArray, rows: npt.NDArray[Any]) -> xr.DataArray:
    """Rows of features as components on the signal dims of a cube, with their coordinates, renamed as by `beside`."""
    signal, _ = beside(signal_template(cube), {"component"})
    coords = {**signal.coords, "component": numbered(len(rows))}
    return xr.DataArray(rows.reshape(-1, *signal.shape), dims=("component", *signal.dims), coords=coords)


def over_components(values: npt.NDArray[Any], name: str) -> xr.DataArray:
    """One value for each component."""
    coords = {"component": numbered(len(values))}
    return xr.DataArray(values, dims="component", coords=coords, name=name)


def numbered(count: int) -> xr.Variable:
    """Coordinate of components: 0, 1, ..."""
    return xr.Variable("component", np.arange(count), _SIGNAL)
