"""Independent components: sources whose mixtures a scan of any size shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from refold.cube import navigation_dims, navigation_shape
from refold.errors import ParameterError
from refold.reduce.pca import PCA
from refold.reduce.projecting import Projecting
from refold.reduce.sources.loading import loading_sheets
from refold.reduce.sources.nesting import base_of, with_base
from refold.reduce.sources.separation import (
    Separation,
    Start,
    Unmixed,
    changes,
    check_choice,
    ordered,
    spectra_of,
    truncated,
)
from refold.reduce.sources.sheets import axes_of, factor_sheet
from refold.reduce.sources.whitening import Whitening

Matrix = npt.NDArray[np.float64]


class ICA(Projecting):
    """Blind source separation, by FastICA or an Orthomax rotation of principal components.

    Parameters
    ----------
    n_components : int or None
        Sources; None for as many as the components of the decomposition that is given.
    algorithm : {"fastica", "orthomax"}
        Independent sources, by scikit-learn's FastICA; or simple ones, by a rotation.
    on : {"factors", "loadings"}
        Whether the spectra (or patterns) are to be independent, or the maps.
    diff_order : int
        Sources are sought on this derivative of factors or loadings; 0 for themselves.
    diff_axes : sequence of str, optional
        Dims to differentiate along: of the signal, or, on loadings, of the navigation. All by default; the derivatives
        along several are put side by side.
    mask : array_like of bool, optional
        True where channels, or on loadings pixels, are left out when sources are sought.
    whiten : {"pca", "zca", None}
        How the derivatives are whitened before.
    decomposition : PCA or other model, optional
        Where to start from. One that is fitted is taken as it is; another is cloned and fitted. By default
        ``PCA(n_components, center=False)``, as HyperSpy's SVD.
    fun : {"logcosh", "exp", "cube"}
        Contrast function of FastICA.
    gamma : float
        Of Orthomax, from 0 (quartimax) to 1 (varimax).
    tol : float, optional
        Where the search stops: by default at changes of 1e-10 for FastICA, as in HyperSpy; for Orthomax at angles of
        1e-7.
    max_iter : int
        Steps at most.
    random_state : int, numpy.random.RandomState or None
        Start of FastICA.

    Attributes
    ----------
    components_ : numpy.ndarray
        Shape (component, feature): factors of the sources in the units of the data, those with most energy first. The
        largest value of each is positive.
    unmixing_ : numpy.ndarray
        Shape (source, component): its product with the factors of the decomposition (or with its loadings) are those
        of the sources.
    explained_variance_, explained_variance_ratio_ : numpy.ndarray
        Shape (component,): what all explain together, shared out by the energy of each. Sources are not orthogonal, so
        that none has a share of its own.
    score_deviations_ : numpy.ndarray
        Shape (component,): standard deviation of the scores.
    decomposition_ : Projecting
        The fitted model that was started from.
    mean_ : numpy.ndarray
        Shape (feature,): of the decomposition.
    n_components_, n_samples_, n_features_in_ : int
        Sources, pixels or channels that they were sought on, features.
    sampled_ : bool
        Whether only a sample of the loadings was looked at.
    n_sweeps_ : int
        Sweeps that `fit` made.
    n_iter_ : int
        Steps of the search.
    converged_ : bool
        Whether they sufficed.

    Notes
    -----
    Sweeps are those of the decomposition, none for a fitted one; on loadings one more. Loadings are kept in memory up
    to 2^20 pixels, or a 64th of the memory allowed. Past that a sample of tiles of 1024 neighbours is used, the
    same for any chunks, so that they can be differentiated as well.

    Scores are bitwise the same however pixels are grouped into blocks, chunks or batches. Equal to HyperSpy's
    ``blind_source_separation`` up to the order, sign and, past several optima, the start.

    References
    ----------
    Hyvärinen and Oja (2000), Neural Netw. 13, 411; de la Peña et al. (2011), Ultramicroscopy 111, 169.

    Examples
    --------
    >>> import numpy as np, refold
    >>> energy = np.arange(100)
    >>> spectra = np.stack([np.exp(-((energy - at) ** 2) / 18) for at in (20, 50, 80)])
    >>> maps = np.random.default_rng(0).random((10, 20, 3)) + 0.5
    >>> cube = refold.as_cube(maps @ spectra, signal="energy")
    >>> model = ICA(3).fit(cube)
    >>> np.sort(model.components_.argmax(axis=1)).tolist(), model.transform(cube).dims
    ([20, 50, 80], ('y', 'x', 'component'))
    """

    _arrays: ClassVar = {
        "components": ("component", "feature"),
        "unmixing": ("component", "of_component"),
        **dict.fromkeys(("explained_variance", "explained_variance_ratio", "score_deviations"), ("component",)),
    }
    _facts = (
        *("n_components_", "n_samples_", "n_features_in_", "n_sweeps_", "n_iter_", "converged_", "sampled_"),
        "_given",
    )

    def __init__(
        self,
        n_components: int | None = None,
        *,
        algorithm: Literal["fastica", "orthomax"] = "fastica",
        on: Literal["factors", "loadings"] = "factors",
        diff_order: int = 1,
        diff_axes: Any = None,
        mask: Any = None,
        whiten: Whitening = "pca",
        decomposition: Any = None,
        fun: Literal["logcosh", "exp", "cube"] = "logcosh",
        gamma: float = 1.0,
        tol: float | None = None,
        max_iter: int = 500,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.on = on
        self.diff_order = diff_order
        self.diff_axes = diff_axes
        self.mask = mask
        self.whiten = whiten
        self.decomposition = decomposition
        self.fun = fun
        self.gamma = gamma
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the sources.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table.
        y : None
            Not used.

        Returns
        -------
        ICA
            This model.

        Raises
        ------
        ParameterError
            If there are fewer components than sources, or an option has no such value.
        DataError
            If the components cannot be decomposed, or are not different once differentiated and masked.

        Warns
        -----
        ConvergenceWarning
            If the search did not settle.
        """
        options = self._options()
        cube = self._enter(X, reset=True)
        base, fitted = self._base()
        if not fitted:
            base.fit(cube)
        base._enter(cube, reset=False)
        return self._separate(Start.of(base, self.n_components), options, cube, 0 if fitted else base.n_sweeps_)

    def _options(self) -> Separation:
        check_choice("on", self.on, ("factors", "loadings"))
        names = ("algorithm", "diff_order", "whiten", "fun", "gamma", "tol", "max_iter", "random_state")
        return Separation(**{name: getattr(self, name) for name in names})

    def visitors(self, cube: xr.DataArray) -> tuple[Any, ...]:
        """What a sweep is to feed for the decomposition, so that several models can be fitted from one read.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted, lazily: its shape, dtype and chunks are looked at.

        Returns
        -------
        tuple of Visitor
            Their results, in this order, are for `settle`; none for a decomposition that is fitted.
        """
        base, fitted = self._base()
        if fitted:
            return ()
        return tuple(base.visitors(cube)) if hasattr(base, "visitors") else (base.first_visitor(cube),)

    def settle(self, cube: xr.DataArray, results: Sequence[Any]) -> Self:
        """Find the sources from what the sweep gave.

        Parameters
        ----------
        cube : xarray.DataArray
            What was swept. It is swept over once more on loadings, and as often as the decomposition needs.
        results : sequence
            Those of `visitors`.

        Returns
        -------
        ICA
            This model.

        Raises
        ------
        ParameterError, DataError
            As for `fit`.
        """
        options = self._options()
        cube = self._enter(cube, reset=True)
        base, fitted = self._base()
        if not fitted and hasattr(base, "settle"):
            base.settle(cube, results)
        elif not fitted:
            base.fit(cube, moments=results[0])
        base._enter(cube, reset=False)
        return self._separate(Start.of(base, self.n_components), options, cube, 0 if fitted else base.n_sweeps_)

    def _base(self) -> tuple[Any, bool]:
        """The decomposition to start from, and whether it is fitted already; a copy, if it is not."""
        base = self.decomposition
        if base is not None:
            if not isinstance(base, Projecting):
                raise ParameterError(f"decomposition={base!r}", "a PCA or MNF, fitted or not", "write refold.MNF(5)")
            fitted = hasattr(base, "components_")
            return (base if fitted else clone(base)), fitted
        if self.n_components is None:
            raise ParameterError("n_components=None", "how many sources", "write ICA(3), or give a decomposition")
        return PCA(self.n_components, center=False), False

    def _separate(self, start: Start, options: Separation, cube: xr.DataArray | None, sweeps: int) -> Self:
        """Seek sources among the components of a fitted model."""
        count = len(start.factors)
        if self.on == "factors":
            sheets, self.sampled_ = [factor_sheet(start.factors, start.signal, self.mask)], False
            axes = axes_of(start.signal.dims, start.signal.shape, self.diff_axes, self.diff_order)
        else:
            if cube is None:
                raise ParameterError("on='loadings' without a cube", "the scan that was decomposed", "give cube=")
            axes = axes_of(navigation_dims(cube), navigation_shape(cube), self.diff_axes, self.diff_order)
            seed = self.random_state if isinstance(self.random_state, int | np.integer) else 0
            sheets, self.sampled_ = loading_sheets(start.way, cube, count, self.mask, int(seed))
            sweeps += 1
        unmixing, self.n_iter_, self.converged_ = options.unmix(sheets, axes)
        self.n_sweeps_ = sweeps
        self.n_samples_ = int(sum(np.isfinite(sheet.values).all(axis=-1).sum() for sheet in sheets))
        self._learn(start, unmixing)
        return self

    def _learn(self, start: Start, unmixing: Matrix) -> None:
        """Keep what was found under scikit-learn's names, the sources with most energy first."""
        base, count, on_factors = start.base, len(unmixing), self.on == "factors"
        variance = base.explained_variance_[:count]
        self.unmixing_, shares = ordered(unmixing, start.factors, variance, on_factors=on_factors)
        into, back = changes(self.unmixing_, on_factors=on_factors)
        self.components_ = back @ spectra_of(start.inner, base, count)
        self.score_deviations_ = np.sqrt(np.einsum("ji,j,ji->i", into, variance, into))
        self.explained_variance_ = shares * variance.sum()
        self.explained_variance_ratio_ = shares * base.explained_variance_ratio_[:count].sum()
        self.n_components_ = count
        self.decomposition_, self.mean_ = base, base.mean_
        self._given = self.decomposition is not None
        self._projection = Unmixed(start.inner, into)

    def to_dataset(self) -> xr.Dataset:
        """The fitted model as a dataset, with the decomposition that it started from.

        Returns
        -------
        xarray.Dataset
            What `from_dataset` takes. Components have the dims and coordinates of the signal that was fitted. A mask is
            not kept.
        """
        return with_base(super().to_dataset(), self.decomposition_.to_dataset())

    def _told(self) -> dict[str, Any]:
        return {**super()._told(), "mask": None, "decomposition": None}

    def _take_up(self, dataset: xr.Dataset) -> None:
        base = base_of(dataset)
        self.decomposition = base if self._given else None
        self.decomposition_, self.mean_ = base, base.mean_
        inner = truncated(base, self.n_components_)
        self._projection = Unmixed(inner, changes(self.unmixing_, on_factors=self.on == "factors")[0])
