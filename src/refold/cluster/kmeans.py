"""K-means of scans of any size."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cluster.centroids import Centroids, Doubles
from refold.cluster.lloyd import Lloyd
from refold.cluster.starting import Starting
from refold.cube import n_features
from refold.errors import ParameterError, RefoldWarning

_INITS = ("k-means||", "k-means++")


class KMeans(Centroids):
    """K-means by Lloyd's algorithm: its exact steps, one sweep an iteration.

    Parameters
    ----------
    n_clusters : int
        Clusters.
    init : {"k-means||", "k-means++"} or array_like, shape (cluster, feature) or (cluster, *signal)
        Where to start. ``"k-means||"`` takes four sweeps, ``"k-means++"`` one for each cluster. Given centres are
        where it starts, and keep their order: so a fit is taken up again from the centres of another.
    n_init : int
        Starts; the one of least inertia is kept. They share their sweeps. Given centres are one start.
    max_iter : int
        Iterations at most.
    tol : float
        Squared movement of the centres, relative to the mean variance of the features, below which they stand.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Decides where to start.

    Attributes
    ----------
    cluster_centers_ : xarray.DataArray or numpy.ndarray
        Float64, dims (cluster, *signal), or shape (cluster, feature) where a table was fitted.
    labels_ : xarray.DataArray or numpy.ndarray
        Int32, on the navigation dims, or shape (pixel,): cluster of each pixel, -1 where one is not finite. 0 is the
        largest, unless centres were given.
    inertia_ : float
        Weighted sum of the squares of the distances to the nearest centre.
    n_iter_ : int
        Iterations of the start that was kept.
    converged_ : bool
        Whether its centres stood, before ``max_iter`` or an interrupt.
    reassigned_ : numpy.ndarray
        Shape (iteration,): pixels that changed their cluster in each.
    probabilities_, membership_ : xarray.DataArray or numpy.ndarray
        Float32: 1 for the cluster of each pixel, as other clusterers have them. Made when asked for.
    n_clusters_, n_features_in_ : int
        Clusters, features.

    Notes
    -----
    Labels, and every sum, are those of double precision, whatever the dtype, the blocks and the threads; the steps are
    those of scikit-learn, its handling of empty clusters included. Control-C ends the fit with the last whole
    iteration. Method of [1]_, with the bounds of [2]_
    where the cube can be kept in memory; ``docs/design/kmeans.md`` says how.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28, 129 (1982).
    .. [2] G. Hamerly, "Making k-means even faster", SIAM SDM 2010.

    Examples
    --------
    >>> import numpy as np, refold
    >>> rng = np.random.default_rng(0)
    >>> rows = np.concatenate([rng.normal(0, 1, (40, 3)), rng.normal(9, 1, (80, 3))])
    >>> model = KMeans(2).fit(rows)
    >>> int(model.labels_[0]), int(model.labels_[-1]), model.cluster_centers_.shape
    (1, 0, (2, 3))
    >>> cube = refold.as_cube(rows.reshape(10, 12, 3), signal="energy")
    >>> KMeans(2).fit(cube).cluster_centers_.dims
    ('cluster', 'energy')
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means||",
        n_init: int = 1,
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, weights: npt.ArrayLike | None = None) -> Self:
        """Find the clusters.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table.
        y : None
            Not used.
        weights : array_like, optional
            Shape of the navigation dims, or (pixel,): what each pixel counts; 0 or more.

        Returns
        -------
        KMeans
            This model.

        Raises
        ------
        ParameterError
            If an option has a value it cannot have, or there are fewer pixels than clusters.
        DataError
            If fewer pixels than clusters are finite.
        """
        self.check_values()
        cube = self._enter(X, reset=True)
        self._check_count(cube)
        masses = self._weights(cube, weights)
        starts = self._starts(cube, masses)
        n_starts, drawn = (self.n_init, starts.n_drawn) if isinstance(starts, Starting) else (1, 0)
        lloyd = Lloyd(cube, self.n_clusters, n_starts, self.max_iter, self.tol, masses, rows=drawn)
        best = lloyd.run(starts)
        self.inertia_ = best.inertia
        self.n_iter_ = len(best.moved)
        self.converged_ = best.done
        self.reassigned_ = np.array(best.moved)
        labels = lloyd.places.to_map(best.start.labels)
        centres = best.start.centres
        if isinstance(starts, Starting):
            centres, labels = self._largest_first(centres, labels, masses)
        self._remember(cube, centres, labels, table=not isinstance(X, xr.DataArray))
        found = int((best.counts > 0).sum())
        if found < self.n_clusters:
            warnings.warn(
                f"{found} of {self.n_clusters} clusters have pixels: there are too few that differ",
                RefoldWarning,
                stacklevel=2,
            )
        return self

    def check_values(self) -> None:
        """Refuse options that have a value they cannot have, before there is anything to cluster.

        Raises
        ------
        ParameterError
            If one has.
        """
        for name, least in (("n_init", 1), ("max_iter", 1), ("tol", 0)):
            if not getattr(self, name) >= least:
                raise ParameterError(f"{name}={getattr(self, name)!r}", f"{least} or more", f"raise {name}")
        if isinstance(self.init, str) and self.init not in _INITS:
            raise ParameterError(f"init={self.init!r}", f"one of {_INITS}, or centres", "choose one of them")

    def _starts(self, cube: xr.DataArray, weights: Doubles | None) -> list[Doubles] | Starting:
        """The centres given, or how to find some."""
        features = n_features(cube)
        if isinstance(self.init, str):
            seed = self._seed(self.random_state)
            return Starting(self.init, self.n_clusters, features, self.n_init, seed, weights)
        centres = np.asarray(self.init, np.float64)
        if centres.shape not in {(self.n_clusters, features), (self.n_clusters, *self._signal.shape)}:
            raise ParameterError(
                f"init of shape {centres.shape}", f"({self.n_clusters}, {features})", "give a centre for each cluster"
            )
        if not np.isfinite(centres).all():
            raise ParameterError("centres in init that are not finite", "numbers", "choose other pixels to start from")
        return [centres.reshape(self.n_clusters, features)]
