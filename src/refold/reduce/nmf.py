"""Nonnegative matrix factorisation of scans of any size."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import n_features, n_pixels
from refold.engine import Moments, Sample, current_settings, plan_grid, sweep
from refold.engine.block import Block, Where
from refold.engine.keeping import Kept
from refold.reduce.nonnegative.alternating import Alternated, alternate
from refold.reduce.nonnegative.starting import (
    Negatives,
    channel_factors,
    check_options,
    first_factors,
    given_factors,
    refuse_negative,
    sample_rows,
)
from refold.reduce.nonnegative.unmixing import Sums, Unmix, Unmixing
from refold.reduce.projecting import Projecting
from refold.reduce.scaling import refuse_hopeless, row_factors
from refold.reduce.together import Together

Vector = npt.NDArray[np.float64]

_PATIENT = 500  # looks at the sample, which is in memory


class NMF(Projecting):
    """Nonnegative matrix factorisation, by sweeps: pixels are sums of nonnegative factors.

    One sweep draws a sample, which is factorised in memory. Then each sweep solves for the nonnegative loadings of all
    pixels, and better factors follow from its sums. With a good sample there are but a few.

    Parameters
    ----------
    n_components : int
        How many.
    init : {"nndsvda", "random"} or array_like of shape (component, feature)
        Where the factorisation of the sample starts: from its singular vectors (Boutsidis and Gallopoulos 2008), from
        random numbers, or from given spectra.
    scaling : {None, "poisson"}
        Weights in the error: none; or those that make Poisson noise uniform (Keenan and Kotula 2004), inverse roots of
        row sums and of column means. Components and loadings are in the units of the data either way.
    negative : {"raise", "clip"}
        What to do with negative values: refuse them, or let them count as 0, as where noise is left over after a
        background was subtracted.
    tol : float
        Relative fall of the error in one sweep below which to stop.
    max_iter : int
        Sweeps after the first at most.
    sample_size : int, optional
        Pixels of the sample; by default 64 MB of them, or a 64th of the memory allowed.
    random_state : int, numpy.random.Generator or None
        Decides what is drawn, and where random factors start.

    Attributes
    ----------
    components_ : numpy.ndarray
        Shape (component, feature): nonnegative, each of sum 1. A score is then the signal (the counts) that a pixel has
        of a component. The one with the most signal comes first.
    signal_ratio_ : numpy.ndarray
        Shape (component,): share of the whole signal.
    explained_variance_, explained_variance_ratio_ : numpy.ndarray
        Shape (component,): what all explain together, scaled as for the fit, shared out by the variance that each has
        alone. Components are not orthogonal, so that none has a share of its own.
    score_deviations_ : numpy.ndarray
        Shape (component,): root mean square of the scores.
    reconstruction_error_ : float
        Length (Frobenius norm) of the data less their reconstruction, scaled as for the fit.
    errors_ : numpy.ndarray
        Shape (sweep,): that length in each sweep after the first; an extrapolation that went too far shows as a rise.
    n_components_, n_samples_, n_features_in_ : int
        Components, valid pixels, features.
    n_iter_, n_sweeps_ : int
        Sweeps after the first, and sweeps in all.
    n_negative_ : int
        Negative values that counted as 0.
    converged_ : bool
        Whether the error fell by less than `tol` in the end.
    scale_ : numpy.ndarray or None
        Shape (feature,): factor of each feature in the error.

    Notes
    -----
    Loadings are the exact solution of nonnegative least squares, so `transform` gives those of the fit, and is bitwise
    the same however pixels are grouped. As much of the scan as half of the memory holds is kept from one sweep to the
    next. The factors found are a local optimum, as with any method: other starts may give others.

    References
    ----------
    Kim and Park (2011), SIAM J. Sci. Comput. 33, 3261. Ang and Gillis (2019), Neural Comput. 31, 417. Keenan and Kotula
    (2004), Surf. Interface Anal. 36, 203.

    Examples
    --------
    >>> import refold
    >>> phantom = refold.synthetic.eds((16, 16), channels=128, phases=2, counts=1000)
    >>> model = NMF(3).fit(phantom.cube)
    >>> model.components_.shape, bool((model.components_ >= 0).all())
    ((3, 128), True)
    >>> model.transform(phantom.cube).dims
    ('y', 'x', 'component')
    """

    _arrays: ClassVar = {
        "components": ("component", "feature"),
        "scale": ("feature",),
        "errors": ("sweep",),
        **dict.fromkeys(
            ("explained_variance", "explained_variance_ratio", "signal_ratio", "score_deviations"), ("component",)
        ),
    }
    _facts = (
        *("n_components_", "n_samples_", "n_features_in_", "n_iter_", "n_sweeps_", "n_negative_", "converged_"),
        "reconstruction_error_",
    )

    def __init__(
        self,
        n_components: int = 5,
        *,
        init: Any = "nndsvda",
        scaling: Literal["poisson"] | None = None,
        negative: Literal["raise", "clip"] = "raise",
        tol: float = 1e-4,
        max_iter: int = 200,
        sample_size: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.scaling = scaling
        self.negative = negative
        self.tol = tol
        self.max_iter = max_iter
        self.sample_size = sample_size
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, moments: Any = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table.
        y : None
            Not used.
        moments : result of `first_visitor`, optional
            From a sweep made before, so that the cube need not be read for it again.

        Returns
        -------
        NMF
            This model.

        Raises
        ------
        ParameterError
            If an option has a value that it cannot have.
        DataError
            If no pixel is valid, nothing is positive, or something is negative and may not be.

        Warns
        -----
        ConvergenceWarning
            If the error still falls after `max_iter` sweeps.
        """
        check_options(self)
        cube = self._enter(X, reset=True)
        first = self.first_visitor(cube)
        kept = self._keep(cube, first)
        sweeps = 0
        if moments is None:
            (moments,) = sweep(cube, first, kept=kept, label="sample")
            sweeps = 1
        sums, sample, negatives = moments
        refuse_hopeless(sums)
        self.n_negative_ = negatives[0]
        if self.negative == "raise":
            refuse_negative(negatives[0], sums.count * n_features(cube))
        self.scale_ = channel_factors(sums.mean - negatives[1] / sums.count, self.scaling)
        found = self._search(cube, kept, sample.rows)
        self.n_samples_, self.n_sweeps_ = sums.count, sweeps + len(found.errors)
        self._learn(found, sums.mean - negatives[1] / sums.count, sums.variance)
        return self

    def first_visitor(self, cube: xr.DataArray) -> Any:
        """Visitor for a sweep over the cube, whose result `fit` takes as `moments`.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted, lazily: its shape is looked at.

        Returns
        -------
        Visitor
            Means, a sample of pixels, and what is negative.
        """
        features = n_features(cube)
        size = self.sample_size or sample_rows(features, self.n_components, current_settings())
        sample = Sample(min(size, n_pixels(cube)), self._seed(), n_features=features)
        return Together(Moments(n_features=features), sample, Negatives(features))

    def _seed(self) -> int:
        from sklearn.utils import check_random_state

        if self.random_state is None or isinstance(self.random_state, int | np.integer):
            state = self.random_state
            return int(np.random.default_rng().integers(2**31)) if state is None else int(state)
        if isinstance(self.random_state, np.random.Generator):
            return int(self.random_state.integers(2**31))
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _keep(self, cube: xr.DataArray, first: Any) -> Kept:
        """What sweeps read from: blocks are kept in half of the memory, unless partitions run elsewhere."""
        setup = current_settings()
        memory = setup.budget.memory
        share = memory // 2 if setup.client is None else 0
        room = Together(first, Unmix(np.empty((self.n_components, n_features(cube))), None))
        grid = plan_grid(cube, room, memory=memory - share, workers=setup.workers, client=setup.client)
        return Kept(cube, grid, share)

    def _search(self, cube: xr.DataArray, kept: Kept, sample: npt.NDArray[Any]) -> Alternated:
        """Factors in the scaled space: of the sample, then of all pixels."""
        options: dict[str, Any] = {"weighted": self.scaling == "poisson", "clipped": self.negative == "clip"}
        told = Block(sample, 1), Where((slice(0, len(sample)),), (len(sample),))

        def in_memory(factors: Vector) -> Sums:
            visitor = Unmix(factors, self.scale_, **options)
            state = visitor.start()
            visitor.visit(state, *told)
            return visitor.finish(state)

        def everywhere(factors: Vector) -> Sums:
            visitor = Unmix(factors, self.scale_, **options)
            found: Sums = sweep(cube, visitor, kept=kept, label="factors")[0]
            return found

        start = alternate(in_memory, self._start(sample), tol=self.tol / 10, max_iter=_PATIENT).factors
        found = alternate(everywhere, start, tol=self.tol, max_iter=self.max_iter)
        if not found.converged:
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn(
                f"the error of NMF still fell after {self.max_iter} sweeps: allow more max_iter, or a larger tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        return found

    def _start(self, sample: npt.NDArray[Any]) -> Vector:
        """Where to start, in the scaled space."""
        if not isinstance(self.init, str):
            given = given_factors(self.init, (self.n_components, self.n_features_in_))
            return given if self.scale_ is None else given * self.scale_
        rows = np.maximum(sample, 0).astype(np.float64)
        if self.scaling == "poisson":
            rows *= row_factors(rows)[:, None]
        rows = rows if self.scale_ is None else rows * self.scale_
        return first_factors(rows, self.n_components, self.init, self._seed())

    def _learn(self, found: Alternated, mean: Vector, variance: Vector) -> None:
        """Keep what was found: in the units of the data, each factor of sum 1, most signal first."""
        factors, sums = found.factors, found.sums
        if self.scale_ is not None:
            factors = np.divide(factors, self.scale_, out=np.zeros_like(factors), where=self.scale_ > 0)
        areas = factors.sum(axis=1)
        signal = sums.loadings * areas
        order = np.argsort(-signal, kind="stable")
        self.components_ = np.ascontiguousarray((factors / np.where(areas > 0, areas, 1.0)[:, None])[order])
        self.signal_ratio_ = signal[order] / (self.n_samples_ * float(mean.sum()))
        self.score_deviations_ = (np.sqrt(sums.squares / self.n_samples_) * areas)[order]
        spread = sums.squares / self.n_samples_ - (sums.loadings / self.n_samples_) ** 2
        alone = (np.maximum(spread, 0) * np.einsum("ij,ij->i", factors, factors))[order]
        weights = 1.0 if self.scale_ is None else self.scale_**2
        total = float((variance * weights).sum()) * self.n_samples_
        explained = max(0.0, 1.0 - found.error**2 / total) if total > 0 else 0.0
        self.explained_variance_ratio_ = explained * alone / max(alone.sum(), np.finfo(float).tiny)
        self.explained_variance_ = self.explained_variance_ratio_ * float(variance.sum())
        self.n_components_, self.mean_ = len(factors), np.zeros(self.n_features_in_)
        self.errors_, self.n_iter_, self.converged_ = np.array(found.errors), len(found.errors), found.converged
        self.reconstruction_error_ = found.error
        self._ready()

    def _ready(self) -> None:
        self._projection = Unmixing(
            self.components_, self.scale_, weighted=self.scaling == "poisson", clipped=self.negative == "clip"
        )

    def _told(self) -> dict[str, Any]:
        parameters = super()._told()
        if not isinstance(self.init, str):
            parameters["init"] = np.asarray(self.init)
        return parameters

    def _take_up(self, dataset: xr.Dataset) -> None:
        self.mean_ = np.zeros(self.n_features_in_)
        self._ready()

    def __sklearn_tags__(self) -> Any:
        """Say whether negative values are refused."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.negative == "raise"
        return tags
