"""Scaling of features: what the channels of a cube weigh beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube, n_features, signal_dims
from refold.engine import Moments, Sample, plan_grid, sweep
from refold.engine.block import row_dtype
from refold.errors import DataError, ParameterError
from refold.features.affine import AFFINE, Affine, affine
from refold.features.fitting import After, Batches, sweep_quartiles
from refold.features.rows import feature_coords, lay

Array = npt.NDArray[Any]
KINDS = (*AFFINE, "unit")


class Scaler(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Scale the features of a cube, out of core.

    Parameters
    ----------
    kind : {"standard", "robust", "minmax", "unit", "none"} or transformer
        By mean and standard deviation; by median and the distance between the quartiles; from minimum to maximum as 0
        to 1; each pixel by its own Euclidean norm; not at all. Or an object with scikit-learn's interface of a
        transformer: it is given the pixels batch by batch, in the order of blocks, if it has ``partial_fit``, and else
        a sample of them.
    log1p : bool
        Whether log(1 + value) is taken first; negative values count as 0.
    sweeps : int
        How many times a robust scaler may read the cube; see `refold.engine.quantile_bound`.
    sample : int
        Pixels on which a transformer without ``partial_fit`` is fitted.
    random_state : int
        Which pixels these are.

    Attributes
    ----------
    center_, scale_ : ndarray of float64, shape (features,)
        What is taken off each feature, and what it is then divided by; not for transformers.
    transformer_ : object
        The fitted copy of a transformer.
    n_features_in_ : int
        Features of the cube.

    Notes
    -----
    Equal to scikit-learn's StandardScaler, RobustScaler, MinMaxScaler and Normalizer; features that do not vary are
    centred only. Pixels with anything that is not finite are left out of the fit.

    Examples
    --------
    >>> import refold
    >>> cube = refold.as_cube(np.array([[[1.0, 2.0], [3.0, 2.0]]]), signal="energy")
    >>> Scaler("standard").fit(cube).transform(cube).values.tolist()
    [[[-1.0, 0.0], [1.0, 0.0]]]
    """

    def __init__(
        self,
        kind: Any = "standard",
        *,
        log1p: bool = False,
        sweeps: int = 3,
        sample: int = 20_000,
        random_state: int = 0,
    ) -> None:
        self.kind = kind
        self.log1p = log1p
        self.sweeps = sweeps
        self.sample = sample
        self.random_state = random_state

    def visitors(self, cube: xr.DataArray) -> tuple[Any, ...]:
        """Visitors of the one sweep that a fit needs.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be scaled.

        Returns
        -------
        tuple of Visitor
            One, or none where nothing is to be learnt.

        Raises
        ------
        ParameterError
            If one sweep is not enough: for a robust scaler and for transformers with ``partial_fit``.
        """
        cube = check_cube(cube)
        kind = self.how()
        if kind in ("unit", "none"):
            return ()
        if kind in ("robust", "batches"):
            raise ParameterError(
                f"a scaler of the kind {self.kind!r}", "one that is fitted in one sweep", "fit it by itself, with fit"
            )
        features = n_features(cube)
        if kind == "sample":
            chosen: Any = Sample(self.sample, self.random_state, n_features=features)
        else:
            chosen = Moments(n_features=features)
        return (After(log1p, chosen) if self.log1p else chosen,)

    def settle(self, cube: xr.DataArray, results: Sequence[Any]) -> Self:
        """Take what the `visitors` found.

        Parameters
        ----------
        cube : xarray.DataArray
            What was swept.
        results : sequence
            Their results, in their order.

        Returns
        -------
        Scaler
            Itself.

        Raises
        ------
        DataError
            If no pixel is valid.
        """
        self.n_features_in_ = n_features(check_cube(cube))
        if self.how() == "sample":
            self._settle_transformer(results[0].rows)
        elif results:
            self._keep(affine(self.kind, results[0], None))
        else:
            self._keep(Affine.identity(self.n_features_in_))
        return self

    def fit(self, cube: xr.DataArray, y: object = None, **options: Any) -> Self:
        """Learn from all pixels.

        Parameters
        ----------
        cube : xarray.DataArray
            A cube.
        y : None
            Ignored.
        **options
            As for `refold.sweep`.

        Returns
        -------
        Scaler
            Itself.

        Raises
        ------
        DataError
            If no pixel is valid.
        ParameterError
            If an option has a value that it cannot have.
        """
        cube, kind = check_cube(cube), self.how()
        logged = lay_scaling(cube, Scaling("none", log1p=True)) if self.log1p else cube
        if kind == "robust":
            moments, quartiles = sweep_quartiles(logged, self.sweeps, **options)
            self.n_features_in_ = n_features(cube)
            self._keep(affine("robust", moments, quartiles))
            return self
        if kind == "batches":
            batches = Batches(self.kind, n_features(cube))
            limits = {name: options[name] for name in ("memory", "workers", "client") if name in options}
            grid = batches.one_by_one(plan_grid(logged, batches, **limits))
            ((self.transformer_, seen),) = sweep(logged, batches, **{"label": "scaling", **options, "grid": grid})
            self.n_features_in_ = n_features(cube)
            _refuse_none(seen)
            return self
        visitors = self.visitors(cube)
        return self.settle(cube, sweep(cube, *visitors, **{"label": "scaling", **options}) if visitors else ())

    def transform(self, cube: xr.DataArray) -> xr.DataArray:
        """Scale a cube, lazily and pixel by pixel.

        Parameters
        ----------
        cube : xarray.DataArray
            With the features of the one that was fitted.

        Returns
        -------
        xarray.DataArray
            float32, with the dims of the cube; or (*navigation, feature) after a transformer that does not keep
            features one to one. Pixels that are not valid stay so. Units go.

        Raises
        ------
        ParameterError
            If the cube has other features.
        """
        check_is_fitted(self, "n_features_in_")
        cube = check_cube(cube)
        if n_features(cube) != self.n_features_in_:
            raise ParameterError(
                f"a cube of {n_features(cube)} features", f"{self.n_features_in_}, as were fitted", "crop it likewise"
            )
        return lay_scaling(cube, self.scaling_, self.n_features_out_)

    @property
    def n_features_out_(self) -> int | None:
        """Features of what a transformer gives, if they are not those of the cube."""
        if self.how() not in ("batches", "sample"):
            return None
        if isinstance(self.transformer_, OneToOneFeatureMixin):
            return None
        return int(np.shape(self.transformer_.transform(np.zeros((1, self.n_features_in_), np.float32)))[1])

    @property
    def scaling_(self) -> Scaling:
        """What is done to a pixel."""
        how = self.how()
        model = self.transformer_ if how in ("batches", "sample") else Affine(self.center_, self.scale_)
        return Scaling(how, self.log1p, model)

    def how(self) -> str:
        """Tell how a cube is scaled: a kind, or for a transformer how it is fitted, in ``batches`` or on a ``sample``.

        Returns
        -------
        str
            The word for it.

        Raises
        ------
        ParameterError
            If the kind is none.
        """
        if isinstance(self.kind, str) and self.kind in KINDS:
            return self.kind
        if not isinstance(self.kind, str) and hasattr(self.kind, "transform") and hasattr(self.kind, "fit"):
            return "batches" if hasattr(self.kind, "partial_fit") else "sample"
        raise ParameterError(f"kind={self.kind!r}", f"one of {', '.join(KINDS)}, or a transformer", "name one of these")

    def _keep(self, found: Affine) -> None:
        self.center_, self.scale_ = found.center, found.scale

    def _settle_transformer(self, rows: Array) -> None:
        _refuse_none(len(rows))
        self.transformer_ = clone(self.kind).fit(rows)


