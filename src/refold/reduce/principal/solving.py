"""From sums over a scan to its leading components, whichever solver."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from threadpoolctl import threadpool_limits

from refold.engine import Moments, MomentsResult, sweep
from refold.errors import ParameterError
from refold.planning.solver import SolverChoice
from refold.reduce.leading import Leading, completed
from refold.reduce.principal.image import Image
from refold.reduce.principal.incremental import Sketch, SketchState, leading_of_sketch
from refold.reduce.principal.scatter import leading_of, scaled_scatter
from refold.reduce.principal.subspace import SubspaceSolver, random_block
from refold.reduce.scaling import column_factors, noise_floor, refuse_flat, refuse_hopeless
from refold.reduce.together import Together

Vector = npt.NDArray[np.float64]
Weighting = Literal["poisson"] | None

_ROUNDING = 1e-6  # of a share of the variance
_FAR = 1e4  # squared distance of the mean from zero, in total variances, past which rows are centred before products
_FRESH = 4  # random columns of the start, for what the first sweep may have missed


@dataclass(frozen=True)
class Options:
    """What is asked of a solver.

    Parameters
    ----------
    center : bool
        Whether about the mean.
    scaling : {None, "standard", "poisson"}
        Weights of rows and columns.
    share : float or None
        Share of the variance to be explained.
    tol : float
        Sine of the angle below which a component counts as found.
    max_sweeps : int
        Sweeps after which to stop.
    random_state : object
        Where the subspace starts.
    """

    center: bool
    scaling: Literal["standard", "poisson"] | None
    share: float | None
    tol: float
    max_sweeps: int
    random_state: Any

    @property
    def weighting(self) -> Weighting:
        """How rows are weighted."""
        return "poisson" if self.scaling == "poisson" else None


@dataclass(frozen=True)
class First:
    """What the first sweep found.

    Parameters
    ----------
    moments : MomentsResult
        With the scatter matrix, if the solver wants it.
    sketch : SketchState, optional
        Rows that stand for all.
    """

    moments: MomentsResult
    sketch: SketchState | None = None


def first_visitor(features: int, dtype: np.dtype[Any], choice: SolverChoice, options: Options) -> Any:
    """Visitor of the first sweep; `first_of` reads its result.

    Parameters
    ----------
    features : int
        Features of the scan.
    dtype : numpy.dtype
        Of its rows.
    choice : SolverChoice
        The solver.
    options : Options
        What is asked of it.

    Returns
    -------
    Visitor
        Sums that the solver starts from.
    """
    weighting, scatter = options.weighting, choice.name == "scatter"
    moments = Moments(scatter=scatter, weighting=weighting, n_features=features)
    if scatter:
        return moments
    weighted = weighting == "poisson"
    coarse = choice.name == "subspace"
    return Together(moments, Sketch(choice.width, features, dtype, weighted=weighted, coarse=coarse))


def first_of(result: Any, options: Options) -> First:
    """Read what a first sweep gave, made here or elsewhere.

    Parameters
    ----------
    result : MomentsResult, or result of `first_visitor`
        Given to `fit`.
    options : Options
        What is asked.

    Returns
    -------
    First
        Its parts.

    Raises
    ------
    ParameterError
        If it is something else, or rows were weighted otherwise.
    """
    parts = result if isinstance(result, tuple) else (result,)
    if not parts or not isinstance(parts[0], MomentsResult):
        raise ParameterError(
            f"moments of type {type(result).__name__}",
            "what a sweep with Moments gave",
            "leave moments out, or sweep first",
        )
    moments = parts[0]
    if moments.weighting != options.weighting:
        raise ParameterError(
            f"moments with weighting={moments.weighting!r}",
            f"weighting={options.weighting!r}, for scaling={options.scaling!r}",
            "sweep with the visitor that first_visitor gives",
        )
    rest = parts[1] if len(parts) > 1 else None
    return First(moments, sketch=rest if isinstance(rest, SketchState) else None)


@dataclass
class Problem:
    """Components of a scan whose moments are known.

    Parameters
    ----------
    first : First
        Result of the first sweep.
    options : Options
        What is asked.
    dtype : numpy.dtype
        Of the rows.
    cube : xarray.DataArray, optional
        For more sweeps.
    """

    first: First
    options: Options
    dtype: np.dtype[Any]
    cube: xr.DataArray | None = None

    def __post_init__(self) -> None:
        moments, center = self.first.moments, self.options.center
        refuse_hopeless(moments)
        self.factors = column_factors(moments, self.options.scaling, self.dtype)
        refuse_flat(moments, self.factors, self.dtype, center=center)
        squares = moments.variance if center else moments.variance + moments.mean**2
        self.total = moments.count * float(np.sum(squares if self.factors is None else squares * self.factors**2))

    def solve(self, choice: SolverChoice, most: int) -> tuple[Leading, str]:
        """Find the leading components.

        Parameters
        ----------
        choice : SolverChoice
            Solver to use, if the first sweep does not answer all.
        most : int
            Components wanted; with a share, allowed.

        Returns
        -------
        Leading, str
            Components, and the solver that found them.
        """
        if self.first.moments.scatter is not None:
            return self._by_scatter(most), "scatter"
        if choice.name == "subspace":
            return self._enough(self._by_subspace(choice.width, most), most), "subspace"
        if self.first.sketch is not None:
            leading = self._by_sketch(self.first.sketch, most, self.options.share)
            return self._enough(leading, most), "incremental"
        # Moments alone were given: one more sweep for what this solver starts from.
        visitor = first_visitor(len(self.first.moments.mean), self.dtype, choice, self.options)
        self.first = first_of(sweep(self._source, visitor, label="components")[0], self.options)
        leading, name = self.solve(choice, most)
        return leading.after(1), name

    @property
    def _source(self) -> xr.DataArray:
        if self.cube is None:
            raise AssertionError("no cube to sweep over")  # only partial_fit has none, and it never asks
        return self.cube

    def _by_scatter(self, most: int) -> Leading:
        scatter = scaled_scatter(self.first.moments, self.factors, center=self.options.center)
        return leading_of(scatter, most, self.options.share)

    def _by_sketch(self, sketch: SketchState, most: int, share: float | None) -> Leading:
        return leading_of_sketch(sketch, self.factors, self.total, most, share, center=self.options.center)

    # One thread between the sweeps: the matrices are thin, and threads of BLAS that wait for each other were seen to
    # take eight times as long where another process was busy. Sweeps set a limit of their own.
    @threadpool_limits.wrap(limits=1, user_api="blas")  # type: ignore[untyped-decorator]  # ships no types
    def _by_subspace(self, width: int, most: int) -> Leading:
        features = len(self.first.moments.mean)
        solver = SubspaceSolver(
            operator=self._sweep,
            features=features,
            total=self.total,
            most=most,
            share=self.options.share,
            width=width,
            tol=self.options.tol,
            max_sweeps=max(1, self.options.max_sweeps - 1),
            floor=noise_floor(self.dtype),
        )
        return solver.solve(self._start(features, width))

    def _start(self, features: int, width: int) -> Vector:
        """What the first sweep took for the leading directions, and some at random."""
        sketch, drawn = self.first.sketch, self.options.random_state
        if sketch is None:
            return random_block(features, width, drawn)
        leading = self._by_sketch(sketch, max(1, width - _FRESH), None).vectors
        return np.hstack([leading, random_block(features, min(_FRESH, features), drawn)])

    def _enough(self, leading: Leading, most: int) -> Leading:
        """As many components as asked for, or those that explain the share asked for."""
        share = self.options.share
        if share is None:
            return completed(leading, most)
        explained = float(leading.values.sum()) / self.total
        if explained < share - _ROUNDING:
            raise ParameterError(
                f"{explained:.4g} of the variance explained by {len(leading.values)} components",
                f"n_components={share:.4g}",
                "ask for a number of components, for solver='scatter', or for more max_sweeps or oversampling",
            )
        return leading

    def _sweep(self, block: Vector) -> tuple[Vector, Vector]:
        """Directions as they were rounded, and their image under the scaled scatter matrix: one sweep."""
        basis, moments = block if self.factors is None else block * self.factors[:, None], self.first.moments
        visitor = Image(
            np.ascontiguousarray(basis, dtype=self.dtype),
            moments.mean,
            weighted=self.options.weighting == "poisson",
            far=bool(moments.mean @ moments.mean > _FAR * moments.variance.sum()),
        )
        (image,) = sweep(self._source, visitor, label="components")
        basis, formed = image.basis.astype(np.float64), image.image
        if not self.options.center:
            formed = formed + np.outer(image.mean, image.count * (image.mean @ basis))
        if self.factors is None:
            return basis, formed
        filled = self.factors > 0
        inverse = np.where(filled, 1 / np.where(filled, self.factors, 1), 0)
        return basis * inverse[:, None], formed * self.factors[:, None]


def warn_of_limits(leading: Leading, options: Options) -> None:
    """Say which components still moved when the solver stopped.

    Parameters
    ----------
    leading : Leading
        What was found.
    options : Options
        What was asked.

    Warns
    -----
    ConvergenceWarning
        If some angle exceeds the tolerance.
    """
    loose = np.flatnonzero(leading.angles > options.tol)
    if loose.size:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(
            f"{loose.size} of {len(leading.angles)} components, from number {loose[0] + 1} on, still turn by up to "
            f"{leading.angles.max():.1g} (sine) after {leading.n_sweeps} sweeps: they lie past the eigengap, among "
            f"the noise. Ask for {loose[0]} components, for more sweeps, or for solver='scatter'",
            ConvergenceWarning,
            stacklevel=4,
        )
