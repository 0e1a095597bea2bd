"""What every model that turns pixels into scores and back does once it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from refold.cube import check_cube, check_signal, conform, n_features, signal_dims, signal_template, table_as_cube
from refold.engine import Block, Where
from refold.engine.block import row_dtype
from refold.engine.pixelwise import map_pixels
from refold.errors import ParameterError
from refold.reduce.rebuilding import Components, Kept, RowMap, from_scores, kept_components, rebuilt
from refold.reduce.saving import Saved


class Projecting(Saved, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn ships no types
    """Scores, residuals and reconstructions, of cubes and of tables.

    A subclass fits, sets ``_projection``, ``components_``, ``mean_`` and ``n_components_``, and declares what of it is
    to be kept, as `Saved` wants it.
    """

    _projection: RowMap
    n_components_: int

    def _enter(self, X: Any, *, reset: bool) -> xr.DataArray:
        """The cube at the door; a table becomes a cube of one navigation dim."""
        if isinstance(X, xr.DataArray):
            cube = check_cube(X)
            if reset:
                self.n_features_in_ = n_features(cube)
                self._signal = signal_template(cube)
                self._dtype = row_dtype(cube.dtype)
                return cube
            return check_signal(cube, self._signal)
        table = validate_data(self, X, reset=reset, ensure_min_samples=2 if reset else 1)
        if table.dtype.kind != "f" and table.dtype.itemsize > 2:
            table = table.astype(np.float64)
        cube = table_as_cube(table)
        if reset:
            self._signal = signal_template(cube)
            self._dtype = row_dtype(cube.dtype)
        return cube

    def transform(self, X: Any) -> Any:
        """Scores: the coordinates of each pixel along the components.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            Cube or table with the features that were fitted.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            For a cube lazily ``(*navigation, component)``, NaN where a pixel is not finite; for a table an array.
        """
        check_is_fitted(self)
        cube = self._enter(X, reset=False)
        if not isinstance(X, xr.DataArray):
            block = Block(cube.values, 1)
            return _scores_of(block, self._projection)
        return map_pixels(cube, _scores, self._projection, "scores", {"component": self.n_components_})

    def residual(self, cube: xr.DataArray) -> xr.DataArray:
        """What the components leave of each pixel.

        Parameters
        ----------
        cube : xarray.DataArray
            Cube with the signal that was fitted.

        Returns
        -------
        xarray.DataArray
            Lazily, over the navigation dims: the root mean square over features of the difference between a pixel
            and its reconstruction, weighted and scaled as for the fit. Without scaling it has the units of the data.
        """
        check_is_fitted(self)
        return map_pixels(self._enter(check_cube(cube), reset=False), _residual, self._projection, "residual", {})

    def project(self, block: Block, where: Where | None = None) -> dict[str, npt.NDArray[np.float32]]:
        """Scores and residual of a block, to be written in the same sweep.

        Parameters
        ----------
        block : Block
            Of a cube with the signal that was fitted.
        where : Where, optional
            Not needed: a pixel's scores depend on the pixel alone.

        Returns
        -------
        dict
            ``scores`` (*navigation, component) and ``residual`` (*navigation), float32; NaN where a pixel is not
            finite. The residual is that of `residual`.
        """
        scores, residual = self._projection.forward_valid(block.rows, block.valid)
        shape = block.data.shape[: block.n_navigation]
        return {
            "scores": scores.astype(np.float32, copy=False).reshape(*shape, -1),
            "residual": residual.astype(np.float32, copy=False).reshape(shape),
        }

    def model(self, X: Any, components: Components = None) -> Any:
        """Denoised data: each pixel as some of the components describe it.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            Cube or table with the features that were fitted.
        components : int, sequence of int or None
            The first so many, or these, by index; None for all. A mean that was taken off is always put back.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            For a cube a lazy one with its dims, coordinates, name and attributes, in the units of the data; NaN where
            a pixel is not finite. For a table an array. A sweep over it reads the cube once.

        Raises
        ------
        ParameterError
            If there is no such component.
        """
        return self._rebuild(X, components, _model)

    def residuals(self, X: Any, components: Components = None) -> Any:
        """What some of the components leave of each pixel, channel by channel: the data less their `model`.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            Cube or table with the features that were fitted.
        components : int, sequence of int or None
            As for `model`.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            As for `model`. Its root mean square over features is `residual` where nothing is scaled.

        Raises
        ------
        ParameterError
            If there is no such component.
        """
        return self._rebuild(X, components, _left)

    def _rebuild(self, X: Any, components: Components, function: Any) -> Any:
        check_is_fitted(self)
        told = (self._projection, kept_components(components, self.n_components_))
        cube = self._enter(X, reset=False)
        if not isinstance(X, xr.DataArray):
            return function(Block(cube.values, 1), told)
        sizes = {dim: cube.sizes[dim] for dim in signal_dims(cube)}
        built = map_pixels(cube, function, told, None, sizes, dtype=row_dtype(cube.dtype))
        # Without a name of its own a DataArray takes that of the Dask graph.
        return xr.DataArray(built.data, cube.coords, cube.dims, attrs=cube.attrs).rename(cube.name)

    def inverse_transform(self, X: Any, components: Components = None) -> Any:
        """Pixels that these scores stand for: without what the components left out.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, component)
            Scores, as `transform` gives them.
        components : int, sequence of int or None
            Which of them to build from: the first so many, or these, by index; None for all.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            For scores of a cube a lazy cube with the signal dims, coordinates, name and attributes that were fitted.

        Raises
        ------
        ParameterError
            If these are not scores of this model, or there is no such component.
        """
        check_is_fitted(self)
        told = (self._projection, kept_components(components, self.n_components_))
        if isinstance(X, xr.DataArray):
            dtype = row_dtype(X.dtype)
            return map_pixels(X, _pixels, told, None, self._signal.sizes, template=self._signal, dtype=dtype)
        scores = np.asarray(X)
        if scores.ndim != 2 or scores.shape[1] != self.n_components_:
            raise ParameterError(
                f"scores of shape {scores.shape}", f"(pixel, {self.n_components_})", "give what transform returned"
            )
        return from_scores(told[0], scores if scores.dtype.kind == "f" else scores.astype(np.float64), told[1])

    def variables(self) -> xr.Dataset:
        """Components and their share of the variance, as the declared variables of a run.

        Returns
        -------
        xarray.Dataset
            ``components (component, *signal)``, with the coordinates of the signal that was fitted, renamed as by
            `to_dataset`, and ``explained_variance_ratio (component)``.
        """
        check_is_fitted(self)
        whole = self.to_dataset()
        components = whole["components"].astype(np.float32)
        return xr.Dataset(
            {
                "components": conform("components", components),
                "explained_variance_ratio": conform("explained_variance_ratio", whole["explained_variance_ratio"]),
            }
        )

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        """Say that float32 stays float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _scores(block: Block, projection: RowMap) -> npt.NDArray[Any]:
    return _scores_of(block, projection).astype(np.float32, copy=False)


def _scores_of(block: Block, projection: RowMap) -> npt.NDArray[Any]:
    """Scores alone, where a model has a quicker way to these than through the residual."""
    alone = getattr(projection, "scores_valid", None)
    if alone is None:
        return projection.forward_valid(block.rows, block.valid)[0]
    found: npt.NDArray[Any] = alone(block.rows, block.valid)
    return found


def _residual(block: Block, projection: RowMap) -> npt.NDArray[Any]:
    return projection.forward_valid(block.rows, block.valid)[1].astype(np.float32, copy=False)


def _pixels(block: Block, told: tuple[RowMap, Kept]) -> npt.NDArray[Any]:
    return from_scores(told[0], block.rows, told[1])


def _model(block: Block, told: tuple[RowMap, Kept]) -> npt.NDArray[Any]:
    return rebuilt(told[0], block.rows, block.valid, told[1])


def _left(block: Block, told: tuple[RowMap, Kept]) -> npt.NDArray[Any]:
    # The subtraction makes a new array: what a model gave may be shared, and rows are read only.
    left: npt.NDArray[Any] = block.rows - _model(block, told)
    return left