def _refuse_none(count: int) -> None:
    if not count:
        raise DataError("no valid pixel", "pixels that are finite in every channel", "fill or crop what is not finite")


class Scaling:
    """Scale the signals of some pixels; picklable.

    Parameters
    ----------
    kind : str
        As `Scaler` has it.
    log1p : bool
        Whether the logarithm comes first.
    model : Affine or transformer, optional
        What was learnt.
    """

    def __init__(self, kind: str, log1p: bool = False, model: Any = None) -> None:
        self.kind = kind
        self.log1p = log1p
        self.model = model

    def __call__(self, signals: Array) -> Array:
        """Scale signals of shape (row, *signal); shape (row, feature) after a transformer that changes features."""
        rows = signals.reshape(len(signals), -1).astype(row_dtype(signals.dtype), copy=False)
        rows = log1p(rows) if self.log1p else rows
        if self.kind == "unit":
            rows = to_unit(rows)
        elif isinstance(self.model, Affine):
            rows = self.model(rows)
        elif self.model is not None:
            rows = self._transformed(rows)
        return rows.reshape(signals.shape) if rows.size == signals.size else rows

    def _transformed(self, rows: Array) -> Array:
        valid = np.asarray(np.isfinite(rows).all(axis=1))
        if valid.all():
            return np.asarray(self.model.transform(rows))
        probe = np.asarray(self.model.transform(np.where(valid[:, None], rows, 0)))
        return np.where(valid[:, None], probe, np.nan)


def log1p(values: Array) -> Array:
    """Logarithm of 1 and the value, as `refold.log1p` takes it: of floats, negative ones as 0."""
    result: Array = np.log1p(np.maximum(values, 0))
    return result


def to_unit(rows: Array) -> Array:
    """Divide each row by its Euclidean norm; empty ones stay empty."""
    rows = rows.astype(np.float64)
    norm = np.sqrt(np.add.reduce(rows * rows, axis=1, keepdims=True))
    with np.errstate(invalid="ignore"):  # infinities, whose pixel is invalid anyway
        scaled: Array = rows / np.where(norm == 0, 1.0, norm)
    return scaled


def lay_scaling(cube: xr.DataArray, scaling: Scaling, width: int | None = None) -> xr.DataArray:
    """Lay a scaling lazily over a cube.

    Parameters
    ----------
    cube : xarray.DataArray
        What to scale.
    scaling : Scaling
        How.
    width : int or None
        Features of the result, which then are its only signal dim; None keeps the signal dims.

    Returns
    -------
    xarray.DataArray
        The cube, float32, without units.
    """
    attrs = {key: value for key, value in cube.attrs.items() if key != "units"}
    if width is not None:
        return lay(cube, scaling, feature_coords(width), {"feature": width}, attrs=attrs)
    signal = signal_dims(cube)
    coords = {str(key): coord for key, coord in cube.coords.items() if set(coord.dims) & set(signal)}
    return lay(cube, scaling, coords, {dim: cube.sizes[dim] for dim in signal}, attrs=attrs)
