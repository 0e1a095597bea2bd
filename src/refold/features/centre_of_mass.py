"""Centre of mass of patterns, and the plane that the descan leaves in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube, navigation_dims
from refold.engine import Block, Where, sweep
from refold.errors import CubeError, DataError
from refold.features.plane import counted, plane_of, units_of
from refold.features.rows import feature_coords, lay
from refold.features.sums import Sums

Floats = npt.NDArray[np.float64]
_ROWS = 32  # patterns that are looked at together


def centre_of_mass(cube: xr.DataArray, *, mask: xr.DataArray | None = None) -> xr.DataArray:
    """Centre of mass of each pattern, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.
    mask : xarray.DataArray of bool, optional
        Signal pixels to leave out, True; to look at the direct beam alone, all that is outside of it.

    Returns
    -------
    xarray.DataArray
        ``(*navigation, feature)``, float32, as lazy as the cube, in signal coordinates: two features, along the first
        and the second signal dim, whose names stand beside ``feature`` as ``along``. NaN for a pattern without counts.

    Raises
    ------
    ParameterError
        If the cube has no patterns, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np, refold
    >>> patterns = np.zeros((1, 2, 3, 3))
    >>> patterns[0, 0, 2, 1] = 5
    >>> centre_of_mass(refold.as_cube(patterns, signal=("ky", "kx"))).values.tolist()
    [[[2.0, 1.0], [nan, nan]]]
    """
    cube = check_cube(cube)
    return _laid(cube, _Centre.of(cube, mask))


class CentreOfMass(BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Centre of mass of each pattern, less the plane that a descan which is not perfect adds to it.

    Parameters
    ----------
    descan : bool
        Whether to fit a plane over the scan and take it off, so that the centres are about 0.
    mask : xarray.DataArray of bool, optional
        As for `centre_of_mass`.

    Attributes
    ----------
    plane_ : xarray.DataArray
        Dims ``(feature, term)``: the plane of each feature as its value where all navigation coordinates are 0
        (``constant``) and its slope along each navigation dim. Zero without ``descan``. A slope that the scan does not
        tell, because it has one position along a dim, is 0.

    Notes
    -----
    Ordinary least squares over all patterns with counts, whose sums one sweep forms.

    Examples
    --------
    >>> import numpy as np, refold
    >>> patterns = np.zeros((4, 6, 9, 9))
    >>> for y in range(4):
    ...     for x in range(6):
    ...         patterns[y, x, y + 2, x + 1] = 10  # a beam that drifts with the scan
    >>> cube = refold.as_cube(patterns, signal=("ky", "kx"))
    >>> model = CentreOfMass().fit(cube)
    >>> model.plane_.sel(term="x").values.round(6), float(abs(model.transform(cube)).max().round(6))
    (array([0., 1.]), 0.0)
    """

    plane_: xr.DataArray

    def __init__(self, descan: bool = True, *, mask: xr.DataArray | None = None) -> None:
        self.descan = descan
        self.mask = mask

    def visitors(self, cube: xr.DataArray) -> tuple[Any, ...]:
        """What must see the cube, in one sweep: nothing without ``descan``.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted.

        Returns
        -------
        tuple of Visitor
            None or one.
        """
        cube = check_cube(cube)
        return (_PlaneSums(_Centre.of(cube, self.mask), _positions(cube)),) if self.descan else ()

    def settle(self, cube: xr.DataArray, results: tuple[Any, ...]) -> Self:
        """Fit the plane, once the visitors have seen the cube.

        Parameters
        ----------
        cube : xarray.DataArray
            The cube.
        results : tuple
            Of the visitors.

        Returns
        -------
        CentreOfMass
            Itself.

        Raises
        ------
        DataError
            If no pattern has counts.
        """
        cube = check_cube(cube)
        positions = _positions(cube)
        terms = ["constant", *positions]
        plane = np.zeros((2, len(terms)))
        if results:
            square, product = results[0]
            if not square[0, 0] > 0:
                raise DataError("no pattern with counts", "at least one", "look at the mask and at the mean pattern")
            plane = _unscaled(np.linalg.lstsq(square, product, rcond=1e-12)[0], positions)
            plane[:, 0] += _Centre.of(cube, self.mask).middle
        coords = {**feature_coords(2, along=np.array(plane_of(cube))), "term": terms}
        self.plane_ = xr.DataArray(plane, coords, ("feature", "term"))
        return self

    def fit(self, cube: xr.DataArray, y: object = None) -> Self:
        """Fit the plane, in one sweep; without ``descan`` nothing is read.

        Parameters
        ----------
        cube : xarray.DataArray
            A cube of patterns, lazy or not.
        y : None
            Ignored.

        Returns
        -------
        CentreOfMass
            Itself.

        Raises
        ------
        DataError
            If no pattern has counts.
        """
        cube = check_cube(cube)
        visitors = self.visitors(cube)
        return self.settle(cube, sweep(cube, *visitors, label="features") if visitors else ())

    def transform(self, cube: xr.DataArray) -> xr.DataArray:
        """Centres of mass, less the plane.

        Parameters
        ----------
        cube : xarray.DataArray
            A cube of patterns over the same navigation dims, at any positions.

        Returns
        -------
        xarray.DataArray
            As of `centre_of_mass`.

        Raises
        ------
        CubeError
            If the navigation dims are others.
        """
        check_is_fitted(self, "plane_")
        cube = check_cube(cube)
        centres = _laid(cube, _Centre.of(cube, self.mask))
        if not self.descan:
            return centres
        positions, terms = _positions(cube), [str(term) for term in self.plane_["term"].values[1:]]
        if list(positions) != terms:
            raise CubeError(f"navigation dims {tuple(positions)}", f"{tuple(terms)}, as was fitted", "use such a cube")
        plane = xr.DataArray(self.plane_.values[:, 0], dims="feature")
        for at, dim in enumerate(terms, start=1):
            slope = xr.DataArray(self.plane_.values[:, at], dims="feature")
            plane = plane + xr.DataArray(positions[dim].values, dims=dim) * slope
        flat = (centres - plane.transpose(*terms, "feature")).astype(np.float32)
        return flat.assign_attrs(centres.attrs)


