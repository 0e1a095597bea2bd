"""Results laid where HyperSpy looks for them: in a signal's `learning_results`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube import navigation_dims, signal_dims
from refold.errors import CubeError


class MeanSignal(np.ndarray[Any, Any]):
    """A mean signal that HyperSpy can add to a model.

    HyperSpy 2.5 takes every mean for one value a pixel: ``get_decomposition_model`` reshapes it to the navigation
    shape, and so fails after its own ``decomposition(centre="navigation")``. Asked for that shape, this one gives the
    shape of the signal.
    """

    @classmethod
    def of(cls, mean: NDArray[Any], n_navigation: int) -> MeanSignal:
        """Take a mean of shape (*signal) for a signal with so many navigation dims."""
        signal = np.asarray(mean).reshape(1, -1).view(cls)
        signal._shape = (1,) * n_navigation + mean.shape
        return signal

    def __array_finalize__(self, other: Any) -> None:
        """Views of it know the same."""
        self._shape = getattr(other, "_shape", None)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """The shape that is meant."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        plain = self.view(np.ndarray)
        if self._shape is not None and len(wanted) == len(self._shape) and -1 not in wanted:
            return plain.reshape(self._shape)
        return plain.reshape(*shape, **options)


def place_decomposition(signal: Any, cube: xr.DataArray, found: Mapping[str, Any]) -> None:
    """Lay factors and loadings into a signal.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        Made of the cube.
    cube : xarray.DataArray
        Whose navigation and signal dims the results are over.
    found : mapping
        ``factors (component, *signal)``, ``loadings (*navigation, component)``, and where they are known
        ``explained_variance``, ``explained_variance_ratio`` ``(component)``, ``mean (*signal)`` or ``(*navigation)``,
        and plain values of other fields of HyperSpy's results, such as ``decomposition_algorithm``.

    Raises
    ------
    CubeError
        If results are over other dims than the cube.
    """
    results, navigation, measured = signal.learning_results, navigation_dims(cube), signal_dims(cube)
    factors, loadings = found["factors"], found["loadings"]
    _check_over(factors, cube, ("component", *measured))
    _check_over(loadings, cube, (*navigation, "component"))
    rows = _rows(loadings.transpose(*navigation, "component"))
    results.loadings = rows
    results.factors = _flat(factors.transpose("component", *measured)).T
    results.original_shape = cube.shape
    results.unfolded = len(cube.dims) > 2
    results.output_dimension = int(rows.shape[1])
    results.poissonian_noise_normalized = False
    for name in ("explained_variance", "explained_variance_ratio"):
        if found.get(name) is not None:
            setattr(results, name, np.asarray(found[name]))
    mean = found.get("mean")
    if mean is not None:
        on_pixels = set(mean.dims) == set(navigation)
        results.centre = "signal" if on_pixels else "navigation"
        dims = navigation if on_pixels else measured
        values = np.asarray(mean.transpose(*dims))
        results.mean = values.reshape(-1, 1) if on_pixels else MeanSignal.of(values, len(navigation))
    for name in found.keys() - {"factors", "loadings", "explained_variance", "explained_variance_ratio", "mean"}:
        setattr(results, name, found[name])


def place_clusters(signal: Any, cube: xr.DataArray, found: xr.Dataset, algorithm: str) -> None:
    """Lay labels and cluster means into a signal.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        Made of the cube.
    cube : xarray.DataArray
        Whose navigation and signal dims the results are over.
    found : xarray.Dataset
        ``labels (*navigation)``, -1 where there is none, ``cluster_mean (cluster, *signal)``.
    algorithm : str
        What clustered.

    Raises
    ------
    CubeError
        If results are over other dims than the cube.
    """
    results, navigation, measured = signal.learning_results, navigation_dims(cube), signal_dims(cube)
    means = found["cluster_mean"]
    _check_over(means, cube, ("cluster", *measured))
    _check_over(found["labels"], cube, navigation)
    count = means.sizes["cluster"]
    if not count:  # HyperSpy has no place for an answer of noise alone
        return
    labels = found["labels"].transpose(*navigation).values.ravel()
    results.cluster_labels = labels == np.arange(count, dtype=labels.dtype)[:, np.newaxis]
    results.cluster_algorithm = algorithm
    results.number_of_clusters = results.estimated_number_of_clusters = count
    flat = _flat(means.transpose("cluster", *measured))
    # HyperSpy divides sums by the number of pixels that labels say; here these may be finer than what was clustered.
    results.cluster_sum_signals = flat * results.cluster_labels.sum(axis=1, keepdims=True)
    results.cluster_centroid_signals = results.cluster_centers = flat


def _check_over(array: xr.DataArray, cube: xr.DataArray, dims: tuple[str, ...]) -> None:
    here = {dim: array.sizes[dim] for dim in array.dims if dim in cube.sizes}
    if set(array.dims) != set(dims) or any(cube.sizes[dim] != size for dim, size in here.items()):
        raise CubeError(
            f"results over {dict(array.sizes)}",
            f"results over dims {dims} of {dict(cube.sizes)}",
            "give the cube that they were made of, prepared in the same way",
        )


def _rows(array: xr.DataArray) -> NDArray[Any]:
    """Pixels x the last dim, in memory: HyperSpy's plots refuse what is lazy."""
    return np.asarray(array.values).reshape(-1, array.shape[-1])


def _flat(array: xr.DataArray) -> NDArray[np.float64]:
    """The first dim x all others, in memory."""
    return np.asarray(array.values, dtype=np.float64).reshape(len(array), -1)


def described_by_components(found: Mapping[str, Any], like: xr.DataArray) -> xr.DataArray:
    """The cube that components describe, lazily: its scores times these, and the mean.

    Parameters
    ----------
    found : mapping
        As for `place_decomposition`.
    like : xarray.DataArray
        Loadings, whose navigation coordinates the cube gets.

    Returns
    -------
    xarray.DataArray
        ``(*navigation, *signal)``, in the dtype of the loadings.
    """
    factors = found["factors"].load()
    cube = xr.dot(like, factors.astype(like.dtype), dim="component")
    mean = found.get("mean")
    cube = cube if mean is None else cube + mean.load().astype(like.dtype)
    own = {dim: array[dim] for array in (factors, like) for dim in array.dims if dim != "component"}
    named: xr.DataArray = cube.assign_coords(own)  # with their attributes, which arithmetic may drop
    return named
