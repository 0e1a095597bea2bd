"""Any estimator that learns batch by batch, fed with a scan in one sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from refold.cube import conform, n_features
from refold.engine import Block, Where, current_settings, plan_grid, sweep
from refold.errors import DataError, ParameterError, StoreError
from refold.reduce.projecting import Projecting
from refold.reduce.saving import to_dataset

Rows = npt.NDArray[Any]

_POOL = 16  # batches among which rows are shuffled


class Online(Projecting):
    """An estimator with ``partial_fit``, fitted in one sequential sweep over a cube of any size.

    Such are scikit-learn's ``IncrementalPCA``, ``MiniBatchNMF`` and ``MiniBatchDictionaryLearning``, and HyperSpy's
    robust ``ORPCA`` and ``ORNMF``. They see pixels in the order of the blocks, shuffled among 16 batches, as neighbours
    are alike.

    Parameters
    ----------
    estimator : object
        Has ``partial_fit`` and ``transform``, and after that ``components_``. It is copied, not changed.
    batch_size : int
        Pixels of a batch, at least.
    random_state : int or None
        Of the shuffling; None for none. The estimator has its own.

    Attributes
    ----------
    estimator_ : object
        The copy that was fitted.
    components_, mean_ : numpy.ndarray
        Its components, shape (component, feature), and its mean or zeros, shape (feature,).
    n_components_, n_samples_, n_features_in_, n_batches_, n_sweeps_ : int
        Components, valid pixels, features, batches; and sweeps, which is one.

    Notes
    -----
    There is one partition, so the result is the same for any number of workers; it depends on chunks that cut the last
    navigation dim. Scores are the estimator's own: they depend on their pixel alone as far as its ``transform`` sees to
    that. `MiniBatchNMF` stops by the error of a batch, and products of matrices round differently in other batches.
    Such a model is not saved, since a stranger takes a pickle. ORPCA keeps loadings of all pixels that it learnt from.

    Examples
    --------
    >>> import refold
    >>> from sklearn.decomposition import IncrementalPCA
    >>> cube = refold.as_cube(np.random.default_rng(0).random((20, 30, 8)), signal="energy")
    >>> model = Online(IncrementalPCA(2)).fit(cube)
    >>> model.transform(cube).dims, model.n_batches_
    (('y', 'x', 'component'), 2)
    """

    def __init__(self, estimator: Any, *, batch_size: int = 256, random_state: int | None = 0) -> None:
        self.estimator = estimator
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Show all valid pixels of a cube, or of a table of shape (pixel, feature), to the estimator, batch by batch.

        Raises
        ------
        ParameterError
            If the estimator cannot learn by batches.
        DataError
            If no pixel is valid.
        """
        for name in ("partial_fit", "transform"):
            if not hasattr(self.estimator, name):
                raise ParameterError(
                    f"{type(self.estimator).__name__} without {name}",
                    "an estimator with partial_fit and transform",
                    "give one such as sklearn.decomposition.MiniBatchNMF()",
                )
        if not self.batch_size >= 1:
            raise ParameterError(f"batch_size={self.batch_size}", "one or more", "choose a larger one")
        cube = self._enter(X, reset=True)
        visitor = Batches(self.estimator, int(self.batch_size), self.random_state, n_features(cube))
        grid = replace(plan_grid(cube, visitor, workers=1), n_partitions=1)
        (state,) = sweep(cube, visitor, grid=grid, workers=1 if current_settings().client is None else None)
        if not state.n_rows:
            raise DataError("no valid pixel", "pixels that are finite in every channel", "fill or crop what is not")
        self.estimator_, self.n_samples_, self.n_batches_ = state.estimator, state.n_rows, state.n_batches
        self.n_sweeps_, self.components_ = 1, np.asarray(self.estimator_.components_)
        self.n_components_ = len(self.components_)
        mean = getattr(self.estimator_, "mean_", None)
        self.mean_ = np.zeros(n_features(cube)) if mean is None else np.asarray(mean)
        self._projection = _Theirs(self.estimator_, self.components_, self.mean_)
        return self

    def variables(self) -> xr.Dataset:
        """Components, as the declared variable of a run, ``components (component, *signal)``."""
        check_is_fitted(self)
        laid = to_dataset(self, {"components": (("component", "feature"), self.components_)}, self._signal, {})
        return xr.Dataset({"components": conform("components", laid["components"].astype(np.float32))})

    def to_dataset(self) -> xr.Dataset:
        """Refuse: the estimator is a stranger, and could be kept as a pickle only."""
        raise StoreError(
            f"a model made of {type(self.estimator).__name__}",
            "one that is laid out as arrays",
            "save its components with variables(), or fit PCA(solver='incremental') or NMF",
        )

    def __sklearn_tags__(self) -> Any:
        """The tags of the estimator, where it has some."""
        tags = super().__sklearn_tags__()
        if hasattr(self.estimator, "__sklearn_tags__"):
            theirs = self.estimator.__sklearn_tags__()
            tags.input_tags.positive_only = theirs.input_tags.positive_only
        return tags


