"""Blind source separation: from factors or loadings to the matrix that parts their sources."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from threadpoolctl import threadpool_limits

from refold.errors import DataError, ParameterError
from refold.reduce.exact_product import ExactProduct
from refold.reduce.leading import fix_signs
from refold.reduce.oblique import Oblique
from refold.reduce.projection import Projection, only_scores
from refold.reduce.sources.orthomax import orthomax
from refold.reduce.sources.sheets import Sheet
from refold.reduce.sources.whitening import WHITENINGS, Whitening, whiten
from refold.reduce.treating import Treatment, Way

Matrix = npt.NDArray[np.float64]
_CHOICES = {"algorithm": ("fastica", "orthomax"), "whiten": WHITENINGS, "fun": ("logcosh", "exp", "cube")}
_TOL = {"fastica": 1e-10, "orthomax": 1e-7}


@dataclass(frozen=True)
class Separation:
    """How sources are sought.

    Parameters
    ----------
    algorithm : {"fastica", "orthomax"}
        What makes them independent, or simple.
    diff_order : int
        Of the derivative that they are sought on.
    whiten : {"pca", "zca", None}
        How it is whitened before.
    fun : str
        Contrast function of FastICA.
    gamma : float
        Of Orthomax.
    tol : float or None
        Where to stop; None for the usual.
    max_iter : int
        Steps at most.
    random_state : object
        Start of FastICA.
    """

    algorithm: Literal["fastica", "orthomax"]
    diff_order: int
    whiten: Whitening
    fun: Literal["logcosh", "exp", "cube"]
    gamma: float
    tol: float | None
    max_iter: int
    random_state: Any

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        for name in ("diff_order", "max_iter"):
            if not isinstance(getattr(self, name), int | np.integer):
                raise ParameterError(f"{name}={getattr(self, name)!r}", "a whole number", "round it")
        seed = self.random_state
        if not isinstance(seed, int | np.integer | np.random.RandomState | None) or (
            isinstance(seed, int | np.integer) and seed < 0
        ):
            raise ParameterError(f"random_state={seed!r}", "a whole number of 0 or more", "choose one, as 0")
        for name, least in (("diff_order", 0), ("max_iter", 1), ("tol", 0), ("gamma", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ParameterError(f"{name}={value!r}", f"{least} or more", f"choose a larger {name}")
        if self.gamma > 1:
            raise ParameterError(f"gamma={self.gamma!r}", "from 0 to 1", "choose 1 for varimax, 0 for quartimax")

    # One thread: the matrices are small, and the bytes then do not depend on how many there are.
    @threadpool_limits.wrap(limits=1, user_api="blas")  # type: ignore[untyped-decorator]  # ships no types
    def unmix(self, sheets: Sequence[Sheet], axes: Sequence[int]) -> tuple[Matrix, int, bool]:
        """Find the unmixing matrix.

        Parameters
        ----------
        sheets : sequence of Sheet
            What to separate.
        axes : sequence of int
            Axes of their grid along which to differentiate.

        Returns
        -------
        unmixing : numpy.ndarray
            Shape (source, component): sources are its product with the components.
        n_iter : int
            Steps taken.
        converged : bool
            Whether they sufficed.

        Raises
        ------
        DataError
            If too little is left once masked and differentiated.
        """
        parts = [part for sheet in sheets for part in sheet.differentiated(self.diff_order, axes)]
        rows = np.concatenate(parts, dtype=np.float64)
        count = rows.shape[1]
        if len(rows) < count:
            raise DataError(
                f"{len(rows)} positions to separate {count} components by, once differentiated and masked",
                f"{count} or more",
                "ask for fewer components, or mask less",
            )
        whitened, whitening = whiten(rows, self.whiten)
        tol = _TOL[self.algorithm] if self.tol is None else self.tol
        if count == 1:
            return whitening, 0, True
        find = self._fastica if self.algorithm == "fastica" else self._orthomax
        turning, n_iter, converged = find(whitened, tol)
        if not converged:
            self._warn(n_iter, tol)
        return turning @ whitening, n_iter, converged

    def _fastica(self, rows: Matrix, tol: float) -> tuple[Matrix, int, bool]:
        from sklearn.decomposition import FastICA  # costs more to import than this package
        from sklearn.exceptions import ConvergenceWarning

        model = FastICA(whiten=False, fun=self.fun, tol=tol, max_iter=self.max_iter, random_state=self.random_state)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model.fit(rows)
        late = any(issubclass(warning.category, ConvergenceWarning) for warning in told)
        return model.components_, model.n_iter_, not late

    def _orthomax(self, rows: Matrix, tol: float) -> tuple[Matrix, int, bool]:
        return orthomax(rows, self.gamma, tol, self.max_iter)

    def _warn(self, n_iter: int, tol: float) -> None:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(
            f"{self.algorithm} still moved after {n_iter} steps, so the sources are not settled. Ask for fewer "
            f"components, for more steps (max_iter), for a larger tol than {tol:.1g}, or try another random_state",
            ConvergenceWarning,
            stacklevel=6,
        )


@dataclass(frozen=True)
class Start:
    """What sources are sought in: the components of a fitted model.

    Parameters
    ----------
    base : Projecting
        The model.
    inner : object
        Its projection, on as many components as there are sources.
    factors : numpy.ndarray
        Shape (component, feature): in the units of the data; NaN on channels that were left out.
    signal : xarray.DataArray
        Has the dims and coordinates of the features.
    way : Way
        From pixels to loadings.
    """

    base: Any
    inner: Any
    factors: Matrix
    signal: xr.DataArray
    way: Way

    @classmethod
    def of(cls, base: Any, wanted: int | None) -> Start:
        """The first components of a model, or all of them."""
        count = count_of(base, wanted)
        inner = truncated(base, count)
        return cls(base, inner, spectra_of(inner, base, count), base._signal, Way(Treatment(), inner))


@dataclass(frozen=True)
class Unmixed:
    """Projection on sources: that of a decomposition, and a change of basis.

    Parameters
    ----------
    inner : object
        Projection of the decomposition, with as many components as there are sources.
    into : numpy.ndarray
        Shape (component, source): scores of the sources are those of the components times this.
    """

    inner: Any
    into: Matrix

    @cached_property
    def _products(self) -> tuple[ExactProduct, ExactProduct]:
        return ExactProduct(self.into), ExactProduct(np.linalg.inv(self.into))

    def forward_valid(
        self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Scores, and what the sources leave of each row; NaN where a row is not valid."""
        scores, residual = self.inner.forward_valid(rows, valid)
        mixed = np.full(scores.shape, np.nan, scores.dtype)
        mixed[valid] = self._products[0](scores[valid])[0]
        return mixed, residual

    @property
    def divided(self) -> bool:
        """Whether scores stand for rows that were divided by the root of their sum."""
        return isinstance(self.inner, Projection) and self.inner.weighted

    def plain(self) -> Unmixed:
        """The same for rows that were divided already."""
        return replace(self, inner=replace(self.inner, weighted=False)) if self.divided else self

    def backward(self, scores: npt.NDArray[Any], kept: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
        """Rows that these scores stand for, or some of them."""
        if kept is None:
            return self._rows(scores)
        rows = self.plain()._rows(only_scores(scores, kept))
        if self.divided:  # only all sources together say by what
            sums = np.add.reduce(self._rows(scores), axis=1, dtype=np.float64)
            rows *= np.sqrt(np.maximum(sums, 0))[:, None].astype(rows.dtype)
        return rows

    def _rows(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        rows: npt.NDArray[Any] = self.inner.backward(self._products[1](scores)[0].astype(scores.dtype, copy=False))
        return rows


def changes(unmixing: Matrix, *, on_factors: bool) -> tuple[Matrix, Matrix]:
    """What takes scores of components to those of sources, and what takes factors to theirs.

    Examples
    --------
    >>> [part.tolist() for part in changes(np.array([[2.0, 0], [0, 1]]), on_factors=True)]
    [[[0.5, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 1.0]]]
    """
    inverse = np.linalg.inv(unmixing).astype(np.float64, copy=False)
    return (inverse, unmixing) if on_factors else (unmixing.T, inverse.T)


def ordered(unmixing: Matrix, factors: Matrix, variance: Matrix, *, on_factors: bool) -> tuple[Matrix, Matrix]:
    """Sources by energy, each with its largest value positive.

    Parameters
    ----------
    unmixing : numpy.ndarray
        Shape (source, component).
    factors : numpy.ndarray
        Shape (component, feature).
    variance : numpy.ndarray
        Shape (component,): of the scores, which are not correlated.
    on_factors : bool
        What it unmixes: factors or loadings.

    Returns
    -------
    unmixing : numpy.ndarray
        The same rows, ordered and turned.
    shares : numpy.ndarray
        Shape (source,): of the energy, falling; they add up to 1.
    """
    into, back = changes(unmixing, on_factors=on_factors)
    energy = np.einsum("ji,j,ji->i", into, variance, into) * (back**2).sum(axis=1)
    sources = np.nan_to_num(back @ factors).T
    turned = np.where(np.sum(fix_signs(sources) * sources, axis=0) < 0, -1.0, 1.0)
    order = np.argsort(-energy, kind="stable")
    return (unmixing * turned[:, None])[order], energy[order] / energy.sum()


def count_of(base: Any, wanted: int | None) -> int:
    """Number of sources, checked against the components of a fitted model.

    Raises
    ------
    ParameterError
        If it has fewer, or they are correlated.
    """
    if not isinstance(base._projection, Projection | Oblique):
        raise ParameterError(
            f"a decomposition by {type(base).__name__}",
            "PCA or MNF, whose scores are not correlated",
            "start from one of these",
        )
    have = base.n_components_
    count = have if wanted is None else wanted
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= have:
        raise ParameterError(
            f"n_components={wanted} of a decomposition with {have}", f"1 to {have}", "decompose into more"
        )
    return int(count)


def truncated(base: Any, count: int) -> Any:
    """Projection of a fitted model on its first components."""
    projection = base._projection
    if count == base.n_components_:
        return projection
    return projection.only(tuple(range(count)))


def spectra_of(projection: Any, base: Any, count: int) -> Matrix:
    """Components in the units of the data."""
    if not isinstance(projection, Projection):
        return np.asarray(base.components_[:count], dtype=np.float64)
    if projection.factors is None:
        return projection.components
    known = projection.factors > 0
    return np.where(known, projection.components / np.where(known, projection.factors, 1.0), 0.0)


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise unless an option has one of its values.

    Raises
    ------
    ParameterError
        If it has another.
    """
    if value not in allowed:
        raise ParameterError(f"{name}={value!r}", f"one of {tuple(allowed)}", f"choose {name} among these")
