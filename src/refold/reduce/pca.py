"""Principal components of scans of any size."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr

from refold.cube import n_features, n_pixels
from refold.engine import current_settings, sweep
from refold.engine.block import row_dtype
from refold.engine.machine import machine_rates
from refold.errors import ParameterError
from refold.planning.solver import SolverChoice, choose_solver, cost_of, incremental_choice
from refold.reduce.leading import check_count, fix_signs
from refold.reduce.principal.solving import Options, Problem, first_of, first_visitor, warn_of_limits
from refold.reduce.projecting import Projecting
from refold.reduce.projection import Projection
from refold.reduce.scaling import SCALINGS, Scaling
from refold.reduce.together import Unfinished

SOLVERS = ("auto", "scatter", "subspace", "incremental")


class PCA(Projecting):
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
    n_empty_ : int
        Valid pixels that Poisson scaling left out, as they have no counts.
    solver_ : str
        The solver that was used.
    n_sweeps_ : int
        Sweeps that `fit` made.
    converged_ : numpy.ndarray
        Shape (component,): whether it stopped moving. Components that lie past the eigengap, among the noise, do not.
    n_promoted_ : int
        Components, the last ones, that `refold.promote_outliers` added.
    outliers_ : numpy.ndarray
        Flat indices of the pixels that showed them.

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

    _arrays: ClassVar = {
        "components": ("component", "feature"),
        "mean": ("feature",),
        "scale": ("feature",),
        **dict.fromkeys(
            ("explained_variance", "explained_variance_ratio", "singular_values", "angles"), ("component",)
        ),
    }
    _facts = (
        *("n_components_", "n_samples_", "n_features_in_", "n_empty_", "n_sweeps_", "solver_", "noise_variance_"),
        *("n_promoted_", "outliers_"),
    )

    def __init__(
        self,
        n_components: float | None = 20,
        *,
        center: bool = True,
        scaling: Scaling = None,
        solver: Literal["auto", "scatter", "subspace", "incremental"] = "auto",
        oversampling: int | None = None,
        tol: float = 1e-2,
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
        options = self._options()
        cube = self._enter(X, reset=True)
        sweeps = 0
        if moments is None:
            (moments,) = sweep(cube, self.first_visitor(cube), label="components")
            sweeps = 1
        self._learn(Problem(first_of(moments, options), options, self._dtype, cube), self.choose(cube), sweeps)
        self._seen = None
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from more pixels, each of them seen once.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            More pixels with the same features.
        y : None
            Not used.

        Returns
        -------
        PCA
            This model, of all pixels given to `partial_fit` so far.

        Notes
        -----
        Exact while features are few, or pixels; see `Sketch` for what is kept else. While fewer pixels were seen than
        components are wanted, there are fewer components.
        """
        options = self._options()
        seen = getattr(self, "_seen", None)
        cube = self._enter(X, reset=seen is None)
        features = n_features(cube)
        most = features if self.n_components is None or options.share is not None else int(self.n_components)
        choice = incremental_choice(features, most, self.oversampling)
        visitor = first_visitor(features, self._dtype, choice, options)
        (state,) = sweep(cube, Unfinished(visitor), label="components")
        self._seen = state if seen is None else visitor.merge(seen, state)
        first = first_of(visitor.finish(copy.deepcopy(self._seen)), options)
        self._learn(Problem(first, options, self._dtype), choice, 1, partial=True)
        self.solver_ = "incremental"
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
        return first_visitor(n_features(cube), row_dtype(cube.dtype), self.choose(cube), self._options())

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
        share = self._options().share is not None
        pixels, features = n_pixels(cube), n_features(cube)
        most = check_count(self.n_components, pixels, features)
        if self.solver != "auto":
            return cost_of(self.solver, pixels, features, most, self.oversampling, share=share)
        budget = current_settings().budget
        memory, in_flight = budget.memory // 2, budget.workers + 1
        return choose_solver(
            pixels,
            features,
            most,
            memory,
            in_flight,
            share=share,
            oversampling=self.oversampling,
            rates=machine_rates(),
        )

    def _options(self) -> Options:
        """What is asked of the solver, checked."""
        for name, allowed in (("scaling", SCALINGS), ("solver", SOLVERS)):
            if getattr(self, name) not in allowed:
                raise ParameterError(
                    f"{name}={getattr(self, name)!r}", f"one of {allowed}", f"choose {name} among these"
                )
        for name, least in (("tol", 0), ("max_sweeps", 1), ("oversampling", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ParameterError(f"{name}={value!r}", f"{least} or more", f"choose a larger {name}")
        count = self.n_components
        share = float(count) if isinstance(count, float | np.floating) else None
        return Options(self.center, self.scaling, share, self.tol, self.max_sweeps, self.random_state)

    def _learn(self, problem: Problem, choice: SolverChoice, sweeps: int, *, partial: bool = False) -> None:
        """Solve, and keep what was found under scikit-learn's names."""
        moments, center = problem.first.moments, self.center
        wanted = self.n_components
        if partial and isinstance(wanted, int | np.integer):
            wanted = min(wanted, moments.count, self.n_features_in_)
        most = check_count(wanted, moments.count, self.n_features_in_)
        leading, self.solver_ = problem.solve(choice, most)
        freedom = max(1, moments.count - 1) if center else moments.count
        self.components_ = np.ascontiguousarray(fix_signs(leading.vectors).T)
        self.singular_values_ = np.sqrt(leading.values)
        self.explained_variance_ = leading.values / freedom
        self.explained_variance_ratio_ = leading.values / problem.total
        self.n_components_ = len(leading.values)
        self.n_samples_, self.n_empty_ = moments.count, moments.n_empty
        directions = min(moments.count, self.n_features_in_) - self.n_components_
        rest = max(0.0, problem.total - float(leading.values.sum())) / freedom
        self.noise_variance_ = rest / directions if directions else 0.0
        self.mean_ = moments.mean.copy() if center else np.zeros(self.n_features_in_)
        self.scale_ = problem.factors
        self.n_sweeps_ = sweeps + leading.n_sweeps
        self.n_promoted_, self.outliers_ = 0, np.empty(0, np.int64)
        self.angles_ = leading.angles
        self.converged_ = leading.angles <= self.tol
        self._projection = Projection(self.components_, self.mean_, self.scale_, self.scaling == "poisson")
        warn_of_limits(leading, problem.options)

    def _take_up(self, dataset: xr.Dataset) -> None:
        self.outliers_ = np.asarray(self.outliers_, np.int64)
        self.converged_ = self.angles_ <= self.tol
        self._seen = None
        self._projection = Projection(self.components_, self.mean_, self.scale_, self.scaling == "poisson")