@dataclass
class _State:
    estimator: Any
    random: np.random.Generator
    waiting: list[Rows] = field(default_factory=list)
    n_rows: int = 0
    n_batches: int = 0


class Batches:
    """Visitor: feeds an estimator batches of so many rows at least, in one partition."""

    def __init__(self, estimator: Any, size: int, seed: int | None, n_features: int) -> None:
        self.estimator, self.size, self.seed = estimator, size, seed
        self.nbytes = 2 * 8 * n_features * size * (_POOL + 1)  # rows that wait, and in another order

    def start(self) -> _State:
        """A copy of the estimator, which has seen nothing."""
        return _State(clone(self.estimator, safe=False), np.random.default_rng(self.seed))

    def visit(self, state: _State, block: Block, where: Where) -> None:
        """Let the rows of a block wait, and learn from those before them."""
        rows = block.valid_rows
        state.n_rows += len(rows)
        for start in range(0, len(rows), self.size):
            state.waiting.append(rows[start : start + self.size].copy())
            if sum(map(len, state.waiting)) >= (_POOL + 1) * self.size:  # enough is left for a last batch
                pool = np.concatenate(state.waiting)
                state.waiting = [pool[_POOL * self.size :].copy()]
                self._learn(state, pool[: _POOL * self.size])

    def _learn(self, state: _State, pool: Rows) -> None:
        order = np.arange(len(pool)) if self.seed is None else state.random.permutation(len(pool))
        for part in np.array_split(order, max(1, len(pool) // self.size)):
            state.estimator.partial_fit(pool[part])
            state.n_batches += 1

    def merge(self, one: _State, other: _State) -> _State:
        """There is one partition."""
        raise AssertionError("batches come one after the other")

    def finish(self, state: _State) -> _State:
        """Learn from what still waits."""
        if state.n_rows:
            self._learn(state, np.concatenate(state.waiting))
            state.waiting = []
        return state


@dataclass(frozen=True)
class _Theirs:
    """Scores by the estimator's own transform, rows by its inverse or its components."""

    estimator: Any
    components: Rows
    mean: Rows

    def forward_valid(self, rows: Rows, valid: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Scores, and the root mean square that they leave; NaN where a row is not valid."""
        scores = np.full((len(rows), len(self.components)), np.nan, rows.dtype)
        residual = np.full(len(rows), np.nan, rows.dtype)
        if valid.any():
            some = np.array(rows[valid])
            scores[valid] = self.estimator.transform(some)
            left = some - self.backward(scores[valid])
            residual[valid] = np.sqrt(np.einsum("ij,ij->i", left, left) / rows.shape[1])
        return scores, residual

    def backward(self, scores: Rows) -> Rows:
        """Rows that scores stand for, in the dtype of the scores."""
        back = getattr(self.estimator, "inverse_transform", None)
        rows = scores @ self.components + self.mean if back is None or not len(scores) else back(scores)
        return np.asarray(rows, scores.dtype)
