"""UMAP of the landmarks: the latent space in which they are clustered and shown."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data

from refold.backends import Backend, choose
from refold.errors import ParameterError

# UMAP lays neighbours out at distances that its curve sets, whatever the data's units: with `min_dist=0` a landmark's
# tenth neighbour is 0.05 to 0.1 away, and what is less than this apart is one piece. See docs/design/clustering.md.
LATENT_GAP = 0.3

_START_EXTENT = 10.0  # umap-learn scales its own starts to this, and adds noise of 1e-4
_FEW_FEATURES = 128  # of which all principal directions are found
_START_NOISE = 1e-4


class UMAP(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Uniform manifold approximation and projection, by umap-learn (or the GPU's).

    Parameters
    ----------
    n_components : int
        Dimensions of the latent space.
    n_neighbors : int
        Neighbours of each row in the graph; more of them sees larger structures. Reduced, with a warning, where there
        are fewer rows.
    n_epochs : int or None
        Steps of the layout. None leaves it to umap-learn: 500 up to ten thousand rows, 200 beyond.
    min_dist : float
        How tightly rows may be packed; 0 is best for clustering.
    densmap : bool
        Keep local densities as well (densMAP).
    init : str or ndarray
        ``"pca"`` starts from the leading directions of the rows, computed here. Anything else goes to umap-learn:
        ``"spectral"``, ``"tswspectral"``, ``"random"``, or an array (rows, n_components).
    random_state : int or None
        Seed. With None umap-learn runs its threads, and two runs differ.
    backend : Backend, optional
        Where to run; the best there is by default.
    **umap_parameters
        Any other parameter of `umap.UMAP`.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (rows, n_components)
        Latent coordinates.
    n_neighbors_ : int
        Neighbours used.

    See Also
    --------
    refold.embed.Landmarks : what to embed of a large scan.

    Notes
    -----
    Method of [1]_, [2]_. There is no ``transform``: umap-learn's is neither deterministic nor the same for every batch.
    Pixels past the landmarks get their place from their nearest landmarks, see `refold.backprojection`.

    References
    ----------
    .. [1] L. McInnes, J. Healy, J. Melville, "UMAP: Uniform Manifold Approximation and Projection", arXiv:1802.03426.
    .. [2] A. Narayan, B. Berger, H. Cho, "Assessing single-cell transcriptomic variability through density-preserving
       data visualization", Nature Biotechnology 39, 765 (2021).

    Examples
    --------
    >>> UMAP(3, negative_sample_rate=10).get_params()["negative_sample_rate"]
    10
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 30,
        n_epochs: int | None = 100,
        min_dist: float = 0.0,
        densmap: bool = False,
        init: str | npt.NDArray[np.float32] = "pca",
        random_state: int | None = 0,
        backend: Backend | None = None,
        **umap_parameters: Any,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.n_epochs = n_epochs
        self.min_dist = min_dist
        self.densmap = densmap
        self.init = init
        self.random_state = random_state
        self.backend = backend
        self.umap_parameters = umap_parameters

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Names of the declared parameters; what passes through is added by each instance."""
        signature = inspect.signature(cls.__init__).parameters.values()
        return sorted(p.name for p in signature if p.name != "self" and p.kind != p.VAR_KEYWORD)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, those passed through to umap-learn included.

        Parameters
        ----------
        deep : bool
            As in scikit-learn.
        """
        return {**super().get_params(deep=deep), **self.umap_parameters}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; names that are not declared go to umap-learn.

        Parameters
        ----------
        **params
            Names and values.
        """
        declared = set(self._get_param_names())
        super().set_params(**{name: value for name, value in params.items() if name in declared})
        passed_on = {name: value for name, value in params.items() if name not in declared}
        self.umap_parameters = {**self.umap_parameters, **passed_on}
        return self

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Embed rows.

        Parameters
        ----------
        X : array_like, shape (rows, features)
            Finite rows.
        y : None
            Ignored.

        Returns
        -------
        UMAP
            Itself.

        Raises
        ------
        ParameterError
            If a parameter is not one of umap-learn's, or out of range.
        """
        self._check_parameters()
        rows = validate_data(self, X, dtype=np.float32, order="C", ensure_min_samples=1)
        self.n_neighbors_ = self._usable_neighbours(rows.shape[0])
        if self.n_neighbors_ < 2 or not (rows != rows[0]).any():
            # A graph needs three rows, and rows that differ; less than that is laid out as it is.
            self.embedding_ = _leading_directions(rows, self.n_components)
            return self
        parameters = {
            **self.umap_parameters,
            "n_components": self.n_components,
            "n_neighbors": self.n_neighbors_,
            "n_epochs": self.n_epochs,
            "min_dist": self.min_dist,
            "densmap": self.densmap,
            "init": self._start(rows),
            "random_state": self.random_state,
        }
        backend = self.backend if self.backend is not None else choose("auto")
        self.embedding_ = backend.umap(rows, parameters)
        return self

    def fit_transform(self, X: npt.ArrayLike, y: object = None) -> npt.NDArray[np.float32]:
        """Embed rows and return their latent coordinates.

        Parameters
        ----------
        X : array_like, shape (rows, features)
            Finite rows.
        y : None
            Ignored.

        Returns
        -------
        ndarray of float32, shape (rows, n_components)
            Latent coordinates.
        """
        return self.fit(X, y).embedding_

    def _check_parameters(self) -> None:
        if self.n_components < 1:
            raise ParameterError(f"n_components={self.n_components}", "1 or more", "2 to look at, 3 to cluster in")
        if self.n_neighbors < 2:
            raise ParameterError(f"n_neighbors={self.n_neighbors}", "2 or more", "try 30")

    def _usable_neighbours(self, n_rows: int) -> int:
        if self.n_neighbors < n_rows:
            return self.n_neighbors
        usable = max(1, n_rows - 1)
        warnings.warn(
            f"n_neighbors={self.n_neighbors} is more than {n_rows} rows allow; {usable} are used", stacklevel=4
        )
        return usable

    def _start(self, rows: npt.NDArray[np.float32]) -> Any:
        """Where the layout starts, as umap-learn takes it."""
        if not (isinstance(self.init, str) and self.init == "pca"):
            return self.init
        start = _leading_directions(rows, self.n_components)
        noise = np.random.default_rng(self.random_state).normal(scale=_START_NOISE, size=start.shape)
        return (start * (_START_EXTENT / np.abs(start).max()) + noise).astype(np.float32)


def _leading_directions(rows: npt.NDArray[np.float32], n_components: int) -> npt.NDArray[np.float32]:
    """Principal coordinates of rows, zeros where there are too few features; the largest loading is positive."""
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    scatter = centred.T @ centred
    if rows.shape[1] <= max(_FEW_FEATURES, 2 * n_components):
        directions = np.linalg.eigh(scatter)[1]
    else:  # all of a thousand directions would take longer than the layout that starts from two
        from scipy.sparse.linalg import eigsh

        directions = eigsh(scatter, n_components, v0=np.random.default_rng(0).normal(size=rows.shape[1]), tol=1e-4)[1]
    kept = directions[:, ::-1][:, :n_components]
    kept = kept * np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])
    start = np.zeros((rows.shape[0], n_components), np.float32)
    start[:, : kept.shape[1]] = centred @ kept
    return start
