"""What every model with a centre for each cluster does once it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from refold.cluster.naming import order_by_size
from refold.cluster.starting import nearest
from refold.cube import (
    check_cube,
    check_signal,
    conform,
    n_features,
    n_pixels,
    navigation_dims,
    navigation_shape,
    signal_dims,
    signal_shape,
    signal_template,
    table_as_cube,
)
from refold.engine import Block
from refold.engine.pixelwise import map_pixels
from refold.errors import ParameterError

Doubles = npt.NDArray[np.float64]


class Centroids(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]  # sklearn ships no types
    """Labels and distances, of cubes and of tables.

    A subclass fits and calls `_remember`.
    """

    n_clusters: int
    n_clusters_: int
    _centres: Doubles
    _signal: xr.DataArray

    @property
    def probabilities_(self) -> Any:
        """1 for each pixel that has a cluster, 0 for the others; float32, like `labels_`."""
        return (self._known_labels() >= 0).astype(np.float32)

    @property
    def membership_(self) -> Any:
        """1 for the cluster of each pixel, else 0; float32, shape (pixel, cluster), lazily (*navigation, cluster)."""
        labels, clusters = self._known_labels(), np.arange(self.n_clusters_)
        if not isinstance(labels, xr.DataArray):
            return (labels[:, None] == clusters).astype(np.float32)
        one_hot = labels.chunk() == xr.DataArray(clusters, dims="cluster", coords={"cluster": clusters})
        return conform("membership", one_hot.astype(np.float32))

    def _known_labels(self) -> Any:
        if getattr(self, "labels_", None) is None:
            raise AttributeError("there are no labels: the model is not fitted, or was fitted without them")
        return self.labels_

    def predict(self, X: Any) -> Any:
        """Cluster of each pixel: that of the nearest centre.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            Cube or table with the features that were fitted.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            Int32, -1 where a pixel is not finite. For a cube lazily, on its navigation dims.
        """
        check_is_fitted(self)
        cube = self._enter(X, reset=False)
        if not isinstance(X, xr.DataArray):
            return _labels(Block(cube.values, 1), self._centres)
        return map_pixels(cube, _labels, self._centres, "labels", {}, dtype=np.int32)

    def transform(self, X: Any) -> Any:
        """Distance of each pixel to each centre.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            Cube or table with the features that were fitted.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            Shape (pixel, cluster), NaN where a pixel is not finite; for a cube lazily ``(*navigation, cluster)``,
            float32, in the units of the data.
        """
        check_is_fitted(self)
        cube = self._enter(X, reset=False)
        if not isinstance(X, xr.DataArray):
            found = _distances(Block(cube.values, 1), self._centres)
            return found if cube.dtype != np.float32 else found.astype(np.float32)
        lazy = map_pixels(cube, _single_distances, self._centres, None, {"cluster": len(self._centres)})
        units = {"units": cube.attrs["units"]} if "units" in cube.attrs else {}
        return lazy.rename("distance").assign_attrs(long_name="distance to the centre of each cluster", **units)

    def _enter(self, X: Any, *, reset: bool) -> xr.DataArray:
        """The cube at the door; a table becomes a cube of one navigation dim."""
        if isinstance(X, xr.DataArray):
            cube = check_cube(X)
            if reset:
                self.n_features_in_ = n_features(cube)
                self._signal = signal_template(cube)
                return cube
            return check_signal(cube, self._signal)
        table = validate_data(self, X, reset=reset)
        cube = table_as_cube(table)
        if reset:
            self._signal = signal_template(cube)
        return cube

    def _check_count(self, cube: xr.DataArray) -> None:
        count = self.n_clusters
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ParameterError(f"n_clusters={count!r}", "a whole number, 1 or more", "say how many clusters")
        if n_pixels(cube) < count:
            raise ParameterError(
                f"n_samples={n_pixels(cube)}", f"at least n_clusters={count}", "ask for fewer clusters"
            )

    def _weights(self, cube: xr.DataArray, weights: Any) -> Doubles | None:
        """What each pixel counts, on the scan's grid."""
        if weights is None:
            return None
        found = np.asarray(weights, np.float64)
        if found.shape != navigation_shape(cube) or not (np.isfinite(found) & (found >= 0)).all():
            raise ParameterError(
                f"weights of shape {found.shape}",
                f"one for each pixel of {navigation_shape(cube)}, finite and 0 or more",
                "give a map of weights on the scan's grid",
            )
        return found

    def _largest_first(
        self, centres: Doubles, labels: npt.NDArray[np.int32], weights: Doubles | None
    ) -> tuple[Doubles, npt.NDArray[np.int32]]:
        """Clusters renamed by the weight of their pixels; empty ones come last."""
        labels, order = order_by_size(labels, weights)
        rest = np.setdiff1d(np.arange(len(centres)), order)
        return centres[np.concatenate([order, rest])], labels

    def _seed(self, random_state: Any) -> int:
        """A seed from what scikit-learn takes for one."""
        if isinstance(random_state, np.random.RandomState):
            return int(random_state.randint(2**31 - 1))
        if isinstance(random_state, int | np.integer):
            return int(random_state)
        return int(np.random.default_rng(random_state).integers(2**62))

    def _remember(
        self, cube: xr.DataArray, centres: Doubles, labels: npt.NDArray[np.int32] | None, *, table: bool
    ) -> None:
        """Keep what was found under scikit-learn's names."""
        self._centres = np.ascontiguousarray(centres)
        self.n_clusters_ = len(centres)
        if table:
            self.cluster_centers_: Any = self._centres
            self.labels_: Any = labels
            return
        self.cluster_centers_ = _on_signal(cube, self._centres)
        self.labels_ = None if labels is None else conform("labels", _on_navigation(cube, labels))

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_

    def __sklearn_tags__(self) -> Any:
        """Say that float32 stays float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _labels(block: Block, centres: Doubles) -> npt.NDArray[np.int32]:
    return nearest(block, centres)[0]


def _distances(block: Block, centres: Doubles) -> Doubles:
    from refold.cluster.kernels import squared_distances

    squares = np.empty((block.n_pixels, len(centres)))
    squared_distances(block.numbers, centres, squares)
    squares[~block.valid] = np.nan
    return np.sqrt(squares)


def _single_distances(block: Block, centres: Doubles) -> npt.NDArray[np.float32]:
    return _distances(block, centres).astype(np.float32)


def _on_signal(cube: xr.DataArray, centres: Doubles) -> xr.DataArray:
    """Centres with the dims and coordinates of the signal."""
    dims = signal_dims(cube)
    coords: dict[Any, Any] = {name: coord for name, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
    coords["cluster"] = np.arange(len(centres))
    values = centres.reshape(-1, *signal_shape(cube))
    return xr.DataArray(values, dims=("cluster", *dims), coords=coords, name="centers", attrs=cube.attrs)


def _on_navigation(cube: xr.DataArray, values: npt.NDArray[Any]) -> xr.DataArray:
    dims = navigation_dims(cube)
    coords = {name: coord for name, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
    return xr.DataArray(values, dims=dims, coords=coords)
