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
from refold.reduce.image import Image, ImageResult
from refold.reduce.incremental import Sketch, SketchState, leading_of_sketch
from refold.reduce.leading import Leading, completed
from refold.reduce.scaling import column_factors, noise_floor, refuse_flat, refuse_hopeless
from refold.reduce.scatter import leading_of, scaled_scatter
from refold.reduce.subspace import Subspace, SubspaceSolver, random_block
from refold.reduce.together import Together

Vector = npt.NDArray[np.float64]
Weighting = Literal["poisson"] | None

_ROUNDING = 1e-6  # of a share of the variance
_ILL = 1e3  # condition number of the start, past which only its image is used


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
    image : ImageResult, optional
        First block of the subspace and its image.
    sketch : SketchState, optional
        Rows that stand for all.
    """

    moments: MomentsResult
    image: ImageResult | None = None
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
    if choice.name == "incremental":
        return Together(moments, Sketch(choice.width, features, dtype, weighted=weighted))
    block = random_block(features, choice.width, options.random_state)
    return Together(moments, Image(block.astype(dtype), weighted=weighted))


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
    return First(
        moments,
        image=rest if isinstance(rest, ImageResult) else None,
        sketch=rest if isinstance(rest, SketchState) else None,
    )


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
        if self.first.sketch is not None:
            return self._enough(self._by_sketch(self.first.sketch, most), most), "incremental"
        if choice.name == "subspace":
            return self._enough(self._by_subspace(choice.width, most), most), "subspace"
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

    def _by_sketch(self, sketch: SketchState, most: int) -> Leading:
        center, share = self.options.center, self.options.share
        return leading_of_sketch(sketch, self.factors, self.total, most, share, center=center)

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
            max_sweeps=self.options.max_sweeps - (self.first.image is not None),
            floor=noise_floor(self.dtype),
        )
        subspace, start = Subspace.empty(features), np.zeros((features, 0))
        if self.first.image is not None:
            start = self._start(subspace, self.first.image)
        if not start.size and not subspace.size:
            start = random_block(features, width, self.options.random_state)
        return solver.solve(subspace, start)

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

    def _start(self, subspace: Subspace, image: ImageResult) -> Vector:
        """Use the image of the first sweep, made before the factors of the features were known.

        With C the plain and S C S the scaled scatter matrix, C Q tells the image of S^-1 Q. Where that is too
        ill-conditioned, its image alone is a good start.
        """
        basis, formed = self._unscaled(image)
        triangle = np.linalg.qr(basis, mode="r")
        if np.linalg.cond(triangle) < _ILL:
            subspace.add(basis, formed)
            return np.zeros((len(basis), 0))
        start: Vector = np.linalg.qr(formed)[0]
        return start

    def _sweep(self, block: Vector) -> tuple[Vector, Vector]:
        """Directions as they were rounded, and their image under the scaled scatter matrix: one sweep."""
        basis = block if self.factors is None else block * self.factors[:, None]
        visitor = Image(
            np.ascontiguousarray(basis, dtype=self.dtype),
            weighted=self.options.weighting == "poisson",
            shift=self.first.moments.mean,
        )
        (image,) = sweep(self._source, visitor, label="components")
        return self._unscaled(image)

    def _unscaled(self, image: ImageResult) -> tuple[Vector, Vector]:
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
