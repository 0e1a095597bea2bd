"""Principal components of scans of any size."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from refold.cube import as_cube, check_cube, n_features, n_pixels, signal_dims, signal_shape
from refold.engine import Block, Moments, MomentsResult, Where, current_settings, sweep
from refold.engine.block import row_dtype
from refold.errors import CubeError, ParameterError
from refold.planning.solver import SolverChoice, choose_solver, cost_of
from refold.reduce.blockwise import map_pixels
from refold.reduce.leading import Leading, check_count, fix_signs, refuse_flat
from refold.reduce.projection import Projection
from refold.reduce.scaling import SCALINGS, Scaling, column_factors, refuse_hopeless
from refold.reduce.scatter import leading_of, scaled_scatter

SOLVERS = ("auto", "scatter", "subspace", "incremental")
TABLE = ("pixel", "feature")


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn ships no types
    """Principal component analysis, in one sweep or a few.

    Parameters
    ----------
    n_components : int, float or None
        How many; or, between 0 and 1, the share of the variance that they are to explain; None for all.
    center : bool
        Whether to take the mean off.
    scaling : {None, "standard", "poisson"}
        Weights of rows and columns before components are sought: none; the inverse standard deviation of each
        feature; or those that make Poisson noise uniform (Keenan and Kotula 2004): inverse roots of row sums and of
        column means. Pixels and features without any counts are left out.
    solver : {"auto", "scatter", "subspace", "incremental"}
        ``"scatter"`` is exact, with one sweep and a features x features matrix. ``"subspace"`` is for many features:
        a few sweeps with a thin state. ``"incremental"`` sees each pixel once and keeps a thin state. ``"auto"``
        takes the cheaper of the first two that fits in memory.
    oversampling : int, optional
        Columns that the thin states keep beyond the components.
    tol : float
        Sine of the angle below which the subspace solver takes a component as found.
    max_sweeps : int
        Sweeps after which the subspace solver stops, and says which components still moved.
    random_state : int, numpy.random.Generator or None
        Start of the subspace solver. It does not change the result beyond `tol`.

    Attributes
    ----------
    components_ : numpy.ndarray
        Shape (component, feature), orthonormal; the largest loading of each is positive.
    explained_variance_, explained_variance_ratio_, singular_values_ : numpy.ndarray
        Shape (component,), as in scikit-learn.
    mean_ : numpy.ndarray
        Shape (feature,); of the weighted rows where `scaling` is ``"poisson"``.
    scale_ : numpy.ndarray or None
        Shape (feature,): factor of each feature.
    noise_variance_ : float
        Mean variance along the directions left out.
    n_components_, n_samples_, n_features_in_ : int
        Components kept, valid pixels used, features.
    solver_ : str
        The solver that was used.
    n_sweeps_ : int
        Sweeps that `fit` made.
    converged_ : numpy.ndarray
        Shape (component,): whether it stopped moving. Components that lie past the eigengap, among the noise, do not.

    Notes
    -----
    Scores are bitwise the same however pixels are grouped into blocks, chunks or batches.

    References
    ----------
    Keenan and Kotula (2004), Surf. Interface Anal. 36, 203.

    Examples
    --------
    >>> import numpy as np, refold
    >>> rows = np.random.default_rng(0).normal(size=(200, 5)) * [5, 3, 1, 0.1, 0.1]
    >>> model = PCA(n_components=0.95).fit(rows)
    >>> model.n_components_, model.transform(rows).shape
    (2, (200, 2))
    >>> cube = refold.as_cube(rows.reshape(10, 20, 5), signal="energy")
    >>> PCA(n_components=2).fit(cube).transform(cube).dims
    ('y', 'x', 'component')
    """

    def __init__(
        self,
        n_components: float | None = 20,
        *,
        center: bool = True,
        scaling: Scaling = None,
        solver: str = "auto",
        oversampling: int | None = None,
        tol: float = 1e-3,
        max_sweeps: int = 12,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.center = center
        self.scaling = scaling
        self.solver = solver
        self.oversampling = oversampling
        self.tol = tol
        self.max_sweeps = max_sweeps
        self.random_state = random_state

    # --- fitting ------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, *, moments: Any = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table.
        y : None
            Not used.
        moments : MomentsResult, or the result of `first_visitor`, optional
            From a sweep made before, so that the cube need not be read for it again. Moments with a scatter matrix
            are all that is needed.

        Returns
        -------
        PCA
            This model.

        Raises
        ------
        ParameterError
            If there are fewer components than asked for, or an option has no such value.
        DataError
            If no pixel is valid, nothing varies, or a channel cannot be scaled.
        """
        self._check_options()
        cube = self._enter(X, reset=True)
        sweeps = 0
        if moments is None:
            (moments,) = sweep(cube, self.first_visitor(cube))
            sweeps = 1
        leading = self._solve(cube, moments)
        self.n_sweeps_ = sweeps + leading.n_sweeps
        return self

    def first_visitor(self, cube: xr.DataArray) -> Any:
        """Visitor for a sweep over the cube, whose result `fit` takes as `moments`.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted, lazily: its shape and dtype are looked at.

        Returns
        -------
        Visitor
            Sums that the solver starts from.
        """
        self._check_options()
        weighting: Literal["poisson"] | None = "poisson" if self.scaling == "poisson" else None
        return Moments(scatter=True, weighting=weighting, n_features=n_features(cube))

    def choose(self, cube: xr.DataArray) -> SolverChoice:
        """The solver for this cube, and what it is expected to cost.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted, lazily.

        Returns
        -------
        SolverChoice
            Its name, sweeps, bytes and operations.
        """
        pixels, features = n_pixels(cube), n_features(cube)
        most = check_count(self.n_components, pixels, features)
        if self.solver != "auto":
            return cost_of(self.solver, pixels, features, most, self.oversampling)  # type: ignore[arg-type]  # checked
        budget = current_settings().budget
        return choose_solver(
            pixels,
            features,
            most,
            budget.memory // 2,
            budget.workers + 1,
            share=self._share is not None,
            oversampling=self.oversampling,
        )

    @property
    def _share(self) -> float | None:
        return float(self.n_components) if isinstance(self.n_components, float | np.floating) else None

    def _check_options(self) -> None:
        for name, allowed in (("scaling", SCALINGS), ("solver", SOLVERS)):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name}={getattr(self, name)!r}", f"one of {allowed}", f"choose {name} among these"
                )

    def _enter(self, X: Any, *, reset: bool) -> xr.DataArray:
        """The cube at the door; a table becomes a cube of one navigation dim."""
        if isinstance(X, xr.DataArray):
            cube = check_cube(X)
            if reset:
                self.n_features_in_ = n_features(cube)
                self._signal = _signal_template(cube)
                self._dtype = row_dtype(cube.dtype)
            elif signal_shape(cube) != self._signal.shape:
                raise CubeError(
                    f"signal dims {dict(zip(signal_dims(cube), signal_shape(cube), strict=True))}",
                    f"those fitted, {dict(self._signal.sizes)}",
                    "give a cube with the same signal, or fit again",
                )
            return cube
        table = validate_data(self, X, reset=reset, ensure_min_samples=2 if reset else 1)
        if table.dtype.kind != "f" and table.dtype.itemsize > 2:
            table = table.astype(np.float64)
        cube = as_cube(table, signal="feature", dims=TABLE)
        if reset:
            self._signal = _signal_template(cube)
            self._dtype = row_dtype(cube.dtype)
        return cube

    def _solve(self, cube: xr.DataArray, moments: MomentsResult) -> Leading:
        refuse_hopeless(moments, self.scaling)
        most = check_count(self.n_components, moments.count, n_features(cube))
        factors = column_factors(moments, self.scaling, self._dtype)
        self._refuse_flat(moments, factors)
        leading = leading_of(scaled_scatter(moments, factors, center=self.center), most, self._share)
        self.solver_ = "scatter"
        self._accept(leading, moments, factors)
        return leading

    def _refuse_flat(self, moments: MomentsResult, factors: npt.NDArray[np.float64] | None) -> None:
        squares, noise = moments.variance, (10 * np.finfo(self._dtype).eps * moments.mean) ** 2
        if not self.center:
            squares, noise = squares + moments.mean**2, noise * 0
        scale = 1.0 if factors is None else factors**2
        refuse_flat(float(np.sum(squares * scale)), float(np.sum(noise * scale)))

    def _accept(self, leading: Leading, moments: MomentsResult, factors: npt.NDArray[np.float64] | None) -> None:
        """Keep what was found, as scikit-learn names it."""
        freedom = moments.count - 1 if self.center else moments.count
        self.components_ = np.ascontiguousarray(fix_signs(leading.vectors).T)
        self.singular_values_ = np.sqrt(leading.values)
        self.explained_variance_ = leading.values / freedom
        self.explained_variance_ratio_ = leading.values / leading.total
        self.n_components_ = len(leading.values)
        self.n_samples_ = moments.count
        directions = min(moments.count, self.n_features_in_) - self.n_components_
        rest = max(0.0, leading.total - float(leading.values.sum())) / freedom
        self.noise_variance_ = rest / directions if directions else 0.0
        self.mean_ = moments.mean.copy() if self.center else np.zeros(self.n_features_in_)
        self.scale_ = factors
        self.converged_ = leading.angles <= self.tol
        self._projection = Projection(self.components_, self.mean_, self.scale_, self.scaling == "poisson")

    # --- applying -----------------------------------------------------------------------------------------------------

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
            return self._projection.forward_valid(block.rows, block.valid)[0]
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

    def inverse_transform(self, X: Any) -> Any:
        """Pixels that these scores stand for: without what the components left out.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, component)
            Scores, as `transform` gives them.

        Returns
        -------
        xarray.DataArray or numpy.ndarray
            For scores of a cube a lazy cube with the signal dims, coordinates, name and attributes that were fitted.
        """
        check_is_fitted(self)
        if isinstance(X, xr.DataArray):
            return map_pixels(X, _pixels, self._projection, None, self._signal.sizes, template=self._signal)
        scores = np.asarray(X)
        if scores.ndim != 2 or scores.shape[1] != self.n_components_:
            raise ParameterError(
                f"scores of shape {scores.shape}", f"(pixel, {self.n_components_})", "give what transform returned"
            )
        return self._projection.backward(scores if scores.dtype.kind == "f" else scores.astype(np.float64))

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        """Say that float32 stays float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _scores(block: Block, projection: Projection) -> npt.NDArray[Any]:
    return projection.forward_valid(block.rows, block.valid)[0].astype(np.float32, copy=False)


def _residual(block: Block, projection: Projection) -> npt.NDArray[Any]:
    return projection.forward_valid(block.rows, block.valid)[1].astype(np.float32, copy=False)


def _pixels(block: Block, projection: Projection) -> npt.NDArray[Any]:
    return projection.backward(block.rows)


def _signal_template(cube: xr.DataArray) -> xr.DataArray:
    """The signal side of a cube: dims, coordinates, name and attributes, with values that take no memory."""
    dims = signal_dims(cube)
    coords = {name: coord for name, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
    values = np.broadcast_to(np.zeros((), dtype=np.float32), signal_shape(cube))
    return xr.DataArray(values, dims=dims, coords=coords, name=cube.name, attrs=cube.attrs)
