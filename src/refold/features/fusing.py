"""Several cubes on one navigation grid as one feature space, and how much each of them counts in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from refold.cube import cubes_of, n_features, navigation_dims
from refold.engine import Moments, MomentsResult, sweep
from refold.errors import ParameterError
from refold.features.affine import AFFINE, Affine, affine
from refold.features.balancing import BALANCES, Known, report, weights_of
from refold.features.fitting import sweep_quartiles
from refold.features.joining import Signal, before, column_kind, coords_of, join
from refold.features.positions import check_same_places
from refold.features.rows import feature_coords
from refold.features.scaling import Scaler

Vector = npt.NDArray[np.float64]
Scan = xr.Dataset | Mapping[str, xr.DataArray]


class Fusion(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Fuse the cubes of a scan into one feature cube: scale each, weigh them, lay them side by side.

    Parameters
    ----------
    scale : str, transformer, Scaler or mapping
        How each cube is scaled: a kind of `Scaler`, a `Scaler` (say, with ``log1p=True``), a transformer; or, by the
        name of the cube, one of these for each.
    weights : mapping of str to float, optional
        What a cube is multiplied by, after the balance; 1 if not named.
    balance : {None, "maximum", "variance"}
        Bring all cubes to one size before: the largest value of each, or its total variance. The rule of thumb in print
        is ``"maximum"``, diffraction twice as large as EDS. Of the cubes with the ratio 1, the one of most features
        stays as it is.
    ratio : float or mapping of str to float
        How large the maximum is to be beside the others, by the name of the cube; 1 if not named. A number is meant for
        the cubes of patterns: those with two signal dims, or with ``ky`` and ``kx`` along their channels.
    final : {"none", "standard", "robust", "minmax"}
        How the features are scaled once more in the end.
    sweeps : int
        How many times the scan may be read for quartiles; see `refold.engine.quantile_bound`.

    Attributes
    ----------
    cubes_ : tuple of str
        The cubes in the order of the features.
    weights_ : dict of str to float
        What each scaled cube is multiplied by.
    balance_ : xarray.Dataset
        For each ``cube``: ``features``, ``weight``, and the ``maximum`` (of the size of values), total ``variance`` and
        its ``share`` that the balance reached; with the prefix ``final_`` the same after the final scaling.
    n_features_in_ : int
        Features of all cubes.

    Notes
    -----
    One sweep over all cubes at once, since whatever scales feature by feature changes moments in a known way; three
    where quartiles are wanted; transformers take their own. A pixel that is not valid in one cube is valid in none.

    A final scaling divides each feature by its own size, and so takes back any weight, except of features that do not
    vary by its measure: with ``final="robust"`` those whose quartiles are equal, as in sparse spectra.
    ``balance_`` tells what is left.

    Examples
    --------
    >>> import refold
    >>> rng = np.random.default_rng(0)
    >>> scan = {
    ...     "diffraction": refold.as_cube(rng.poisson(9, (4, 5, 8, 8)), signal=("ky", "kx")),
    ...     "eds": refold.as_cube(rng.poisson(2, (4, 5, 30)), signal="energy"),
    ... }
    >>> fusion = Fusion(balance="maximum").fit(scan)
    >>> fusion.transform(scan).sizes
    Frozen({'y': 4, 'x': 5, 'feature': 94})
    >>> fusion.balance_.maximum.values / fusion.balance_.maximum.sel(cube="eds").item()
    array([2., 1.])
    """

    def __init__(
        self,
        scale: Any = "none",
        *,
        weights: Mapping[str, float] | None = None,
        balance: str | None = None,
        ratio: float | Mapping[str, float] = 2.0,
        final: str = "none",
        sweeps: int = 3,
    ) -> None:
        self.scale = scale
        self.weights = weights
        self.balance = balance
        self.ratio = ratio
        self.final = final
        self.sweeps = sweeps

    # --- fitting ------------------------------------------------------------------------------------------------------

    def fit(self, scan: Scan, y: object = None, **options: Any) -> Self:
        """Learn scales and weights from all pixels that are valid in every cube.

        Parameters
        ----------
        scan : xarray.Dataset or mapping of str to xarray.DataArray
            Cubes, and pictures, on one navigation grid.
        y : None
            Ignored.
        **options
            As for `refold.sweep`.

        Returns
        -------
        Fusion
            Itself.

        Raises
        ------
        CubeError
            If the navigation grids differ.
        DataError
            If no pixel is valid in all cubes, or a cube has nothing to be balanced by.
        ParameterError
            If an option has a value that it cannot have, or names a cube that is not there.
        """
        options = {"label": "fusing", **options}
        joined = self.join(scan, **options)
        if not self._has_quartiles:
            return self.settle(joined, sweep(joined, *self.visitors(joined), **options))
        return self._settle(*sweep_quartiles(joined, self.sweeps, **options))

    def join(self, scan: Scan, **options: Any) -> xr.DataArray:
        """Lay all features side by side, lazily, before anything that is learnt from them: the `visitors` are for this.

        Parameters
        ----------
        scan : xarray.Dataset or mapping of str to xarray.DataArray
            Cubes on one navigation grid.
        **options
            As for `refold.sweep`, which transformers need: they, and only they, are fitted here.

        Returns
        -------
        xarray.DataArray
            Dims (*navigation, feature), float32.
        """
        cubes = cubes_of(scan)
        check_same_places(cubes)
        self._check(cubes)
        self.cubes_ = tuple(cubes)
        self.scalers_ = {name: self._scaler(name) for name in cubes}
        for name, scaler in self.scalers_.items():
            if not isinstance(scaler.kind, str):
                scaler.fit(cubes[name], **options)
        self._sizes = {name: n_features(cube) for name, cube in cubes.items()}
        self.n_features_in_ = sum(self._sizes.values())
        self._signals = {name: Signal.of(cube, self.scalers_[name]) for name, cube in cubes.items()}
        self._ends = tuple(accumulate((signal.size for signal in self._signals.values()), initial=0))
        return self._laid(cubes, Affine.identity(self._ends[-1]))

    def visitors(self, joined: xr.DataArray) -> tuple[Any, ...]:
        """Visitors of the one sweep that a fit needs.

        Parameters
        ----------
        joined : xarray.DataArray
            From `join`.

        Returns
        -------
        tuple of Visitor
            One.

        Raises
        ------
        ParameterError
            If one sweep is not enough: where anything is robust.
        """
        if self._has_quartiles:
            raise ParameterError("a robust scaling", "one that is fitted in one sweep", "fit it by itself, with fit")
        return (Moments(n_features=n_features(joined)),)

    def settle(self, joined: xr.DataArray, results: Sequence[Any]) -> Self:
        """Take what the `visitors` found.

        Parameters
        ----------
        joined : xarray.DataArray
            From `join`.
        results : sequence
            Their results, in their order.

        Returns
        -------
        Fusion
            Itself.
        """
        return self._settle(results[0], None)

    @property
    def _has_quartiles(self) -> bool:
        return "robust" in (
            self.final,
            *(scaler.kind for scaler in self.scalers_.values() if isinstance(scaler.kind, str)),
        )

    def _settle(self, moments: MomentsResult, quartiles: Vector | None) -> Self:
        known = Known(moments, quartiles)
        scaled = Affine.side_by_side(
            [
                affine(column_kind(scaler), *known.part(cut))
                for scaler, cut in zip(self.scalers_.values(), self._cuts, strict=True)
            ]
        )
        found = weights_of(known.after(scaled), self._cuts, self.balance, self._ratios())
        given = self.weights or {}
        self.weights_ = {name: w * given.get(name, 1.0) for name, w in zip(self.cubes_, found, strict=True)}
        weights = np.repeat(list(self.weights_.values()), np.diff(self._ends))
        weighted = Affine(scaled.center, scaled.scale / weights)
        final = affine(self.final, *known.after(weighted).whole)
        self._affine = weighted.then(final)
        reached = {"": known.after(weighted), "final_": known.after(self._affine)}
        self.balance_ = report(reached, self._cuts, self.weights_)
        return self

    def _ratios(self) -> Vector:
        if isinstance(self.ratio, Mapping):
            return np.array([float(self.ratio.get(name, 1.0)) for name in self.cubes_])
        patterns = [signal.is_pattern for signal in self._signals.values()]
        return np.where(patterns, float(self.ratio), 1.0)

    # --- using --------------------------------------------------------------------------------------------------------

    def transform(self, scan: Scan) -> xr.DataArray:
        """Fuse cubes, lazily and pixel by pixel.

        Parameters
        ----------
        scan : xarray.Dataset or mapping of str to xarray.DataArray
            The cubes that were fitted, or others with the same names and features.

        Returns
        -------
        xarray.DataArray
            Dims (*navigation, feature), float32. Along ``feature`` lie the coordinates ``cube``, its name, and those of
            the signals, NaN where a cube has none. Pixels not valid in one cube are NaN throughout.

        Raises
        ------
        ParameterError
            If a cube is missing, or has other features.
        """
        check_is_fitted(self, "balance_")
        given = cubes_of(scan)
        missing = [name for name in self.cubes_ if name not in given]
        if missing:
            raise ParameterError(f"no cubes {missing}", f"the cubes {list(self.cubes_)}", "name them as in the fit")
        cubes = {name: given[name] for name in self.cubes_}
        check_same_places(cubes)
        for name, cube in cubes.items():
            if n_features(cube) != self._sizes[name]:
                raise ParameterError(
                    f"{n_features(cube)} features in {name!r}",
                    f"{self._sizes[name]}, as were fitted",
                    "select and crop its channels likewise",
                )
        return self._laid(cubes, self._affine)

    def _laid(self, cubes: dict[str, xr.DataArray], after: Affine) -> xr.DataArray:
        works = [before(scaler) for scaler in self.scalers_.values()]
        data = join(cubes, works, np.diff(self._ends).tolist(), after)
        first = next(iter(cubes.values()))
        navigation = navigation_dims(first)
        coords: dict[Any, Any] = {key: c for key, c in first.coords.items() if set(c.dims) <= set(navigation)}
        coords |= feature_coords(len(after.scale), **coords_of(self._signals))
        attrs = {"long_name": "fused features", "cubes": list(cubes), "features": np.diff(self._ends).tolist()}
        if hasattr(self, "weights_"):
            attrs["weights"] = list(self.weights_.values())
        return xr.DataArray(data, coords, (*navigation, "feature"), "features", attrs)

    def split(self, values: xr.DataArray | npt.ArrayLike) -> dict[str, xr.DataArray]:
        """Take values over all features apart again: means, loadings, masks.

        Parameters
        ----------
        values : xarray.DataArray or array_like
            With a dim ``feature``; of an array without names it is the last one.

        Returns
        -------
        dict of str to xarray.DataArray
            For each cube its part, on the signal dims that it had, with their coordinates.

        Raises
        ------
        ParameterError
            If there are not as many features as were fused.
        """
        check_is_fitted(self, "cubes_")
        if not isinstance(values, xr.DataArray):
            array = np.asarray(values)
            values = xr.DataArray(array, dims=(*(f"dim_{at}" for at in range(array.ndim - 1)), "feature"))
        if values.sizes.get("feature") != self._ends[-1]:
            raise ParameterError(
                f"values over {dict(values.sizes)}",
                f"a dim 'feature' of {self._ends[-1]}",
                "give them for all features",
            )
        values = values.transpose(..., "feature")
        values = values.drop_vars([name for name, coord in values.coords.items() if "feature" in coord.dims])
        parts = zip(self.cubes_, self._cuts, strict=True)
        return {name: self._signals[name].fold(values[..., cut]).rename(name) for name, cut in parts}

    # --- options ------------------------------------------------------------------------------------------------------

    @property
    def _cuts(self) -> list[slice]:
        return [slice(start, stop) for start, stop in pairwise(self._ends)]

    def _scaler(self, name: str) -> Scaler:
        """A scaler of one cube."""
        chosen = self.scale.get(name, "none") if isinstance(self.scale, Mapping) else self.scale
        scaler = clone(chosen) if isinstance(chosen, Scaler) else Scaler(chosen)
        scaler.how()  # raises where there is no such kind
        return scaler

    def _check(self, cubes: Mapping[str, xr.DataArray]) -> None:
        if self.balance not in BALANCES:
            raise ParameterError(f"balance={self.balance!r}", "'maximum', 'variance' or None", "choose one of them")
        if self.final not in AFFINE:
            raise ParameterError(
                f"final={self.final!r}", f"one of {', '.join(AFFINE)}", "put a Scaler of your own after the fusion"
            )
        for option in ("scale", "weights", "ratio"):
            given = getattr(self, option)
            unknown = [name for name in given if name not in cubes] if isinstance(given, Mapping) else []
            if unknown:
                raise ParameterError(f"{option} of {unknown}", f"cubes of {list(cubes)}", "name cubes that there are")
        ratios = self.ratio.values() if isinstance(self.ratio, Mapping) else (self.ratio,)
        for number in (*ratios, *(self.weights or {}).values()):
            if not 0 < number < np.inf:
                raise ParameterError(f"a weight or ratio of {number}", "a number above 0", "leave out cubes not wanted")
