"""Mini-batch k-means: one sweep to fit, whatever the size of the scan."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cluster.centroids import Centroids, Doubles
from refold.cluster.lloyd import Lloyd
from refold.cube import n_features, n_pixels
from refold.engine import Sample, sweep
from refold.errors import DataError, ParameterError

_SAMPLE_BYTES = 1 << 26  # of a sample, by default
_PIXELS_A_CLUSTER = 200  # at least, by default


class MiniBatchKMeans(Centroids):
    """K-means of mini-batches, drawn in one sweep.

    A uniform sample of pixels, the same for any chunking, is drawn in one sweep; scikit-learn's mini-batch k-means goes
    through it batch by batch. A second sweep gives the labels. Nearly as good as `KMeans` where reading is dear.

    Parameters
    ----------
    n_clusters : int
        Clusters.
    init : {"k-means++", "random"} or array_like, shape (cluster, feature)
        Where to start.
    n_init : int
        Starts that are tried on a batch.
    max_iter : int
        Passes over the sample at most.
    batch_size : int
        Pixels of a batch.
    sample_size : int, optional
        Pixels drawn; by default 64 MB of them, but 200 for each cluster at least.
    compute_labels : bool
        Whether to label all pixels, with a second sweep.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Decides what is drawn, and where to start.

    Attributes
    ----------
    cluster_centers_, labels_, inertia_, n_clusters_, n_features_in_
        As of `KMeans`; labels and inertia are None without ``compute_labels``. 0 is the largest cluster, in the sample
        where labels are not computed; given centres keep their order.
    n_iter_, n_steps_ : int
        Passes over the sample, and batches.

    References
    ----------
    D. Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np, refold
    >>> rng = np.random.default_rng(0)
    >>> rows = np.concatenate([rng.normal(0, 1, (40, 3)), rng.normal(9, 1, (80, 3))])
    >>> model = MiniBatchKMeans(2).fit(refold.as_cube(rows.reshape(10, 12, 3), signal="energy"))
    >>> model.labels_.values[[0, -1], [0, -1]].tolist()
    [1, 0]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int = 3,
        max_iter: int = 100,
        batch_size: int = 1024,
        sample_size: int | None = None,
        compute_labels: bool = True,
        random_state: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.sample_size = sample_size
        self.compute_labels = compute_labels
        self.random_state = random_state

    def visitors(self, cube: xr.DataArray, weights: npt.ArrayLike | None = None) -> tuple[Sample]:
        """What a sweep is to feed, so that several models can be fitted from one read.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted; its shape is looked at.
        weights : array_like, optional
            Shape of the navigation dims: a pixel is drawn in proportion to it.

        Returns
        -------
        tuple of Visitor
            Their results, in this order, are for `settle`.
        """
        self._check_count(cube)
        seed = self._seed(self.random_state)
        return (Sample(self._size(cube), seed, self._weights(cube, weights), n_features=n_features(cube)),)

    def settle(self, cube: xr.DataArray, results: Sequence[Any]) -> Self:
        """Find centres from what the sweep gave; labels are left to `predict`.

        Parameters
        ----------
        cube : xarray.DataArray
            What was swept.
        results : sequence
            Those of `visitors`.

        Returns
        -------
        MiniBatchKMeans
            This model.

        Raises
        ------
        DataError
            If fewer pixels than clusters are finite.
        """
        cube = self._enter(cube, reset=True)
        self._learn(results[0].rows.astype(np.float64))
        self._remember(cube, self._centres, None, table=False)
        return self

    def fit(self, X: Any, y: Any = None, *, weights: npt.ArrayLike | None = None) -> Self:
        """Find the clusters.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table.
        y : None
            Not used.
        weights : array_like, optional
            Shape of the navigation dims, or (pixel,): a pixel is drawn in proportion to it, and counts it in the
            inertia.

        Returns
        -------
        MiniBatchKMeans
            This model.

        Raises
        ------
        ParameterError
            If an option has a value it cannot have, or there are fewer pixels than clusters.
        DataError
            If fewer pixels than clusters are finite.
        """
        cube = self._enter(X, reset=True)
        (sample,) = sweep(cube, *self.visitors(cube, weights), label="k-means sample")
        self._learn(sample.rows.astype(np.float64))
        centres, labels, self.inertia_ = self._centres, None, None
        if self.compute_labels:
            masses = self._weights(cube, weights)
            lloyd = Lloyd(cube, self.n_clusters, 1, 1, 0.0, masses, keep=False)
            found = lloyd.label(centres)
            labels, self.inertia_ = lloyd.places.to_map(found.start.labels), found.inertia
            if isinstance(self.init, str):
                centres, labels = self._largest_first(centres, labels, masses)
        self._remember(cube, centres, labels, table=not isinstance(X, xr.DataArray))
        return self

    def _size(self, cube: xr.DataArray) -> int:
        """Pixels to draw."""
        size = self.sample_size
        if size is None:
            size = max(_PIXELS_A_CLUSTER * self.n_clusters, _SAMPLE_BYTES // (8 * n_features(cube)))
        if size < self.n_clusters:
            raise ParameterError(f"sample_size={size}", f"at least n_clusters={self.n_clusters}", "draw more pixels")
        return min(size, n_pixels(cube))

    def _learn(self, rows: Doubles) -> None:
        """Mini-batch k-means of the sample."""
        from sklearn.cluster import MiniBatchKMeans as Library
        from sklearn.exceptions import ConvergenceWarning

        if len(rows) < self.n_clusters:
            raise DataError(f"{len(rows)} valid pixels", f"at least n_clusters={self.n_clusters}", "ask for fewer")
        init = (
            self.init if isinstance(self.init, str) else np.asarray(self.init, np.float64).reshape(self.n_clusters, -1)
        )
        model = Library(
            self.n_clusters,
            init=init,
            n_init=self.n_init if isinstance(init, str) else 1,
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            random_state=self._seed(self.random_state) % 2**32,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of pixels that coincide: their clusters are empty
            model.fit(rows)
        self._centres = np.asarray(model.cluster_centers_, np.float64)
        if isinstance(init, str):
            self._centres, _ = self._largest_first(self._centres, model.labels_, None)
        self.n_iter_, self.n_steps_ = int(model.n_iter_), int(model.n_steps_)