def _laid(cube: xr.DataArray, centre: _Centre) -> xr.DataArray:
    dims = plane_of(cube)
    attrs = {**units_of(cube), "long_name": "centre of mass"}
    return lay(cube, centre, feature_coords(2, along=np.array(dims)), {"feature": 2}, attrs=attrs)


@dataclass(frozen=True)
class _Centre:
    """Centre of mass of some rows."""

    sums: Sums
    middle: Floats  # of the signal coordinates: sums of what is about it keep more figures

    @classmethod
    def of(cls, cube: xr.DataArray, mask: xr.DataArray | None) -> _Centre:
        y, x = (cube[dim].values.astype(np.float64) for dim in plane_of(cube))
        middle = np.array([y.mean(), x.mean()])
        used = np.flatnonzero(counted(cube, mask))
        at = np.unravel_index(used, (len(y), len(x)))
        weights = np.stack([np.ones(len(used)), y[at[0]] - middle[0], x[at[1]] - middle[1]])
        return cls(Sums.weighted(weights, used), middle)

    def about_middle(self, rows: npt.NDArray[Any]) -> Floats:
        """Centres less the middle, of shape (row, 2)."""
        with np.errstate(invalid="ignore", over="ignore"):
            total, *moments = self.sums(rows).T
            centres = np.stack(moments, axis=1)
            nothing, some = np.full_like(centres, np.nan), total[:, None] > 0
            return np.asarray(np.divide(centres, total[:, None], out=nothing, where=some))

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        return self.about_middle(rows) + self.middle


@dataclass(frozen=True)
class _Positions:
    """Positions along a navigation dim, and how they are brought to about -1 to 1."""

    values: Floats
    middle: float
    half: float

    @property
    def scaled(self) -> Floats:
        return (self.values - self.middle) / self.half


def _positions(cube: xr.DataArray) -> dict[str, _Positions]:
    """Of each navigation dim; where there are no numbers, counted from 0."""
    found = {}
    for dim in navigation_dims(cube):
        values = cube[dim].values
        values = (values if values.dtype.kind in "iuf" else np.arange(len(values))).astype(np.float64)
        low, high = float(values.min()), float(values.max())
        found[dim] = _Positions(values, (low + high) / 2, (high - low) / 2 or 1.0)
    return found


def _unscaled(solution: Floats, positions: dict[str, _Positions]) -> Floats:
    """The plane in terms of the positions themselves, of shape (feature, term)."""
    middle = np.array([place.middle for place in positions.values()])
    slopes = solution[1:] / np.array([place.half for place in positions.values()])[:, None]
    return np.concatenate([solution[:1] - middle @ slopes, slopes]).T


class _PlaneSums:
    """Visitor: sums of squares and products for a plane by least squares."""

    def __init__(self, centre: _Centre, positions: dict[str, _Positions]) -> None:
        self.centre = centre
        self.scaled = [place.scaled for place in positions.values()]

    @property
    def nbytes(self) -> int:
        terms = 1 + len(self.scaled)
        return 8 * terms * (terms + 2)

    def start(self) -> tuple[Floats, Floats]:
        terms = 1 + len(self.scaled)
        return np.zeros((terms, terms)), np.zeros((terms, 2))

    def visit(self, state: tuple[Floats, Floats], block: Block, where: Where) -> None:
        parts = [values[part] for values, part in zip(self.scaled, where.slices, strict=True)]
        grids = np.meshgrid(*parts, indexing="ij")
        terms = np.stack([np.ones(block.n_pixels), *(grid.ravel() for grid in grids)], axis=1)
        for start in range(0, block.n_pixels, _ROWS):
            rows = block.data.reshape(block.n_pixels, -1)[start : start + _ROWS]
            centres, some = self.centre.about_middle(rows), terms[start : start + _ROWS]
            valid = np.isfinite(centres).all(axis=1)
            state[0][...] += some[valid].T @ some[valid]
            state[1][...] += some[valid].T @ centres[valid]

    def merge(self, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return one[0] + other[0], one[1] + other[1]

    def finish(self, state: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        return state
